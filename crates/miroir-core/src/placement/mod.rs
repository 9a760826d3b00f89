//! Where the copies of an index live: a stored table, (group, shard) -> nodes.
//!
//! The table is stored, not computed at every use, because no formula over the node list is both balanced and still: pure
//! rendezvous hashing loads the fullest of 12 nodes with 1.78 times the mean at 64 shards. So [`assign`] makes a table
//! by rendezvous scores under a load bound, and [`rebalance`] says which single copies must move when the nodes
//! change. Both promise, for each group:
//!
//! - every shard has exactly the replication factor of copies, each on another node;
//! - the loads of two nodes (copies of this index) differ by at most one;
//! - the result depends on nothing but the arguments, nor on the order in which nodes are listed.
//!
//! A [`Move`] changes the table only once its copy is complete; until then the table says what is true.

mod assign;
mod draft;
mod error;
mod group;
mod rebalance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

pub use assign::assign;
pub use error::PlacementError;
pub use group::GroupPlacement;
pub use rebalance::{Action, Because, Move, rebalance};

use crate::ids::{GroupId, NodeId, ShardCount, ShardId};

/// How many copies of every shard one replica group keeps: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicationFactor(NonZeroU32);

impl ReplicationFactor {
    /// `None` for zero copies.
    pub fn new(copies: u32) -> Option<Self> {
        NonZeroU32::new(copies).map(Self)
    }

    /// The factor as a plain number.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn copies(self) -> usize {
        self.get() as usize
    }
}

/// The nodes that may hold data, each with its group. A map from the node, so that no node is in two groups and no order
/// of listing exists that a placement could depend on.
pub type Members = BTreeMap<NodeId, GroupId>;

/// The table of one index. In a fresh table the nodes of a shard stand by falling score; a copy that replaces another
/// takes its place.
///
/// A shard may have no node in one group (a group that is being filled); a node may stand in two groups while it
/// changes from one to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredPlacement")]
pub struct IndexPlacement {
    shards: ShardCount,
    groups: BTreeMap<GroupId, GroupPlacement>,
}

/// The table as it was written, before anybody checked it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPlacement {
    shards: ShardCount,
    groups: BTreeMap<GroupId, GroupPlacement>,
}

impl TryFrom<StoredPlacement> for IndexPlacement {
    type Error = PlacementError;

    fn try_from(stored: StoredPlacement) -> Result<Self, PlacementError> {
        Self::new(stored.shards, stored.groups)
    }
}

impl IndexPlacement {
    /// Checks that every group has a row for every shard and names no node twice in a row.
    pub fn new(
        shards: ShardCount,
        groups: BTreeMap<GroupId, GroupPlacement>,
    ) -> Result<Self, PlacementError> {
        for (&group, table) in &groups {
            let (expected, found) = (shards.get() as usize, table.iter().len());
            if found != expected {
                return Err(PlacementError::WrongShardCount { group, expected, found });
            }
            for (shard, replicas) in table.iter() {
                let mut seen = BTreeSet::new();
                if let Some(node) = replicas.iter().find(|&node| !seen.insert(node)) {
                    return Err(PlacementError::RepeatedNode { group, shard, node: node.clone() });
                }
            }
        }
        Ok(Self { shards, groups })
    }

    /// How many shards the index has.
    pub fn shard_count(&self) -> ShardCount {
        self.shards
    }

    /// The groups that hold copies, each with its part of the table.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupPlacement)> {
        self.groups.iter().map(|(&group, table)| (group, table))
    }

    /// The nodes of the group that hold the shard; empty for a group or a shard that the table has not.
    pub fn replicas(&self, group: GroupId, shard: ShardId) -> &[NodeId] {
        self.groups.get(&group).map_or(&[], |table| table.replicas(shard))
    }

    /// The nodes of all groups that hold the shard, group by group.
    pub fn all_replicas(&self, shard: ShardId) -> impl Iterator<Item = &NodeId> {
        self.groups.values().flat_map(move |table| table.replicas(shard))
    }

    /// Whether the node holds the shard, for whichever group.
    pub fn holds(&self, node: &NodeId, shard: ShardId) -> bool {
        self.all_replicas(shard).any(|replica| replica == node)
    }

    /// Every shard that the node holds, for whichever group.
    pub fn shards_of(&self, node: &NodeId) -> BTreeSet<ShardId> {
        self.shards.shards().filter(|&shard| self.holds(node, shard)).collect()
    }

    /// How many shards the node holds, each counted once.
    pub fn shard_count_of(&self, node: &NodeId) -> usize {
        let mut counts =
            self.groups.values().map(|table| table.shard_count_of(node)).filter(|&count| count > 0);
        match (counts.next(), counts.next()) {
            (None, _) => 0,
            (Some(count), None) => count,
            (Some(_), Some(_)) => self.shards_of(node).len(),
        }
    }

    /// Every node that holds a copy, once, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        let nodes: BTreeSet<&NodeId> = self.groups.values().flat_map(GroupPlacement::nodes).collect();
        nodes.into_iter()
    }

    /// Whether some node of some group holds a part of the index only. An index that is not scattered needs no shard
    /// markers to be searched: any node answers for all of it.
    pub fn is_scattered(&self) -> bool {
        self.groups.values().any(GroupPlacement::is_scattered)
    }
}
