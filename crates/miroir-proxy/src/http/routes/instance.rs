//! `/health`, `/version`, `/`.

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use serde_json::{Value, json};

use crate::auth::{Authorized, Version};
use crate::error::RequestError;
use crate::http::App;
use crate::http::error::pass_on;
use crate::node_api::NodeRequest;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/", get(root)).route("/health", get(health)).route("/version", get(version))
}

async fn root() -> Json<Value> {
    Json(json!({ "status": "Meilisearch is running" }))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "available" }))
}

/// The version that clients must be compatible with is the nodes'.
async fn version(_: Authorized<Version>, State(app): State<App>) -> Result<Response, RequestError> {
    let view = app.cluster.view.load();
    for node in view.usable_first_complete().filter_map(|id| app.cluster.membership.node(id)) {
        match node.send(NodeRequest::get("/version"), app.cluster.node_timeout).await {
            Ok(reply) if reply.status.is_success() => return Ok(pass_on(reply)),
            Ok(reply) => {
                tracing::warn!(node = %node.id(), status = %reply.status, "node did not tell its version; asking another one");
            }
            Err(error) => tracing::warn!(%error, "node did not tell its version; asking another one"),
        }
    }
    Err(RequestError::new(
        ErrorCode::MiroirNodeUnavailable,
        "No node can be read now. Try again when a node is back.",
    ))
}
