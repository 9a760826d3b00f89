//! How many documents each shard has.

use std::collections::BTreeMap;

use miroir_core::document::marker;
use miroir_core::ids::ShardId;
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};

use super::Reader;
use super::replica::ask_shards;
use crate::error::RequestError;
use crate::node_api::{InternalSizes, questions};

/// Nodes count how many documents have each field, and each shard has a field of its own: one request per node tells
/// the size of all of its shards.
pub(super) async fn count_by_markers(of: &Reader<'_>) -> Result<Vec<(ShardId, u64)>, RequestError> {
    let entry = of.entry;
    let question = questions::index_stats(&entry.physical, InternalSizes::Hide);
    let mut counts = BTreeMap::new();
    let shards = entry.shards.shards().collect();
    for (part, stats) in ask_shards(of, shards, |_| question.clone()).await? {
        for &shard in &part.shards {
            let count = count_of(entry, shard, &stats);
            let count =
                count.ok_or_else(|| RequestError::Unreadable("statistics without fields".to_owned()))?;
            counts.insert(shard, count);
        }
    }
    Ok(counts.into_iter().collect())
}

/// How many documents of a shard a node's statistics of an index tell of; none if they don't tell. A node that never had
/// a document of a shard does not know the shard's field.
pub(super) fn count_of(entry: &IndexEntry, shard: ShardId, stats: &Map<String, Value>) -> Option<u64> {
    let fields = stats.get("fieldDistribution")?.as_object()?;
    Some(fields.get(&marker::field_name(shard, entry.shards)).and_then(Value::as_u64).unwrap_or(0))
}
