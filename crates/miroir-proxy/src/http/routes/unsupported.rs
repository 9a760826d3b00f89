//! Routes of Meilisearch that Miroir does not serve yet. They say so, instead of looking as if they did not exist.

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use miroir_core::error::ErrorCode;

use crate::http::App;
use crate::http::auth::{Authorized, Everything};
use crate::http::error::HttpError;

/// The paths, as Meilisearch 1.50 has them.
const PATHS: [&str; 11] = [
    "/indexes/{index}/settings/chat",
    "/tasks/compact",
    "/export",
    "/dynamic-search-rules",
    "/dynamic-search-rules/{uid}",
    "/metrics",
    "/logs/stream",
    "/logs/stderr",
    "/chats",
    "/chats/{workspace}",
    "/render-template",
];

pub(super) fn routes() -> Router<App> {
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, refusal()))
}

fn refusal() -> MethodRouter<App> {
    any(|_: Authorized<Everything>, request: Request| async move {
        let message = format!("Miroir does not serve `{} {}` yet.", request.method(), request.uri().path());
        HttpError::new(ErrorCode::MiroirNotSupported, message)
    })
}
