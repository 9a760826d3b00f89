//! A store whose answers get lost: before a step was taken, or after it was kept. What a network does to an engine that is
//! reached over one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

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

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    NeverTaken,
    KeptWithoutAnswer,
}

/// What becomes of each step.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// The step of this number, counted from 0, has another fate than to be answered.
    One(usize, Fate),
    /// Any fate for each step, the same for the same seed.
    Seeded(u64),
}

impl Plan {
    /// The fate of the next step, which is the one of this number.
    fn next(&mut self, number: usize) -> Fate {
        match self {
            Self::One(which, fate) => {
                if *which == number {
                    *fate
                } else {
                    Fate::Answered
                }
            }
            Self::Seeded(state) => {
                // Splitmix: short, and good enough to scatter three values.
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                match (mixed ^ (mixed >> 31)) % 3 {
                    0 => Fate::Answered,
                    1 => Fate::NeverTaken,
                    _ => Fate::KeptWithoutAnswer,
                }
            }
        }
    }
}

/// An engine behind a bad connection. What is only read is read well.
#[derive(Debug)]
pub struct Unsure {
    engine: Arc<dyn Store>,
    plan: Mutex<(usize, Plan)>,
}

impl Unsure {
    pub fn new(engine: Arc<dyn Store>, plan: Plan) -> Self {
        Self { engine, plan: Mutex::new((0, plan)) }
    }

    /// How many steps were asked for.
    pub fn steps(&self) -> usize {
        self.plan.lock().unwrap().0
    }

    async fn step<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let fate = {
            let (number, plan) = &mut *self.plan.lock().unwrap();
            let fate = plan.next(*number);
            *number += 1;
            fate
        };
        let lost = || Err(StoreError::Unknown(format!("{fate:?}")));
        match fate {
            Fate::Answered => step.await,
            Fate::NeverTaken => lost(),
            Fate::KeptWithoutAnswer => {
                step.await?;
                lost()
            }
        }
    }
}

#[async_trait]
impl Log for Unsure {
    async fn log_id(&self) -> Result<String, StoreError> {
        self.engine.log_id().await
    }

    async fn cluster_id(&self) -> Result<ClusterId, StoreError> {
        self.engine.cluster_id().await
    }

    async fn begin_epoch(&self) -> Result<Epoch, StoreError> {
        self.step(self.engine.begin_epoch()).await
    }

    async fn append(&self, epoch: Epoch, entry: NewEntry) -> Result<Task, StoreError> {
        self.step(self.engine.append(epoch, entry)).await
    }

    async fn undecided(&self, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.engine.undecided(limit).await
    }

    async fn payload(&self, task: TaskUid) -> Result<Vec<Bytes>, StoreError> {
        self.engine.payload(task).await
    }

    async fn payload_part(&self, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError> {
        self.engine.payload_part(task, part).await
    }

    async fn payload_bytes(&self, task: TaskUid) -> Result<u64, StoreError> {
        self.engine.payload_bytes(task).await
    }

    async fn begin(&self, epoch: Epoch, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError> {
        self.step(self.engine.begin(epoch, task, at)).await
    }

    async fn decide(
        &self,
        epoch: Epoch,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError> {
        self.step(self.engine.decide(epoch, decisions, arrivals)).await
    }

    async fn arrival_book(&self, index: PhysicalUid) -> Result<Option<ArrivalBook>, StoreError> {
        self.engine.arrival_book(index).await
    }

    async fn work(&self, from: TaskUid, limit: usize) -> Result<Vec<Work>, StoreError> {
        self.engine.work(from, limit).await
    }

    async fn commit(&self, epoch: Epoch, commit: Commit) -> Result<(), StoreError> {
        self.step(self.engine.commit(epoch, commit)).await
    }

    async fn log_bytes(&self) -> Result<u64, StoreError> {
        self.engine.log_bytes().await
    }

    async fn compact(&self) -> Result<(u64, u64), StoreError> {
        self.step(self.engine.compact()).await
    }
}

#[async_trait]
impl Catalog for Unsure {
    async fn catalog(&self) -> Result<Vec<IndexEntry>, StoreError> {
        self.engine.catalog().await
    }
}

#[async_trait]
impl Nodes for Unsure {
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.engine.nodes().await
    }

    async fn node(&self, id: NodeId) -> Result<Option<NodeRecord>, StoreError> {
        self.engine.node(id).await
    }

    async fn forget_caught_up(&self, epoch: Epoch, node: NodeId) -> Result<(), StoreError> {
        self.step(self.engine.forget_caught_up(epoch, node)).await
    }

    async fn save_caught_up(
        &self,
        epoch: Epoch,
        node: NodeId,
        caught_up: Vec<CaughtUp>,
    ) -> Result<(), StoreError> {
        self.step(self.engine.save_caught_up(epoch, node, caught_up)).await
    }

    async fn caught_up(&self, node: NodeId) -> Result<Vec<CaughtUp>, StoreError> {
        self.engine.caught_up(node).await
    }

    async fn add_nodes(&self, epoch: Epoch, nodes: Vec<NodeId>, sync: SyncState) -> Result<(), StoreError> {
        self.step(self.engine.add_nodes(epoch, nodes, sync)).await
    }

    async fn meet_node(&self, epoch: Epoch, node: NodeId, next_node_task: u64) -> Result<(), StoreError> {
        self.step(self.engine.meet_node(epoch, node, next_node_task)).await
    }

    async fn deliver(&self, epoch: Epoch, delivery: Delivery) -> Result<(), StoreError> {
        self.step(self.engine.deliver(epoch, delivery)).await
    }

    async fn node_tasks(&self) -> Result<Vec<NodeTask>, StoreError> {
        self.engine.node_tasks().await
    }
}

#[async_trait]
impl Tasks for Unsure {
    async fn task(&self, uid: TaskUid) -> Result<Option<Task>, StoreError> {
        self.engine.task(uid).await
    }

    async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, StoreError> {
        self.engine.tasks(filter, page).await
    }

    async fn administer(&self, epoch: Epoch, order: Administration) -> Result<Task, StoreError> {
        self.step(self.engine.administer(epoch, order)).await
    }
}

#[async_trait]
impl Settings for Unsure {
    async fn save_broadcast(&self, epoch: Epoch, broadcast: Broadcast) -> Result<(), StoreError> {
        self.step(self.engine.save_broadcast(epoch, broadcast)).await
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StoreError> {
        self.engine.open_broadcasts().await
    }

    async fn broadcasts(&self, index: PhysicalUid) -> Result<Vec<Broadcast>, StoreError> {
        self.engine.broadcasts(index).await
    }

    async fn settings_versions(&self) -> Result<SettingsVersions, StoreError> {
        self.engine.settings_versions().await
    }
}

#[async_trait]
impl Keys for Unsure {
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.engine.api_keys().await
    }

    async fn begin_api_keys(&self, keys: Vec<ApiKey>) -> Result<(), StoreError> {
        self.step(self.engine.begin_api_keys(keys)).await
    }

    async fn add_api_key(&self, key: ApiKey) -> Result<Adding, StoreError> {
        self.step(self.engine.add_api_key(key)).await
    }

    async fn patch_api_key(
        &self,
        uid: KeyUid,
        patch: KeyPatch,
        at: OffsetDateTime,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.step(self.engine.patch_api_key(uid, patch, at)).await
    }

    async fn delete_api_key(&self, uid: KeyUid) -> Result<Option<ApiKey>, StoreError> {
        self.step(self.engine.delete_api_key(uid)).await
    }
}

#[async_trait]
impl Records for Unsure {
    async fn features(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        self.engine.features().await
    }

    async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), StoreError> {
        self.step(self.engine.set_features(changes)).await
    }

    async fn network(&self) -> Result<Network, StoreError> {
        self.engine.network().await
    }

    async fn replace_network(&self, version: String, next: Network) -> Result<bool, StoreError> {
        self.step(self.engine.replace_network(version, next)).await
    }

    async fn records(&self, collection: Collection) -> Result<Kept, StoreError> {
        self.engine.records(collection).await
    }

    async fn put_record(&self, change: RecordChange) -> Result<bool, StoreError> {
        self.step(self.engine.put_record(change)).await
    }
}
