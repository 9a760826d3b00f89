//! What each node's data are worth, as stored, for those who have to do something when that changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use miroir_core::ids::NodeId;
use miroir_core::task::SyncState;
use tokio::sync::watch;

/// One watch for each member. The committer tells, caretakers and rebuilds wake up.
#[derive(Debug, Default)]
pub(super) struct Syncs(Mutex<BTreeMap<NodeId, watch::Sender<SyncState>>>);

impl Syncs {
    /// A node has come, whose data are worth `sync`.
    pub(super) fn add(&self, node: NodeId, sync: SyncState) {
        self.syncs().insert(node, watch::Sender::new(sync));
    }

    /// A node has gone: whoever watches it learns that nobody tells any more.
    pub(super) fn remove(&self, node: &NodeId) {
        self.syncs().remove(node);
    }

    /// What the node's data are worth from now on; none of a node that is no member.
    pub(super) fn watch(&self, node: &NodeId) -> Option<watch::Receiver<SyncState>> {
        self.syncs().get(node).map(watch::Sender::subscribe)
    }

    /// It is stored what the node's data are worth.
    pub(super) fn tell(&self, node: &NodeId, sync: SyncState) {
        if let Some(sender) = self.syncs().get(node) {
            sender.send_replace(sync);
        }
    }

    fn syncs(&self) -> MutexGuard<'_, BTreeMap<NodeId, watch::Sender<SyncState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
