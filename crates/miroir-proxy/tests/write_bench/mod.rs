//! Real nodes with a write path over them, without the HTTP side.

mod relay;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::document::{Payload, PayloadFormat, check_payload};
use miroir_core::ids::{GroupId, IndexUid, NodeId, ShardCount, TaskUid};
use miroir_core::placement::ReplicationFactor;
use miroir_core::task::{MissingIndex, Mutation, SettingsOrigin, ShardRules, SyncState, Task, WriteMethod};
use miroir_core::view::IndexEntry;
use miroir_proxy::cluster::{HealthPolicy, Membership, ViewPublisher, run_health_checks};
use miroir_proxy::config::SettingsConfig;
use miroir_proxy::node_api::Node as Connection;
use miroir_proxy::settings::SettingsMetrics;
use miroir_proxy::write::{self, NewWrite, WriteConfig, WriteError, Writer};
use miroir_store::{SqliteStore, StoreError};
use miroir_testkit::sandbox::{NODE_KEY, Node};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub use relay::{Full, relay_to};

const PATIENCE: Duration = Duration::from_mins(1);

/// A write and its documents.
pub type Write = (Mutation, Vec<Value>);

pub fn documents(ids: Range<u64>) -> Vec<Value> {
    ids.map(|id| json!({ "id": id, "title": format!("Document {id}"), "group": id % 3 })).collect()
}

pub fn add(documents: Vec<Value>) -> Write {
    let mutation = Mutation::AddDocuments {
        method: WriteMethod::Replace,
        primary_key: None,
        skip_creation: false,
        received: documents.len() as u64,
        missing_index: MissingIndex::Create,
    };
    (mutation, documents)
}

pub fn settings(patch: Value) -> Write {
    let Value::Object(patch) = patch else { panic!("settings are an object") };
    let mutation =
        Mutation::Settings { patch, origin: SettingsOrigin::Update, missing_index: MissingIndex::Create };
    (mutation, Vec::new())
}

/// Hands a write in.
pub async fn append_to(
    writer: &Writer,
    index: &str,
    (mutation, documents): Write,
) -> Result<TaskUid, WriteError> {
    let payload = if documents.is_empty() {
        Payload::default()
    } else {
        let body = Bytes::from(serde_json::to_vec(&documents).unwrap());
        check_payload(PayloadFormat::Json, &body).unwrap()
    };
    let index = IndexUid::new(index);
    let write = NewWrite { index, mutation, payload, custom_metadata: None };
    Ok(writer.append(write).await?.task_uid)
}

pub struct Bench {
    pub nodes: Vec<Node>,
    membership: Arc<Membership>,
    view: Arc<ViewPublisher>,
    config: WriteConfig,
    writer: Option<Writer>,
    health: JoinHandle<()>,
    data: TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.health.abort();
    }
}

fn node_id(number: usize) -> NodeId {
    NodeId::new(format!("node-{number}"))
}

impl Bench {
    pub async fn start(count: usize, factor: u32, shards: u32) -> Self {
        Self::start_behind(count, factor, shards, async |_, address| address).await
    }

    /// With something between Miroir and nodes: from number and address of a node to the address to use.
    pub async fn start_behind(
        count: usize,
        factor: u32,
        shards: u32,
        address: impl AsyncFn(usize, String) -> String,
    ) -> Self {
        let mut nodes = Vec::new();
        let view = Arc::new(ViewPublisher::default());
        let membership = Arc::new(Membership::new(Arc::clone(&view)));
        for number in 0..count {
            let node = Node::start(&format!("node-{number}")).await.unwrap();
            let address = address(number, node.target().url.clone()).await;
            let connection = Connection::new(node_id(number), &address, Some(NODE_KEY)).unwrap();
            membership.add(connection, GroupId(0), SyncState::Damaged).unwrap();
            nodes.push(node);
        }
        let policy = HealthPolicy {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            unhealthy_threshold: 2,
            recovery_threshold: 1,
        };
        let health = tokio::spawn(run_health_checks(Arc::clone(&membership), None, policy));
        let config = WriteConfig {
            shards: ShardRules { default: ShardCount::new(shards).unwrap(), patterns: Vec::new() },
            replication_factor: ReplicationFactor::new(factor).unwrap(),
            node_timeout: Duration::from_secs(10),
            settings: SettingsConfig::default(),
            settings_metrics: SettingsMetrics::default(),
            max_lag: Duration::from_secs(30),
        };
        let data = tempfile::tempdir().unwrap();
        let mut bench = Self { nodes, membership, view, config, writer: None, health, data };
        bench.start_writer().await;
        bench.wait_until("all nodes answer", |bench| bench.view.load().usable.len() == count).await;
        bench
    }

    async fn start_writer(&mut self) {
        let path = self.data.path().join("miroir.db");
        let began = Instant::now();
        let store = loop {
            match SqliteStore::open(&path) {
                // What the one before had begun to read from the disk ends a moment after it.
                Err(StoreError::InUse { .. }) if began.elapsed() < PATIENCE => {
                    sleep(Duration::from_millis(10)).await;
                }
                opened => break opened.unwrap(),
            }
        };
        let (membership, view) = (Arc::clone(&self.membership), Arc::clone(&self.view));
        let writer = write::start(Arc::new(store), membership, view, self.config.clone()).await.unwrap();
        self.writer = Some(writer);
    }

    /// Starts another node, makes it a member, and waits until it is like the others.
    pub async fn join(&mut self) {
        let number = self.nodes.len();
        let node = Node::start(&format!("node-{number}")).await.unwrap();
        let connection = Connection::new(node_id(number), &node.target().url, Some(NODE_KEY)).unwrap();
        self.writer().add_node(connection, GroupId(0)).await.unwrap();
        self.nodes.push(node);
        let is_usable = move |bench: &Self| bench.view.load().usable.contains(&node_id(number));
        self.wait_until("the new node is like the others", |bench| {
            is_usable(bench) && bench.is_in_sync(number)
        })
        .await;
    }

    pub async fn restart_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.shutdown().await;
        }
        self.start_writer().await;
    }

    /// Starts another write path on the same store, over the same nodes, without a word to the one before, which is the
    /// answer.
    pub async fn start_beside(&mut self) -> Writer {
        let store = SqliteStore::open_unlocked(&self.data.path().join("miroir.db")).unwrap();
        let (membership, view) = (Arc::clone(&self.membership), Arc::clone(&self.view));
        let writer = write::start(Arc::new(store), membership, view, self.config.clone()).await.unwrap();
        self.writer.replace(writer).unwrap()
    }

    pub fn writer(&self) -> &Writer {
        self.writer.as_ref().unwrap()
    }

    pub async fn append(&self, index: &str, write: Write) -> TaskUid {
        append_to(self.writer(), index, write).await.unwrap()
    }

    pub async fn write(&self, index: &str, write: Write) -> Task {
        let uid = self.append(index, write).await;
        self.wait_task(uid).await
    }

    pub async fn wait_task(&self, uid: TaskUid) -> Task {
        let begin = Instant::now();
        loop {
            let task = self.writer().task(uid).await.unwrap().unwrap();
            if task.status.is_finished() {
                return task;
            }
            assert!(begin.elapsed() < PATIENCE, "task {uid} does not end: {task:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn wait_until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_true(self) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn index(&self, uid: &str) -> Option<Arc<IndexEntry>> {
        self.view.load().index(&IndexUid::new(uid)).cloned()
    }

    pub fn is_in_sync(&self, node: usize) -> bool {
        self.membership.standing(&node_id(node)).unwrap().is_in_sync()
    }

    /// The documents of the index on each node.
    pub async fn counts(&self, index: &str) -> Vec<u64> {
        let mut counts = Vec::new();
        for node in &self.nodes {
            let stats =
                node.client().get(&format!("/indexes/{index}/stats")).await.unwrap().success().unwrap();
            counts.push(stats["numberOfDocuments"].as_u64().unwrap());
        }
        counts
    }
}
