//! The edge: Meilisearch's HTTP API in front of the cluster. Handlers read the request, call one function of `search/`
//! or `write/`, and write the answer; every error becomes an answer in [`error`].

mod arrival;
mod body;
mod edge;
mod encodings;
mod error;
mod headers;
mod invalid_uid;
mod path;
mod plain_path;
mod records;
mod routes;
mod spool;
mod track;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use miroir_core::view::View;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::auth::{AdminKey, Keyring};
use crate::chat::{ChatParts, Models};
use crate::cluster::{Cluster, Identities};
use crate::error::RequestError;
use crate::observe::{Layout, Logs, Metrics};
use crate::search::Relations;
use crate::write::{Records, Writer};

pub use arrival::JsonBudget;
pub use edge::{list_methods, refuse_methods};
pub use plain_path::with_plain_path;
pub(crate) use wire::Framing;

/// What handlers share.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>);

/// The parts of [`App`].
#[derive(Debug)]
pub struct Shared {
    /// The nodes and the view.
    pub cluster: Cluster,
    /// Whose the nodes are.
    pub identities: Arc<Identities>,
    /// The write path.
    pub writer: Writer,
    /// What the store keeps besides writes.
    pub records: Records,
    /// The master key and the API keys: what clients are known by.
    pub keys: Keyring,
    /// The key of the administration routes.
    pub admin_key: AdminKey,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The way to the models of chats.
    pub models: Models,
    /// The log of the process.
    pub logs: Logs,
    /// The cluster as configured, for those who look at it.
    pub layout: Layout,
    /// The largest body that is read.
    pub max_body_bytes: usize,
    /// Memory for JSON bodies that are worked on.
    pub json_budget: JsonBudget,
    /// Where large bodies wait until all of them is there.
    pub spool: PathBuf,
    /// So many requests are worked on at once; more wait.
    pub max_concurrent_requests: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Held by whoever changes a webhook or a chat workspace: it reads what there is and stores what follows from it. So
    /// requests to this process wait for each other; the store refuses what another process overtakes.
    pub changing_records: tokio::sync::Mutex<()>,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Shares these parts between all handlers.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// What relations between documents are followed with.
    fn relations<'a>(&'a self, view: &'a View) -> Relations<'a> {
        Relations { cluster: &self.cluster, records: &self.records, view }
    }
}

impl FromRef<App> for Keyring {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

impl FromRef<App> for AdminKey {
    fn from_ref(app: &App) -> Self {
        app.admin_key.clone()
    }
}

impl FromRef<App> for ChatParts {
    fn from_ref(app: &App) -> Self {
        Self {
            cluster: app.cluster.clone(),
            records: app.records.clone(),
            keys: app.keys.clone(),
            models: app.models.clone(),
            metrics: app.metrics.chats.clone(),
        }
    }
}

/// Every route with everything that all of them have in common.
pub fn router(app: App) -> Router {
    routes::all()
        .layer(from_fn_with_state(app.clone(), invalid_uid::name_form_first))
        .layer(from_fn(arrival::hold_places))
        .layer(from_fn_with_state(app.clone(), within_time))
        .layer(GlobalConcurrencyLimitLayer::new(app.max_concurrent_requests))
        // Meilisearch takes a body in an encoding that it does not know as it is.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(CompressionLayer::new())
        .layer(from_fn(encodings::settle))
        .layer(edge::cors())
        .layer(from_fn(edge::answer_origin))
        .layer(from_fn_with_state(app.clone(), track::track))
        .with_state(app)
}

/// `/metrics` alone, without a key: for an address that clients don't reach.
pub fn metrics_router(app: App) -> Router {
    routes::own_metrics().with_state(app)
}

async fn within_time(State(app): State<App>, request: Request, next: Next) -> Result<Response, RequestError> {
    tokio::time::timeout(app.request_timeout, next.run(request)).await.map_err(|_| RequestError::TimedOut)
}
