//! One group's part of the table, with what every search asks of it worked out once: searches come by the thousand between
//! two changes of the table.

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, ShardCount, ShardId};

/// The copies of one index in one group: for each shard, in the order of shards, the nodes that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<NodeId>>", into = "Vec<Vec<NodeId>>")]
pub struct GroupPlacement {
    rows: Vec<Vec<NodeId>>,
    /// Worked out from the rows: every node that stands in them, by name.
    nodes: Vec<NodeId>,
    /// Worked out: the rows again, with positions in `nodes` instead of names.
    slots: Vec<Vec<usize>>,
    /// Worked out: in how many rows each node stands.
    load: Vec<usize>,
}

impl From<Vec<Vec<NodeId>>> for GroupPlacement {
    fn from(rows: Vec<Vec<NodeId>>) -> Self {
        Self::new(rows)
    }
}

impl From<GroupPlacement> for Vec<Vec<NodeId>> {
    fn from(table: GroupPlacement) -> Self {
        table.rows
    }
}

impl GroupPlacement {
    /// Takes the nodes of shard 0, of shard 1 and so on.
    pub fn new(rows: Vec<Vec<NodeId>>) -> Self {
        let mut nodes: Vec<NodeId> = rows.iter().flatten().cloned().collect();
        nodes.sort_unstable();
        nodes.dedup();
        let slot = |node| nodes.binary_search(node).expect("every node of a row is among the nodes");
        let slots: Vec<Vec<usize>> = rows.iter().map(|row| row.iter().map(slot).collect()).collect();
        let mut load = vec![0; nodes.len()];
        slots.iter().flatten().for_each(|&slot| load[slot] += 1);
        Self { rows, nodes, slots, load }
    }

    pub(super) fn empty(shards: ShardCount) -> Self {
        Self::new(vec![Vec::new(); shards.get() as usize])
    }

    /// The nodes of the group that hold the shard; empty for a shard that the index has not.
    pub fn replicas(&self, shard: ShardId) -> &[NodeId] {
        row(&self.rows, shard)
    }

    /// Every shard with its nodes, in the order of shards.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ShardId, &[NodeId])> {
        self.rows.iter().enumerate().map(|(at, row)| {
            (ShardId(u32::try_from(at).expect("shards are counted in 32 bits")), row.as_slice())
        })
    }

    /// Every node that holds a copy for the group, by name.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// How many shards the node holds for the group.
    pub fn shard_count_of(&self, node: &NodeId) -> usize {
        self.nodes.binary_search(node).map_or(0, |slot| self.load[slot])
    }

    /// Whether some of the nodes holds a part of the index only.
    pub(super) fn is_scattered(&self) -> bool {
        self.load.iter().any(|&load| load < self.rows.len())
    }

    /// The shard's nodes as positions in [`Self::nodes`].
    pub(crate) fn replica_slots(&self, shard: ShardId) -> &[usize] {
        row(&self.slots, shard)
    }

    pub(super) fn change_row(&mut self, shard: ShardId, change: impl FnOnce(&mut Vec<NodeId>)) {
        let mut rows = std::mem::take(&mut self.rows);
        if let Some(row) = rows.get_mut(shard.0 as usize) {
            change(row);
        }
        *self = Self::new(rows);
    }
}

fn row<T>(rows: &[Vec<T>], shard: ShardId) -> &[T] {
    rows.get(shard.0 as usize).map_or(&[], Vec::as_slice)
}
