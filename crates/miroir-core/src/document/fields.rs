//! Which fields of a document an answer shows, when Miroir fetched more of them than the client asked for.
//!
//! The rules are Meilisearch's own, permissive ones: a dot in a name means a path into objects *and* may be part of a
//! field's name, a path goes through arrays into each of their elements, and everything a name can mean is kept.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// The name that stands for every field.
const WILDCARD: &str = "*";
const SEPARATOR: char = '.';

/// A client's list of attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldSelection {
    /// Every field: no list, or one with `*` in it.
    All,
    /// The fields that these names mean. An empty list keeps nothing.
    Only(Vec<String>),
}

impl FieldSelection {
    /// Reads an attribute list as Meilisearch does: none means all.
    pub fn from_list(names: Option<&[String]>) -> Self {
        match names {
            None => Self::All,
            Some(names) if names.iter().any(|name| name == WILDCARD) => Self::All,
            Some(names) => Self::Only(names.to_vec()),
        }
    }

    /// The document with nothing but the selected fields, in the document's order.
    pub fn apply(&self, document: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::All => document,
            Self::Only(names) => select(document, names.iter().map(String::as_str)),
        }
    }
}

/// Keeps the fields of a document that the names mean; `*` has no special meaning here.
pub fn select<'a>(
    document: Map<String, Value>,
    names: impl IntoIterator<Item = &'a str>,
) -> Map<String, Value> {
    select_in_object(document, &names.into_iter().collect())
}

fn select_in_object(object: Map<String, Value>, names: &HashSet<&str>) -> Map<String, Value> {
    let mut kept = Map::new();
    for (field, value) in object {
        let is_selected = names.contains(field.as_str());
        if is_selected && !field.contains(SEPARATOR) {
            kept.insert(field, value);
            continue;
        }
        let inner: HashSet<&str> = names.iter().filter_map(|name| path_below(name, &field)).collect();
        if inner.is_empty() {
            if is_selected {
                kept.insert(field, value);
            }
            continue;
        }
        // A name that goes on below this field finds nothing in a plain value, even if another one means the field itself.
        match value {
            Value::Object(object) => {
                kept.insert(field, select_in_object(object, &inner).into());
            }
            Value::Array(values) => {
                kept.insert(field, select_in_array(values, &inner).into());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    kept
}

/// Elements keep their order but not their place: those without a selected field are left out.
fn select_in_array(values: Vec<Value>, names: &HashSet<&str>) -> Vec<Value> {
    values
        .into_iter()
        .filter_map(|value| match value {
            Value::Array(values) => Some(select_in_array(values, names).into()),
            Value::Object(object) => {
                let object = select_in_object(object, names);
                (!object.is_empty()).then(|| object.into())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
        .collect()
}

/// What is left of a name below a field: `b.c` for `a.b.c` and the field `a`.
fn path_below<'a>(name: &'a str, field: &str) -> Option<&'a str> {
    name.strip_prefix(field)?.strip_prefix(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selected(document: Value, names: &[&str]) -> Value {
        let Value::Object(document) = document else { panic!("not a document: {document}") };
        select(document, names.iter().copied()).into()
    }

    #[test]
    fn plain_names_keep_whole_fields_in_the_order_of_the_document() {
        let document = json!({"dog": "bob", "cat": {"name": "michel"}, "bird": null});
        assert_eq!(selected(document.clone(), &["dog"]), json!({"dog": "bob"}));
        let kept = selected(document.clone(), &["bird", "cat"]);
        assert_eq!(kept.to_string(), r#"{"cat":{"name":"michel"},"bird":null}"#);
        assert_eq!(selected(document, &["fish"]), json!({}));
    }

    #[test]
    fn a_dot_is_a_path_and_part_of_a_name_at_once() {
        let document = json!({
            "pet.dog.name": "jean",
            "pet.dog": {"name": "bob", "age": 1},
            "pet": {"dog.name": "michel", "dog": {"name": "milan", "age": 2}, "cat": 3},
            "peter": 4,
        });
        let expected = json!({
            "pet.dog.name": "jean",
            "pet.dog": {"name": "bob"},
            "pet": {"dog.name": "michel", "dog": {"name": "milan"}},
        });
        assert_eq!(selected(document, &["pet.dog.name"]), expected);
    }

    #[test]
    fn a_path_goes_into_every_element_of_an_array_and_drops_the_empty_ones() {
        let document = json!({"pets": [
            {"animal": "dog", "race": "bernese mountain"},
            {"animal": "cat", "age": 8},
            [{"age": 9}, {"animal": "bird"}, 5],
            "fish",
        ]});
        assert_eq!(selected(document.clone(), &["pets.age"]), json!({"pets": [{"age": 8}, [{"age": 9}]]}));
        assert_eq!(selected(document, &["pets.size"]), json!({"pets": [[]]}));
    }

    #[test]
    fn a_path_that_finds_nothing_leaves_an_empty_object_but_no_plain_value() {
        let document = json!({"race": {"name": "golden"}, "size": 3});
        assert_eq!(selected(document, &["race.age", "size.unit"]), json!({"race": {}}));
    }

    #[test]
    fn a_field_named_with_a_dot_gives_way_to_a_longer_path() {
        let document = json!({"a.b": {"c": 1, "d": 2}, "a.e": 3});
        assert_eq!(selected(document.clone(), &["a.b", "a.e"]), document);
        assert_eq!(selected(document.clone(), &["a.b", "a.b.c"]), json!({"a.b": {"c": 1}}));
        assert_eq!(selected(document, &["a.e", "a.e.f"]), json!({}));
    }

    #[test]
    fn no_list_and_a_wildcard_keep_everything_and_an_empty_list_nothing() {
        let Value::Object(document) = json!({"id": 1, "title": "Carol"}) else { unreachable!() };
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(FieldSelection::from_list(None).apply(document.clone()), document);
        let wildcard = FieldSelection::from_list(Some(&list(&["title", "*"])));
        assert_eq!(wildcard.apply(document.clone()), document);
        let one = FieldSelection::from_list(Some(&list(&["title"])));
        assert_eq!(Value::Object(one.apply(document.clone())), json!({"title": "Carol"}));
        assert_eq!(FieldSelection::from_list(Some(&[])).apply(document), Map::new());
    }
}
