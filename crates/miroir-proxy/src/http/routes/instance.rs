//! `/health`, `/version`, `/`.

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::auth::{Authorized, Version};
use crate::error::RequestError;
use crate::http::App;
use crate::http::error::pass_on;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::no_node;

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
    let does_not_tell = |reply: &NodeReply| !reply.status.is_success();
    let question = NodeRequest::get("/version");
    match app.cluster.ask_first(view.usable_first_complete(), &question, does_not_tell).await {
        Some(reply) => Ok(pass_on(reply)),
        None => Err(no_node()),
    }
}
