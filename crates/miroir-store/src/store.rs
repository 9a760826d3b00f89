//! What the rest of Miroir asks of an engine.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{ClusterId, KeyUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::keys::{ApiKey, KeyPatch};
use miroir_core::network::Network;
use miroir_core::settings::{Broadcast, SettingsVersions};
use miroir_core::task::{Decision, LogEntry, Task, TaskFilter, TaskList, TaskPage};
use miroir_core::view::IndexEntry;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    Adding, Administration, Collection, Commit, Deciding, Delivery, NewEntry, NodeRecord, NodeTask,
    StoreError, Work,
};

/// Changes of one index's settings that are kept after they are over.
pub const KEPT_BROADCASTS: usize = 20;

/// The durable state of Miroir.
///
/// Every method is one atomic step. What it changes is durable when it returns; a future that is dropped may or may not
/// have changed it.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// A text that tells this log from every other: it marks the requests to nodes.
    async fn log_id(&self) -> Result<String, StoreError>;

    /// The cluster's identity: made with the store, and the same for ever.
    async fn cluster_id(&self) -> Result<ClusterId, StoreError>;

    /// Puts a write at the end of the log and makes its task. Numbers begin with 0 and have no gaps.
    async fn append(&self, entry: NewEntry) -> Result<Task, StoreError>;

    /// The first entries that nothing was decided about yet, in order.
    async fn undecided(&self, limit: usize) -> Result<Vec<LogEntry>, StoreError>;

    /// The documents of an entry, part by part; none if it has none, or is forgotten.
    async fn payload(&self, task: TaskUid) -> Result<Vec<Bytes>, StoreError>;

    /// One part of an entry's documents; none if it has no such part, or is forgotten.
    async fn payload_part(&self, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError>;

    /// How many bytes an entry's documents are.
    async fn payload_bytes(&self, task: TaskUid) -> Result<u64, StoreError>;

    /// Cancels or deletes tasks, and makes a task that says so. It has ended when this returns.
    async fn administer(&self, order: Administration) -> Result<Task, StoreError>;

    /// The experimental features that were ever switched.
    async fn features(&self) -> Result<BTreeMap<String, bool>, StoreError>;

    /// Switches experimental features.
    async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), StoreError>;

    /// All API keys, in no order.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Stores these keys if there is none at all.
    async fn begin_api_keys(&self, keys: Vec<ApiKey>) -> Result<(), StoreError>;

    /// Stores a key unless its uid is taken.
    async fn add_api_key(&self, key: ApiKey) -> Result<Adding, StoreError>;

    /// Changes what people call a key and say of it; the key as it is then, if there is one.
    async fn patch_api_key(
        &self,
        uid: KeyUid,
        patch: KeyPatch,
        at: OffsetDateTime,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Forgets a key; the key as it was, if there was one.
    async fn delete_api_key(&self, uid: KeyUid) -> Result<Option<ApiKey>, StoreError>;

    /// The network that clients described; an empty one at first.
    async fn network(&self) -> Result<Network, StoreError>;

    /// Stores a network that was made from the one of this version; `false` if that is not the current one any more.
    async fn replace_network(&self, version: String, next: Network) -> Result<bool, StoreError>;

    /// Everything in a collection, by id.
    async fn records(&self, collection: Collection) -> Result<BTreeMap<String, Value>, StoreError>;

    /// Puts something into a collection, in place of what had this id; `None` takes it out.
    async fn put_record(
        &self,
        collection: Collection,
        id: String,
        body: Option<Value>,
    ) -> Result<(), StoreError>;

    /// Stores that work on an entry has begun before anything is decided about it. From now on it can't be canceled.
    async fn begin(&self, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Stores decisions about the next entries of the log, unless one of them was canceled meanwhile, and what they mean
    /// for the order in which documents are listed, in order.
    async fn decide(
        &self,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError>;

    /// The order in which an index's documents arrived; none if there is no book of it.
    async fn arrival_book(&self, index: PhysicalUid) -> Result<Option<ArrivalBook>, StoreError>;

    /// At most `limit` entries from `from` on that were decided and not forgotten, in order.
    async fn work(&self, from: TaskUid, limit: usize) -> Result<Vec<Work>, StoreError>;

    /// All nodes ever added, by name.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Adds nodes, in sync and with a lane that begins at the end of the log. Nodes that are known stay as they are.
    async fn add_nodes(&self, nodes: Vec<NodeId>) -> Result<(), StoreError>;

    /// Stores where a node's own queue ended before the first request to it. A node that was met before stays as it is.
    async fn meet_node(&self, node: NodeId, next_node_task: u64) -> Result<(), StoreError>;

    /// Stores the progress of a lane, and that the tasks concerned have begun.
    async fn deliver(&self, delivery: Delivery) -> Result<(), StoreError>;

    /// Every request that was received for an entry not forgotten.
    async fn node_tasks(&self) -> Result<Vec<NodeTask>, StoreError>;

    /// Stores what became true together.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Keeps where a change of settings stands. Of those that are over the last [`KEPT_BROADCASTS`] of each index stay.
    async fn save_broadcast(&self, broadcast: Broadcast) -> Result<(), StoreError>;

    /// The changes of settings that are not over, and those of entries not forgotten, oldest first.
    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StoreError>;

    /// The last changes of an index's settings, newest first.
    async fn broadcasts(&self, index: PhysicalUid) -> Result<Vec<Broadcast>, StoreError>;

    /// Which commit of settings each index and each node has. Nothing is on its way in it.
    async fn settings_versions(&self) -> Result<SettingsVersions, StoreError>;

    /// The bytes of documents and ids that the log still keeps for nodes that lack them.
    async fn log_bytes(&self) -> Result<u64, StoreError>;

    /// Gives the disk back what deleted tasks and delivered documents took. Writes wait meanwhile. The bytes of the store
    /// before and after.
    async fn compact(&self) -> Result<(u64, u64), StoreError>;

    /// The indexes whose creation has succeeded, by name.
    async fn catalog(&self) -> Result<Vec<IndexEntry>, StoreError>;

    /// A task by its number.
    async fn task(&self, uid: TaskUid) -> Result<Option<Task>, StoreError>;

    /// The tasks that match, a page of them.
    async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, StoreError>;
}
