//! The fields of an index.

use futures_util::future::try_join_all;
use miroir_core::ids::NodeId;
use miroir_core::settings::{FieldsRequest, merge_fields};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::object;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeRequest, scrub_reply};

/// A page of fields, and how many there are. Every node that can be read is asked: each knows the fields that it has met.
pub async fn list_fields(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &FieldsRequest,
) -> Result<(Vec<Map<String, Value>>, usize), RequestError> {
    let pool = view.readable_for(entry);
    let nodes: Vec<&NodeId> = entry.placement.nodes().filter(|node| pool.contains(node)).collect();
    if nodes.is_empty() {
        return Err(RequestError::ShardsUnavailable(entry.shards.shards().collect()));
    }
    let body = request.for_node().to_string();
    let told = try_join_all(nodes.into_iter().map(|node| fields_on(cluster, entry, node, &body))).await?;
    Ok(merge_fields(told, request, &entry.settings, entry.primary_key.as_deref()))
}

async fn fields_on(
    cluster: &Cluster,
    entry: &IndexEntry,
    id: &NodeId,
    body: &str,
) -> Result<Vec<Map<String, Value>>, RequestError> {
    let node = cluster.membership.node(id);
    let node = node.ok_or_else(|| RequestError::ShardsUnavailable(entry.shards.shards().collect()))?;
    let request = NodeRequest::post(["indexes", entry.physical.as_str(), "fields"]).json(body.to_owned());
    let reply = cluster.read(&node, request).await?;
    if !reply.status.is_success() {
        return Err(RequestError::Node(scrub_reply(reply, entry)));
    }
    match object(&reply)?.remove("results") {
        Some(Value::Array(fields)) => {
            Ok(fields.into_iter().filter_map(|field| field.as_object().cloned()).collect())
        }
        _ => Err(RequestError::Unreadable("a list of fields without results".to_owned())),
    }
}
