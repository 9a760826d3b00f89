//! Failed searches in the log: while a node fails, every search would have the same to say.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::ids::NodeId;

/// After a line about a node so long nothing more is said about it.
const PAUSE: Duration = Duration::from_secs(10);

/// What was said lately.
#[derive(Debug, Default)]
pub struct Complaints {
    by_node: Mutex<BTreeMap<NodeId, Complaint>>,
}

#[derive(Debug)]
struct Complaint {
    said: Instant,
    unsaid: u64,
}

impl Complaints {
    /// Logs that a node failed a search, or counts it for the next line.
    pub fn note(&self, node: &NodeId, reason: &impl Display) {
        if let Some(unsaid) = self.count(node, Instant::now()) {
            tracing::warn!(%node, %reason, unsaid, "node failed a search; asking other replicas");
        }
    }

    /// How many failures of the node nobody was told of; `None` while it is too early for another line.
    fn count(&self, node: &NodeId, now: Instant) -> Option<u64> {
        let mut by_node = self.by_node.lock().unwrap_or_else(PoisonError::into_inner);
        match by_node.get_mut(node) {
            Some(complaint) if now.duration_since(complaint.said) < PAUSE => {
                complaint.unsaid += 1;
                None
            }
            before => {
                let unsaid = before.map_or(0, |complaint| complaint.unsaid);
                by_node.insert(node.clone(), Complaint { said: now, unsaid: 0 });
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_complained_of_once_in_a_while_and_nothing_is_lost_count_of() {
        let (complaints, node, began) = (Complaints::default(), NodeId::new("a"), Instant::now());
        let after = |seconds| complaints.count(&node, began + Duration::from_secs(seconds));
        assert_eq!([0, 1, 9, 10, 19, 30].map(after), [Some(0), None, None, Some(2), None, Some(1)]);
        assert_eq!(complaints.count(&NodeId::new("b"), began), Some(0));
    }
}
