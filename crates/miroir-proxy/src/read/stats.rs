//! What indexes hold, counted over the cluster: all of them by one request to each node, one of them by requests for it
//! alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use miroir_core::document::marker;
use miroir_core::ids::{IndexUid, NodeId, ShardId};
use miroir_core::placement::GroupPlacement;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::Reader;
use super::counts::{count_by_markers, count_of};
use crate::cluster::{Cluster, Outcome};
use crate::error::RequestError;
use crate::node_api::{InternalSizes, Question, questions};

/// Counters of a node's index statistics that add up over documents, besides their number.
const ADDITIVE: [&str; 3] = ["rawDocumentDbSize", "numberOfEmbeddings", "numberOfEmbeddedDocuments"];

/// The statistics of an instance.
#[derive(Debug)]
pub struct InstanceStats {
    /// The sizes of everything on the nodes that can be read.
    pub database_size: u64,
    /// What of it is used.
    pub used_database_size: u64,
    /// Of each index that was asked for.
    pub indexes: Vec<(IndexUid, Map<String, Value>)>,
}

/// The statistics of the instance and of these indexes. Each node that can be read is asked once, for all it has: one that
/// does not tell is left out, like one that can't be read. Of each index they are what [`index_stats`] tells.
pub async fn instance_stats(
    cluster: &Cluster,
    view: &View,
    entries: Vec<&Arc<IndexEntry>>,
    internal: InternalSizes,
) -> Result<InstanceStats, RequestError> {
    let question = questions::all_stats(internal);
    let told = join_all(view.usable.iter().map(async |id| Some((id, ask(cluster, id, &question).await?))));
    let told: BTreeMap<&NodeId, Map<String, Value>> = told.await.into_iter().flatten().collect();
    let sum = |key: &str| told.values().filter_map(|stats| stats.get(key)?.as_u64()).sum();
    let mut indexes = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(stats) = told_of_index(view, entry, &told)? {
            indexes.push((entry.uid.clone(), stats));
        }
    }
    let (database_size, used_database_size) = (sum("databaseSize"), sum("usedDatabaseSize"));
    Ok(InstanceStats { database_size, used_database_size, indexes })
}

/// The statistics of an index, from what nodes told of all they have; none if it is being deleted: nodes are through
/// with that before anybody knows.
fn told_of_index(
    view: &View,
    entry: &IndexEntry,
    told: &BTreeMap<&NodeId, Map<String, Value>>,
) -> Result<Option<Map<String, Value>>, RequestError> {
    let of_index = |node: &NodeId| -> Option<&Map<String, Value>> {
        told.get(node)?.get("indexes")?.get(entry.physical.as_str())?.as_object()
    };
    let pool = view.readable_for(entry);
    // Those in sync first, so that one that is behind is taken only where no other tells.
    let replicas = |shard| pool.nodes().filter(move |node| entry.placement.holds(node, shard));
    let (mut documents, mut missing) = (0, Vec::new());
    for shard in entry.shards.shards() {
        let count = replicas(shard).find_map(|node| count_of(entry, shard, of_index(node)?));
        match count {
            Some(count) => documents += count,
            None => missing.push(shard),
        }
    }
    let lacks_it = |shard: &ShardId| {
        let mut replicas = replicas(*shard).peekable();
        replicas.peek().is_some() && replicas.all(|node| told.contains_key(node))
    };
    if !missing.is_empty() {
        let is_going = missing.iter().all(lacks_it);
        return if is_going { Ok(None) } else { Err(RequestError::ShardsUnavailable(missing)) };
    }
    let group = best_group(entry, |node| pool.contains(node) && of_index(node).is_some());
    let nodes = group.into_iter().flat_map(GroupPlacement::nodes);
    let stats: Vec<_> = nodes.filter_map(of_index).collect();
    Ok(Some(add_stats(&stats, documents)))
}

/// The statistics of an index. Documents are counted by their shards, so their number is exact. All other counters are
/// sums over the nodes of one group, brought from the documents counted there, copies included, down to that number:
/// exact where the group is whole, since then every document is counted equally often, and an estimate while a node of
/// each group is missing.
pub async fn index_stats(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    internal: InternalSizes,
) -> Result<Map<String, Value>, RequestError> {
    let pool = view.readable_for(entry);
    let Some(group) = best_group(entry, |node| pool.contains(node)) else {
        return Err(RequestError::ShardsUnavailable(entry.shards.shards().collect()));
    };
    let documents =
        count_by_markers(&Reader::new(cluster, view, entry)).await?.iter().map(|(_, count)| count).sum();
    let nodes: Vec<&NodeId> = group.nodes().iter().filter(|node| pool.contains(node)).collect();
    // A node that fails is left out, like one that can't be read.
    let question = questions::index_stats(&entry.physical, internal);
    let told = join_all(nodes.into_iter().map(|node| ask(cluster, node, &question))).await;
    let stats: Vec<&Map<String, Value>> = told.iter().flatten().collect();
    Ok(add_stats(&stats, documents))
}

fn best_group(entry: &IndexEntry, is_readable: impl Fn(&NodeId) -> bool) -> Option<&GroupPlacement> {
    let readable = |group: &GroupPlacement| group.nodes().iter().filter(|node| is_readable(node)).count();
    let groups = entry.placement.groups().map(|(_, group)| group);
    groups.filter(|group| readable(group) > 0).min_by_key(|group| group.nodes().len() - readable(group))
}

/// What a node tells; nothing if it fails.
async fn ask(
    cluster: &Cluster,
    id: &NodeId,
    question: &Question<Map<String, Value>>,
) -> Option<Map<String, Value>> {
    match cluster.try_asking(id, question.clone()).await {
        Outcome::Answered(stats) => Some(stats),
        Outcome::Refused(_) | Outcome::Failed => None,
    }
}

fn add_stats(nodes: &[&Map<String, Value>], documents: u64) -> Map<String, Value> {
    let sum = |key: &str| -> u64 { nodes.iter().filter_map(|node| node.get(key)?.as_u64()).sum() };
    let counted = sum("numberOfDocuments");
    let mut stats = Map::from_iter([("numberOfDocuments".to_owned(), json!(documents))]);
    for key in ADDITIVE {
        stats.insert(key.to_owned(), json!(scale(sum(key), documents, counted)));
    }
    let average = sum("rawDocumentDbSize").checked_div(counted).unwrap_or(0);
    stats.insert("avgDocumentSize".to_owned(), json!(average));
    let indexing = nodes.iter().any(|node| node.get("isIndexing") == Some(&Value::Bool(true)));
    stats.insert("isIndexing".to_owned(), json!(indexing));
    if let Some(sizes) = add_internal_sizes(nodes) {
        stats.insert("internalDatabaseSizes".to_owned(), Value::Object(sizes));
    }
    stats.insert("fieldDistribution".to_owned(), Value::Object(add_fields(nodes, documents, counted)));
    stats
}

/// Sums over the nodes, copies included: databases can't be brought down to the documents that are in them once.
fn add_internal_sizes(nodes: &[&Map<String, Value>]) -> Option<Map<String, Value>> {
    let told = nodes.iter().filter_map(|node| node.get("internalDatabaseSizes")?.as_object());
    let mut sizes = Map::new();
    for (name, bytes) in told.flatten() {
        let sum = sizes.get(name).and_then(Value::as_u64).unwrap_or(0) + bytes.as_u64().unwrap_or(0);
        sizes.insert(name.clone(), json!(sum));
    }
    (!sizes.is_empty()).then_some(sizes)
}

fn add_fields(nodes: &[&Map<String, Value>], documents: u64, counted: u64) -> Map<String, Value> {
    let mut fields = BTreeMap::<&String, u64>::new();
    for (field, count) in nodes.iter().filter_map(|node| node.get("fieldDistribution")?.as_object()).flatten()
    {
        if !marker::is_reserved(field) {
            *fields.entry(field).or_default() += count.as_u64().unwrap_or(0);
        }
    }
    fields
        .into_iter()
        .map(|(field, count)| (field.clone(), json!(scale(count, documents, counted))))
        .collect()
}

/// `count * documents / counted`, to the nearest whole number.
fn scale(count: u64, documents: u64, counted: u64) -> u64 {
    let product = u128::from(count) * u128::from(documents) + u128::from(counted / 2);
    product.checked_div(u128::from(counted)).and_then(|scaled| u64::try_from(scaled).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(documents: u64, fields: &Value) -> Map<String, Value> {
        let stats = json!({ "numberOfDocuments": documents, "rawDocumentDbSize": documents * 10, "fieldDistribution": fields });
        let Value::Object(stats) = stats else { unreachable!() };
        stats
    }

    #[test]
    fn copies_are_not_counted_and_markers_not_shown() {
        let nodes = [
            node(4, &json!({ "id": 4, "title": 2, "_miroir_shard_000": 4 })),
            node(6, &json!({ "id": 6, "title": 3, "_miroir_shard_001": 6 })),
            node(4, &json!({ "id": 4, "title": 1 })),
        ];
        let stats = add_stats(&nodes.iter().collect::<Vec<_>>(), 7);
        assert_eq!(stats["numberOfDocuments"], 7);
        assert_eq!(stats["fieldDistribution"], json!({ "id": 7, "title": 3 }));
        assert_eq!((&stats["rawDocumentDbSize"], &stats["avgDocumentSize"]), (&json!(70), &json!(10)));
    }

    #[test]
    fn an_empty_index_has_zeros() {
        let stats = add_stats(&[&node(0, &json!({}))], 0);
        assert_eq!((&stats["numberOfDocuments"], &stats["avgDocumentSize"]), (&json!(0), &json!(0)));
    }
}
