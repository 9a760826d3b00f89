//! Which indexes a node has.

use std::collections::BTreeMap;

use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use serde_json::Value;

use crate::node_api::NodeRequest;

/// More indexes than a node has.
const ALL_INDEXES: usize = 1_000_000;

/// Asks a node for all of its indexes.
pub(super) fn inventory_request() -> NodeRequest {
    NodeRequest::get(NodePath::from("/indexes").with("limit", ALL_INDEXES))
}

/// The indexes and their primary keys, from the answer; none if that is no answer.
pub(super) fn read_inventory(answer: &Value) -> Option<BTreeMap<PhysicalUid, Option<String>>> {
    let index = |index: &Value| {
        let primary_key = index["primaryKey"].as_str().map(str::to_owned);
        Some((PhysicalUid::new(index["uid"].as_str()?), primary_key))
    };
    answer["results"].as_array()?.iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_that_is_none_is_not_an_empty_inventory() {
        let answer = json!({"results": [{"uid": "a", "primaryKey": "id"}, {"uid": "b", "primaryKey": null}]});
        let inventory = read_inventory(&answer).unwrap();
        assert_eq!(inventory[&PhysicalUid::new("a")].as_deref(), Some("id"));
        assert_eq!(inventory[&PhysicalUid::new("b")], None);
        assert_eq!(read_inventory(&json!({"message": "no"})), None);
        assert_eq!(read_inventory(&json!({"results": [{"primaryKey": "id"}]})), None);
    }
}
