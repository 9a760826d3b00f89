//! What the write path tells those who watch it: how far each node is, and how much is waiting. Nothing here changes
//! anything.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use miroir_core::ids::NodeId;
use miroir_core::task::SyncState;
use time::OffsetDateTime;

use super::{WriteError, Writer};

/// How far a node is with the writes that concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeProgress {
    /// What its data are worth.
    pub sync: SyncState,
    /// Decided entries of the log of which it has not done its share.
    pub entries: usize,
    /// When the oldest of them was accepted.
    pub oldest: Option<OffsetDateTime>,
}

impl Writer {
    /// How far each node is.
    pub fn node_progress(&self) -> BTreeMap<NodeId, NodeProgress> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).progress()
    }

    /// The bytes of documents that the log still keeps for nodes that lack them.
    pub async fn log_bytes(&self) -> Result<u64, WriteError> {
        Ok(self.store.log_bytes().await?)
    }
}
