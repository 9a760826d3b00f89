//! Asking nodes for what one of them knows. A node that fails, for whatever reason of its own, is asked no more in this
//! request; another replica is. What a node says of itself is never the client's answer.

use axum::http::StatusCode;
use futures_util::future::join_all;
use miroir_core::cover::{CoverPart, plan_cover_of};
use miroir_core::ids::{NodeId, ShardId};
use serde_json::{Map, Value};

use super::Reader;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest, scrub_reply};

/// Asks one replica of a shard that may be read; the next one when it fails. A refusal of the request is an answer.
pub(crate) async fn ask_replica(
    of: &Reader<'_>,
    shard: ShardId,
    request: &NodeRequest,
) -> Result<(NodeId, NodeReply), RequestError> {
    let mut pool = of.view.readable_for(of.entry);
    loop {
        let cover = plan_cover_of(&of.entry.placement, [shard], &pool, 0);
        let Some(part) = cover.parts.into_iter().next() else {
            return Err(RequestError::ShardsUnavailable(vec![shard]));
        };
        if let Some(reply) = ask_node(of.cluster, &part.node, request).await {
            of.note(&part);
            return Ok((part.node, reply));
        }
        pool.remove(&part.node);
    }
}

/// Asks nodes that hold these shards together, each once, and other replicas for the shards of those that fail.
pub(super) async fn ask_shards(
    of: &Reader<'_>,
    shards: Vec<ShardId>,
    request: impl Fn(&CoverPart) -> NodeRequest,
) -> Result<Vec<(CoverPart, NodeReply)>, RequestError> {
    let mut pool = of.view.readable_for(of.entry);
    let mut unanswered = shards;
    let mut answered = Vec::new();
    // Each round that leaves shards over leaves out a node, so there are no more rounds than nodes.
    while !unanswered.is_empty() {
        let cover = plan_cover_of(&of.entry.placement, unanswered, &pool, 0);
        if !cover.missing.is_empty() {
            return Err(RequestError::ShardsUnavailable(cover.missing));
        }
        let requests: Vec<_> = cover.parts.iter().map(|part| (&part.node, request(part))).collect();
        let replies =
            join_all(requests.iter().map(|(node, request)| ask_node(of.cluster, node, request))).await;
        unanswered = Vec::new();
        for (part, reply) in cover.parts.into_iter().zip(replies) {
            if let Some(reply) = reply {
                of.note(&part);
                answered.push((part, reply));
            } else {
                pool.remove(&part.node);
                unanswered.extend(part.shards);
            }
        }
    }
    Ok(answered)
}

/// Asks nodes that hold these shards together for documents, each with the body that is made for its part. What a node
/// refuses is the client's error.
pub(super) async fn fetch_documents(
    of: &Reader<'_>,
    shards: Vec<ShardId>,
    body: impl Fn(&CoverPart) -> Map<String, Value>,
) -> Result<Vec<NodeReply>, RequestError> {
    let path = ["indexes", of.entry.physical.as_str(), "documents", "fetch"];
    let request = |part: &CoverPart| NodeRequest::post(path).json(Value::Object(body(part)).to_string());
    let answered = ask_shards(of, shards, request).await?;
    let replies = answered.into_iter().map(|(_, reply)| match reply.status {
        StatusCode::OK => Ok(reply),
        _ => Err(RequestError::Node(scrub_reply(reply, of.entry))),
    });
    replies.collect()
}

/// What a node answers to the request; nothing when it fails.
pub(super) async fn ask_node(cluster: &Cluster, id: &NodeId, request: &NodeRequest) -> Option<NodeReply> {
    cluster.ask_first(std::iter::once(id), request, NodeReply::is_nodes_fault).await
}

#[cfg(test)]
mod tests;
