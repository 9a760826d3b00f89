//! How many documents there are to copy, as the peers' statistics say: one request for each of them. Only progress and
//! the size of steps depend on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use miroir_core::document::marker::field_name;
use miroir_core::ids::{NodeId, PhysicalUid, ShardId};
use serde_json::Value;

use super::error::RebuildError;
use super::peers::{Peers, Wanted};
use super::target::ask;
use crate::node_api::{Node, NodeRequest};

/// Documents of which hashes are kept in memory at once, unless one shard alone has more.
const COMPARED_TOGETHER: u64 = 500_000;

/// How many documents each peer has under which field.
#[derive(Debug)]
pub(super) struct Survey(BTreeMap<NodeId, HashMap<PhysicalUid, Value>>);

impl Survey {
    pub(super) async fn of(peers: &Peers, timeout: std::time::Duration) -> Result<Self, RebuildError> {
        let nodes: BTreeMap<&NodeId, &Node> = peers
            .wanted
            .iter()
            .flat_map(|wanted| wanted.shards.values())
            .map(|node| (node.id(), node))
            .collect();
        let asked = nodes.into_values().map(async |node| {
            let stats = ask(node, NodeRequest::get("/stats"), timeout).await?;
            Ok::<_, RebuildError>((node.id().clone(), fields_by_index(stats)))
        });
        Ok(Self(try_join_all(asked).await?.into_iter().collect()))
    }

    /// Of one index only.
    pub(super) async fn of_index(
        wanted: &Wanted,
        timeout: std::time::Duration,
    ) -> Result<Self, RebuildError> {
        let index = &wanted.index.physical;
        let nodes: BTreeMap<&NodeId, &Node> = wanted.shards.values().map(|node| (node.id(), node)).collect();
        let asked = nodes.into_values().map(async |node| {
            let mut stats =
                ask(node, NodeRequest::get(["indexes", index.as_str(), "stats"]), timeout).await?;
            let fields = HashMap::from([(index.clone(), stats["fieldDistribution"].take())]);
            Ok::<_, RebuildError>((node.id().clone(), fields))
        });
        Ok(Self(try_join_all(asked).await?.into_iter().collect()))
    }

    fn count(&self, wanted: &Wanted, shard: ShardId, peer: &Node) -> u64 {
        let fields = self.0.get(peer.id()).and_then(|indexes| indexes.get(&wanted.index.physical));
        let marker = field_name(shard, wanted.index.shards);
        fields.and_then(|fields| fields[marker].as_u64()).unwrap_or(0)
    }

    /// The documents of an index that the target has to have.
    pub(super) fn documents(&self, wanted: &Wanted) -> u64 {
        wanted.shards.iter().map(|(shard, peer)| self.count(wanted, *shard, peer)).sum()
    }

    /// The shards of an index by the peer that they are copied from, so many together as can be compared at once.
    pub(super) fn parts<'a>(&self, wanted: &'a Wanted) -> Vec<(&'a Node, Vec<ShardId>)> {
        let ids: BTreeSet<&NodeId> = wanted.shards.values().map(Node::id).collect();
        let mut parts: Vec<(&Node, Vec<ShardId>)> = Vec::new();
        for id in ids {
            let mut documents = u64::MAX;
            for (shard, peer) in wanted.shards.iter().filter(|(_, peer)| peer.id() == id) {
                let more = self.count(wanted, *shard, peer);
                documents = documents.saturating_add(more);
                if let Some((_, shards)) = parts.last_mut().filter(|_| documents <= COMPARED_TOGETHER) {
                    shards.push(*shard);
                } else {
                    parts.push((peer, vec![*shard]));
                    documents = more;
                }
            }
        }
        parts
    }
}

fn fields_by_index(mut stats: Value) -> HashMap<PhysicalUid, Value> {
    let Some(indexes) = stats["indexes"].as_object_mut() else { return HashMap::new() };
    let taken = std::mem::take(indexes).into_iter();
    taken.map(|(uid, mut stats)| (PhysicalUid::new(uid), stats["fieldDistribution"].take())).collect()
}
