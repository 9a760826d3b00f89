//! Fields of nested documents by their dotted names, where an array stands for each of its items.

use milli_core::{Object, is_faceted_by};
use serde_json::Value;

/// The parts of a document that the selectors name; what is selected keeps its place.
pub fn select<'a>(document: &Object, selectors: impl IntoIterator<Item = &'a str>) -> Object {
    let selectors: Vec<&str> = selectors.into_iter().collect();
    select_in_object(document, &selectors, "")
}

/// Calls `change` with the dotted name, the array positions on the way and the value of every leaf below a selector.
pub fn map_leaves(
    document: &mut Object,
    selectors: &[&str],
    change: &mut impl FnMut(&str, &[usize], &mut Value),
) {
    map_object(document, selectors, "", &[], change);
}

fn select_in_object(object: &Object, selectors: &[&str], base: &str) -> Object {
    let mut selected = Object::new();
    for (key, value) in object {
        let name = join(base, key);
        if selectors.iter().any(|selector| is_faceted_by(&name, selector)) {
            selected.insert(key.clone(), value.clone());
        } else if selectors.iter().any(|selector| is_faceted_by(selector, &name))
            && let Some(part) = select_below(value, selectors, &name)
        {
            selected.insert(key.clone(), part);
        }
    }
    selected
}

/// The selected parts of a value that no selector names as a whole.
fn select_below(value: &Value, selectors: &[&str], base: &str) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let part = select_in_object(object, selectors, base);
            (!part.is_empty() || object.is_empty()).then_some(Value::Object(part))
        }
        Value::Array(items) => {
            let parts: Vec<Value> =
                items.iter().filter_map(|item| select_below(item, selectors, base)).collect();
            (!parts.is_empty()).then_some(Value::Array(parts))
        }
        _ => None,
    }
}

fn map_object(
    object: &mut Object,
    selectors: &[&str],
    base: &str,
    positions: &[usize],
    change: &mut impl FnMut(&str, &[usize], &mut Value),
) {
    for (key, value) in object.iter_mut() {
        let name = join(base, key);
        if selectors.iter().any(|selector| is_faceted_by(selector, &name) || is_faceted_by(&name, selector)) {
            map_value(value, selectors, &name, positions, change);
        }
    }
}

fn map_value(
    value: &mut Value,
    selectors: &[&str],
    name: &str,
    positions: &[usize],
    change: &mut impl FnMut(&str, &[usize], &mut Value),
) {
    match value {
        Value::Object(object) => map_object(object, selectors, name, positions, change),
        Value::Array(items) => {
            let mut inner = positions.to_vec();
            inner.push(0);
            for (position, item) in items.iter_mut().enumerate() {
                if let Some(last) = inner.last_mut() {
                    *last = position;
                }
                map_value(item, selectors, name, &inner, change);
            }
        }
        leaf => change(name, positions, leaf),
    }
}

fn join(base: &str, key: &str) -> String {
    if base.is_empty() { key.to_owned() } else { format!("{base}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn a_dotted_selector_takes_its_part_only() {
        let document = object(json!({ "id": 1, "size": { "w": 2, "h": 3 }, "sizes": 4 }));
        assert_eq!(select(&document, ["size.w", "id"]), object(json!({ "id": 1, "size": { "w": 2 } })));
        assert_eq!(select(&document, ["size"]), object(json!({ "size": { "w": 2, "h": 3 } })));
        assert_eq!(select(&document, ["ghost"]), Object::new());
    }

    #[test]
    fn arrays_of_objects_are_looked_into() {
        let document = object(json!({ "a": [{ "b": 1, "c": 2 }, { "c": 3 }] }));
        assert_eq!(select(&document, ["a.b"]), object(json!({ "a": [{ "b": 1 }] })));
    }

    #[test]
    fn leaves_are_visited_with_their_positions() {
        let mut document = object(json!({ "a": [{ "b": "x" }, { "b": "y" }], "c": 1 }));
        let mut seen = Vec::new();
        map_leaves(&mut document, &["a"], &mut |name, positions, value| {
            seen.push((name.to_owned(), positions.to_vec(), value.clone()));
        });
        assert_eq!(seen, [("a.b".to_owned(), vec![0], json!("x")), ("a.b".to_owned(), vec![1], json!("y"))]);
    }
}
