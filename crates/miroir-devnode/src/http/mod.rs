//! The HTTP edge: routes, the key, the size of bodies, and the one place where errors become answers.

mod body;
mod documents;
mod indexes;
mod instance;
mod keys;
mod multi_search;
mod params;
mod payload;
mod search;
mod settings;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde_json::Value;
use tower_http::decompression::RequestDecompressionLayer;

use crate::error::{ApiError, Result};
use crate::node::Node;
use crate::queue::task::Task;

/// The largest body of a request, after decompression.
const MAX_BODY_BYTES: usize = 200 * 1024 * 1024;

type Shared = State<Arc<Node>>;

/// All routes of a node.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/health", get(instance::health))
        .route("/version", get(instance::version))
        .route("/stats", get(instance::stats))
        .route("/experimental-features", get(instance::features).patch(instance::switch_features))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{uid}", delete(keys::delete))
        .route("/indexes", get(indexes::list).post(indexes::create))
        .route("/indexes/{uid}", get(indexes::get).patch(indexes::update).delete(indexes::delete))
        .route("/indexes/{uid}/stats", get(indexes::stats))
        .route("/swap-indexes", post(indexes::swap))
        .route("/indexes/{uid}/settings", get(settings::get).patch(settings::update).delete(settings::reset))
        .route(
            "/indexes/{uid}/settings/{name}",
            get(settings::get_one)
                .put(settings::put_one)
                .patch(settings::patch_one)
                .delete(settings::reset_one),
        )
        .route(
            "/indexes/{uid}/documents",
            get(documents::list).post(documents::replace).put(documents::merge).delete(documents::clear),
        )
        .route("/indexes/{uid}/documents/fetch", post(documents::fetch))
        .route("/indexes/{uid}/documents/delete-batch", post(documents::delete_batch))
        .route("/indexes/{uid}/documents/delete", post(documents::delete_by_filter))
        .route("/indexes/{uid}/documents/{id}", get(documents::get).delete(documents::delete))
        .route("/indexes/{uid}/search", get(search::get).post(search::post))
        .route("/indexes/{uid}/facet-search", post(search::facet_search))
        .route("/multi-search", post(multi_search::post))
        .route("/tasks", get(tasks::list).delete(tasks::delete))
        .route("/batches", get(tasks::list_batches))
        .route("/tasks/cancel", post(tasks::cancel))
        .route("/tasks/{uid}", get(tasks::get))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&node), check_key))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(node)
}

/// A write that was accepted.
struct Accepted(Task);

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, axum::Json(self.0.summary())).into_response()
    }
}

/// A successful answer with a JSON body.
struct Answer(Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

async fn check_key(State(node): Shared, request: Request, next: Next) -> Response {
    let Some(expected) = &node.master_key else { return next.run(request).await };
    if request.uri().path() == "/health" {
        return next.run(request).await;
    }
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match sent.and_then(|value| value.strip_prefix("Bearer")) {
        None => ApiError::new(
            "missing_authorization_header",
            "The Authorization header is missing. It must use the bearer authorization method.",
        )
        .into_response(),
        Some(key) if key.trim() == expected => next.run(request).await,
        Some(key) => {
            if node.store.key_grants(key.trim(), keys::action(request.method(), request.uri().path())) {
                return next.run(request).await;
            }
            ApiError::new("invalid_api_key", "The provided API key is invalid.").into_response()
        }
    }
}

/// The index name of the path, if it can be one.
fn checked_uid(Path(uid): Path<String>) -> Result<String> {
    check_uid(&uid).map_err(|message| ApiError::new("invalid_index_uid", message))?;
    Ok(uid)
}

/// Says why this cannot be the name of an index.
fn check_uid(uid: &str) -> Result<(), String> {
    let is_valid = (1..=400).contains(&uid.len())
        && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_valid {
        return Ok(());
    }
    Err(format!(
        "`{uid}` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric \
         characters, hyphens (-) and underscores (_), and can not be more than 512 bytes."
    ))
}

/// Runs what may take long, as reading and writing files, off the threads that serve connections.
async fn run_blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}
