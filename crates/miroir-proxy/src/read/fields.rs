//! The fields of an index.

use futures_util::future::try_join_all;
use miroir_core::ids::NodeId;
use miroir_core::settings::{FieldsRequest, merge_fields};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::Reader;
use super::replica::as_request_error;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::questions;

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
    let query = request.for_node();
    let of = Reader::new(cluster, view, entry);
    let told = try_join_all(nodes.into_iter().map(|node| fields_on(&of, node, &query))).await?;
    Ok(merge_fields(told, request, &entry.settings, entry.primary_key.as_deref()))
}

async fn fields_on(
    of: &Reader<'_>,
    id: &NodeId,
    query: &Value,
) -> Result<Vec<Map<String, Value>>, RequestError> {
    let node = of.cluster.membership.node(id);
    let node = node.ok_or_else(|| RequestError::ShardsUnavailable(of.entry.shards.shards().collect()))?;
    let told = of.cluster.ask(&node, questions::fields(&of.entry.physical, query)).await;
    told.map_err(|error| as_request_error(of, error))
}
