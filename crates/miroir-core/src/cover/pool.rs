//! The nodes that may be asked for an index.

use std::collections::BTreeSet;

use crate::ids::NodeId;

/// The nodes that may be asked for an index. No node is in both sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// Nodes that have everything of it of which a client was told that it succeeded.
    pub in_sync: BTreeSet<NodeId>,
    /// Nodes that have what was true a while ago: asked only for shards of which no node in sync has a copy.
    pub stale: BTreeSet<NodeId>,
}

impl From<BTreeSet<NodeId>> for Pool {
    fn from(in_sync: BTreeSet<NodeId>) -> Self {
        Self { in_sync, stale: BTreeSet::new() }
    }
}

impl Pool {
    /// Whether the node may be asked.
    pub fn contains(&self, node: &NodeId) -> bool {
        self.in_sync.contains(node) || self.stale.contains(node)
    }

    /// Every node that may be asked.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.in_sync.iter().chain(&self.stale)
    }

    /// The node is not to be asked any more.
    pub fn remove(&mut self, node: &NodeId) {
        self.in_sync.remove(node);
        self.stale.remove(node);
    }

    /// The nodes of which this is true.
    #[must_use]
    pub fn filtered(&self, is_wanted: impl Fn(&NodeId) -> bool) -> Self {
        let wanted =
            |nodes: &BTreeSet<NodeId>| nodes.iter().filter(|node| is_wanted(node)).cloned().collect();
        Self { in_sync: wanted(&self.in_sync), stale: wanted(&self.stale) }
    }
}
