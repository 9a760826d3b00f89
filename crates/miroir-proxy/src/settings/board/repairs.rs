//! Which tasks of the nodes are repairs. Lanes look through a node's queue for what they have sent themselves, and routes
//! of settings take no mark by which that could be told. This is known only as long as Miroir runs, and as nodes answer.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use miroir_core::ids::NodeId;

use super::Broadcasts;

/// Repairs that are remembered of each node; of more the oldest are forgotten.
const REMEMBERED: usize = 1000;

/// What is known of a node's repairs.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    numbers: BTreeSet<u64>,
    /// Whether there may be others, of which nobody knows the numbers.
    some_lost: bool,
}

impl Broadcasts {
    fn change_repairs<T>(&self, node: &NodeId, change: impl FnOnce(&mut Repairs) -> T) -> T {
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        change(repairs.entry(node.clone()).or_default())
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
