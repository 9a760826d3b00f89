//! The log: writes in their order, and what was decided about them.

use async_trait::async_trait;
use bytes::Bytes;
use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{ClusterId, Epoch, PhysicalUid, TaskUid};
use miroir_core::task::{Decision, LogEntry, Task};
use time::OffsetDateTime;

use super::Part;
use crate::{Commit, Deciding, NewEntry, StoreError, Work};

/// The log, whose it is, and who works on it.
#[async_trait]
pub trait Log: Part {
    /// A text that tells this log from every other: it marks the requests to nodes.
    async fn log_id(&self) -> Result<String, StoreError>;

    /// The cluster's identity: made with the store, and the same for ever.
    async fn cluster_id(&self) -> Result<ClusterId, StoreError>;

    /// Begins the next epoch and ends the one before: whoever still works in that is refused from now on. Repeated, it
    /// begins one more.
    async fn begin_epoch(&self) -> Result<Epoch, StoreError>;

    /// Puts a write at the end of the log and makes its task. Numbers begin with 0 and have no gaps. An append with the id
    /// of one before is that one again, and answers the same task, as it was at first; so long as no more than
    /// [`KEPT_STEPS`](crate::KEPT_STEPS) others were made since.
    async fn append(&self, epoch: Epoch, entry: NewEntry) -> Result<Task, StoreError>;

    /// The first entries that nothing was decided about yet, at most `limit`, in order.
    async fn undecided(&self, limit: usize) -> Result<Vec<LogEntry>, StoreError>;

    /// The documents of an entry, part by part; none if it has none, or is forgotten.
    async fn payload(&self, task: TaskUid) -> Result<Vec<Bytes>, StoreError>;

    /// One part of an entry's documents; none if it has no such part, or is forgotten.
    async fn payload_part(&self, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError>;

    /// How many bytes an entry's documents are.
    async fn payload_bytes(&self, task: TaskUid) -> Result<u64, StoreError>;

    /// Stores that work on an entry has begun before anything is decided about it. It keeps its first beginning.
    async fn begin(&self, epoch: Epoch, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Stores decisions about the next entries of the log, unless one of them was canceled meanwhile, and what they mean
    /// for the order in which documents are listed, in order. The first one has to be the next that nothing was decided
    /// about, and none may be left out between them. Decisions that are stored already, all of them and equal, are said
    /// again: that changes nothing.
    async fn decide(
        &self,
        epoch: Epoch,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError>;

    /// The order in which an index's documents arrived; none if there is no book of it.
    async fn arrival_book(&self, index: PhysicalUid) -> Result<Option<ArrivalBook>, StoreError>;

    /// At most `limit` entries from `from` on that were decided and not forgotten, in order.
    async fn work(&self, from: TaskUid, limit: usize) -> Result<Vec<Work>, StoreError>;

    /// Stores what became true together.
    async fn commit(&self, epoch: Epoch, commit: Commit) -> Result<(), StoreError>;

    /// The bytes of documents and ids that the log still keeps for nodes that lack them.
    async fn log_bytes(&self) -> Result<u64, StoreError>;

    /// Gives the disk back what deleted tasks and delivered documents took. Writes wait meanwhile. The bytes of the store
    /// before and after.
    async fn compact(&self) -> Result<(u64, u64), StoreError>;
}
