//! Values as Meilisearch orders them: numbers, then strings, then missing ones, in both directions.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

use super::normal::normalize;

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
        let values = FacetValue::of_attribute(document, field);
        let values = values.into_iter().map(|value| match value {
            FacetValue::Number(number) => Self::Number(number),
            FacetValue::Text(text) => Self::Text(text),
        });
        values
            .reduce(|best, value| if value.order(&best, ascending).is_lt() { value } else { best })
            .unwrap_or(Self::Missing)
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
        values.sort_by_key(Self::key);
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
        Value::String(text) => values.push(FacetValue::Text(normalize(text))),
        Value::Bool(flag) => values.push(FacetValue::Text(flag.to_string())),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, values)),
        Value::Null | Value::Object(_) => {}
    }
}
