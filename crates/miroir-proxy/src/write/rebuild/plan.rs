//! What a node has to hold, and who has it.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::NodeId;
use miroir_core::view::IndexEntry;

use super::error::RebuildError;
use crate::cluster::{Membership, Standing};
use crate::transfer::Transfer;

/// What to do about shards of which no peer has a copy that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    /// The node can't be rebuilt.
    Missed,
    /// They are taken as the node has them.
    Taken,
}

/// The transfers that make a node hold what it has to of these indexes: from a peer for every shard.
///
/// # Errors
/// When a shard is missed that has no other copy that can be read.
pub(super) fn plan_transfers(
    node: &NodeId,
    catalog: Vec<IndexEntry>,
    on_orphans: Orphans,
    membership: &Membership,
) -> Result<Vec<Transfer>, RebuildError> {
    let is_readable = |peer: &NodeId| membership.standing(peer).is_some_and(Standing::is_readable);
    let mut transfers = Vec::new();
    for index in catalog {
        let (mut sources, mut kept) = (BTreeMap::new(), BTreeSet::new());
        for shard in index.placement.shards_of(node) {
            let mut peers = index.placement.all_replicas(shard).filter(|peer| *peer != node);
            let peer = peers.find(|peer| is_readable(peer)).and_then(|peer| membership.node(peer));
            match (peer, on_orphans) {
                (Some(peer), _) => {
                    sources.insert(shard, peer);
                }
                (None, Orphans::Taken) => {
                    kept.insert(shard);
                }
                (None, Orphans::Missed) => {
                    return Err(RebuildError::NoPeer { index: index.uid, shard });
                }
            }
        }
        if !sources.is_empty() || !kept.is_empty() {
            transfers.push(Transfer { index, sources, kept });
        }
    }
    Ok(transfers)
}
