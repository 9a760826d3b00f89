//! Nodes that lose their data, and nodes whose data were copied anew.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::SyncEvent;
use miroir_store::{Accepted, NodeTask, Rebuilt};

use super::{Ledger, Open, Stage};

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
    /// The node has of each index what stands before its line, and begins there as if it had heard of nothing. Answers
    /// where its lane begins, and the entries that nobody needs any more.
    pub(in crate::write) fn begin_anew(&mut self, copied: &Copied) -> (Rebuilt, Vec<TaskUid>) {
        let node = &copied.node;
        let rebuilt = self.tasks.first_owed_after(copied, self.head.end());
        let forgotten = self.tasks.forgive(node, &mut self.nodes, |task, open| copied.covers(task, open));
        let mut owed = Vec::new();
        for open in self.tasks.open.values_mut() {
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

    /// The node goes on as it is, and gets some entries again.
    pub(in crate::write) fn accept(&mut self, accepted: &Accepted) {
        for task in &accepted.again {
            let Some(open) = self.tasks.open.get_mut(task) else { continue };
            if let Some(share) = open.shares.get_mut(&accepted.node) {
                share.results.fill(None);
                share.unverified = open.rollout.is_some();
            }
        }
        self.nodes.take_back_in(&accepted.node);
    }

    /// What the node received and has to get again when it is taken as it is: what it had not finished, and everything
    /// about indexes that are not created yet as far as clients can see.
    pub(in crate::write) fn to_do_again(&self, node: &NodeId, received: &[NodeTask]) -> BTreeSet<TaskUid> {
        let is_of_new_index = |task: TaskUid| {
            self.tasks.work(task).is_some_and(|work| !self.head.has_index(&work.entry.index_uid))
        };
        let received = received.iter().filter(|received| received.node == *node);
        received.filter(|it| it.result.is_none() || is_of_new_index(it.task)).map(|it| it.task).collect()
    }

    /// The indexes that the node has if it lost nothing.
    pub(in crate::write) fn must_have(&self, node: &NodeId) -> BTreeSet<PhysicalUid> {
        let owed: BTreeSet<&IndexUid> =
            self.tasks.open.values().filter(|it| it.is_owed_late_by(node)).map(|open| &open.index).collect();
        let held = self.head.catalog.values().filter(|index| index.placement.shard_count_of(node) > 0);
        let certain = held.filter(|index| !owed.contains(&index.uid) && !self.head.is_going(&index.uid));
        certain.map(|index| index.physical.clone()).collect()
    }

    /// The node does not owe its share of these tasks any more. Answers the entries that nobody needs any more.
    pub(in crate::write) fn forgive(
        &mut self,
        node: &NodeId,
        is_forgiven: impl Fn(TaskUid) -> bool,
    ) -> Vec<TaskUid> {
        self.tasks.forgive(node, &mut self.nodes, |task, _| is_forgiven(task))
    }
}

impl Copied {
    /// Whether the entry is in the node's data.
    pub(super) fn covers(&self, task: TaskUid, open: &Open) -> bool {
        self.lines.get(&open.physical).is_some_and(|line| task < *line)
    }
}

impl Open {
    fn is_owed_late_by(&self, node: &NodeId) -> bool {
        matches!(self.stage, Stage::Settled { .. }) && self.shares.contains_key(node)
    }
}
