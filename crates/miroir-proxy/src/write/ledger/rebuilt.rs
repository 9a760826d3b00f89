//! Nodes that lose their data, and nodes whose data were copied anew.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::{Deletion, Mutation, Step, SyncEvent};
use miroir_core::view::IndexEntry;
use miroir_store::{Accepted, NodeTask, Rebuilt};

use super::{Ledger, Open, Share, Stage};

/// A node whose data were copied anew, index by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::write) struct Copied {
    pub(in crate::write) node: NodeId,
    /// For each index, and for the rules: what the log says about it before this entry is in the node's data, and nothing
    /// from there on.
    pub(in crate::write) lines: BTreeMap<PhysicalUid, TaskUid>,
    /// The first number of the node's own queue that is not accounted for.
    pub(in crate::write) next_node_task: u64,
}

impl Ledger {
    /// The indexes as the ended tasks leave them.
    pub(in crate::write) fn catalog(&self) -> &BTreeMap<IndexUid, IndexEntry> {
        &self.catalog
    }

    /// Whether the node has done its share of every task before `end`.
    pub(in crate::write) fn has_done_before(&self, node: &NodeId, end: TaskUid) -> bool {
        let mut before = self.open.range(..end);
        before.all(|(_, open)| open.shares.get(node).is_none_or(Share::is_done))
    }

    /// The node lost what it had.
    pub(in crate::write) fn lose(&mut self, node: &NodeId) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.sync = state.sync.next(SyncEvent::DataLost);
        }
    }

    /// The node has of each index what stands before its line, and begins there as if it had heard of nothing. Answers
    /// where its lane begins, and the entries that nobody needs any more.
    pub(in crate::write) fn begin_anew(&mut self, copied: &Copied) -> (Rebuilt, Vec<TaskUid>) {
        let node = &copied.node;
        let rebuilt = self.first_owed_after(copied);
        let forgotten = self.forgive_where(node, |task, open| copied.covers(task, open));
        let mut owed = Vec::new();
        for open in self.open.values_mut() {
            let is_settled = matches!(open.stage, Stage::Settled { .. });
            if let Some(share) = open.shares.get_mut(node) {
                share.results.fill(None);
                share.unverified = open.rollout.is_some();
                owed.extend(is_settled.then(|| (open.physical.clone(), share.lack)));
            }
        }
        if let Some(state) = self.nodes.get_mut(node) {
            state.forgive_all();
            for (index, lack) in &owed {
                state.owe(index, *lack);
            }
            // Its new lane tells if it still takes none.
            state.refuses = false;
            state.is_joining = false;
            state.sync = state.sync.next(SyncEvent::Rebuilt);
        }
        (rebuilt, forgotten)
    }

    /// Where the lane of a node begins that was copied: at the first entry that is not in its data.
    fn first_owed_after(&self, copied: &Copied) -> Rebuilt {
        let Copied { node, lines, next_node_task } = copied;
        let owed = || self.open.iter().filter(|(_, open)| open.shares.contains_key(node));
        let first = owed().find(|(task, open)| !copied.covers(**task, open)).map(|(task, _)| *task);
        let cursor = first.or_else(|| lines.values().max().copied()).unwrap_or(self.end);
        let covered = owed().filter(|(task, open)| **task >= cursor && copied.covers(**task, open));
        let covered = covered.map(|(task, _)| *task).collect();
        Rebuilt { node: node.clone(), cursor, covered, next_node_task: *next_node_task }
    }

    /// What the node had is there again: it goes on where it was.
    pub(in crate::write) fn take_back_in(&mut self, node: &NodeId) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.refuses = false;
            state.is_joining = false;
            state.sync = state.sync.next(SyncEvent::Restored);
        }
    }

    /// The node goes on as it is, and gets some entries again.
    pub(in crate::write) fn accept(&mut self, accepted: &Accepted) {
        for task in &accepted.again {
            let Some(open) = self.open.get_mut(task) else { continue };
            if let Some(share) = open.shares.get_mut(&accepted.node) {
                share.results.fill(None);
                share.unverified = open.rollout.is_some();
            }
        }
        self.take_back_in(&accepted.node);
    }

    /// What the node received and has to get again when it is taken as it is: what it had not finished, and everything
    /// about indexes that are not created yet as far as clients can see.
    pub(in crate::write) fn to_do_again(&self, node: &NodeId, received: &[NodeTask]) -> BTreeSet<TaskUid> {
        let is_of_new_index = |task: TaskUid| {
            self.work(task).is_some_and(|work| !self.catalog.contains_key(&work.entry.index_uid))
        };
        let received = received.iter().filter(|received| received.node == *node);
        received.filter(|it| it.result.is_none() || is_of_new_index(it.task)).map(|it| it.task).collect()
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

    /// The indexes that the node has if it lost nothing.
    pub(in crate::write) fn must_have(&self, node: &NodeId) -> BTreeSet<PhysicalUid> {
        let owed: BTreeSet<&IndexUid> =
            self.open.values().filter(|it| it.is_owed_late_by(node)).map(|open| &open.index).collect();
        let is_going = |uid: &IndexUid| {
            let tasks = self.queues.get(uid).into_iter().flatten();
            let mut works = tasks.filter_map(|task| self.work(*task));
            works.any(|work| work.decision.steps.iter().any(|step| matches!(step, Step::DeleteIndex)))
        };
        let held = self.catalog.values().filter(|index| index.placement.shard_count_of(node) > 0);
        let certain = held.filter(|index| !owed.contains(&index.uid) && !is_going(&index.uid));
        certain.map(|index| index.physical.clone()).collect()
    }

    /// The node does not owe its share of these tasks any more. Answers the entries that nobody needs any more.
    pub(in crate::write) fn forgive(
        &mut self,
        node: &NodeId,
        is_forgiven: impl Fn(TaskUid) -> bool,
    ) -> Vec<TaskUid> {
        self.forgive_where(node, |task, _| is_forgiven(task))
    }

    fn forgive_where(&mut self, node: &NodeId, is_forgiven: impl Fn(TaskUid, &Open) -> bool) -> Vec<TaskUid> {
        let mut forgotten = Vec::new();
        for (task, open) in &mut self.open {
            if !is_forgiven(*task, open) {
                continue;
            }
            let Some(share) = open.shares.remove(node) else { continue };
            if matches!(open.stage, Stage::Settled { .. }) {
                if let Some(state) = self.nodes.get_mut(node) {
                    state.forgive(&open.physical, share.lack);
                }
                if open.shares.is_empty() {
                    forgotten.push(*task);
                }
            }
        }
        for task in &forgotten {
            self.open.remove(task);
            self.rollouts.remove(task);
        }
        forgotten
    }
}

impl Copied {
    /// Whether the entry is in the node's data.
    fn covers(&self, task: TaskUid, open: &Open) -> bool {
        self.lines.get(&open.physical).is_some_and(|line| task < *line)
    }
}

impl Open {
    fn is_owed_late_by(&self, node: &NodeId) -> bool {
        matches!(self.stage, Stage::Settled { .. }) && self.shares.contains_key(node)
    }
}
