//! The field that says which shard a document belongs to.
//!
//! Its *name* carries the shard and its value is null: `"_miroir_shard_007": null`. Meilisearch never searches, matches or
//! embeds a null field, while `_miroir_shard_007 EXISTS` selects the shard in searches, facets, listings and deletes.
//! Everything under [`RESERVED_PREFIX`] is Miroir's: refused from clients and removed from every answer.

use serde_json::{Map, Value};

use crate::ids::{ShardCount, ShardId};

/// The beginning of every field name that only Miroir may use.
pub const RESERVED_PREFIX: &str = "_miroir_";

/// The attribute pattern that covers the markers of all shards, for the nodes' `filterableAttributes`.
pub const PATTERN: &str = "_miroir_shard_*";

const MARKER_PREFIX: &str = "_miroir_shard_";
const MIN_DIGITS: usize = 3;

/// The parts of a search hit that repeat the field names of its document.
const MIRRORS_OF_A_HIT: [&str; 2] = ["_formatted", "_matchesPosition"];

/// The name of the marker of a shard, with as many digits for every shard of the same index: at least three.
pub fn field_name(shard: ShardId, shards: ShardCount) -> String {
    let last = shards.get() - 1;
    let digits = last.checked_ilog10().map_or(1, |log| log as usize + 1).max(MIN_DIGITS);
    format!("{MARKER_PREFIX}{:0digits$}", shard.0)
}

/// Whether a top-level field of this name is Miroir's own.
pub fn is_reserved(field: &str) -> bool {
    field.starts_with(RESERVED_PREFIX)
}

/// The filter that selects these shards: one OR group, to be put as one item into the array of a filter. `None` for no
/// shard at all, since Meilisearch reads an empty group as no condition, which would select everything.
pub fn selection_filter(selected: impl IntoIterator<Item = ShardId>, shards: ShardCount) -> Option<Value> {
    let group: Vec<Value> =
        selected.into_iter().map(|shard| format!("{} EXISTS", field_name(shard, shards)).into()).collect();
    (!group.is_empty()).then_some(Value::Array(group))
}

/// Takes Miroir's fields out of a document or a hit: at its top level, and where a hit repeats its fields.
pub fn strip_document(document: &mut Map<String, Value>) {
    document.retain(|field, _| !is_reserved(field));
    for mirror in MIRRORS_OF_A_HIT {
        if let Some(Value::Object(fields)) = document.get_mut(mirror) {
            fields.retain(|field, _| !is_reserved(field));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn count(shards: u32) -> ShardCount {
        ShardCount::new(shards).unwrap()
    }

    #[test]
    fn a_marker_has_three_digits_or_as_many_as_the_last_shard_needs() {
        assert_eq!(field_name(ShardId(0), count(1)), "_miroir_shard_000");
        assert_eq!(field_name(ShardId(7), count(64)), "_miroir_shard_007");
        assert_eq!(field_name(ShardId(7), count(1000)), "_miroir_shard_007");
        assert_eq!(field_name(ShardId(7), count(1001)), "_miroir_shard_0007");
        assert_eq!(field_name(ShardId(1000), count(1001)), "_miroir_shard_1000");
    }

    #[test]
    fn every_marker_is_reserved_and_fits_the_pattern() {
        let name = field_name(ShardId(3), count(8));
        assert!(is_reserved(&name));
        assert!(name.starts_with(PATTERN.trim_end_matches('*')));
        assert!(!is_reserved("miroir"));
        assert!(!is_reserved("_miroir"));
    }

    #[test]
    fn shards_are_selected_by_one_or_group_and_no_shards_by_no_filter() {
        let filter = selection_filter([ShardId(1), ShardId(4)], count(8));
        assert_eq!(filter, Some(json!(["_miroir_shard_001 EXISTS", "_miroir_shard_004 EXISTS"])));
        assert_eq!(selection_filter([], count(8)), None);
    }

    #[test]
    fn markers_leave_a_hit_and_what_repeats_it_but_not_its_nested_fields() {
        let hit = json!({
            "id": 1,
            "_miroir_shard_001": null,
            "nested": { "_miroir_shard_001": "the client's own" },
            "_formatted": { "id": "1", "_miroir_shard_001": null },
            "_matchesPosition": { "_miroir_shard_001": [], "title": [] },
        });
        let Value::Object(mut hit) = hit else { unreachable!() };
        strip_document(&mut hit);
        let expected = json!({
            "id": 1,
            "nested": { "_miroir_shard_001": "the client's own" },
            "_formatted": { "id": "1" },
            "_matchesPosition": { "title": [] },
        });
        assert_eq!(Value::Object(hit), expected);
    }
}
