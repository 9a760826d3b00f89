//! How nodes become members of the cluster while it runs, and how they leave it again.
//!
//! A node that comes may have anything: it may have been a member before. So it begins as one that has lost everything. Its
//! rebuild has no documents to copy, but makes it like the others in what every node has, and says where in the log its lane
//! begins. After that new indexes are placed on it. A node may leave when it holds no part of any index.
//!
//! What is decided names members. So nobody comes or leaves between the last look at the members and the moment in which
//! everybody knows what was decided. Coming and leaving are each one question to the ledger, in which all parts learn of it:
//! it happens as a whole or not at all, whoever asked for it and however long that is waited for.

use std::sync::Arc;

use miroir_core::ids::{GroupId, NodeId, TaskUid};
use miroir_core::placement::{Members, ReplicationFactor};
use miroir_core::task::SyncState;
use miroir_store::{Commit, NodeRecord, StoreError, until_known};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use super::MemberError;
use super::barrier::Barrier;
use super::committer::Event;
use super::fenced::FencedStore;
use super::ledger::{Ledger, LedgerHandle};
use super::rebuild::OperatorRequests;
use super::syncs::Syncs;
use crate::cluster::{AlreadyMember, Membership, Roster};
use crate::node_api::Node;
use crate::settings::Broadcasts;

/// See the module.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) store: Arc<FencedStore>,
    pub(super) ledger: LedgerHandle,
    pub(super) membership: Arc<Membership>,
    pub(super) barrier: Arc<Barrier>,
    pub(super) syncs: Arc<Syncs>,
    pub(super) broadcasts: Arc<Broadcasts>,
    pub(super) operator_requests: Arc<OperatorRequests>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) factor: ReplicationFactor,
    /// As long as somebody else holds it the members stay the same.
    pub(super) changing: Arc<Mutex<()>>,
}

impl Admission {
    /// Makes the parts ready for a node that the store and the ledger know: it can have a lane from now on.
    pub(super) fn make_ready(&self, node: &NodeRecord) {
        self.barrier.note_begun(begun_by(node));
        self.syncs.add(node.id.clone(), node.sync);
    }

    /// Keeps the members as they are in `roster`, as long as the answer lives; none if they are others by now. Waits while
    /// somebody comes or leaves.
    pub(super) async fn keep(&self, roster: &Roster) -> Option<MutexGuard<'_, ()>> {
        let unchanged = self.changing.lock().await;
        (self.membership.members().version() == roster.version()).then_some(unchanged)
    }

    /// Makes a node a member. If the future is dropped it is one, or it is not and can be added again.
    ///
    /// # Errors
    /// When there is a member of this id, or the store fails. It is no member then.
    pub(super) async fn add(self: &Arc<Self>, node: Node, group: GroupId) -> Result<(), MemberError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let id = node.id().clone();
        if self.membership.members().get(&id).is_some() {
            return Err(AlreadyMember(id).into());
        }
        let record = self.store_damaged(&id).await?;
        let all = Arc::clone(self);
        let take_in = move |ledger: &mut Ledger| {
            let _changing = changing;
            all.take_in(ledger, node, group, &record)
        };
        self.ledger.try_order(take_in).await.unwrap_or_else(|| Err(self.has_ended()))
    }

    fn take_in(
        &self,
        ledger: &mut Ledger,
        node: Node,
        group: GroupId,
        record: &NodeRecord,
    ) -> Result<(), MemberError> {
        self.make_ready(record);
        ledger.nodes.join(record.id.clone());
        self.membership.add(node, group, SyncState::Damaged)?;
        tracing::info!(node = %record.id, %group, "a node has come to the cluster");
        Ok(())
    }

    /// The store knows the node then, and that nothing which it has is worth anything.
    async fn store_damaged(&self, node: &NodeId) -> Result<NodeRecord, StoreError> {
        until_known(|| self.store.add_nodes(vec![node.clone()], SyncState::Damaged)).await?;
        // One that was a member before has the worth that it had then.
        let nodes = vec![(node.clone(), SyncState::Damaged)];
        let commit = Commit { nodes, ..Commit::default() };
        until_known(|| self.store.commit(commit.clone())).await?;
        let record = self.store.node(node.clone()).await?;
        record.ok_or_else(|| StoreError::Corrupt(format!("node `{node}` was added and is not there")))
    }

    /// Lets a member go that holds nothing. If the future is dropped it is a member still, or it is none any more.
    ///
    /// # Errors
    /// When it is no member, when some index has shards on it, or when its group would be too small without it. Nothing is
    /// changed then.
    pub(super) async fn remove(self: &Arc<Self>, node: &NodeId) -> Result<(), MemberError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let told = self.events.clone().reserve_owned().await.map_err(|_| self.has_ended())?;
        let (all, node) = (Arc::clone(self), node.clone());
        let let_go = move |ledger: &mut Ledger| {
            let _changing = changing;
            all.let_go(ledger, &node, told)
        };
        self.ledger.try_order(let_go).await.unwrap_or_else(|| Err(self.has_ended()))
    }

    fn let_go(
        &self,
        ledger: &mut Ledger,
        node: &NodeId,
        told: OwnedPermit<Event>,
    ) -> Result<(), MemberError> {
        self.check_leaving(ledger, node)?;
        self.membership.remove(node);
        let forgotten = ledger.leave(node);
        self.syncs.remove(node);
        self.broadcasts.forget_node(node);
        self.operator_requests.forget(node);
        told.send(Event::Left { forgotten });
        tracing::info!(%node, "a node has left the cluster");
        Ok(())
    }

    fn check_leaving(&self, ledger: &Ledger, node: &NodeId) -> Result<(), MemberError> {
        let roster = self.membership.members();
        let Some(member) = roster.get(node) else { return Err(MemberError::NoMember(node.clone())) };
        if let Some(index) = ledger.head.held_by(node) {
            return Err(MemberError::HoldsShards { node: node.clone(), index });
        }
        let places = plan_places(roster.groups(), self.factor, |node| ledger.nodes.has_joined(node));
        let in_group = places.values().filter(|group| **group == member.group).count();
        if places.contains_key(node) && in_group <= self.factor.get() as usize {
            let (group, factor) = (member.group, self.factor.get());
            return Err(MemberError::GroupTooSmall { node: node.clone(), group, factor });
        }
        Ok(())
    }

    /// Why the committer does not answer.
    fn has_ended(&self) -> MemberError {
        self.store.check().map_or_else(MemberError::Store, |()| MemberError::Ended)
    }
}

/// The node's lane has begun nothing from this entry on.
fn begun_by(node: &NodeRecord) -> TaskUid {
    node.ahead.map_or(node.cursor, |ahead| node.cursor.max(TaskUid(ahead.0 + 1)))
}

/// The members that new indexes are placed on: those that have joined, in groups that have enough of them for every copy of a
/// shard. A group that is still being filled gets none.
pub(super) fn plan_places(
    members: &Members,
    factor: ReplicationFactor,
    has_joined: impl Fn(&NodeId) -> bool,
) -> Members {
    let mut places: Members = members.clone();
    places.retain(|node, _| has_joined(node));
    let all: Vec<GroupId> = places.values().copied().collect();
    let is_full = |group: &GroupId| all.iter().filter(|it| *it == group).count() >= factor.get() as usize;
    places.retain(|_, group| is_full(group));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_indexes_go_to_nodes_that_have_joined_in_groups_that_are_full() {
        let node = |number: u32| NodeId::new(format!("node-{number}"));
        let groups = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 2)];
        let members: Members =
            groups.map(|(number, group): (u32, u32)| (node(number), GroupId(group))).into();
        let factor = ReplicationFactor::new(2).unwrap();
        let places = |joining: &[u32]| {
            let joining: Vec<NodeId> = joining.iter().copied().map(node).collect();
            let places = plan_places(&members, factor, |it| !joining.contains(it));
            places.into_keys().map(|id| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places(&[]), ["node-0", "node-1", "node-2", "node-4", "node-5"]);
        assert_eq!(places(&[2, 4]), ["node-0", "node-1"]);
    }
}
