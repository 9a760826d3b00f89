//! The settings of an index of a node in memory: what is there where nobody set anything, and how a change is taken.

use serde_json::{Map, Value, json};

/// Settings of which a change names the parts that change; of all others it says the whole.
const IN_PARTS: [&str; 4] = ["typoTolerance", "faceting", "pagination", "embedders"];

/// All settings that Meilisearch 1.50 shows without experimental features.
fn defaults() -> Value {
    json!({
        "displayedAttributes": ["*"],
        "searchableAttributes": ["*"],
        "filterableAttributes": [],
        "sortableAttributes": [],
        "rankingRules": ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"],
        "stopWords": [],
        "nonSeparatorTokens": [],
        "separatorTokens": [],
        "dictionary": [],
        "synonyms": {},
        "distinctAttribute": null,
        "proximityPrecision": "byWord",
        "typoTolerance": {
            "enabled": true,
            "minWordSizeForTypos": { "oneTypo": 5, "twoTypos": 9 },
            "disableOnWords": [],
            "disableOnAttributes": [],
            "disableOnNumbers": false,
        },
        "faceting": { "maxValuesPerFacet": 100, "sortFacetValuesBy": { "*": "alpha" } },
        "pagination": { "maxTotalHits": 1000 },
        "embedders": {},
        "searchCutoffMs": null,
        "localizedAttributes": null,
        "facetSearch": true,
        "prefixSearch": "indexingTime",
    })
}

/// What `GET /settings` says.
pub(super) fn show(set: &Map<String, Value>) -> Value {
    let mut shown = defaults();
    for (key, value) in set {
        shown[key] = value.clone();
    }
    shown
}

/// Takes a change; `null` resets.
pub(super) fn change(set: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (key, value) in changes {
        match value {
            Value::Null => drop(set.shift_remove(key)),
            Value::Object(parts) if IN_PARTS.contains(&key.as_str()) => {
                let before = set.get(key).cloned().unwrap_or_else(|| defaults()[key].clone());
                let mut whole = before.as_object().cloned().unwrap_or_default();
                for (part, value) in parts {
                    match (value, &defaults()[key][part]) {
                        (Value::Null, Value::Null) => drop(whole.shift_remove(part)),
                        (Value::Null, default) => drop(whole.insert(part.clone(), default.clone())),
                        _ => drop(whole.insert(part.clone(), value.clone())),
                    }
                }
                set.insert(key.clone(), Value::Object(whole));
            }
            _ => drop(set.insert(key.clone(), value.clone())),
        }
    }
}

/// Whether documents may be asked for by a field of this name.
pub(super) fn is_filterable(set: &Map<String, Value>, field: &str) -> bool {
    let fits = |pattern: &Value| match pattern.as_str() {
        Some(pattern) => pattern.strip_suffix('*').map_or(pattern == field, |start| field.starts_with(start)),
        None => false,
    };
    let rules = set.get("filterableAttributes").and_then(Value::as_array).into_iter().flatten();
    rules.into_iter().any(|rule| match &rule["attributePatterns"] {
        Value::Array(patterns) => patterns.iter().any(fits),
        _ => rule == field,
    })
}
