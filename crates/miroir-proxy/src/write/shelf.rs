//! Decided entries that lanes are likely to ask for: the newest ones, in bounded memory. The store has the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use miroir_core::ids::{NodeId, TaskUid};
use miroir_store::Store;

use super::prepared::Prepared;
use super::retry::Backoff;

/// Memory for payloads that wait for lanes.
const MAX_BYTES: usize = 256 << 20;

/// Entries at most, however small.
const MAX_ENTRIES: usize = 4096;

#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<dyn Store>,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_uid: BTreeMap<TaskUid, Arc<Prepared>>,
    bytes: usize,
}

impl Entries {
    fn put(&mut self, entry: Arc<Prepared>) {
        self.bytes += entry.bytes();
        if let Some(old) = self.by_uid.insert(entry.decided.entry.uid, entry) {
            self.bytes -= old.bytes();
        }
        while self.by_uid.len() > 1 && (self.bytes > MAX_BYTES || self.by_uid.len() > MAX_ENTRIES) {
            if let Some((_, oldest)) = self.by_uid.pop_first() {
                self.bytes -= oldest.bytes();
            }
        }
    }
}

impl Shelf {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, entries: Mutex::default() }
    }

    pub(super) fn put(&self, entry: Arc<Prepared>) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).put(entry);
    }

    /// Drops an entry that nobody needs any more.
    pub(super) fn remove(&self, uid: TaskUid) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = entries.by_uid.remove(&uid) {
            entries.bytes -= old.bytes();
        }
    }

    /// The first entry from `from` on that may concern this node. Waits while the store fails.
    pub(super) async fn next(&self, from: TaskUid, node: &NodeId) -> Option<Arc<Prepared>> {
        let known = self.entries.lock().unwrap_or_else(PoisonError::into_inner).by_uid.get(&from).cloned();
        if known.is_some() {
            return known;
        }
        let mut backoff = Backoff::new();
        loop {
            match Prepared::load(&*self.store, from, node).await {
                Ok(found) => return found,
                Err(error) => tracing::error!(%error, "an entry of the log can't be read; trying again"),
            }
            backoff.pause().await;
        }
    }
}
