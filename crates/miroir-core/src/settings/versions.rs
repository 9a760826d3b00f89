//! Which node has which committed change of settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, PhysicalUid, SettingsVersion};
use crate::view::IndexEntry;

/// Commits of one index that are remembered at most. A floor below the oldest of them is taken at its word.
pub const REMEMBERED_COMMITS: usize = 1000;

/// The versions of all indexes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingsVersions {
    /// The last version of any index.
    pub last: Option<SettingsVersion>,
    /// By the index's name on the nodes, which a swap or a rename does not change.
    pub indexes: BTreeMap<PhysicalUid, Arc<IndexVersions>>,
}

/// The versions of one index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexVersions {
    /// Its commits, oldest first, at most [`REMEMBERED_COMMITS`].
    pub commits: Vec<SettingsVersion>,
    /// The last commit that each node has, as far as it was verified.
    pub nodes: BTreeMap<NodeId, SettingsVersion>,
    /// The change that is on its way.
    pub rolling: Option<Rolling>,
    /// Nodes of which nobody knows which settings they have, and why; they are being brought back.
    pub doubtful: BTreeMap<NodeId, SettingsUnknown>,
    /// How often each node has begun to change. An answer during which a node's number moved may be of either settings.
    pub generations: BTreeMap<NodeId, u64>,
}

/// Why nobody knows which settings a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsUnknown {
    /// A change of ours did not come to its end on it, or its data were copied.
    Astray,
    /// Somebody else changed them.
    Changed,
}

/// A change of settings that some nodes have and others don't.
#[derive(Debug, Clone, PartialEq)]
pub struct Rolling {
    /// The index as it will be.
    pub next: Arc<IndexEntry>,
    /// Nodes that may have the old or the new settings: they were sent, or are about to be.
    pub changing: BTreeSet<NodeId>,
    /// Nodes that were verified to have the new ones.
    pub changed: BTreeSet<NodeId>,
    /// Those of the changing nodes that go from the old settings to the new ones at one moment, and not back.
    pub settling: BTreeSet<NodeId>,
}

/// Which settings a node answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Those in the catalog.
    Old,
    /// Those that are on their way.
    New,
    /// The old ones up to some moment, the new ones from then on; nobody knows whether that is over.
    OldSoFar,
    /// Nobody knows.
    Unknown,
}

impl SettingsVersions {
    /// The last commit of an index.
    pub fn committed(&self, index: &PhysicalUid) -> Option<SettingsVersion> {
        self.indexes.get(index)?.committed()
    }

    /// Changes what is known of an index.
    pub fn change(&mut self, index: &PhysicalUid, change: impl FnOnce(&mut IndexVersions)) {
        let versions = self.indexes.entry(index.clone()).or_default();
        change(Arc::make_mut(versions));
    }

    /// Leaves out what is known of nodes that are no members. Answers the doubts that are about nothing any more: the index
    /// is neither in the catalog nor was it ever committed.
    pub fn confine(
        &mut self,
        is_member: impl Fn(&NodeId) -> bool,
        is_in_catalog: impl Fn(&PhysicalUid) -> bool,
    ) -> Vec<(PhysicalUid, NodeId)> {
        let mut orphans = Vec::new();
        self.indexes.retain(|index, versions| {
            let is_known = is_in_catalog(index) || !versions.commits.is_empty();
            if is_known {
                let versions = Arc::make_mut(versions);
                versions.nodes.retain(|node, _| is_member(node));
                versions.doubtful.retain(|node, _| is_member(node));
            } else {
                orphans.extend(versions.doubtful.keys().map(|node| (index.clone(), node.clone())));
            }
            is_known
        });
        orphans
    }

    /// A commit of an index, which these nodes have.
    pub fn commit(&mut self, index: &PhysicalUid, version: SettingsVersion, nodes: &BTreeSet<NodeId>) {
        self.last = self.last.max(Some(version));
        self.change(index, |versions| {
            if versions.committed() < Some(version) {
                versions.commits.push(version);
            }
            let surplus = versions.commits.len().saturating_sub(REMEMBERED_COMMITS);
            versions.commits.drain(..surplus);
            versions.nodes.extend(nodes.iter().map(|node| (node.clone(), version)));
        });
    }
}

impl IndexVersions {
    /// The last commit.
    pub fn committed(&self) -> Option<SettingsVersion> {
        self.commits.last().copied()
    }

    /// The commit that a node must have to be as new as `floor`; none if every node is.
    pub fn needed_for(&self, floor: SettingsVersion) -> Option<SettingsVersion> {
        let found = self.commits.iter().rev().find(|commit| **commit <= floor).copied();
        let forgotten = self.commits.len() >= REMEMBERED_COMMITS;
        found.or_else(|| forgotten.then_some(floor))
    }

    /// Nobody knows any more which settings a node has. Whatever else is known, what we have left astray is ours to mend.
    pub fn doubt(&mut self, node: &NodeId, why: SettingsUnknown) {
        match why {
            SettingsUnknown::Astray => {
                self.doubtful.insert(node.clone(), why);
            }
            SettingsUnknown::Changed => {
                self.doubtful.entry(node.clone()).or_insert(why);
            }
        }
    }

    /// Notes that these nodes begin to change.
    pub fn begin_turns<'a>(&mut self, nodes: impl IntoIterator<Item = &'a NodeId>) {
        for node in nodes {
            *self.generations.entry(node.clone()).or_default() += 1;
        }
    }

    /// How often a node has begun to change.
    pub fn generation(&self, node: &NodeId) -> u64 {
        self.generations.get(node).copied().unwrap_or(0)
    }

    pub(super) fn side(&self, node: &NodeId) -> Side {
        match &self.rolling {
            _ if self.doubtful.contains_key(node) => Side::Unknown,
            Some(rolling) if rolling.settling.contains(node) => Side::OldSoFar,
            Some(rolling) if rolling.changing.contains(node) => Side::Unknown,
            Some(rolling) if rolling.changed.contains(node) => Side::New,
            Some(_) | None => Side::Old,
        }
    }

    /// Whether every node has what the catalog says, as far as is known.
    pub(super) fn is_calm(&self) -> bool {
        self.rolling.is_none() && self.doubtful.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_astray_stays_ours_to_mend_whoever_changed_it_before_or_after() {
        let (mut versions, node) = (IndexVersions::default(), NodeId::new("a"));
        for (why, known) in [
            (SettingsUnknown::Changed, SettingsUnknown::Changed),
            (SettingsUnknown::Astray, SettingsUnknown::Astray),
            (SettingsUnknown::Changed, SettingsUnknown::Astray),
        ] {
            versions.doubt(&node, why);
            assert_eq!(versions.doubtful, [(node.clone(), known)].into());
        }
    }

    #[test]
    fn nothing_is_known_of_nodes_that_left_nor_of_indexes_that_never_were() {
        let (here, left) = (NodeId::new("here"), NodeId::new("left"));
        let mut versions = SettingsVersions::default();
        let [committed, listed, orphan] = ["committed", "listed", "orphan"].map(PhysicalUid::new);
        versions.commit(&committed, SettingsVersion(1), &[here.clone(), left.clone()].into());
        for index in [&committed, &listed, &orphan] {
            versions.change(index, |of_index| {
                of_index.doubt(&here, SettingsUnknown::Changed);
                of_index.doubt(&left, SettingsUnknown::Astray);
            });
        }
        let orphans = versions.confine(|node| *node == here, |index| *index == listed);
        assert_eq!(orphans, [(orphan.clone(), here.clone()), (orphan, left)]);
        assert_eq!(versions.indexes.keys().collect::<Vec<_>>(), [&committed, &listed]);
        for index in [&committed, &listed] {
            assert_eq!(versions.indexes[index].doubtful, [(here.clone(), SettingsUnknown::Changed)].into());
        }
        assert_eq!(versions.indexes[&committed].nodes, [(here, SettingsVersion(1))].into());
    }
}
