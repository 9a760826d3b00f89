//! What an index holds, counted over the cluster.

use axum::http::StatusCode;
use futures_util::future::try_join_all;
use miroir_core::document::marker;
use miroir_core::ids::NodeId;
use miroir_core::placement::GroupPlacement;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::object;
use crate::cluster::{Cluster, NodeRequest};
use crate::http::HttpError;
use crate::search::scrub_reply;

/// Counters of a node's index statistics that add up over documents.
const ADDITIVE: [&str; 4] =
    ["numberOfDocuments", "rawDocumentDbSize", "numberOfEmbeddings", "numberOfEmbeddedDocuments"];

/// The statistics of an index. A group whose nodes can all be read holds every document exactly as often as its
/// replication factor says, so its sums, divided by that, are exact; when no group is whole the one with most readable
/// nodes is asked and counts of fields are scaled to the number of documents.
pub async fn index_stats(cluster: &Cluster, view: &View, entry: &IndexEntry) -> Result<Map<String, Value>, HttpError> {
    let Some(group) = best_group(view, entry) else {
        return Err(HttpError::ShardsUnavailable(entry.shards.shards().collect()));
    };
    let nodes: Vec<&NodeId> = group.nodes().iter().filter(|node| view.readable.contains(*node)).collect();
    let stats = try_join_all(nodes.into_iter().map(|node| node_stats(cluster, entry, node))).await?;
    Ok(add_stats(&stats, copies(view, entry, group)))
}

fn best_group<'a>(view: &View, entry: &'a IndexEntry) -> Option<&'a GroupPlacement> {
    let readable = |group: &GroupPlacement| group.nodes().iter().filter(|node| view.readable.contains(*node)).count();
    let groups = entry.placement.groups().map(|(_, group)| group);
    groups.filter(|group| readable(group) > 0).min_by_key(|group| group.nodes().len() - readable(group))
}

/// How many readable copies there are of each shard, on average: the divisor of the nodes' sums.
fn copies(view: &View, entry: &IndexEntry, group: &GroupPlacement) -> f64 {
    let readable: usize = entry
        .shards
        .shards()
        .map(|shard| group.replicas(shard).iter().filter(|node| view.readable.contains(*node)).count())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of shard copies are small")]
    let readable = readable as f64;
    readable / f64::from(entry.shards.get())
}

async fn node_stats(cluster: &Cluster, entry: &IndexEntry, id: &NodeId) -> Result<Map<String, Value>, HttpError> {
    let node = cluster.membership.node(id);
    let node = node.ok_or_else(|| HttpError::ShardsUnavailable(entry.shards.shards().collect()))?;
    let request = NodeRequest::get(format!("/indexes/{}/stats", entry.physical));
    let reply = node.send(request, cluster.node_timeout).await?;
    if reply.status != StatusCode::OK {
        return Err(HttpError::Node(scrub_reply(reply, entry)));
    }
    object(&reply)
}

fn add_stats(nodes: &[Map<String, Value>], copies: f64) -> Map<String, Value> {
    let sum = |read: &dyn Fn(&Map<String, Value>) -> Option<u64>| -> u64 { nodes.iter().filter_map(read).sum() };
    let counter = |key: &str| divide(sum(&|node| node.get(key)?.as_u64()), copies);
    let mut stats: Map<String, Value> =
        ADDITIVE.iter().map(|key| ((*key).to_owned(), json!(counter(key)))).collect();
    let average = counter("rawDocumentDbSize").checked_div(counter("numberOfDocuments")).unwrap_or(0);
    stats.insert("avgDocumentSize".to_owned(), json!(average));
    let indexing = nodes.iter().any(|node| node.get("isIndexing") == Some(&Value::Bool(true)));
    stats.insert("isIndexing".to_owned(), json!(indexing));
    stats.insert("fieldDistribution".to_owned(), Value::Object(add_fields(nodes, copies)));
    stats
}

fn add_fields(nodes: &[Map<String, Value>], copies: f64) -> Map<String, Value> {
    let mut fields = std::collections::BTreeMap::<&String, u64>::new();
    for (field, count) in nodes.iter().filter_map(|node| node.get("fieldDistribution")?.as_object()).flatten() {
        if !marker::is_reserved(field) {
            *fields.entry(field).or_default() += count.as_u64().unwrap_or(0);
        }
    }
    fields.into_iter().map(|(field, count)| (field.clone(), json!(divide(count, copies)))).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are positive and far below 2^52"
)]
fn divide(sum: u64, copies: f64) -> u64 {
    (sum as f64 / copies).round() as u64
}
