//! Which fields of a document an answer shows, when Miroir fetched more of them than the client asked for.
//!
//! The rules are Meilisearch's own, permissive ones: a dot in a name means a path into objects *and* may be part of a
//! field's name, a path goes through arrays into each of their elements, and everything a name can mean is kept. There are
//! two of them (1.50): documents, in listings and hits, keep every plain value on the way of a path ([`keep`]), while
//! `_formatted` keeps nothing but what a path leads to ([`keep_formatted`]).

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
            Self::Only(names) => keep(document, names),
        }
    }
}

/// Whether `path` is `name` or lies below it.
pub fn lies_below(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
}

/// Keeps the fields of a document, or of a hit, that the names mean; `*` has no special meaning here. What a path passes on
/// its way stays even where it ends before its last name: plain values, objects that lack the rest, elements of arrays.
pub fn keep<S: AsRef<str>>(document: Map<String, Value>, names: &[S]) -> Map<String, Value> {
    let mut kept = Map::new();
    for (field, value) in document {
        // At the top a name with a dot is a field's own or begins with one.
        if names.iter().any(|name| lies_below(name.as_ref(), &field)) {
            let value = keep_below(value, &field, names);
            kept.insert(field, value);
        }
    }
    kept
}

fn keep_below<S: AsRef<str>>(value: Value, path: &str, names: &[S]) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| keep_below(item, path, names)).collect(),
        Value::Object(object) => {
            let mut kept = Map::new();
            for (field, value) in object {
                let path = if path.is_empty() { field.clone() } else { format!("{path}{SEPARATOR}{field}") };
                let leads = |name: &S| {
                    let name = name.as_ref();
                    lies_below(name, &path) || lies_below(&path, name)
                };
                if names.iter().any(leads) {
                    let value = keep_below(value, &path, names);
                    kept.insert(field, value);
                }
            }
            Value::Object(kept)
        }
        plain => plain,
    }
}

/// Keeps the fields of `_formatted` that the names mean: nothing but what a path leads to.
pub fn keep_formatted<'a>(
    formatted: Map<String, Value>,
    names: impl IntoIterator<Item = &'a str>,
) -> Map<String, Value> {
    select_in_object(formatted, &names.into_iter().collect())
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

    fn object(document: Value) -> Map<String, Value> {
        let Value::Object(document) = document else { panic!("not a document: {document}") };
        document
    }

    fn kept(document: Value, names: &[&str]) -> Value {
        keep(object(document), names).into()
    }

    fn formatted(document: Value, names: &[&str]) -> Value {
        keep_formatted(object(document), names.iter().copied()).into()
    }

    #[test]
    fn plain_names_keep_whole_fields_in_the_order_of_the_document() {
        let document = json!({"dog": "bob", "cat": {"name": "michel"}, "bird": null});
        for keep in [kept, formatted] {
            assert_eq!(keep(document.clone(), &["dog"]), json!({"dog": "bob"}));
            let two = keep(document.clone(), &["bird", "cat"]);
            assert_eq!(two.to_string(), r#"{"cat":{"name":"michel"},"bird":null}"#);
            assert_eq!(keep(document.clone(), &["fish"]), json!({}));
        }
    }

    #[test]
    fn a_document_keeps_plain_values_on_the_way_of_a_path_and_formatted_does_not() {
        let document = json!({"id": 1, "price": 7, "tags": ["a", {"k": 1, "l": 2}, {"l": 3}], "race": {"name": "golden"}});
        let names = ["id", "price.usd", "tags.k", "race.age"];
        assert_eq!(
            kept(document.clone(), &names),
            json!({"id": 1, "price": 7, "tags": ["a", {"k": 1}, {}], "race": {}})
        );
        assert_eq!(formatted(document, &names), json!({"id": 1, "tags": [{"k": 1}], "race": {}}));
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
        assert_eq!(kept(document.clone(), &["pet.dog.name"]), expected);
        assert_eq!(formatted(document.clone(), &["pet.dog.name"]), expected);
        assert_eq!(kept(document, &["pet.cat"]), json!({"pet": {"cat": 3}}));
    }

    #[test]
    fn a_path_goes_into_every_element_of_an_array() {
        let document = json!({"pets": [
            {"animal": "dog", "race": "bernese mountain"},
            {"animal": "cat", "age": 8},
            [{"age": 9}, {"animal": "bird"}, 5],
            "fish",
        ]});
        assert_eq!(
            kept(document.clone(), &["pets.age"]),
            json!({"pets": [{}, {"age": 8}, [{"age": 9}, {}, 5], "fish"]})
        );
        assert_eq!(formatted(document.clone(), &["pets.age"]), json!({"pets": [{"age": 8}, [{"age": 9}]]}));
        assert_eq!(formatted(document, &["pets.size"]), json!({"pets": [[]]}));
    }

    #[test]
    fn in_formatted_a_field_named_with_a_dot_gives_way_to_a_longer_path() {
        let document = json!({"a.b": {"c": 1, "d": 2}, "a.e": 3});
        assert_eq!(formatted(document.clone(), &["a.b", "a.e"]), document);
        assert_eq!(formatted(document.clone(), &["a.b", "a.b.c"]), json!({"a.b": {"c": 1}}));
        assert_eq!(formatted(document.clone(), &["a.e", "a.e.f"]), json!({}));
        assert_eq!(kept(document.clone(), &["a.b", "a.b.c", "a.e.f"]), document);
        assert_eq!(kept(document, &["a"]), json!({}));
    }

    #[test]
    fn no_list_and_a_wildcard_keep_everything_and_an_empty_list_nothing() {
        let document = object(json!({"id": 1, "title": "Carol"}));
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(FieldSelection::from_list(None).apply(document.clone()), document);
        let wildcard = FieldSelection::from_list(Some(&list(&["title", "*"])));
        assert_eq!(wildcard.apply(document.clone()), document);
        let one = FieldSelection::from_list(Some(&list(&["title"])));
        assert_eq!(Value::Object(one.apply(document.clone())), json!({"title": "Carol"}));
        assert_eq!(FieldSelection::from_list(Some(&[])).apply(document), Map::new());
    }
}
