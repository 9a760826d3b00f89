//! Nodes that leave the cluster, and nodes that are no members.

use std::collections::BTreeSet;

use miroir_core::ids::{NodeId, TaskUid};

use super::Ledger;

impl Ledger {
    /// A node that holds nothing has gone, and owes nothing any more. Answers the entries that nobody needs any more.
    pub(in crate::write) fn leave(&mut self, node: &NodeId) -> Vec<TaskUid> {
        let forgotten = self.forgive(node, |_| true);
        self.nodes.leave(node);
        self.tasks.unread.retain(|(_, unread)| unread != node);
        forgotten
    }

    /// Nodes that are no members any more owe nothing, whatever was decided when they were. Answers the entries that nobody
    /// needs any more.
    pub(in crate::write) fn forgive_strangers(&mut self) -> Vec<TaskUid> {
        let owing = self.tasks.open.values().flat_map(|open| open.shares.keys());
        let strangers: BTreeSet<NodeId> =
            owing.filter(|node| self.nodes.get(node).is_none()).cloned().collect();
        strangers.iter().flat_map(|node| self.forgive(node, |_| true)).collect()
    }
}
