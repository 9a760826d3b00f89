//! How many documents there are to copy, as the peers' statistics say: one request for each of them. Only progress and
//! the size of steps depend on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::try_join_all;
use miroir_core::document::marker::field_name;
use miroir_core::ids::{NodeId, PhysicalUid, ShardId};
use serde_json::{Map, Value};

use super::target::ask;
use super::{Transfer, TransferError};
use crate::node_api::{InternalSizes, Node, questions};

/// Documents of which hashes are kept in memory at once, unless one shard alone has more.
const COMPARED_TOGETHER: u64 = 500_000;

/// How many documents each peer has under which field.
#[derive(Debug)]
pub(super) struct Survey(BTreeMap<NodeId, HashMap<PhysicalUid, Value>>);

impl Survey {
    /// Of all that is transferred.
    pub(super) async fn of(transfers: &[Transfer], timeout: Duration) -> Result<Self, TransferError> {
        let asked = nodes_of(transfers).into_values().map(async |node| {
            let stats = ask(node, questions::all_stats(InternalSizes::Hide), timeout).await?;
            Ok::<_, TransferError>((node.id().clone(), fields_by_index(stats)))
        });
        Ok(Self(try_join_all(asked).await?.into_iter().collect()))
    }

    /// Of one index only.
    pub(super) async fn of_one(transfer: &Transfer, timeout: Duration) -> Result<Self, TransferError> {
        let asked = nodes_of(std::slice::from_ref(transfer)).into_values().map(async |node| {
            let question = questions::index_stats(transfer.key(), InternalSizes::Hide);
            let stats = Value::Object(ask(node, question, timeout).await?);
            let fields = HashMap::from([(transfer.key().clone(), fields_of(stats))]);
            Ok::<_, TransferError>((node.id().clone(), fields))
        });
        Ok(Self(try_join_all(asked).await?.into_iter().collect()))
    }

    fn count(&self, transfer: &Transfer, shard: ShardId, peer: &Node) -> u64 {
        let fields = self.0.get(peer.id()).and_then(|indexes| indexes.get(&transfer.index.physical));
        let marker = field_name(shard, transfer.index.shards);
        fields.and_then(|fields| fields[marker].as_u64()).unwrap_or(0)
    }

    /// The documents of an index that the target has to have.
    pub(super) fn documents(&self, transfer: &Transfer) -> u64 {
        transfer.sources.iter().map(|(shard, peer)| self.count(transfer, *shard, peer)).sum()
    }

    /// The shards of an index by the peer that they are copied from, so many together as can be compared at once.
    pub(super) fn parts<'a>(&self, transfer: &'a Transfer) -> Vec<(&'a Node, Vec<ShardId>)> {
        let ids: BTreeSet<&NodeId> = transfer.sources.values().map(Node::id).collect();
        let mut parts: Vec<(&Node, Vec<ShardId>)> = Vec::new();
        for id in ids {
            let mut documents = u64::MAX;
            for (shard, peer) in transfer.sources.iter().filter(|(_, peer)| peer.id() == id) {
                let more = self.count(transfer, *shard, peer);
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

fn nodes_of(transfers: &[Transfer]) -> BTreeMap<&NodeId, &Node> {
    transfers.iter().flat_map(|transfer| transfer.sources.values()).map(|node| (node.id(), node)).collect()
}

fn fields_by_index(mut stats: Map<String, Value>) -> HashMap<PhysicalUid, Value> {
    let Some(Value::Object(indexes)) = stats.remove("indexes") else { return HashMap::new() };
    indexes.into_iter().map(|(uid, stats)| (PhysicalUid::new(uid), fields_of(stats))).collect()
}

fn fields_of(mut stats: Value) -> Value {
    stats["fieldDistribution"].take()
}
