//! Requests of those who run the cluster: to take damaged nodes as they are.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use miroir_core::ids::NodeId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::plan::Orphans;

/// Nodes whose loss is accepted. In memory only: an order is worth something while its giver looks on.
#[derive(Debug, Default)]
pub(in crate::write) struct OperatorRequests {
    accepted: Mutex<BTreeSet<NodeId>>,
    given: Notify,
}

impl OperatorRequests {
    /// What only this node had may be taken as it is there now.
    pub(in crate::write) fn accept_loss(&self, node: NodeId) {
        self.accepted().insert(node);
        self.given.notify_waiters();
    }

    /// The node is rebuilt, or its damage is another one.
    pub(in crate::write) fn forget(&self, node: &NodeId) {
        self.accepted().remove(node);
    }

    pub(super) fn on_orphans_of(&self, node: &NodeId) -> Orphans {
        if self.accepted().contains(node) { Orphans::Taken } else { Orphans::Missed }
    }

    /// Ends with the next order after this call.
    pub(super) fn given(&self) -> Notified<'_> {
        self.given.notified()
    }

    fn accepted(&self) -> std::sync::MutexGuard<'_, BTreeSet<NodeId>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
