//! The right to send a node settings, and which of the node's tasks are repairs, that came by this right besides those of its
//! lane. Lanes look through a node's queue for what they have sent themselves, and routes of settings take no mark by which
//! that could be told. This is known only as long as Miroir runs, and as nodes answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miroir_core::ids::NodeId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Repairs that are remembered of each node; of more the oldest are forgotten.
const REMEMBERED: usize = 1000;

/// What is known of a node's repairs.
#[derive(Debug, Default)]
struct Repairs {
    numbers: BTreeSet<u64>,
    /// Whether there may be others, of which nobody knows the numbers.
    some_lost: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct SendingRights {
    /// One settings request to a node at a time: a repair must not overtake what came after it in the log.
    locks: Mutex<BTreeMap<NodeId, Arc<AsyncMutex<()>>>>,
    repairs: Mutex<BTreeMap<NodeId, Repairs>>,
}

impl SendingRights {
    /// The right to send a node settings. Whoever holds it must not wait for the node's own work.
    pub async fn lock(&self, node: &NodeId) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.locks().entry(node.clone()).or_default());
        lock.lock_owned().await
    }

    /// A node is not the cluster's any more.
    pub fn forget(&self, node: &NodeId) {
        self.locks().remove(node);
        self.all_repairs().remove(node);
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<AsyncMutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_repairs(&self) -> MutexGuard<'_, BTreeMap<NodeId, Repairs>> {
        self.repairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_repairs<T>(&self, node: &NodeId, change: impl FnOnce(&mut Repairs) -> T) -> T {
        change(self.all_repairs().entry(node.clone()).or_default())
    }

    /// Notes that these numbers of a node's queue are repairs. Whoever notes them has the [right](Self::lock) to send the
    /// node settings, since before they were sent.
    pub fn note_repairs(&self, node: &NodeId, numbers: impl IntoIterator<Item = u64>) {
        self.change_repairs(node, |known| {
            known.numbers.extend(numbers);
            while known.numbers.len() > REMEMBERED {
                known.numbers.pop_first();
            }
        });
    }

    /// Notes that a repair may be in the node's queue, or may come there, under a number that nobody knows.
    pub fn note_lost_repair(&self, node: &NodeId) {
        self.change_repairs(node, |known| known.some_lost = true);
    }

    /// Whether some repairs may have been [lost](Self::note_lost_repair) since this was asked last.
    pub fn take_lost_repairs(&self, node: &NodeId) -> bool {
        self.change_repairs(node, |known| std::mem::take(&mut known.some_lost))
    }

    /// The numbers of a node's queue that are known to be repairs. Whoever has the right to send the node settings knows
    /// all that this process has sent, but for those that were [lost](Self::note_lost_repair).
    pub fn repairs(&self, node: &NodeId) -> BTreeSet<u64> {
        self.change_repairs(node, |known| known.numbers.clone())
    }

    /// The node's queue begins anew, or goes on at another place: numbers of before say nothing.
    pub(super) fn forget_repairs(&self, node: &NodeId) {
        self.change_repairs(node, |known| *known = Repairs::default());
    }
}
