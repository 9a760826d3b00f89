//! A store of which one process takes the steps. The test's own time stands still while the disk is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{ClusterId, Epoch, KeyUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::keys::{ApiKey, KeyPatch};
use miroir_core::network::Network;
use miroir_core::settings::{Broadcast, SettingsVersions};
use miroir_core::task::{Decision, LogEntry, SyncState, Task, TaskFilter, TaskList, TaskPage};
use miroir_core::view::IndexEntry;
use miroir_store::{
    Adding, Administration, Catalog, CaughtUp, Collection, Commit, Deciding, Delivery, Kept, Keys, Log,
    NewEntry, NodeRecord, NodeTask, Nodes, RecordChange, Records, Settings, Store, StoreError, Tasks, Work,
};
use time::OffsetDateTime;

use super::tripwire::{Steps, Tripwire};

/// See the module.
#[derive(Debug)]
pub(super) struct WiredStore {
    store: Arc<dyn Store>,
    tripwire: Arc<Tripwire>,
    /// Questions and steps that the disk has not answered yet.
    under_way: Arc<AtomicUsize>,
}

impl WiredStore {
    pub(super) fn new(store: Arc<dyn Store>, tripwire: Arc<Tripwire>, under_way: Arc<AtomicUsize>) -> Self {
        Self { store, tripwire, under_way }
    }

    async fn step<T, F>(&self, work: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.tripwire.step(Steps::OfStore, self.wait(work)).await
    }

    async fn read<T, F>(&self, work: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.tripwire.pass(self.wait(work)).await
    }

    /// Paused time goes on while a task waits, and does not while a thread does.
    async fn wait<T, F>(&self, work: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (store, under_way) = (Arc::clone(&self.store), Arc::clone(&self.under_way));
        let runtime = tokio::runtime::Handle::current();
        under_way.fetch_add(1, Ordering::SeqCst);
        let waiting = tokio::task::spawn_blocking(move || {
            let done = runtime.block_on(work(store));
            under_way.fetch_sub(1, Ordering::SeqCst);
            done
        });
        waiting.await.unwrap()
    }
}

macro_rules! pass_on {
    ($part:ident { $($kind:ident $name:ident($($argument:ident: $of:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $part for WiredStore {
            $(async fn $name(&self, $($argument: $of),*) -> Result<$answer, StoreError> {
                self.$kind(move |store| async move { store.$name($($argument),*).await }).await
            })*
        }
    };
}

pass_on!(Log {
    read log_id() -> String;
    read cluster_id() -> ClusterId;
    step begin_epoch() -> Epoch;
    step append(epoch: Epoch, entry: NewEntry) -> Task;
    read undecided(limit: usize) -> Vec<LogEntry>;
    read payload(task: TaskUid) -> Vec<Bytes>;
    read payload_part(task: TaskUid, part: usize) -> Option<Bytes>;
    read payload_bytes(task: TaskUid) -> u64;
    step begin(epoch: Epoch, task: TaskUid, at: OffsetDateTime) -> ();
    step decide(epoch: Epoch, decisions: Vec<(TaskUid, Decision)>, arrivals: Vec<(PhysicalUid, ArrivalChange)>) -> Deciding;
    read arrival_book(index: PhysicalUid) -> Option<ArrivalBook>;
    read work(from: TaskUid, limit: usize) -> Vec<Work>;
    step commit(epoch: Epoch, commit: Commit) -> ();
    read log_bytes() -> u64;
    read compact() -> (u64, u64);
});

pass_on!(Catalog {
    read catalog() -> Vec<IndexEntry>;
});

pass_on!(Keys {
    read api_keys() -> Vec<ApiKey>;
    step begin_api_keys(keys: Vec<ApiKey>) -> ();
    step add_api_key(key: ApiKey) -> Adding;
    step patch_api_key(uid: KeyUid, patch: KeyPatch, at: OffsetDateTime) -> Option<ApiKey>;
    step delete_api_key(uid: KeyUid) -> Option<ApiKey>;
});

pass_on!(Nodes {
    read nodes() -> Vec<NodeRecord>;
    read node(id: NodeId) -> Option<NodeRecord>;
    step add_nodes(epoch: Epoch, nodes: Vec<NodeId>, sync: SyncState) -> ();
    step meet_node(epoch: Epoch, node: NodeId, next_node_task: u64) -> ();
    step forget_caught_up(epoch: Epoch, node: NodeId) -> ();
    step save_caught_up(epoch: Epoch, node: NodeId, caught_up: Vec<CaughtUp>) -> ();
    read caught_up(node: NodeId) -> Vec<CaughtUp>;
    step deliver(epoch: Epoch, delivery: Delivery) -> ();
    read node_tasks() -> Vec<NodeTask>;
});

pass_on!(Records {
    read features() -> BTreeMap<String, bool>;
    step set_features(changes: BTreeMap<String, bool>) -> ();
    read network() -> Network;
    step replace_network(version: String, next: Network) -> bool;
    read records(collection: Collection) -> Kept;
    step put_record(change: RecordChange) -> bool;
});

pass_on!(Settings {
    step save_broadcast(epoch: Epoch, broadcast: Broadcast) -> ();
    read open_broadcasts() -> Vec<Broadcast>;
    read broadcasts(index: PhysicalUid) -> Vec<Broadcast>;
    read settings_versions() -> SettingsVersions;
});

pass_on!(Tasks {
    read task(uid: TaskUid) -> Option<Task>;
    read tasks(filter: TaskFilter, page: TaskPage) -> TaskList;
    step administer(epoch: Epoch, order: Administration) -> Task;
});
