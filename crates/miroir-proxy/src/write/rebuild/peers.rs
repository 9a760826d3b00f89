//! Who has what a node lacks.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::IndexEntry;

use super::error::RebuildError;
use crate::cluster::{Membership, Standing};
use crate::node_api::Node;

/// What to do about shards of which no peer has a copy that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    /// The node can't be rebuilt.
    Missed,
    /// They are taken as the node has them.
    Taken,
}

/// One index of the node, and for each of its shards there a peer that has it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) index: IndexEntry,
    pub(super) shards: BTreeMap<ShardId, Node>,
    /// Shards that are taken as the node has them.
    pub(super) orphans: BTreeSet<ShardId>,
}

impl Wanted {
    /// Every shard that the node has to hold.
    pub(super) fn all_shards(&self) -> impl Iterator<Item = &ShardId> {
        self.shards.keys().chain(&self.orphans)
    }
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

    /// Whether something is taken as the node has it.
    pub(super) fn has_orphans(&self) -> bool {
        self.wanted.iter().any(|wanted| !wanted.orphans.is_empty())
    }
}

/// Finds a peer for every shard that `node` holds.
///
/// # Errors
/// When a shard is missed that has no other copy that can be read.
pub(super) fn plan_peers(
    node: &NodeId,
    catalog: Vec<IndexEntry>,
    on_orphans: Orphans,
    membership: &Membership,
) -> Result<Peers, RebuildError> {
    let is_readable = |peer: &NodeId| membership.standing(peer).is_some_and(Standing::is_readable);
    let mut wanted = Vec::new();
    for index in catalog {
        let (mut shards, mut orphans) = (BTreeMap::new(), BTreeSet::new());
        for shard in index.placement.shards_of(node) {
            let mut peers = index.placement.all_replicas(shard).filter(|peer| *peer != node);
            let peer = peers.find(|peer| is_readable(peer)).and_then(|peer| membership.node(peer));
            match (peer, on_orphans) {
                (Some(peer), _) => {
                    shards.insert(shard, peer.clone());
                }
                (None, Orphans::Taken) => {
                    orphans.insert(shard);
                }
                (None, Orphans::Missed) => {
                    return Err(RebuildError::NoPeer { index: index.uid, shard });
                }
            }
        }
        if !shards.is_empty() || !orphans.is_empty() {
            wanted.push(Wanted { index, shards, orphans });
        }
    }
    Ok(Peers { wanted })
}
