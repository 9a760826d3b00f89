//! What has to be over before a node that is rebuilt can go on, and what of that can't be over soon.

use std::collections::BTreeSet;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_core::task::SyncState;

use super::{Ledger, Open, Share, Stage};

/// A task that can't end as things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::write) enum Obstacle {
    /// It is about a frozen index.
    Frozen {
        /// The index.
        index: IndexUid,
    },
    /// No node that answers, takes writes and can be trusted may still do its part of this shard.
    NoReplica {
        /// The task.
        task: TaskUid,
        /// The index that it is about.
        index: IndexUid,
        /// The shard.
        shard: ShardId,
    },
}

impl Ledger {
    /// Whether every task before `end` about an index is over.
    pub(in crate::write) fn is_over_before(&self, end: TaskUid, index: &PhysicalUid) -> bool {
        self.about(index, end).all(|(_, open)| matches!(open.stage, Stage::Settled { .. }))
    }

    /// Whether `peer` has done its share of every task before `end` about an index.
    pub(in crate::write) fn has_done_of(&self, index: &PhysicalUid, peer: &NodeId, end: TaskUid) -> bool {
        self.about(index, end).all(|(_, open)| open.shares.get(peer).is_none_or(Share::is_done))
    }

    /// The first task before `end` about an index that some other node than `node` has not done, with the name that
    /// clients have for the index and the nodes that the task waits for.
    pub(in crate::write) fn first_before(
        &self,
        end: TaskUid,
        index: &PhysicalUid,
        node: &NodeId,
    ) -> Option<(TaskUid, IndexUid, Vec<NodeId>)> {
        let owed = |open: &Open| -> Vec<NodeId> {
            let owing = open.shares.iter().filter(|(it, share)| *it != node && !share.is_done());
            owing.map(|(id, _)| id.clone()).collect()
        };
        self.about(index, end).find_map(|(task, open)| {
            let nodes = owed(open);
            let is_open = matches!(open.stage, Stage::Unsettled { .. });
            (is_open || !nodes.is_empty()).then(|| (task, open.index.clone(), nodes))
        })
    }

    fn about<'a>(
        &'a self,
        index: &'a PhysicalUid,
        end: TaskUid,
    ) -> impl Iterator<Item = (TaskUid, &'a Open)> {
        let before = self.open.range(..end).filter(move |(_, open)| open.physical == *index);
        before.map(|(task, open)| (*task, open))
    }

    /// A task that has to do with what the node holds and can't end soon.
    pub(in crate::write) fn obstacle(
        &self,
        node: &NodeId,
        frozen: &BTreeSet<IndexUid>,
        is_reachable: impl Fn(&NodeId) -> bool,
    ) -> Option<Obstacle> {
        self.unsettled_of(node).find_map(|(task, open)| {
            let index = open.index.clone();
            if frozen.contains(&index) {
                return Some(Obstacle::Frozen { index });
            }
            let shard = self.stuck_shard(open, &is_reachable)?;
            Some(Obstacle::NoReplica { task, index, shard })
        })
    }

    fn unsettled_of(&self, node: &NodeId) -> impl Iterator<Item = (TaskUid, &Open)> {
        let unsettled = self.queues.values().flatten();
        let open = unsettled.filter_map(|task| Some((*task, self.open.get(task)?)));
        // What every node has a node that has just come has to have too, though it has no part in tasks of before.
        open.filter(|(_, open)| open.is_of_rules() || self.concerns(open, node))
    }

    fn concerns(&self, open: &Open, node: &NodeId) -> bool {
        let holds = || {
            let index = self.catalog.get(&open.index);
            index.is_some_and(|index| index.placement.shard_count_of(node) > 0)
        };
        open.shares.contains_key(node) || holds()
    }

    /// A shard of which nobody has done what it has to, and nobody is about to.
    fn stuck_shard(&self, open: &Open, is_reachable: impl Fn(&NodeId) -> bool) -> Option<ShardId> {
        let Stage::Unsettled { touched, .. } = &open.stage else { return None };
        let may_serve = |(node, share): (&NodeId, &Share)| {
            let state = self.nodes.get(node).filter(|state| state.sync != SyncState::Damaged);
            state.is_some_and(|state| {
                if share.is_done() { !share.has_broken() } else { !state.refuses && is_reachable(node) }
            })
        };
        let served = |shard: &ShardId| {
            open.shares.iter().any(|(node, share)| share.shards.contains(shard) && may_serve((node, share)))
        };
        touched.iter().find(|shard| !served(shard)).copied()
    }
}
