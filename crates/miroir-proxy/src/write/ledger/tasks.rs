//! Decided tasks that are not over on all nodes, and what nodes have done of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::{Deletion, Mutation};
use miroir_store::Rebuilt;

use super::nodes::Nodes;
use super::{Copied, Open, Share, Stage};
use crate::write::prepared::Decided;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::write) struct OpenTasks {
    pub(super) open: BTreeMap<TaskUid, Open>,
    /// Ended tasks of which a node has done its share since.
    pub(super) late: BTreeSet<TaskUid>,
    /// Changes of settings that are open.
    pub(super) rollouts: BTreeSet<TaskUid>,
    /// Nodes that were to be read back after a change of settings and will not be.
    pub(super) unread: Vec<(PhysicalUid, NodeId)>,
}

impl OpenTasks {
    pub(super) fn insert(&mut self, uid: TaskUid, open: Open) {
        if open.rollout.is_some() {
            self.rollouts.insert(uid);
        }
        self.open.insert(uid, open);
    }

    pub(super) fn remove(&mut self, uid: TaskUid) {
        self.open.remove(&uid);
        self.rollouts.remove(&uid);
    }

    pub(super) fn work(&self, task: TaskUid) -> Option<&Arc<Decided>> {
        match &self.open.get(&task)?.stage {
            Stage::Unsettled { work, .. } => Some(work),
            Stage::Settled { .. } => None,
        }
    }

    /// Whether a task is decided and not over.
    pub(in crate::write) fn is_open(&self, task: TaskUid) -> bool {
        self.work(task).is_some()
    }

    /// Whether the node has done its share of every task before `end`.
    pub(in crate::write) fn has_done_before(&self, node: &NodeId, end: TaskUid) -> bool {
        let mut before = self.open.range(..end);
        before.all(|(_, open)| open.shares.get(node).is_none_or(Share::is_done))
    }

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

    /// A task before `end` that is not over, of which the node owes a share that may not be done twice.
    pub(in crate::write) fn unrepeatable_before(&self, node: &NodeId, end: TaskUid) -> Option<TaskUid> {
        let owes = |task: &TaskUid| {
            let share = self.open.get(task).and_then(|open| open.shares.get(node));
            share.is_some_and(|share| !share.is_done())
        };
        let repeatable = |task: &TaskUid| {
            self.work(*task).is_none_or(|work| match &work.entry.mutation {
                Mutation::EditDocuments { .. } => false,
                Mutation::DeleteDocuments { deletion } => !matches!(deletion, Deletion::ByFilter(_)),
                _ => true,
            })
        };
        let mut before = self.open.range(..end).map(|(task, _)| task);
        before.find(|task| owes(task) && !repeatable(task)).copied()
    }

    /// Where the lane of a node begins that was copied: at the first entry that is not in its data. `end` is that of the log.
    pub(super) fn first_owed_after(&self, copied: &Copied, end: TaskUid) -> Rebuilt {
        let Copied { node, lines, next_node_task } = copied;
        let owed = || self.open.iter().filter(|(_, open)| open.shares.contains_key(node));
        let first = owed().find(|(task, open)| !copied.covers(**task, open)).map(|(task, _)| *task);
        let cursor = first.or_else(|| lines.values().max().copied()).unwrap_or(end);
        let covered = owed().filter(|(task, open)| **task >= cursor && copied.covers(**task, open));
        let covered = covered.map(|(task, _)| *task).collect();
        Rebuilt { node: node.clone(), cursor, covered, next_node_task: *next_node_task }
    }

    /// The node does not owe its share of these tasks any more. Answers the entries that nobody needs any more.
    pub(super) fn forgive(
        &mut self,
        node: &NodeId,
        nodes: &mut Nodes,
        is_forgiven: impl Fn(TaskUid, &Open) -> bool,
    ) -> Vec<TaskUid> {
        let mut forgotten = Vec::new();
        for (task, open) in &mut self.open {
            if !is_forgiven(*task, open) {
                continue;
            }
            let Some(share) = open.shares.remove(node) else { continue };
            if matches!(open.stage, Stage::Settled { .. }) {
                if let Some(state) = nodes.get_mut(node) {
                    state.forgive(&open.physical, share.lack);
                }
                if open.shares.is_empty() {
                    forgotten.push(*task);
                }
            }
        }
        for task in &forgotten {
            self.remove(*task);
        }
        forgotten
    }
}
