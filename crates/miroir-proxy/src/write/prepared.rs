//! A decided entry with its documents at hand, ready to be delivered to any node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use miroir_core::document::{Payload, document_ids, partition, splice};
use miroir_core::ids::{NodeId, ShardCount, ShardId, TaskUid};
use miroir_core::task::{Decision, Judgement, LogEntry, Step, ops_for};
use miroir_store::{Store, Work};

/// The documents of an entry, each with its shard.
#[derive(Debug)]
struct Documents {
    payload: Payload,
    shards: Vec<ShardId>,
}

/// An entry and what was decided about it, without its documents: light enough to be kept until its task is over.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) entry: LogEntry,
    pub(super) decision: Decision,
}

/// A decided entry that can be delivered.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) decided: Arc<Decided>,
    documents: Option<Documents>,
    /// Replicas of the same shards get the same body.
    bodies: Mutex<BTreeMap<BTreeSet<ShardId>, Bytes>>,
}

impl Prepared {
    /// An entry that was decided just now.
    pub(super) fn fresh(entry: LogEntry, judgement: Judgement, payload: Option<Payload>) -> Self {
        let shards = judgement.shards_of_documents;
        let documents = payload
            .filter(|payload| payload.len() == shards.len())
            .map(|payload| Documents { payload, shards });
        let decided = Arc::new(Decided { entry, decision: judgement.decision });
        Self { decided, documents, bodies: Mutex::default() }
    }

    /// An entry that was decided before: its documents are read again.
    async fn restore(work: Work, store: &dyn Store) -> Result<Self, RestoreError> {
        let documents = match key_and_shards(&work.decision) {
            None => None,
            Some((primary_key, shards)) => {
                let body =
                    store.payload(work.entry.uid).await?.ok_or(RestoreError::NoPayload(work.entry.uid))?;
                let primary_key = primary_key.to_owned();
                let read = tokio::task::spawn_blocking(move || {
                    let payload = Payload::restore(body).map_err(|error| error.to_string())?;
                    let ids = document_ids(&payload, &primary_key).map_err(|error| error.to_string())?;
                    let shards = partition(&ids, shards);
                    Ok(Documents { payload, shards })
                });
                let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
                Some(read.map_err(|reason| RestoreError::Unreadable { task: work.entry.uid, reason })?)
            }
        };
        let decided = Arc::new(Decided { entry: work.entry, decision: work.decision });
        Ok(Self { decided, documents, bodies: Mutex::default() })
    }

    /// The first entry from `from` on that may concern this node; none if there is none.
    pub(super) async fn load(
        store: &dyn Store,
        mut from: TaskUid,
        node: &NodeId,
    ) -> Result<Option<Arc<Self>>, RestoreError> {
        while let Some(work) = store.work(from, 1).await?.pop() {
            if !ops_for(&work.decision, node).is_empty() {
                return Ok(Some(Arc::new(Self::restore(work, store).await?)));
            }
            from = TaskUid(work.entry.uid.0 + 1);
        }
        Ok(None)
    }

    /// The documents of these shards as a node gets them. May copy the whole payload.
    pub(super) fn body(&self, wanted: &BTreeSet<ShardId>) -> Bytes {
        let (Some(documents), Some(target)) = (&self.documents, &self.decided.decision.target) else {
            return Bytes::new();
        };
        let known = self.bodies.lock().unwrap_or_else(PoisonError::into_inner).get(wanted).cloned();
        known.unwrap_or_else(|| {
            let body = splice(&documents.payload, &documents.shards, wanted, target.placement.shard_count());
            let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            bodies.entry(wanted.clone()).or_insert(body).clone()
        })
    }

    /// About how much memory it keeps.
    pub(super) fn bytes(&self) -> usize {
        let documents = self.documents.as_ref().map_or(0, |documents| {
            // Once as it came, and once more in bodies.
            documents.payload.bytes.len() * 2 + documents.shards.len() * size_of::<ShardId>()
        });
        size_of::<Self>() + documents
    }
}

/// Why an entry can't be delivered although it was decided: the store is damaged.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error(transparent)]
    Store(#[from] miroir_store::StoreError),
    #[error("the documents of task {0} are gone")]
    NoPayload(TaskUid),
    #[error("the documents of task {task} can't be read again: {reason}")]
    Unreadable { task: TaskUid, reason: String },
}

fn key_and_shards(decision: &Decision) -> Option<(&str, ShardCount)> {
    let shards = decision.target.as_ref()?.placement.shard_count();
    let primary_key = decision.steps.iter().find_map(|step| match step {
        Step::AddDocuments { primary_key, .. } => Some(primary_key.as_str()),
        _ => None,
    })?;
    Some((primary_key, shards))
}
