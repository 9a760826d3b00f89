//! What nodes lack of what clients were told has succeeded, index by index: what a node owes of one index says nothing about
//! others.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{NodeId, PhysicalUid};
use crate::rules::RULES_UID;

/// What a node lacks of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Changes of documents: it has what was true a while ago.
    Documents,
    /// The index itself, its primary key or its settings: what it has is another index.
    Form,
}

/// Which nodes are behind in which indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    indexes: BTreeMap<PhysicalUid, BTreeMap<NodeId, Lack>>,
    /// Nodes that lack changes of dynamic search rules.
    rules: BTreeSet<NodeId>,
}

impl Behind {
    /// Notes that a node lacks something; nothing lesser counts beside it.
    pub fn insert(&mut self, index: &PhysicalUid, node: &NodeId, lack: Lack) {
        if index.as_str() == RULES_UID {
            self.rules.insert(node.clone());
            return;
        }
        let known = self.indexes.entry(index.clone()).or_default().entry(node.clone()).or_insert(lack);
        *known = lack.max(*known);
    }

    /// Notes all that another one knows.
    pub fn extend(&mut self, other: &Self) {
        self.rules.extend(other.rules.iter().cloned());
        for (index, nodes) in &other.indexes {
            for (node, lack) in nodes {
                self.insert(index, node, *lack);
            }
        }
    }

    /// What the node lacks of the index. Dynamic search rules are about all indexes: without one of them a node answers as it
    /// did a while ago.
    pub fn of(&self, index: &PhysicalUid, node: &NodeId) -> Option<Lack> {
        let own = self.indexes.get(index).and_then(|nodes| nodes.get(node).copied());
        own.max(self.rules.contains(node).then_some(Lack::Documents))
    }

    /// Whether the node lacks anything of any index.
    pub fn is_late(&self, node: &NodeId) -> bool {
        self.rules.contains(node) || self.indexes.values().any(|nodes| nodes.contains_key(node))
    }

    /// The indexes of which the node lacks something, besides rules.
    pub fn indexes_of<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a PhysicalUid> {
        self.indexes.iter().filter(|(_, nodes)| nodes.contains_key(node)).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_behind_in_the_indexes_of_which_it_lacks_something_and_in_all_without_a_rule() {
        let (a, b) = (NodeId::new("a"), NodeId::new("b"));
        let [x, y, rules] = ["x", "y", RULES_UID].map(PhysicalUid::new);
        let mut behind = Behind::default();
        behind.insert(&x, &a, Lack::Form);
        behind.insert(&x, &a, Lack::Documents);
        assert_eq!((behind.of(&x, &a), behind.of(&y, &a)), (Some(Lack::Form), None));
        let mut more = Behind::default();
        more.insert(&rules, &a, Lack::Form);
        behind.extend(&more);
        assert_eq!((behind.of(&x, &a), behind.of(&y, &a)), (Some(Lack::Form), Some(Lack::Documents)));
        assert!(behind.is_late(&a) && !behind.is_late(&b));
    }
}
