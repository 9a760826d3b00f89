//! How embedders are changed, their normal form, and how far what a node shows of one can be held against what was set
//! (Meilisearch 1.50).
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

/// Parts that belong to a source and are lost with it.
const OF_A_SOURCE: [&str; 12] = [
    "model",
    "revision",
    "pooling",
    "dimensions",
    "url",
    "request",
    "response",
    "headers",
    "indexingFragments",
    "searchFragments",
    "searchEmbedder",
    "indexingEmbedder",
];

/// Parts that only embedders have that render documents.
const OF_DOCUMENTS: [&str; 2] = ["documentTemplate", "documentTemplateMaxBytes"];

const DEFAULT_SOURCE: &str = "openAi";

/// Changes embedders as a node does: part by part, and fragments one by one. Null takes away.
pub(super) fn change(embedders: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, changes) in changes {
        match changes {
            Value::Object(changes) => change_one(object_at(embedders, name), changes),
            Value::Null => drop(embedders.remove(name)),
            other => drop(embedders.insert(name.clone(), other.clone())),
        }
    }
}

fn change_one(embedder: &mut Map<String, Value>, changes: &Map<String, Value>) {
    if let Some(source) = changes.get("source") {
        let of = |source: Option<&Value>| source.and_then(Value::as_str).unwrap_or(DEFAULT_SOURCE).to_owned();
        let (before, after) = (of(embedder.get("source")), of(Some(source)));
        let renders = !matches!(after.as_str(), "userProvided" | "composite");
        embedder.retain(|part, _| {
            let part = part.as_str();
            before == after || !(OF_A_SOURCE.contains(&part) || (!renders && OF_DOCUMENTS.contains(&part)))
        });
    }
    for (part, value) in changes {
        match (part.as_str(), value) {
            (_, Value::Null) => drop(embedder.remove(part)),
            ("searchEmbedder" | "indexingEmbedder", Value::Object(changes)) => {
                change_one(object_at(embedder, part), changes);
            }
            ("indexingFragments" | "searchFragments", Value::Object(changes)) => {
                let fragments = object_at(embedder, part);
                fragments.extend(changes.clone());
                fragments.retain(|_, fragment| !fragment.is_null());
            }
            _ => drop(embedder.insert(part.clone(), value.clone())),
        }
    }
}

/// The object of this name, which is there afterwards.
pub(super) fn object_at<'a>(parent: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made one")
}

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
pub(crate) fn single_precision(parts: &Value) -> Value {
    let Some(parts) = parts.as_object() else { return parts.clone() };
    #[expect(clippy::cast_possible_truncation, reason = "that is what nodes do")]
    let single = |number: f64| (number as f32).to_string().parse::<f64>().ok();
    let rounded =
        |number: &Value| number.as_f64().and_then(single).map_or_else(|| number.clone(), Value::from);
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
