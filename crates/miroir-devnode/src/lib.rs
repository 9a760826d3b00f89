//! A development node: the part of Meilisearch's HTTP API that a sharding proxy uses on its nodes, over Meilisearch's
//! own engine. It makes real clusters possible on a machine that has nothing but Rust. It is not for production: its
//! engine is older than the servers it stands in for, and it has one key, one queue thread and no federation.

mod engine;
mod error;
mod http;
mod node;
mod queue;
mod refused;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::node::Node;

/// How to run a node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// The folder of all data, made if needed.
    pub db_path: PathBuf,
    /// The key every request needs but `/health`; without one all are served.
    pub master_key: Option<String>,
    /// Threads that index.
    pub indexing_threads: usize,
}

/// A failure to start or to keep serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or may not be used.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
    /// The database folder cannot be used.
    #[error("cannot open the database: {0}")]
    Database(String),
    /// Connections can no longer be accepted.
    #[error("stopped serving: {0}")]
    Serve(std::io::Error),
}

/// Serves until `shutdown` is ready, then ends the open requests and the running batch. Tasks that still wait are run
/// at the next start, as they are when the process is killed.
pub async fn serve(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let Options { address, db_path, master_key, indexing_threads } = options;
    let listener = TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })?;
    let node = Node::open(&db_path, master_key, indexing_threads)
        .map_err(|error| ServeError::Database(error.to_string()))?;
    let node = Arc::new(node);
    tracing::info!(%address, db_path = %db_path.display(), "the development node is ready");
    let served =
        axum::serve(listener, http::router(Arc::clone(&node))).with_graceful_shutdown(shutdown).await;
    node.stop();
    served.map_err(ServeError::Serve)
}
