//! Embedders in normal form, and how far what a node shows of one can be held against what was set (Meilisearch 1.50).
//!
//! A node fills in what was left out, drops what belonged to an earlier source, and shows of a key only its beginning. So
//! parts are compared that both sides have, and keys by what is shown of them. The embedders in a `composite` one, and
//! `pooling`, are not compared.

use serde_json::{Map, Value};

use crate::secret::mask;

/// The parts of an embedder that a node shows as they were set.
const PARTS: [&str; 13] = [
    "source",
    "model",
    "revision",
    "dimensions",
    "binaryQuantized",
    "url",
    "request",
    "response",
    "headers",
    "documentTemplate",
    "documentTemplateMaxBytes",
    "indexingFragments",
    "searchFragments",
];

/// A key is replaced by this, behind its first letters.
const MASK: &str = "XXX...";

pub(super) fn normal(value: &Value) -> Value {
    let Some(embedders) = value.as_object() else { return value.clone() };
    let present = embedders.iter().filter(|(_, embedder)| !embedder.is_null());
    Value::Object(present.map(|(name, embedder)| (name.clone(), normal_one(embedder))).collect())
}

fn normal_one(embedder: &Value) -> Value {
    let as_set = PARTS.iter().filter_map(|part| Some(((*part).to_owned(), embedder.get(part)?.clone())));
    let key = embedder.get("apiKey").map(|key| ("apiKey".to_owned(), shown_key(key)));
    let distribution =
        embedder.get("distribution").map(|parts| ("distribution".to_owned(), single_precision(parts)));
    Value::Object(as_set.chain(key).chain(distribution).filter(|(_, value)| !value.is_null()).collect())
}

fn shown_key(key: &Value) -> Value {
    match key.as_str() {
        Some(key) if !key.ends_with(MASK) => Value::from(mask(key)),
        _ => key.clone(),
    }
}

/// Nodes keep these numbers in single precision.
fn single_precision(parts: &Value) -> Value {
    let Some(parts) = parts.as_object() else { return parts.clone() };
    #[expect(clippy::cast_possible_truncation, reason = "that is what nodes do")]
    let rounded =
        |number: &Value| number.as_f64().map_or(number.clone(), |number| Value::from(number as f32));
    Value::Object(parts.iter().map(|(name, number)| (name.clone(), rounded(number))).collect())
}

/// What a node shows, with what can't be compared taken for what was set.
pub(super) fn believe(set: &Value, mut found: Value) -> Value {
    let Some(embedders) = found.as_object_mut() else { return found };
    for (name, embedder) in embedders {
        if let Some(parts) = set.get(name).and_then(Value::as_object) {
            *embedder = believe_one(parts, embedder);
        }
    }
    found
}

fn believe_one(set: &Map<String, Value>, found: &Value) -> Value {
    let part = |(name, set): (&String, &Value)| {
        let found = found.get(name).filter(|found| !found.is_null());
        // Whoever writes back what it was shown sets that as the key.
        let is_key = |found: &Value| name == "apiKey" && set.as_str().map(mask).as_deref() == found.as_str();
        let value = found.filter(|found| !is_key(found)).unwrap_or(set);
        (name.clone(), value.clone())
    };
    Value::Object(set.iter().map(part).collect())
}
