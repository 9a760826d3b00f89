//! A node's settings as the client would see them on one Meilisearch.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{ClientSettings, translate};
use crate::document::marker;
use crate::relation;

/// Takes out of a node's read-back what [`super::node_settings`] put in. Everything else, defaults and their order
/// included, stays as the node says it.
pub fn client_view(mut node: Map<String, Value>, client: &ClientSettings) -> Map<String, Value> {
    if let Some(Value::Array(rules)) = node.get_mut("filterableAttributes") {
        rules.retain(|rule| rule["attributePatterns"] != json!([marker::PATTERN]));
    }
    if let Some(relations) = node.get_mut(relation::SETTING) {
        *relations = client.get(relation::SETTING).cloned().unwrap_or_else(|| json!([]));
    }
    if let Some(displayed) = node.get_mut("displayedAttributes") {
        *displayed = displayed_by(client);
    }
    if let Some(Value::Array(rules)) = node.get_mut("rankingRules") {
        rules.truncate(translate::ranking_rules_of(client).len());
    }
    if let Some(values) = node.get_mut("faceting").and_then(|faceting| faceting.get_mut("maxValuesPerFacet"))
    {
        *values = json!(translate::values_per_facet(client));
    }
    node
}

fn displayed_by(client: &ClientSettings) -> Value {
    match client.list("displayedAttributes") {
        Some(list) if !list.contains(&"*") => {
            let mut seen = BTreeSet::new();
            json!(list.into_iter().filter(|name| seen.insert(*name)).collect::<Vec<_>>())
        }
        _ => json!(["*"]),
    }
}
