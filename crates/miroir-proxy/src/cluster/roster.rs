//! Who is a member of the cluster, as a value that never changes: a change makes another one, with the next version.

use std::collections::BTreeMap;
use std::sync::Arc;

use miroir_core::ids::{GroupId, NodeId};
use miroir_core::placement::Members;
use tokio::sync::watch;

use crate::node_api::Node;

/// Brings every change of the members: the newest roster, and a wake-up when there is a newer one. Rosters in between may be
/// missed, so whoever follows compares what it has with what it gets.
pub type Feed = watch::Receiver<Arc<Roster>>;

/// A node of the cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// The way to it.
    pub node: Node,
    /// The replica group that it belongs to.
    pub group: GroupId,
    /// The version of the first roster that it was in. A node that left and came back has another one than before.
    pub since: u64,
}

/// All members at one time.
#[derive(Debug, Default)]
pub struct Roster {
    version: u64,
    members: BTreeMap<NodeId, Member>,
    groups: Members,
}

impl Roster {
    /// How many changes there were before.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The member of this id.
    pub fn get(&self, id: &NodeId) -> Option<&Member> {
        self.members.get(id)
    }

    /// Every member, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Every member's connection, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.members().map(|member| &member.node)
    }

    /// Every member's group.
    pub fn groups(&self) -> &Members {
        &self.groups
    }

    /// The roster after this node has come.
    pub(super) fn with(&self, node: Node, group: GroupId) -> Self {
        let (mut next, id) = (self.next(), node.id().clone());
        next.groups.insert(id.clone(), group);
        next.members.insert(id, Member { node, group, since: next.version });
        next
    }

    /// The roster after this node has gone.
    pub(super) fn without(&self, id: &NodeId) -> Self {
        let mut next = self.next();
        next.groups.remove(id);
        next.members.remove(id);
        next
    }

    fn next(&self) -> Self {
        Self { version: self.version + 1, members: self.members.clone(), groups: self.groups.clone() }
    }
}
