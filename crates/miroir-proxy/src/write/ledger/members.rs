//! Nodes that come to the cluster, and nodes that leave it.

use std::collections::BTreeSet;

use miroir_core::ids::{IndexUid, NodeId, TaskUid};
use miroir_core::rules::RULES_UID;
use miroir_core::task::Target;

use super::patience::NodeState;
use super::{Ledger, Open};

impl Ledger {
    /// A node has come that has nothing yet: it is damaged until it is like the others.
    pub(in crate::write) fn join(&mut self, node: NodeId) {
        self.nodes.insert(node, NodeState::joining());
    }

    /// Whether a node is a member, and was like the others at some time since it came.
    pub(in crate::write) fn has_joined(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|state| !state.is_joining)
    }

    /// An index of which the node holds a part, or will when everything decided is over.
    pub(in crate::write) fn held_by(&self, node: &NodeId) -> Option<IndexUid> {
        let mut catalog = self.catalog.values();
        let held = catalog.find(|index| index.placement.shard_count_of(node) > 0);
        held.map(|index| index.uid.clone()).or_else(|| {
            let mut decided = self.queues.values().flatten().filter_map(|task| self.work(*task));
            // Every node has the rules, and none holds them.
            let holds = |target: &Target| {
                target.physical.as_str() != RULES_UID && target.placement.shard_count_of(node) > 0
            };
            let held = decided.find(|work| work.decision.target.as_ref().is_some_and(holds));
            held.map(|work| work.entry.index_uid.clone())
        })
    }

    /// A node that holds nothing has gone, and owes nothing any more. Answers the entries that nobody needs any more.
    pub(in crate::write) fn leave(&mut self, node: &NodeId) -> Vec<TaskUid> {
        let forgotten = self.forgive(node, |_| true);
        self.nodes.remove(node);
        self.unread.retain(|(_, unread)| unread != node);
        // What nodes lack is told anew, without this one.
        for state in self.nodes.values_mut() {
            state.is_news = true;
        }
        forgotten
    }

    /// Nodes that are no members any more owe nothing, whatever was decided when they were. Answers the entries that nobody
    /// needs any more.
    pub(in crate::write) fn forgive_strangers(&mut self) -> Vec<TaskUid> {
        let owing = self.open.values().flat_map(|open| open.shares.keys());
        let strangers: BTreeSet<NodeId> =
            owing.filter(|node| !self.nodes.contains_key(*node)).cloned().collect();
        strangers.iter().flat_map(|node| self.forgive(node, |_| true)).collect()
    }
}

impl Open {
    /// Whether it is about what every node has: dynamic search rules.
    pub(super) fn is_of_rules(&self) -> bool {
        self.physical.as_str() == RULES_UID
    }
}
