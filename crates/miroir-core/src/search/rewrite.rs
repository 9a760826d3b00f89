//! The body that one node gets: the client's, confined to the node's shards and widened to what the merge needs.

use serde_json::{Map, Value, json};

use super::pins::PinOrder;
use super::plan::MergePlan;
use super::{SearchRequest, Shown, Window};
use crate::filter;

/// The client's filter with the shard filter joined as an item of its own, so that nothing inside the client's filter
/// (an OR, a NOT) can reach outside the shards. It comes last: a node that has nothing left after an item does not look at
/// the rest, and would not see what is wrong with it.
pub fn confine(body: &mut Map<String, Value>, shards: Value) {
    let mut parts = Vec::new();
    match body.shift_remove("filter") {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => parts.extend(items),
        Some(Value::String(text)) if text.trim().is_empty() => {}
        Some(filter) => parts.push(filter),
    }
    parts.push(shards);
    body.insert("filter".to_owned(), Value::Array(parts));
}

/// The same for a search, which may find dynamic search rules active.
pub(super) fn confine_search(body: &mut Map<String, Value>, shards: Value, merge: &MergePlan) {
    if merge.pins.as_ref().is_some_and(PinOrder::reads_filters) {
        confine_for_rules(body, shards);
    } else {
        confine(body, shards);
    }
}

/// The same for nodes where rules have conditions on filters. A server works out every way to satisfy a filter, up to a
/// hundred, item by item: a choice of many shards would multiply the client's ways, and it would come to none of the later
/// ones. So the shards come first and the client's filter is one expression behind them: its ways are worked out apart, and
/// all of them with the first shard. A filter of which some item is no expression by itself stays as it is: a node refuses it.
fn confine_for_rules(body: &mut Map<String, Value>, shards: Value) {
    match body.get("filter").and_then(filter::join) {
        Some(joined) => {
            body.insert("filter".to_owned(), json!([shards, joined]));
        }
        None => confine(body, shards),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_rules_the_whole_filter_is_one_expression_behind_the_shards() {
        let confined = |filter: Value| {
            let mut body = Map::from_iter([("filter".to_owned(), filter)]);
            confine_for_rules(&mut body, json!(["s1", "s2"]));
            body["filter"].clone()
        };
        assert_eq!(
            confined(json!(["a = 1 OR b = 2", ["c = 3", "d = 4"]])),
            json!([["s1", "s2"], "(a = 1 OR b = 2) AND (c = 3 OR d = 4)"])
        );
        assert_eq!(confined(json!(null)), json!([["s1", "s2"]]));
    }

    #[test]
    fn what_would_leave_its_place_stays_an_item_of_its_own() {
        let mut body = Map::from_iter([("filter".to_owned(), json!(["t = B) OR (n = 1", "t = A"]))]);
        confine_for_rules(&mut body, json!(["s1", "s2"]));
        assert_eq!(body["filter"], json!(["t = B) OR (n = 1", "t = A", ["s1", "s2"]]));
    }
}
