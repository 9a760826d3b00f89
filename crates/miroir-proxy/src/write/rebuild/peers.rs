//! Who has what a node lacks.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::IndexEntry;

use super::error::RebuildError;
use crate::cluster::{Membership, Node, Standing};

/// One index of the node, and for each of its shards there a peer that has it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) index: IndexEntry,
    pub(super) shards: BTreeMap<ShardId, Node>,
}

/// Everything that a node has to hold.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) wanted: Vec<Wanted>,
}

impl Peers {
    /// The nodes that are copied from.
    pub(super) fn sources(&self) -> BTreeSet<NodeId> {
        self.wanted.iter().flat_map(|wanted| wanted.shards.values()).map(|node| node.id().clone()).collect()
    }
}

/// Finds a peer for every shard that `node` holds.
///
/// # Errors
/// When a shard has no other copy that can be read.
pub(super) fn plan_peers(
    node: &NodeId,
    catalog: Vec<IndexEntry>,
    membership: &Membership,
) -> Result<Peers, RebuildError> {
    let is_readable = |peer: &NodeId| membership.standing(peer).is_some_and(Standing::is_readable);
    let mut wanted = Vec::new();
    for index in catalog {
        let mut shards = BTreeMap::new();
        for shard in index.placement.shards_of(node) {
            let mut peers = index.placement.all_replicas(shard).filter(|peer| *peer != node);
            let peer = peers.find(|peer| is_readable(peer)).and_then(|peer| membership.node(peer));
            let peer = peer.ok_or_else(|| RebuildError::NoPeer { index: index.uid.clone(), shard })?.clone();
            shards.insert(shard, peer);
        }
        if !shards.is_empty() {
            wanted.push(Wanted { index, shards });
        }
    }
    Ok(Peers { wanted })
}
