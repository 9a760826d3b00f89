//! What lanes are likely to ask for, in bounded memory: decided entries and parts of their documents. The store has the
//! others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use miroir_core::document::{Part, shards_of_part};
use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::{Step, ops_for};
use miroir_store::{Store, StoreError};

use super::prepared::{Decided, Documents, Prepared, replaced};
use super::retry::Backoff;

/// Memory for documents that wait for lanes.
const MAX_BYTES: usize = 16 << 20;

/// Entries at most, and parts at most, however small.
const MAX_ENTRIES: usize = 4096;

/// Memory for the entries themselves.
const MAX_ENTRY_BYTES: usize = 8 << 20;

type Key = (TaskUid, usize);

#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<dyn Store>,
    kept: Mutex<Kept>,
    /// Held while a part is read: one at a time, and only once though several lanes need it.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<TaskUid, Arc<Decided>>,
    entry_bytes: usize,
    parts: BTreeMap<Key, (u64, Arc<Documents>)>,
    /// The parts in the order of their last use.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

impl Kept {
    fn put_entry(&mut self, decided: Arc<Decided>) {
        let uid = decided.entry.uid;
        self.remove_entry(uid);
        self.entry_bytes += decided.bytes();
        self.entries.insert(uid, decided);
        while self.entries.len() > 1
            && (self.entries.len() > MAX_ENTRIES || self.entry_bytes > MAX_ENTRY_BYTES)
            && let Some((oldest, _)) = self.entries.first_key_value()
        {
            self.remove_entry(*oldest);
        }
    }

    fn remove_entry(&mut self, uid: TaskUid) {
        if let Some(decided) = self.entries.remove(&uid) {
            self.entry_bytes -= decided.bytes();
        }
    }

    /// What was not used for longest makes room; one part is always kept.
    fn put_part(&mut self, key: Key, documents: Arc<Documents>) {
        self.remove_part(key);
        self.bytes += documents.bytes();
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.parts.insert(key, (self.uses, documents));
        while self.parts.len() > 1 && (self.bytes > MAX_BYTES || self.parts.len() > MAX_ENTRIES) {
            let Some(oldest) = self.by_use.first_key_value().map(|(_, key)| *key) else { break };
            self.remove_part(oldest);
        }
    }

    fn use_part(&mut self, key: Key) -> Option<Arc<Documents>> {
        let (last_use, documents) = self.parts.get_mut(&key)?;
        self.uses += 1;
        self.by_use.remove(last_use);
        self.by_use.insert(self.uses, key);
        *last_use = self.uses;
        Some(Arc::clone(documents))
    }

    fn remove_part(&mut self, key: Key) {
        if let Some((last_use, documents)) = self.parts.remove(&key) {
            self.by_use.remove(&last_use);
            self.bytes -= documents.bytes();
        }
    }
}

impl Shelf {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, kept: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, prepared: Prepared) {
        let mut kept = self.kept();
        let uid = prepared.decided.entry.uid;
        // The first is needed first, so it is the last to make room for others.
        for (number, documents) in prepared.documents.into_iter().enumerate().rev() {
            kept.put_part((uid, number), Arc::new(documents));
        }
        kept.put_entry(prepared.decided);
    }

    /// Drops an entry that nobody needs any more.
    pub(super) fn remove(&self, uid: TaskUid) {
        let mut kept = self.kept();
        kept.remove_entry(uid);
        let parts: Vec<Key> = kept.parts.range((uid, 0)..=(uid, usize::MAX)).map(|(key, _)| *key).collect();
        for key in parts {
            kept.remove_part(key);
        }
    }

    /// The first entry from `from` on that may concern this node. Waits while the store fails.
    pub(super) async fn next(&self, mut from: TaskUid, node: &NodeId) -> Option<Arc<Decided>> {
        let known = self.kept().entries.get(&from).cloned();
        if known.is_some() {
            return known;
        }
        let mut backoff = Backoff::new();
        loop {
            match self.store.work(from, 1).await {
                Ok(mut found) => {
                    let work = found.pop()?;
                    if !ops_for(&work.decision, node).is_empty() {
                        return Some(Arc::new(Decided { entry: work.entry, decision: work.decision }));
                    }
                    from = TaskUid(work.entry.uid.0 + 1);
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "an entry of the log can't be read from the task store, and nodes wait for it; trying again");
                }
            }
            backoff.pause().await;
        }
    }

    /// One part of the documents of an entry that has such a part. Waits while the store fails.
    pub(super) async fn documents(&self, decided: &Decided, part: usize) -> Arc<Documents> {
        let key = (decided.entry.uid, part);
        let mut backoff = Backoff::new();
        loop {
            let known = self.kept().use_part(key);
            if let Some(documents) = known {
                return documents;
            }
            let reading = self.reading.lock().await;
            let known = self.kept().use_part(key);
            if let Some(documents) = known {
                return documents;
            }
            match self.read(decided, part).await {
                Ok(documents) => {
                    let documents = Arc::new(documents);
                    self.kept().put_part(key, Arc::clone(&documents));
                    return documents;
                }
                Err(error) => {
                    tracing::error!(%error, "documents can't be read from the task store, and nodes wait for them; trying again");
                }
            }
            drop(reading);
            backoff.pause().await;
        }
    }

    async fn read(&self, decided: &Decided, part: usize) -> Result<Documents, ReadError> {
        let task = decided.entry.uid;
        let gone = ReadError::Gone { task, part };
        let (Some(primary_key), Some(target)) = (primary_key(decided), &decided.decision.target) else {
            return Err(gone);
        };
        let body = self.store.payload_part(task, part).await?.ok_or(gone)?;
        let (primary_key, count) = (primary_key.to_owned(), target.placement.shard_count());
        let replaced = replaced(&decided.decision, part).to_vec();
        let read = tokio::task::spawn_blocking(move || {
            let part = Part::restore(body).map_err(|error| error.to_string())?.without(&replaced);
            let shards = shards_of_part(&part, &primary_key, count);
            Ok(Documents::new(part, shards.map_err(|error| error.to_string())?))
        });
        let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
        read.map_err(|reason| ReadError::Unreadable { task, reason })
    }
}

/// Why documents can't be delivered although they were judged: the store is damaged.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("part {part} of the documents of task {task} is gone")]
    Gone { task: TaskUid, part: usize },
    #[error("the documents of task {task} can't be read again: {reason}")]
    Unreadable { task: TaskUid, reason: String },
}

fn primary_key(decided: &Decided) -> Option<&str> {
    decided.decision.steps.iter().find_map(|step| match step {
        Step::AddDocuments { primary_key, .. } => Some(primary_key.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn documents(bytes: usize) -> Arc<Documents> {
        let body = format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(bytes));
        let part = Part::restore(Bytes::from(body)).unwrap();
        Arc::new(Documents::new(part, vec![miroir_core::ids::ShardId(0)]))
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut kept = Kept::default();
        let key = |task, part| (TaskUid(task), part);
        for task in 0..3 {
            kept.put_part(key(task, 0), documents(MAX_BYTES / 3 - 1024));
        }
        assert!(kept.use_part(key(0, 0)).is_some());
        kept.put_part(key(3, 0), documents(MAX_BYTES / 3 - 1024));
        let there: Vec<u64> = kept.parts.keys().map(|(task, _)| task.0).collect();
        assert_eq!(there, [0, 2, 3]);
        kept.put_part(key(4, 7), documents(2 * MAX_BYTES));
        assert_eq!(kept.parts.keys().copied().collect::<Vec<_>>(), [key(4, 7)]);
        kept.remove_part(key(4, 7));
        assert_eq!((kept.bytes, kept.by_use.len()), (0, 0));
    }
}
