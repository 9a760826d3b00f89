//! What survives a crash, and the processes that run on it one after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use miroir_core::ids::{GroupId, ShardCount};
use miroir_core::placement::ReplicationFactor;
use miroir_core::task::{ShardRules, SyncState};
use miroir_store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::tripwire::{Tripwire, Wire};
use super::wired_store::WiredStore;
use crate::cluster::{HealthPolicy, Membership, ViewCell, ViewPublisher, run_health_checks};
use crate::config::{DriftConfig, SettingsConfig};
use crate::node_api::Node;
use crate::node_api::fake::FakeNode;
use crate::settings::SettingsMetrics;
use crate::write::{self, WriteConfig, Writer};

/// Of each index.
pub(super) const SHARDS: u32 = 6;

/// A folder in memory, where the system has one: the store waits for its disk at each step.
const MEMORY: &str = "/dev/shm";

/// Nodes, a store, and a configuration.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) fakes: Vec<FakeNode>,
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: SettingsConfig,
    /// By the clock on the wall.
    pub(super) max_lag: Duration,
    factor: u32,
    under_way: Arc<AtomicUsize>,
    _data: TempDir,
}

/// A write path with health checks that runs on a ground. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) writer: Writer,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewCell>,
    /// As this process sees it.
    pub(super) store: Arc<dyn Store>,
    _health: Health,
}

/// Health checks, which end with this.
#[derive(Debug)]
struct Health(JoinHandle<()>);

impl Drop for Health {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ground {
    pub(super) fn new(fakes: &[FakeNode], factor: u32) -> Self {
        let folder = Path::new(MEMORY);
        let data = if folder.is_dir() { tempfile::tempdir_in(folder) } else { tempfile::tempdir() }.unwrap();
        let drift = DriftConfig { interval: Duration::from_secs(1), auto_repair: false };
        Self {
            fakes: fakes.to_vec(),
            store: Arc::new(SqliteStore::open(&data.path().join("miroir.db")).unwrap()),
            settings: SettingsConfig { drift, ..SettingsConfig::default() },
            max_lag: Duration::from_secs(5),
            factor,
            under_way: Arc::default(),
            _data: data,
        }
    }

    /// Starts a process, which stops where its wire says.
    pub(super) async fn start(&self, tripwire: &Arc<Tripwire>) -> Process {
        let publisher = Arc::new(ViewPublisher::default());
        let (view, membership) = (publisher.view(), Arc::new(Membership::new(Arc::clone(&publisher))));
        for fake in &self.fakes {
            let id = fake.node().id().clone();
            let wire = Wire { fake: fake.clone(), tripwire: Arc::clone(tripwire) };
            let node = Node::over(id, Arc::new(wire));
            membership.add(node, GroupId(0), SyncState::Damaged).unwrap();
        }
        let policy = HealthPolicy {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_threshold: 2,
            recovery_threshold: 1,
        };
        let health = Health(tokio::spawn(run_health_checks(Arc::clone(&membership), None, policy)));
        let config = WriteConfig {
            shards: ShardRules { default: ShardCount::new(SHARDS).unwrap(), patterns: Vec::new() },
            replication_factor: ReplicationFactor::new(self.factor).unwrap(),
            node_timeout: Duration::from_secs(10),
            settings: self.settings,
            settings_metrics: SettingsMetrics::default(),
            max_lag: self.max_lag,
        };
        let (inner, under_way) = (Arc::clone(&self.store), Arc::clone(&self.under_way));
        let store: Arc<dyn Store> = Arc::new(WiredStore::new(inner, Arc::clone(tripwire), under_way));
        let parts = (Arc::clone(&store), Arc::clone(&membership), publisher);
        let writer = write::start(parts.0, parts.1, parts.2, config).await.unwrap();
        Process { writer, membership, view, store, _health: health }
    }

    /// Waits until the disk has done what a process that has stopped wanted of it.
    pub(super) async fn come_to_rest(&self) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Process {
    /// Ends it wherever it stands.
    pub(super) async fn crash(self) {
        self.writer.shutdown().await;
    }
}
