use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn client(patch: Value) -> ClientSettings {
    let mut settings = ClientSettings::default();
    settings.apply(&object(patch));
    settings
}

fn translated(settings: &ClientSettings, scattered: bool) -> Value {
    let context = NodeContext { primary_key: Some("id"), scattered };
    Value::Object(node_settings(settings, &Map::new(), context))
}

#[test]
fn lists_are_replaced_objects_merged_and_null_resets() {
    let mut settings = client(json!({
        "stopWords": ["a"],
        "typoTolerance": { "enabled": false, "minWordSizeForTypos": { "oneTypo": 4 } },
        "faceting": { "maxValuesPerFacet": 3 },
    }));
    settings.apply(&object(json!({
        "stopWords": ["b"],
        "typoTolerance": { "minWordSizeForTypos": { "twoTypos": 8 } },
        "faceting": null,
        "synonyms": { "a": ["b"] },
    })));
    let expected = client(json!({
        "stopWords": ["b"],
        "typoTolerance": { "enabled": false, "minWordSizeForTypos": { "oneTypo": 4, "twoTypos": 8 } },
        "synonyms": { "a": ["b"] },
    }));
    assert_eq!(settings, expected);
}

#[test]
fn the_marker_rule_stands_before_the_rules_of_the_client() {
    let settings = client(json!({ "filterableAttributes": ["*"] }));
    let rules = &translated(&settings, false)["filterableAttributes"];
    assert_eq!(rules[0]["attributePatterns"], json!(["_miroir_shard_*"]));
    assert_eq!(rules[1], "*");
}

#[test]
fn ties_are_broken_by_the_primary_key_unless_a_rule_of_the_client_does() {
    let rules = translated(&client(json!({})), true)["rankingRules"].clone();
    assert_eq!(rules.as_array().map(Vec::len), Some(8));
    assert_eq!(rules[7], "id:asc");
    let own = client(json!({ "rankingRules": ["words", "id:desc"] }));
    assert_eq!(translated(&own, true)["rankingRules"], json!(["words", "id:desc"]));
    assert_eq!(tie_rule(&own, Some("id")), None);
}

#[test]
fn nodes_whose_answers_are_merged_display_everything_and_others_what_the_client_set() {
    let settings = client(json!({ "displayedAttributes": ["title"], "sortableAttributes": ["price"] }));
    let context = |scattered| NodeContext { primary_key: Some("id"), scattered };
    let patch = object(json!({ "displayedAttributes": ["title"] }));
    let sent =
        |scattered| node_settings(&settings, &patch, context(scattered))["displayedAttributes"].clone();
    assert_eq!(sent(true), Value::Null);
    assert_eq!(sent(false), json!(["title"]));
}

#[test]
fn nothing_is_added_for_an_index_that_is_never_merged() {
    let settings = translated(&client(json!({})), false);
    assert_eq!(settings.as_object().map(Map::len), Some(1));
}

#[test]
fn a_reset_reaches_the_nodes_as_null() {
    let context = NodeContext { primary_key: None, scattered: false };
    let sent = node_settings(&client(json!({})), &object(json!({ "stopWords": null })), context);
    assert_eq!(sent.get("stopWords"), Some(&Value::Null));
}

#[test]
fn a_client_reads_back_what_it_set_and_nothing_of_miroirs() {
    let settings = client(json!({
        "displayedAttributes": ["title", "title"],
        "filterableAttributes": ["color"],
        "rankingRules": ["words", "typo"],
        "faceting": { "maxValuesPerFacet": 7 },
    }));
    let mut node = object(translated(&settings, true));
    node.insert("stopWords".to_owned(), json!([]));
    let seen = Value::Object(client_view(node, &settings));
    assert_eq!(seen["displayedAttributes"], json!(["title"]));
    assert_eq!(seen["filterableAttributes"], json!(["color"]));
    assert_eq!(seen["rankingRules"], json!(["words", "typo"]));
    assert_eq!(seen["faceting"]["maxValuesPerFacet"], 7);
    assert_eq!(seen["stopWords"], json!([]));
    assert!(!seen.to_string().contains("_miroir_"));
}

#[test]
fn defaults_are_read_back_where_the_client_set_nothing() {
    let settings = ClientSettings::default();
    let seen = Value::Object(client_view(object(translated(&settings, true)), &settings));
    assert_eq!(seen["filterableAttributes"], json!([]));
    assert_eq!(seen["displayedAttributes"], json!(["*"]));
    assert_eq!(seen["rankingRules"].as_array().map(Vec::len), Some(7));
    assert_eq!(seen["faceting"]["maxValuesPerFacet"], 100);
}
