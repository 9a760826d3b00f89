//! How many documents each shard has.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use miroir_core::cover::plan_cover;
use miroir_core::document::marker;
use miroir_core::ids::ShardId;
use miroir_core::view::{IndexEntry, View};
use serde_json::Value;

use super::object;
use crate::cluster::{Cluster, NodeRequest};
use crate::http::HttpError;

/// Nodes count how many documents have each field, and each shard has a field of its own: one request per node tells
/// the size of all of its shards.
pub(super) async fn count_by_markers(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
) -> Result<Vec<(ShardId, u64)>, HttpError> {
    let cover = plan_cover(&entry.placement, &view.readable, 0);
    if !cover.missing.is_empty() {
        return Err(HttpError::ShardsUnavailable(cover.missing));
    }
    let request = NodeRequest::get(format!("/indexes/{}/stats", entry.physical));
    let counted = try_join_all(
        cover.parts.iter().filter_map(|part| Some((part, *part.shards.first()?))).map(|(part, first)| {
            let request = &request;
            async move {
                let node = cluster.membership.node(&part.node);
                let node = node.ok_or_else(|| HttpError::ShardsUnavailable(vec![first]))?;
                let reply = node.send(request.clone(), cluster.node_timeout).await?;
                let stats = object(&reply)?;
                let count = |shard: &ShardId| {
                    let fields = stats.get("fieldDistribution");
                    let field = marker::field_name(*shard, entry.shards);
                    (*shard, fields.and_then(|fields| fields.get(field)).and_then(Value::as_u64).unwrap_or(0))
                };
                Ok::<_, HttpError>(part.shards.iter().map(count).collect::<Vec<_>>())
            }
        }),
    )
    .await?;
    let counts: BTreeMap<_, _> = counted.into_iter().flatten().collect();
    Ok(counts.into_iter().collect())
}
