//! The placement of an index that is being created, when there is no data yet and nothing to keep.

use std::collections::BTreeMap;

use super::draft::{Draft, check_groups};
use super::{GroupPlacement, IndexPlacement, Members, PlacementError, ReplicationFactor};
use crate::ids::{PhysicalUid, ShardCount};

/// Places every shard of a new index: in each group on the nodes with the highest scores, but on no node more than its
/// share, and balanced to within one copy, so that a [`rebalance`](super::rebalance()) right after it moves nothing.
///
/// Fails only if there is no node, or a group has fewer nodes than copies.
pub fn assign(
    index: &PhysicalUid,
    shards: ShardCount,
    factor: ReplicationFactor,
    members: &Members,
) -> Result<IndexPlacement, PlacementError> {
    let mut groups = BTreeMap::new();
    for (group, nodes) in check_groups(members, factor)? {
        let mut draft = Draft::new(index, shards, nodes);
        draft.fill_by_score(factor.copies());
        draft.balance();
        let replicas = |shard| draft.replicas(shard).into_iter().cloned().collect();
        groups.insert(group, GroupPlacement::new(shards.shards().map(replicas).collect()));
    }
    Ok(IndexPlacement { shards, groups })
}
