//! The body that one node gets: the client's, confined to the node's shards and widened to what the merge needs.

use serde_json::{Map, Value, json};

use super::plan::MergePlan;
use super::{SearchRequest, Shown, Window};

/// The client's filter with the shard filter joined as an item of its own, so that nothing inside the client's filter
/// (an OR, a NOT) can reach outside the shards.
pub fn confine(body: &mut Map<String, Value>, shards: Value) {
    let mut parts = vec![shards];
    match body.shift_remove("filter") {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => parts.extend(items),
        Some(Value::String(text)) if text.trim().is_empty() => {}
        Some(filter) => parts.push(filter),
    }
    body.insert("filter".to_owned(), Value::Array(parts));
}

/// Replaces the client's window by one from the first hit to the last one wanted, and asks for what the merge compares.
pub(super) fn widen(body: &mut Map<String, Value>, request: &SearchRequest, shown: &Shown, plan: &MergePlan) {
    for key in ["offset", "limit", "page", "hitsPerPage"] {
        body.shift_remove(key);
    }
    // Under a threshold or a distinct attribute a node's count depends on how many hits are asked for; by pages it
    // is exact (measured on Meilisearch 1.50).
    let exact =
        matches!(request.window, Window::Page { .. }) || plan.distinct.is_some() || request.has_threshold;
    if exact {
        body.insert("page".to_owned(), json!(1));
        body.insert("hitsPerPage".to_owned(), json!(plan.hits_per_node));
    } else {
        body.insert("offset".to_owned(), json!(0));
        body.insert("limit".to_owned(), json!(plan.hits_per_node));
    }
    body.insert("showRankingScoreDetails".to_owned(), Value::Bool(true));
    if !plan.node_facets.is_empty() {
        body.insert("facets".to_owned(), json!(plan.node_facets));
    }
    shown.write_to(body, request);
}
