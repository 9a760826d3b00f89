//! A running process for tests, what a client asks of it, and what is waited for.

use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::document::{Payload, PayloadFormat, check_payload};
use miroir_core::ids::{ClusterId, GroupId, IndexUid, NodeId, ShardCount, TaskUid};
use miroir_core::task::{
    Deletion, MissingIndex, Mutation, SettingsOrigin, Swap, Task, TaskStatus, WriteMethod,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::process::{Ground, Process, SHARDS};
use super::tripwire::Tripwire;
use crate::cluster::Standing;
use crate::node_api::fake::FakeNode;
use crate::observe::{Layout, Topology, look};
use crate::write::NewWrite;

/// How long a test waits for what it wants, by the clock on the wall.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks, by the test's own time.
const LOOK: Duration = Duration::from_millis(10);

/// See the module.
pub(super) struct Bench {
    pub(super) ground: Ground,
    process: Process,
}

impl Deref for Bench {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Bench {
    /// A cluster of these nodes, so many of which keep each shard.
    pub(super) async fn start(fakes: &[FakeNode], factor: u32) -> Self {
        Self::on(Ground::new(fakes, factor)).await
    }

    pub(super) async fn on(ground: Ground) -> Self {
        let process = ground.start(&Arc::new(Tripwire::none())).await;
        let bench = Self { ground, process };
        bench.until("all nodes answer", || bench.view.load().usable.len() == bench.ground.fakes.len()).await;
        bench
    }

    /// The process crashes; the answer is what it leaves.
    pub(super) async fn crash(self) -> Ground {
        self.process.crash().await;
        self.ground.come_to_rest().await;
        self.ground
    }

    /// The process crashes, and another one starts on what it leaves.
    pub(super) async fn restart(self) -> Self {
        Self::on(self.crash().await).await
    }

    pub(super) async fn until(&self, what: &str, is_true: impl Fn() -> bool) {
        self.until_so(what, async || is_true()).await;
    }

    /// The same of something that has to be asked for.
    pub(super) async fn until_so(&self, what: &str, is_true: impl AsyncFn() -> bool) {
        let begin = Instant::now();
        while !is_true().await {
            assert!(
                begin.elapsed() < PATIENCE,
                "waited in vain until {what}: {:#?}",
                self.topology().await.nodes
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until every member is readable, and owes nothing.
    pub(super) async fn until_all_is_done(&self) {
        self.until_so("every node has everything", async || self.is_done().await).await;
    }

    pub(super) async fn task(&self, task: TaskUid) -> Task {
        self.writer.task(task).await.unwrap().unwrap()
    }

    pub(super) async fn ends(&self, task: TaskUid) -> Task {
        let begin = Instant::now();
        loop {
            let now = self.task(task).await;
            if now.status.is_finished() {
                return now;
            }
            assert!(begin.elapsed() < PATIENCE, "task {task} does not end: {now:?}");
            sleep(LOOK).await;
        }
    }

    pub(super) async fn succeeds(&self, task: TaskUid) {
        let ended = self.ends(task).await;
        assert_eq!(ended.status, TaskStatus::Succeeded, "{ended:?}");
    }

    /// The code and the message of the error that it fails with.
    pub(super) async fn fails(&self, task: TaskUid) -> (String, String) {
        let ended = self.ends(task).await;
        let error = ended.error.clone().unwrap_or_else(|| panic!("it should have failed: {ended:?}"));
        (error.code.as_str().to_owned(), error.message)
    }

    /// Makes a node a member, and waits until it is like the others.
    pub(super) async fn join(&self, fake: &FakeNode) -> NodeId {
        let node = fake.node();
        let id = node.id().clone();
        self.writer.add_node(node, GroupId(0)).await.unwrap();
        self.until("it is like the others", || {
            self.membership.standing(&id).is_some_and(Standing::is_readable)
        })
        .await;
        id
    }

    /// The nodes that hold a part of an index.
    pub(super) fn holders(&self, index: &str) -> Vec<NodeId> {
        let view = self.view.load();
        let entry = view.index(&IndexUid::new(index)).unwrap();
        entry.placement.nodes().cloned().collect()
    }

    /// The nodes that operators see.
    pub(super) async fn listed(&self) -> Vec<String> {
        self.topology().await.nodes.iter().map(|node| format!("{} {:?}", node.id, node.status)).collect()
    }

    pub(super) async fn topology(&self) -> Topology {
        let layout = Layout {
            cluster: ClusterId(uuid::Uuid::nil()),
            shards: ShardCount::new(SHARDS).unwrap(),
            replication_factor: 1,
        };
        let topology = look(&layout, &self.membership, &self.view.load(), &self.writer.node_progress().await);
        assert_eq!(topology.groups[0].nodes.len(), topology.nodes.len());
        topology
    }
}

impl Process {
    /// Whether every member is readable, and owes nothing.
    pub(super) async fn is_done(&self) -> bool {
        let progress = self.writer.node_progress().await;
        let is_readable = |id| self.membership.standing(id).is_some_and(Standing::is_readable);
        progress.values().all(|it| it.entries == 0) && progress.keys().all(is_readable)
    }

    pub(super) async fn append(&self, index: &str, mutation: Mutation, payload: Payload) -> TaskUid {
        let index = IndexUid::new(index);
        let write = NewWrite { index, mutation, payload, custom_metadata: None };
        self.writer.append(write).await.unwrap().task_uid
    }

    /// Adds documents of these numbers to an index; answers the task.
    pub(super) async fn add(&self, index: &str, ids: Range<u32>) -> TaskUid {
        self.put(index, ids.map(|id| json!({ "id": id })).collect()).await
    }

    pub(super) async fn put(&self, index: &str, documents: Vec<Value>) -> TaskUid {
        let mutation = Mutation::AddDocuments {
            method: WriteMethod::Replace,
            primary_key: None,
            skip_creation: false,
            received: documents.len() as u64,
            missing_index: MissingIndex::Create,
        };
        let body = Bytes::from(serde_json::to_vec(&documents).unwrap());
        self.append(index, mutation, check_payload(PayloadFormat::Json, &body).unwrap()).await
    }

    pub(super) async fn create(&self, index: &str) -> TaskUid {
        let mutation = Mutation::CreateIndex { primary_key: Some("id".to_owned()) };
        self.append(index, mutation, Payload::default()).await
    }

    pub(super) async fn change_settings(&self, index: &str, patch: Value) -> TaskUid {
        let Value::Object(patch) = patch else { panic!("settings are an object") };
        let missing_index = MissingIndex::Create;
        let mutation = Mutation::Settings { patch, origin: SettingsOrigin::Update, missing_index };
        self.append(index, mutation, Payload::default()).await
    }

    pub(super) async fn delete_ids(&self, index: &str, ids: Range<u32>) -> TaskUid {
        let deletion = Deletion::ByIds(ids.map(|id| id.to_string()).collect());
        self.append(index, Mutation::DeleteDocuments { deletion }, Payload::default()).await
    }

    pub(super) async fn swap(&self, a: &str, b: &str) -> TaskUid {
        let swap = Swap { indexes: (IndexUid::new(a), IndexUid::new(b)), rename: false };
        self.append("", Mutation::SwapIndexes { swaps: vec![swap] }, Payload::default()).await
    }

    pub(super) async fn drop_index(&self, index: &str) -> TaskUid {
        self.append(index, Mutation::DeleteIndex, Payload::default()).await
    }
}

pub(super) fn fakes<const N: usize>(ids: [&str; N]) -> [FakeNode; N] {
    ids.map(FakeNode::new)
}
