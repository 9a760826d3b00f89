//! The node's settings: the client's, plus
//! - a filterable pattern for the shard markers, *first*, since the first matching rule decides;
//! - a last ranking rule on the primary key, so that documents which nothing else tells apart come in one order on all
//!   nodes, whichever replicas answer;
//! - every attribute displayed, whatever the client restricted: the values that order hits and make them distinct are
//!   hidden from the merge otherwise, and a list can't name them all, since any path below a sortable or filterable
//!   attribute may be asked for (a displayed `n` does not cover `n.x`). Requests name what the client may see;
//! - more values per facet, since a node's first hundred are not the cluster's.
//!
//! The last three matter only where an answer is merged from several nodes. Relations to other indexes (`foreignKeys`) stay
//! with Miroir, which follows them itself.

use serde_json::{Map, Value, json};

use super::ClientSettings;
use crate::document::marker;
use crate::relation;

/// What the translation depends on besides the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeContext<'a> {
    /// The index's primary key, once known.
    pub primary_key: Option<&'a str>,
    /// Whether some node holds only a part of the index, so that answers are merged.
    pub scattered: bool,
}

/// The ranking rules of an index whose client set none (Meilisearch 1.50).
pub(super) const DEFAULT_RANKING_RULES: [&str; 7] =
    ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"];

/// Meilisearch's own default for `faceting.maxValuesPerFacet`.
pub(crate) const DEFAULT_VALUES_PER_FACET: u64 = 100;

/// Up to this many values of a facet sorted by name, a node sends all of them. Up to 3,000 values Meilisearch orders
/// numbers as text, above by value, so shorter lists from two nodes could be cut in two different orders.
const NODE_VALUES_PER_FACET: u64 = 3_000;

/// Up to this many distinct values, counts of a facet sorted by count are exact.
const NODE_VALUES_PER_COUNTED_FACET: u64 = 10_000;

/// The change to send to a node so that its settings become the translation of `client`: the client's own `patch`, which a
/// node merges into what it has as one Meilisearch does, and the whole of those keys that Miroir adds to.
pub fn node_settings(
    client: &ClientSettings,
    patch: &Map<String, Value>,
    context: NodeContext<'_>,
) -> Map<String, Value> {
    let mut settings = patch.clone();
    settings.shift_remove(relation::SETTING);
    settings.insert("filterableAttributes".to_owned(), filterable(client));
    if context.scattered {
        settings.insert("rankingRules".to_owned(), ranking_rules(client, context.primary_key));
        settings.insert("displayedAttributes".to_owned(), Value::Null);
        settings.insert("faceting".to_owned(), faceting(client));
    }
    settings
}

fn filterable(client: &ClientSettings) -> Value {
    let mut rules = vec![json!({
        "attributePatterns": [marker::PATTERN],
        "features": { "facetSearch": false, "filter": { "equality": true, "comparison": false } },
    })];
    if let Some(Value::Array(client)) = client.get("filterableAttributes") {
        rules.extend(client.iter().cloned());
    }
    Value::Array(rules)
}

/// Names that no ranking rule can order by (Meilisearch 1.50).
const UNORDERED: [&str; 7] =
    ["_geo", "_geojson", "_geoDistance", "_geoPoint", "_geoRadius", "_geoBoundingBox", "_geoPolygon"];

/// The tie rule that Miroir appends, unless a rule of the client already orders by the primary key, or none can.
pub fn tie_rule(client: &ClientSettings, primary_key: Option<&str>) -> Option<String> {
    let key = primary_key?;
    let ordered = custom_rules(client).any(|field| field == key);
    (!ordered && !UNORDERED.contains(&key)).then(|| format!("{key}:asc"))
}

/// The fields of the client's `field:asc` and `field:desc` ranking rules.
fn custom_rules(client: &ClientSettings) -> impl Iterator<Item = &str> {
    client
        .list("rankingRules")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|rule| rule.strip_suffix(":asc").or_else(|| rule.strip_suffix(":desc")))
}

/// The client's ranking rules, or Meilisearch's.
pub(crate) fn ranking_rules_of(client: &ClientSettings) -> Vec<&str> {
    client.list("rankingRules").unwrap_or_else(|| DEFAULT_RANKING_RULES.to_vec())
}

fn ranking_rules(client: &ClientSettings, primary_key: Option<&str>) -> Value {
    let mut rules: Vec<String> = ranking_rules_of(client).into_iter().map(str::to_owned).collect();
    rules.extend(tie_rule(client, primary_key));
    json!(rules)
}

fn faceting(client: &ClientSettings) -> Value {
    let set = client.get("faceting");
    let wanted = values_per_facet(client);
    let orders = set.and_then(|faceting| faceting.get("sortFacetValuesBy"));
    let counted = orders
        .and_then(Value::as_object)
        .is_some_and(|orders| orders.values().any(|order| order.as_str() == Some("count")));
    let floor = if counted { NODE_VALUES_PER_COUNTED_FACET } else { NODE_VALUES_PER_FACET };
    json!({
        "maxValuesPerFacet": wanted.max(floor),
        "sortFacetValuesBy": orders.cloned().unwrap_or(Value::Null),
    })
}

/// The client's cap on the values of a facet.
pub fn values_per_facet(client: &ClientSettings) -> u64 {
    client
        .get("faceting")
        .and_then(|faceting| faceting.get("maxValuesPerFacet"))
        .and_then(Value::as_u64)
        .unwrap_or(DEFAULT_VALUES_PER_FACET)
}
