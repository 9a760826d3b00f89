//! Nodes that lose their data, and nodes whose data were copied anew.

use std::collections::BTreeMap;

use miroir_core::ids::{IndexUid, NodeId, TaskUid};
use miroir_core::task::SyncEvent;
use miroir_core::view::IndexEntry;
use miroir_store::Rebuilt;

use super::{Ledger, Stage};

impl Ledger {
    /// The indexes as the ended tasks leave them.
    pub(in crate::write) fn catalog(&self) -> &BTreeMap<IndexUid, IndexEntry> {
        &self.catalog
    }

    /// Whether every task before `end` is over.
    pub(in crate::write) fn is_over_before(&self, end: TaskUid) -> bool {
        self.queues.values().flatten().all(|task| *task >= end)
    }

    /// Whether the node has done its share of every task before `end`.
    pub(in crate::write) fn has_done_before(&self, node: &NodeId, end: TaskUid) -> bool {
        let mut before = self.open.range(..end);
        before.all(|(_, open)| open.shares.get(node).is_none_or(super::Share::is_done))
    }

    /// The node lost what it had.
    pub(in crate::write) fn lose(&mut self, node: &NodeId) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.sync = state.sync.next(SyncEvent::DataLost);
        }
    }

    /// The node has everything before the cursor, and begins there as if it had heard of nothing. Answers the entries
    /// that nobody needs any more.
    pub(in crate::write) fn begin_anew(&mut self, rebuilt: &Rebuilt) -> Vec<TaskUid> {
        let node = &rebuilt.node;
        let forgotten = self.forgive(node, |task| task < rebuilt.cursor);
        let mut behind = 0;
        for open in self.open.values_mut() {
            let is_settled = matches!(open.stage, Stage::Settled { .. });
            if let Some(share) = open.shares.get_mut(node) {
                share.results.fill(None);
                share.unverified = open.rollout.is_some();
                behind += usize::from(is_settled);
            }
        }
        if let Some(state) = self.nodes.get_mut(node) {
            state.behind = behind;
            // Its new lane tells if it still takes none.
            state.refuses = false;
            state.sync = state.sync.next(SyncEvent::Rebuilt);
        }
        forgotten
    }

    /// The node does not owe its share of these tasks any more. Answers the entries that nobody needs any more.
    pub(in crate::write) fn forgive(
        &mut self,
        node: &NodeId,
        is_forgiven: impl Fn(TaskUid) -> bool,
    ) -> Vec<TaskUid> {
        let mut forgotten = Vec::new();
        for (task, open) in &mut self.open {
            if !is_forgiven(*task) || open.shares.remove(node).is_none() {
                continue;
            }
            if matches!(open.stage, Stage::Settled { .. }) {
                if let Some(state) = self.nodes.get_mut(node) {
                    state.behind = state.behind.saturating_sub(1);
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
