//! Starting and stopping the whole server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::ClusterId;
use miroir_core::placement::ReplicationFactor;
use miroir_core::task::SyncState;
use miroir_core::view::View;
use miroir_store::{SqliteStore, Store, StoreError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tower::Layer;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_http::normalize_path::NormalizePathLayer;

use crate::accord::run_accord;
use crate::auth::{AdminKey, Keyring};
use crate::chat::Models;
use crate::cluster::{
    AlreadyMember, Cluster, HealthPolicy, Identities, LARGE_SEARCHES_AT_ONCE, Membership, ViewPublisher,
    check_health_once, run_health_checks,
};
use crate::config::{Config, NodeConfig, Secret, TaskStoreConfig};
use crate::http::{
    App, JsonBudget, Shared, list_methods, metrics_router, refuse_methods, router, with_plain_path,
};
use crate::listen::{Bounds, serve};
use crate::node_api::{Node, UnusableNode};
use crate::observe::{Layout, Logs, Metrics};
use crate::write::{self, WriteConfig, Writer};

/// How long open requests may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long a node may take to accept one write: it only has to put it on disk, but it can be a large one.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(2);

/// Why the server can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("can't listen on {address} (`{section}.bind`, `{section}.port`)")]
    Listen {
        /// The section of the configuration that says where.
        section: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The store can't be opened.
    #[error("can't open the task store `{path}` (`task_store.path`)")]
    Store {
        /// Where.
        path: String,
        /// Why not.
        source: StoreError,
    },
    /// There is no place for the store.
    #[error("can't create the folder of the task store `{path}` (`task_store.path`)")]
    Folder {
        /// The store.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The log can't be continued with this configuration.
    #[error(transparent)]
    Write(#[from] write::StartError),
    /// A node is named twice.
    #[error(transparent)]
    Member(#[from] AlreadyMember),
    /// Nobody would keep any document.
    #[error("`replication_factor` must be at least 1")]
    NoReplication,
    /// There is no HTTP client for the models of chats.
    #[error("can't set up the connection to language models")]
    Models(#[source] reqwest::Error),
    /// A node's client can't be made.
    #[error("can't set up the connection to node `{node}`")]
    Node {
        /// Which node.
        node: String,
        /// Why not.
        source: UnusableNode,
    },
}

/// A server that is running.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    metrics: Option<(SocketAddr, JoinHandle<std::io::Result<()>>)>,
    health: JoinHandle<()>,
    accord: JoinHandle<()>,
    writer: Writer,
    logs: Logs,
}

impl RunningServer {
    /// Where it listens; the port is the real one, also when the configuration said 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served without a key, if they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(address, _)| *address)
    }

    /// Stops accepting, lets open requests end, then stops the write path between two steps.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A listener would not end by itself.
        if let Err(error) = self.logs.stop_listening() {
            tracing::warn!(%error, "can't let a listener of the log go");
        }
        if tokio::time::timeout(GRACE, &mut self.serving).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut off");
            self.serving.abort();
        }
        self.health.abort();
        self.accord.abort();
        if let Some((_, metrics)) = self.metrics {
            metrics.abort();
        }
        self.writer.shutdown().await;
    }
}

/// Starts everything: the store, the nodes' health checks, the write path, the HTTP edge.
pub async fn start(config: Config, logs: Logs) -> Result<RunningServer, StartError> {
    let metrics = Arc::new(Metrics::new());
    let asks_stale = config.scatter.unavailable_shard_policy == UnavailableShardPolicy::Stale;
    let view = Arc::new(ViewPublisher::new(View { asks_stale, ..View::default() }));
    // The store says what they are worth.
    let worth = SyncState::Damaged;
    let membership = Arc::new(Membership::new(Arc::clone(&view)));
    for node in &config.nodes {
        let connection = connect(node, config.node_master_key.as_ref(), &metrics)?;
        membership.add(connection, node.group, worth)?;
    }
    let store: Arc<dyn Store> = Arc::new(open_store(&config)?);
    let identities = Identities::open(Arc::clone(&store)).await;
    let identities = Arc::new(identities.map_err(|source| store_error(&config, source))?);
    let keys = Keyring::open(Arc::clone(&store), config.master_key.as_ref()).await;
    let keys = keys.map_err(|source| store_error(&config, source))?;
    let policy = health_policy(&config);
    check_health_once(&membership, Some(&identities), &policy).await;
    let checks = run_health_checks(Arc::clone(&membership), Some(Arc::clone(&identities)), policy);
    let health = tokio::spawn(checks);
    let writer =
        write::start(store, Arc::clone(&membership), Arc::clone(&view), write_config(&config, &metrics)?)
            .await?;
    let admin_key = config.admin.api_key.as_ref().or(config.master_key.as_ref());
    let accord = tokio::spawn(run_accord(Arc::clone(&membership), writer.records()));
    let app = App::new(Shared {
        cluster: Cluster {
            membership,
            view: view.view(),
            node_timeout: config.scatter.node_timeout,
            unavailable_shards: config.scatter.unavailable_shard_policy,
            metrics: metrics.scatter.clone(),
            complaints: Arc::default(),
            paths: Arc::default(),
            large_searches: Arc::new(Semaphore::new(LARGE_SEARCHES_AT_ONCE)),
        },
        records: writer.records(),
        writer: writer.clone(),
        keys,
        admin_key: AdminKey::new(admin_key.map(Secret::expose)),
        metrics,
        models: Models::new().map_err(StartError::Models)?,
        logs: logs.clone(),
        layout: layout(&config, identities.cluster()),
        identities,
        max_body_bytes: config.server.max_body_bytes,
        json_budget: JsonBudget::default(),
        spool: spool(&config),
        max_concurrent_requests: config.server.max_concurrent_requests,
        request_timeout: config.server.request_timeout,
        changing_records: tokio::sync::Mutex::default(),
    });
    let address = SocketAddr::new(config.server.bind, config.server.port);
    let (stop, stopped) = watch::channel(false);
    let metrics = serve_metrics(&config, app.clone(), stopped.clone()).await?;
    let (address, serving) = listen("server", address, router(app), (bounds(&config), stopped)).await?;
    tracing::info!(%address, nodes = config.nodes.len(), "Miroir is listening");
    Ok(RunningServer { address, stop, serving, metrics, health, accord, writer, logs })
}

async fn serve_metrics(
    config: &Config,
    app: App,
    stopped: watch::Receiver<bool>,
) -> Result<Option<(SocketAddr, JoinHandle<std::io::Result<()>>)>, StartError> {
    if !config.metrics.enabled {
        return Ok(None);
    }
    let address = SocketAddr::new(config.metrics.bind, config.metrics.port);
    let (address, serving) =
        listen("metrics", address, metrics_router(app), (bounds(config), stopped)).await?;
    tracing::info!(%address, "metrics are served");
    Ok(Some((address, serving)))
}

async fn listen(
    section: &'static str,
    address: SocketAddr,
    router: Router,
    (bounds, stopped): (Bounds, watch::Receiver<bool>),
) -> Result<(SocketAddr, JoinHandle<std::io::Result<()>>), StartError> {
    let failed = |source| StartError::Listen { section, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    // Paths and methods are made right before they are routed, so these layers stand outside the router.
    let service = MapResponseLayer::new(list_methods::<Body>).layer(router);
    let service = MapRequestLayer::new(refuse_methods::<Body>).layer(service);
    let service = NormalizePathLayer::trim_trailing_slash().layer(service);
    let service = MapRequestLayer::new(with_plain_path).layer(service);
    Ok((bound, tokio::spawn(serve(listener, service, bounds, stopped))))
}

fn bounds(config: &Config) -> Bounds {
    Bounds { connections: config.server.max_connections, head: config.server.header_timeout }
}

fn layout(config: &Config, cluster: ClusterId) -> Layout {
    Layout { cluster, shards: config.shards, replication_factor: config.replication_factor }
}

/// The way to a node. Nothing goes there before its identity is known.
fn connect(node: &NodeConfig, key: Option<&Secret>, metrics: &Metrics) -> Result<Node, StartError> {
    let connection = Node::new(node.id.clone(), node.address.as_str(), key.map(Secret::expose))
        .map_err(|source| StartError::Node { node: node.id.to_string(), source })?
        .with_metrics(metrics.nodes.clone());
    connection.close("it is not known yet whose it is");
    Ok(connection)
}

fn open_store(config: &Config) -> Result<SqliteStore, StartError> {
    let TaskStoreConfig::Sqlite { path } = &config.task_store;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| StartError::Folder { path: path.display().to_string(), source })?;
    }
    SqliteStore::open(path).map_err(|source| store_error(config, source))
}

fn store_error(config: &Config, source: StoreError) -> StartError {
    let TaskStoreConfig::Sqlite { path } = &config.task_store;
    StartError::Store { path: path.display().to_string(), source }
}

/// The task store's folder: what is accepted must fit there anyway, and a folder for temporary files may be in memory.
fn spool(config: &Config) -> PathBuf {
    let TaskStoreConfig::Sqlite { path } = &config.task_store;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn health_policy(config: &Config) -> HealthPolicy {
    HealthPolicy {
        interval: config.health.interval,
        timeout: config.health.timeout,
        unhealthy_threshold: config.health.unhealthy_threshold,
        recovery_threshold: config.health.recovery_threshold,
    }
}

fn write_config(config: &Config, metrics: &Metrics) -> Result<WriteConfig, StartError> {
    Ok(WriteConfig {
        shards: config.shard_rules(),
        replication_factor: ReplicationFactor::new(config.replication_factor)
            .ok_or(StartError::NoReplication)?,
        node_timeout: DELIVERY_TIMEOUT,
        max_lag: config.health.max_lag,
        settings: config.settings,
        settings_metrics: metrics.settings.clone(),
    })
}

#[cfg(test)]
mod tests;
