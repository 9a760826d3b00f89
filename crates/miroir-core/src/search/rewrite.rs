//! The body that one node gets: the client's, confined to the node's shards and widened to what the merge needs.

use serde_json::{Map, Value, json};

use super::plan::MergePlan;
use super::{SearchRequest, Shown, Window};

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

/// Makes one expression of a filter that is a list, for nodes where rules have conditions on filters. A server works out every
/// way to satisfy a filter, up to a hundred, item by item: behind a choice of many shards it would come to none of the client's
/// whole ways, and find no rule active. As one item the client's ways are worked out apart, and first with the first shard.
pub(super) fn join_filter(body: &mut Map<String, Value>) {
    let Some(Value::Array(items)) = body.get("filter") else { return };
    let text =
        |item: &Value| item.as_str().filter(|text| !text.trim().is_empty()).map(|text| format!("({text})"));
    let either = |items: &Vec<Value>| {
        let texts: Option<Vec<String>> = items.iter().map(text).collect();
        texts.filter(|texts| !texts.is_empty()).map(|texts| format!("({})", texts.join(" OR ")))
    };
    let all: Option<Vec<String>> = items
        .iter()
        .map(|item| match item {
            Value::Array(items) => either(items),
            item => text(item),
        })
        .collect();
    // What is not of this form a node refuses as it stands.
    if let Some(all) = all.filter(|all| !all.is_empty()) {
        body.insert("filter".to_owned(), json!(all.join(" AND ")));
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
    fn a_list_becomes_one_expression_and_what_is_no_filter_stays() {
        let joined = |filter: Value| {
            let mut body = Map::from_iter([("filter".to_owned(), filter)]);
            join_filter(&mut body);
            body["filter"].clone()
        };
        assert_eq!(
            joined(json!(["a = 1 OR b = 2", ["c = 3", "d = 4"]])),
            "(a = 1 OR b = 2) AND ((c = 3) OR (d = 4))"
        );
        for same in
            [json!("a = 1"), json!([]), json!([""]), json!([["a = 1", 2]]), json!([[["a = 1"]]]), json!(null)]
        {
            assert_eq!(joined(same.clone()), same);
        }
    }
}
