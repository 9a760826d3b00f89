//! Reading documents: one by its id, or a listing in one stable order over all shards.

mod counts;
mod fields;
mod listing;
mod one;
mod settings;
mod stats;
mod window;

use miroir_core::cover::plan_cover_of;
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, NodeReply, NodeRequest};
use crate::http::HttpError;

pub use fields::list_fields;
pub use listing::{ListingRequest, list_documents};
pub use one::get_document;
pub use settings::read_settings;
pub use stats::{InternalSizes, index_stats, instance_sizes};

/// Asks one readable replica of a shard; the next one when it fails. A client error is an answer.
pub(crate) async fn ask_replica(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    shard: ShardId,
    request: &NodeRequest,
) -> Result<(NodeId, NodeReply), HttpError> {
    let mut readable = view.readable.clone();
    loop {
        let cover = plan_cover_of(&entry.placement, [shard], &readable, 0);
        let Some(part) = cover.parts.into_iter().next() else {
            return Err(HttpError::ShardsUnavailable(vec![shard]));
        };
        let Some(node) = cluster.membership.node(&part.node) else {
            return Err(HttpError::ShardsUnavailable(vec![shard]));
        };
        match cluster.read(node, request.clone()).await {
            Ok(reply) if !reply.status.is_server_error() => return Ok((part.node, reply)),
            Ok(reply) => {
                tracing::warn!(node = %part.node, status = %reply.status, "node could not read a document");
            }
            Err(error) => tracing::warn!(%error, "node did not answer a read; asking another replica"),
        }
        readable.remove(&part.node);
    }
}

/// The object in a node's successful answer.
fn object(reply: &NodeReply) -> Result<Map<String, Value>, HttpError> {
    serde_json::from_slice(&reply.body).map_err(|error| HttpError::Unreadable(error.to_string()))
}
