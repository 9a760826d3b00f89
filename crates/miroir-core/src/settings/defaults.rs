//! What Meilisearch 1.50 has where a client set nothing, key by key, and how a value looks when it is read back: lists that
//! are sets sorted, objects with their parts filled in.

use serde_json::{Map, Value, json};

use super::translate::{DEFAULT_RANKING_RULES, DEFAULT_VALUES_PER_FACET};

/// The settings that `GET /settings` shows and that make two nodes answer differently.
pub const KEYS: [&str; 20] = [
    "displayedAttributes",
    "searchableAttributes",
    "filterableAttributes",
    "sortableAttributes",
    "rankingRules",
    "stopWords",
    "nonSeparatorTokens",
    "separatorTokens",
    "dictionary",
    "synonyms",
    "distinctAttribute",
    "proximityPrecision",
    "typoTolerance",
    "faceting",
    "pagination",
    "embedders",
    "searchCutoffMs",
    "localizedAttributes",
    "facetSearch",
    "prefixSearch",
];

/// The parts of an embedder that a node reads back as they were set. Others are hidden, filled in or rewritten.
const EMBEDDER_PARTS: [&str; 7] =
    ["source", "model", "revision", "dimensions", "url", "documentTemplate", "documentTemplateMaxBytes"];

pub(super) fn default_of(key: &str) -> Value {
    match key {
        "displayedAttributes" | "searchableAttributes" => json!(["*"]),
        "rankingRules" => json!(DEFAULT_RANKING_RULES),
        "synonyms" | "embedders" => json!({}),
        "distinctAttribute" | "searchCutoffMs" | "localizedAttributes" => Value::Null,
        "proximityPrecision" => json!("byWord"),
        "prefixSearch" => json!("indexingTime"),
        "facetSearch" => json!(true),
        "typoTolerance" => json!({
            "enabled": true,
            "minWordSizeForTypos": { "oneTypo": 5, "twoTypos": 9 },
            "disableOnWords": [],
            "disableOnAttributes": [],
            "disableOnNumbers": false,
        }),
        "faceting" => {
            json!({ "maxValuesPerFacet": DEFAULT_VALUES_PER_FACET, "sortFacetValuesBy": { "*": "alpha" } })
        }
        "pagination" => json!({ "maxTotalHits": 1000 }),
        _ => json!([]),
    }
}

/// The value in normal form: two values that mean the same to Meilisearch are equal.
pub(super) fn normal(key: &str, value: &Value) -> Value {
    if value.is_null() {
        return sorted(default_of(key));
    }
    let value = match key {
        "displayedAttributes" | "searchableAttributes" => wildcard(distinct(value)),
        "stopWords" | "nonSeparatorTokens" | "separatorTokens" | "dictionary" | "sortableAttributes" => {
            set(value)
        }
        "filterableAttributes" => filterable(value),
        "typoTolerance" => typo_tolerance(value),
        "faceting" | "pagination" => filled(default_of(key), value),
        "localizedAttributes" => localized(value),
        "embedders" => embedders(value),
        _ => value.clone(),
    };
    sorted(value)
}

/// The same JSON with the keys of all objects in order.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn distinct(value: &Value) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}

fn wildcard(list: Vec<Value>) -> Value {
    if list.iter().any(|item| item == "*") { json!(["*"]) } else { Value::Array(list) }
}

fn set(value: &Value) -> Value {
    let mut items = distinct(value);
    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Value::Array(items)
}

/// The first rule that matches decides, so the order counts as soon as a rule is more than a name.
fn filterable(value: &Value) -> Value {
    let Some(rules) = value.as_array() else { return value.clone() };
    if rules.iter().all(Value::is_string) {
        return set(value);
    }
    let features = json!({ "facetSearch": false, "filter": { "equality": true, "comparison": false } });
    let rule = |rule: &Value| match rule {
        Value::Object(_) => filled(json!({ "features": features }), rule),
        name => name.clone(),
    };
    Value::Array(rules.iter().map(rule).collect())
}

fn typo_tolerance(value: &Value) -> Value {
    if !value.is_object() {
        return value.clone();
    }
    let mut filled = filled(default_of("typoTolerance"), value);
    for list in ["disableOnWords", "disableOnAttributes"] {
        filled[list] = set(&filled[list]);
    }
    // Nodes keep these words as their tokenizer writes them. What it would write is known for plain words only.
    let is_plain = |word: &Value| {
        word.as_str()
            .is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
    };
    if let Some(words) = filled["disableOnWords"].as_array()
        && !words.iter().all(is_plain)
    {
        filled["disableOnWords"] = json!("some");
    }
    filled
}

/// Nodes write locales in another way than they read them.
fn localized(value: &Value) -> Value {
    let Some(rules) = value.as_array() else { return value.clone() };
    let rule = |rule: &Value| {
        json!({
            "attributePatterns": rule["attributePatterns"],
            "locales": rule["locales"].as_array().map_or(0, Vec::len),
        })
    };
    Value::Array(rules.iter().map(rule).collect())
}

fn embedders(value: &Value) -> Value {
    let Some(embedders) = value.as_object() else { return value.clone() };
    let parts = |embedder: &Value| {
        let parts = EMBEDDER_PARTS
            .iter()
            .filter_map(|part| Some((*part, embedder.get(part)?)))
            .filter(|(_, value)| !value.is_null());
        Value::Object(parts.map(|(part, value)| (part.to_owned(), value.clone())).collect())
    };
    Value::Object(
        embedders
            .iter()
            .filter(|(_, embedder)| !embedder.is_null())
            .map(|(name, embedder)| (name.clone(), parts(embedder)))
            .collect(),
    )
}

/// Lays what is set over the defaults, part by part; null is the default.
fn filled(default: Value, value: &Value) -> Value {
    match (default, value) {
        (default, Value::Null) => default,
        (Value::Object(mut parts), Value::Object(set)) => {
            for (name, value) in set {
                let default = parts.shift_remove(name).unwrap_or(Value::Null);
                parts.insert(name.clone(), filled(default, value));
            }
            Value::Object(parts)
        }
        (_, value) => value.clone(),
    }
}

/// Where a node's words or embedders can't be known in advance, what it says is taken for what was set.
pub(super) fn believe(key: &str, set: &Value, mut found: Value) -> Value {
    match key {
        "typoTolerance" if set["disableOnWords"] == "some" && found["disableOnWords"] != json!([]) => {
            found["disableOnWords"] = json!("some");
        }
        "embedders" => {
            let Some(embedders) = found.as_object_mut() else { return found };
            for (name, embedder) in embedders {
                let Some(parts) = set.get(name).and_then(Value::as_object) else { continue };
                *embedder = believe_embedder(parts, embedder);
            }
        }
        _ => {}
    }
    found
}

/// Parts that only one side has are defaults of the node, or were dropped with an earlier source.
fn believe_embedder(set: &Map<String, Value>, found: &Value) -> Value {
    let part = |(name, value): (&String, &Value)| {
        let found = found.get(name).filter(|found| !found.is_null());
        (name.clone(), found.unwrap_or(value).clone())
    };
    Value::Object(set.iter().map(part).collect())
}
