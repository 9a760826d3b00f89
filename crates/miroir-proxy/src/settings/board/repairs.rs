//! Which tasks of the nodes are repairs. Lanes look through a node's queue for what they have sent themselves, and routes
//! of settings take no mark by which that could be told.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use miroir_core::ids::NodeId;

use super::Broadcasts;

/// Repairs that are remembered of each node; of more the oldest are forgotten.
const REMEMBERED: usize = 1000;

impl Broadcasts {
    /// Notes that these numbers of a node's queue are repairs. Whoever notes them has the [right](Self::lock) to send the
    /// node settings, since before they were sent.
    pub fn note_repairs(&self, node: &NodeId, numbers: impl IntoIterator<Item = u64>) {
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = repairs.entry(node.clone()).or_default();
        known.extend(numbers);
        while known.len() > REMEMBERED {
            known.pop_first();
        }
    }

    /// The numbers of a node's queue that are repairs. Whoever has the right to send the node settings knows all of them.
    pub fn repairs(&self, node: &NodeId) -> BTreeSet<u64> {
        let repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        repairs.get(node).cloned().unwrap_or_default()
    }
}
