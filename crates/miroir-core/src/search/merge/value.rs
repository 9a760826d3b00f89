//! Values as Meilisearch orders them: numbers, then strings, then missing ones, in both directions.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde_json::{Map, Number, Value};

use super::normal::{normalize, normalize_whole};

/// The value by which a hit was sorted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::search) enum SortValue {
    Number(f64),
    /// Already normalised by the node.
    Text(String),
    Missing,
}

impl SortValue {
    pub(super) fn read(value: &Value) -> Self {
        match value {
            Value::Number(number) => number.as_f64().map_or(Self::Missing, Self::Number),
            Value::String(text) => Self::Text(text.clone()),
            _ => Self::Missing,
        }
    }

    /// Of the values of a document's field the one that comes first in this direction.
    pub(in crate::search) fn first_of(document: &Map<String, Value>, field: &str, ascending: bool) -> Self {
        Self::of_field(document, field)
            .reduce(|best, value| if value.order(&best, ascending).is_lt() { value } else { best })
            .unwrap_or(Self::Missing)
    }

    /// The values of a document's field, each once, in this direction; a missing one if there is none.
    pub(in crate::search) fn all_of(
        document: &Map<String, Value>,
        field: &str,
        ascending: bool,
    ) -> Vec<Self> {
        let mut values: Vec<Self> = Self::of_field(document, field).collect();
        values.sort_by(|a, b| a.order(b, ascending));
        values.dedup_by(|a, b| a.order(b, ascending).is_eq());
        if values.is_empty() { vec![Self::Missing] } else { values }
    }

    fn of_field(document: &Map<String, Value>, field: &str) -> impl Iterator<Item = Self> {
        FacetValue::of_attribute(document, field).into_iter().map(|value| match value {
            FacetValue::Number(number) => Self::Number(number),
            FacetValue::Text(text) => Self::Text(text),
        })
    }

    pub(in crate::search) fn order(&self, other: &Self, ascending: bool) -> Ordering {
        let directed = |order: Ordering| if ascending { order } else { order.reverse() };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => directed(a.partial_cmp(b).unwrap_or(Ordering::Equal)),
            (Self::Text(a), Self::Text(b)) => directed(a.as_bytes().cmp(b.as_bytes())),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Missing => 2,
        }
    }
}

/// A value of a facet or of the distinct attribute; equal ones are one value to Meilisearch.
#[derive(Debug, Clone)]
pub(super) enum FacetValue {
    Number(f64),
    Text(String),
}

impl FacetValue {
    /// The values of an attribute of a document: paths go through objects and arrays, arrays count each element once.
    pub(super) fn of_attribute(document: &Map<String, Value>, attribute: &str) -> Vec<Self> {
        let mut values = Vec::new();
        collect_fields(document, attribute, &mut values);
        values.sort_by_key(|value| (matches!(value, Self::Text(_)), value.key()));
        values.dedup();
        values
    }

    /// The key under which Meilisearch lists the value, but for its spelling.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl PartialEq for FacetValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for FacetValue {}

impl Hash for FacetValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // `0.0 == -0.0`, so both must hash alike.
            Self::Number(number) => (0_u8, (number + 0.0).to_bits()).hash(state),
            Self::Text(text) => (1_u8, text).hash(state),
        }
    }
}

fn collect(value: &Value, path: &str, values: &mut Vec<FacetValue>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, values)),
        Value::Object(object) => collect_fields(object, path, values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect_fields(object: &Map<String, Value>, path: &str, values: &mut Vec<FacetValue>) {
    for (name, value) in object {
        if name == path {
            leaves(value, values);
        } else if let Some(rest) = path.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.')) {
            collect(value, rest, values);
        }
    }
}

fn leaves(value: &Value, values: &mut Vec<FacetValue>) {
    match value {
        Value::Number(number) => values.extend(number.as_f64().map(FacetValue::Number)),
        // An empty text is no value to a server, but one of blanks is.
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => values.push(FacetValue::Text(normalize(text))),
        Value::Bool(flag) => values.push(FacetValue::Text(flag.to_string())),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, values)),
        Value::Null | Value::Object(_) => {}
    }
}

/// A value of a distinct attribute as Meilisearch compares it between the queries of a federated search (1.50,
/// `VisitFacetValues`): it is read from the hit, not from the index. So texts are told apart however long they are, an empty
/// one is a value, `1` and `1.0` are two, and lists in lists have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ToldValue {
    Number(Number),
    Text(String),
}

impl ToldValue {
    /// The values of an attribute of a document.
    pub(super) fn of_attribute(document: &Map<String, Value>, attribute: &str) -> Vec<Self> {
        let mut values = Vec::new();
        visit_fields(document, attribute, &mut |value| match value {
            Value::Array(items) => values.extend(items.iter().filter_map(Self::of_plain)),
            value => values.extend(Self::of_plain(value)),
        });
        values
    }

    fn of_plain(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::String(text) => Some(Self::Text(normalize_whole(text))),
            Value::Bool(flag) => Some(Self::Text(flag.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn visit_fields(object: &Map<String, Value>, path: &str, visit: &mut impl FnMut(&Value)) {
    if let Some(value) = object.get(path) {
        visit(value);
    }
    for (at, _) in path.match_indices('.') {
        let rest = &path[at + 1..];
        match object.get(&path[..at]) {
            Some(Value::Object(inner)) => visit_fields(inner, rest, visit),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_object).for_each(|inner| visit_fields(inner, rest, visit));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Map<String, Value> {
        let long = "x".repeat(468);
        let document = json!({
            "empty": "", "blank": " ", "list": [1, [2, "a"], "A"], "long": [format!("{long}1"), format!("{long}2")],
            "one": [1, 1.0, "1"], "a": [{ "b": true }, [{ "b": 5 }]],
        });
        document.as_object().cloned().unwrap()
    }

    #[test]
    fn values_are_those_that_a_server_keeps() {
        let values = |attribute: &str| FacetValue::of_attribute(&document(), attribute).len();
        let counts = ["empty", "blank", "list", "long", "one", "a.b", "nothing"].map(values);
        assert_eq!(counts, [0, 1, 3, 1, 2, 2, 0]);
    }

    #[test]
    fn between_queries_values_are_those_that_a_hit_shows() {
        let values = |attribute: &str| {
            let values: std::collections::HashSet<_> =
                ToldValue::of_attribute(&document(), attribute).into_iter().collect();
            values.len()
        };
        let counts = ["empty", "blank", "list", "long", "one", "a.b", "nothing"].map(values);
        assert_eq!(counts, [1, 1, 2, 2, 3, 1, 0]);
    }
}
