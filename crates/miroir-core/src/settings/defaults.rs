//! What Meilisearch 1.50 has where a client set nothing, key by key, and how a value looks when it is read back: lists that
//! are sets sorted, objects with their parts filled in.

use serde_json::{Value, json};

use super::translate::{DEFAULT_RANKING_RULES, DEFAULT_VALUES_PER_FACET};
use super::{embedders, locales};

/// The settings that `GET /settings` shows.
pub const KEYS: [&str; 22] = [
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
    "foreignKeys",
    "chat",
];

/// Settings that nodes show only when a feature is switched on.
pub(super) fn is_of_a_feature(key: &str) -> bool {
    matches!(key, "foreignKeys" | "chat")
}

pub(super) fn default_of(key: &str) -> Value {
    match key {
        "displayedAttributes" | "searchableAttributes" => json!(["*"]),
        "rankingRules" => json!(DEFAULT_RANKING_RULES),
        "synonyms" | "embedders" => json!({}),
        "chat" => json!({
            "description": "",
            "documentTemplate": null,
            "documentTemplateMaxBytes": 400,
            "searchParameters": {},
        }),
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
        "stopWords" => words(value, stop_word),
        "nonSeparatorTokens" | "separatorTokens" | "dictionary" | "sortableAttributes" => set(value),
        "filterableAttributes" => filterable(value),
        "typoTolerance" => typo_tolerance(value),
        "faceting" | "pagination" | "chat" => filled(default_of(key), value),
        "localizedAttributes" => locales::normal(value),
        "embedders" => embedders::normal(value),
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
    filled["disableOnWords"] = words(&filled["disableOnWords"], word_without_typos);
    filled
}

/// Nodes keep words as their tokenizer writes them: stop words decomposed, words without typos also in small letters and
/// without accents. What becomes of plain words is `known`; of the `others` it is only known how many there are at most.
fn words(words: &Value, known: impl Fn(&str) -> Option<String>) -> Value {
    let Some(words) = words.as_array() else { return words.clone() };
    let known: Vec<Option<String>> = words.iter().map(|word| known(word.as_str()?)).collect();
    let others = known.iter().filter(|word| word.is_none()).count();
    let known = set(&known.into_iter().flatten().map(Value::from).collect());
    if others == 0 { known } else { json!({ "known": known, "others": others }) }
}

fn stop_word(word: &str) -> Option<String> {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    word.bytes().all(is_plain).then(|| word.to_owned())
}

fn word_without_typos(word: &str) -> Option<String> {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| word.to_ascii_lowercase())
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

/// Where it can't be known in advance how a node shows a part, what it shows (`found` as it came, and in normal form) is
/// taken for what was set.
pub(super) fn believe(key: &str, set: &Value, found: &Value, mut normal: Value) -> Value {
    match key {
        "stopWords" if may_be_words(set, found) => return set.clone(),
        "typoTolerance" if may_be_words(&set["disableOnWords"], &found["disableOnWords"]) => {
            normal["disableOnWords"] = set["disableOnWords"].clone();
        }
        "embedders" => return embedders::believe(set, normal),
        "chat" if normal.is_object() => {
            // The default template is the server's own.
            if set["documentTemplate"].is_null() {
                normal["documentTemplate"] = Value::Null;
            }
            let hybrid = "/searchParameters/hybrid";
            if let (Some(set), Some(Value::Object(found))) = (set.pointer(hybrid), normal.pointer_mut(hybrid))
                && set.get("semanticRatio").is_none()
            {
                found.remove("semanticRatio");
            }
        }
        _ => {}
    }
    normal
}

/// Whether a node may show these words for words of which it is not known how it writes them. Those may become one another
/// and known ones.
fn may_be_words(set: &Value, found: &Value) -> bool {
    let (Some(known), Some(others)) = (set["known"].as_array(), set["others"].as_u64()) else { return false };
    let Some(found) = found.as_array() else { return false };
    let unknown = found.iter().filter(|word| !known.contains(word)).count() as u64;
    known.iter().all(|word| found.contains(word)) && unknown <= others && !found.is_empty()
}
