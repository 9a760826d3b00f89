//! What each node's data are worth, what it owes, and whether tasks wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use miroir_core::ids::NodeId;
use miroir_core::task::{Behind, SyncEvent, SyncState};
use time::OffsetDateTime;

use super::Now;
use super::patience::NodeState;

/// The members, as the ledger knows them.
#[derive(Debug)]
pub(in crate::write) struct Nodes(BTreeMap<NodeId, NodeState>);

impl Nodes {
    pub(super) fn new(nodes: impl IntoIterator<Item = (NodeId, SyncState)>) -> Self {
        Self(nodes.into_iter().map(|(id, sync)| (id, NodeState::new(sync))).collect())
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&NodeState> {
        self.0.get(node)
    }

    pub(super) fn get_mut(&mut self, node: &NodeId) -> Option<&mut NodeState> {
        self.0.get_mut(node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &NodeState)> {
        self.0.iter()
    }

    /// A node has come that has nothing yet: it is damaged until it is like the others.
    pub(in crate::write) fn join(&mut self, node: NodeId) {
        self.0.insert(node, NodeState::joining());
    }

    /// A node has gone.
    pub(super) fn leave(&mut self, node: &NodeId) {
        self.0.remove(node);
        // What nodes lack is told anew, without this one.
        for state in self.0.values_mut() {
            state.is_news = true;
        }
    }

    /// Whether a node is a member, and was like the others at some time since it came.
    pub(in crate::write) fn has_joined(&self, node: &NodeId) -> bool {
        self.get(node).is_some_and(|state| !state.is_joining)
    }

    /// Whether a node is a member whose data are those of the log, as far as they have come.
    pub(super) fn is_trusted(&self, node: &NodeId) -> bool {
        self.get(node).is_some_and(|state| state.sync != SyncState::Damaged)
    }

    /// Whether tasks wait for the node now: it answers, takes writes, and has everything, or will in a moment.
    pub(super) fn is_awaited(&self, node: &NodeId, now: &Now<'_>) -> bool {
        self.get(node)
            .is_some_and(|state| state.counts(now.instant) && !state.refuses && (now.is_reachable)(node))
    }

    /// Notes whether a node takes writes.
    pub(in crate::write) fn note_taking(&mut self, node: &NodeId, writes: bool) {
        if let Some(state) = self.get_mut(node) {
            state.refuses = !writes;
        }
    }

    /// Notes that a node works on what it was given, or has done some of it.
    pub(in crate::write) fn note_sign(&mut self, node: &NodeId, now: Instant) {
        if let Some(state) = self.get_mut(node) {
            state.sign = Some(now);
        }
    }

    /// Notes that a request has ended on a node.
    pub(super) fn note_end(&mut self, node: &NodeId, now: OffsetDateTime) {
        if let Some(state) = self.get_mut(node) {
            state.last_end = Some(now);
        }
    }

    /// The node lost what it had.
    pub(in crate::write) fn lose(&mut self, node: &NodeId) {
        self.note(node, SyncEvent::DataLost);
    }

    /// What the node had is there again: it goes on where it was.
    pub(in crate::write) fn take_back_in(&mut self, node: &NodeId) {
        if let Some(state) = self.get_mut(node) {
            state.refuses = false;
            state.is_joining = false;
        }
        self.note(node, SyncEvent::Restored);
    }

    pub(super) fn note(&mut self, node: &NodeId, event: SyncEvent) {
        if let Some(state) = self.get_mut(node) {
            state.sync = state.sync.next(event);
        }
    }

    /// Which nodes have caught up, and for which ones tasks wait from now on. `pace` is how long a task takes.
    pub(super) fn look(&mut self, now: &Now<'_>, pace: Duration) {
        for (id, state) in &mut self.0 {
            state.look(now, pace, (now.is_reachable)(id));
        }
    }

    /// What nodes lack of what has ended.
    pub(in crate::write) fn behind(&self) -> Behind {
        let mut behind = Behind::default();
        for (node, state) in &self.0 {
            for (index, lack) in state.lacks() {
                behind.insert(index, node, lack);
            }
        }
        behind
    }

    /// Nodes whose data are worth something else than this said last.
    pub(super) fn take_changed(&mut self) -> Vec<(NodeId, SyncState)> {
        let mut changed = Vec::new();
        for (id, state) in self.0.iter_mut().filter(|(_, state)| state.sync != state.told) {
            state.told = state.sync;
            changed.push((id.clone(), state.sync));
        }
        changed
    }

    /// What nodes lack, if that is another thing than this said last.
    pub(super) fn take_news(&mut self) -> Option<Behind> {
        // All of them: each look is one.
        let news = self.0.values_mut().map(|state| std::mem::take(&mut state.is_news));
        news.fold(false, |any, is_news| any | is_news).then(|| self.behind())
    }
}
