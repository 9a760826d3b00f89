//! A route of Meilisearch that Miroir does not serve. It says so, instead of looking as if it did not exist: with the key,
//! the method and the experimental feature that Meilisearch asks for, and then with an error of its own.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::PathAndQuery;
use axum::routing::post;
use miroir_core::error::ErrorCode;

use super::features::{Feature, require};
use crate::cluster::NodeRequest;
use crate::http::App;
use crate::http::auth::{Authorized, ChatCompletions};
use crate::http::body;
use crate::http::error::HttpError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/chats/{workspace}/chat/completions", post(refuse))
}

async fn refuse(_: Authorized<ChatCompletions>, State(app): State<App>, request: Request) -> HttpError {
    let what = format!("{} {}", request.method(), request.uri().path());
    if let Err(error) = ask_for_feature(&app, request).await {
        return error;
    }
    let advice = "Talk to the language model yourself and let it search here.";
    HttpError::new(ErrorCode::MiroirNotSupported, format!("Miroir does not serve `{what}`. {advice}"))
}

/// Without the feature a node says why it refuses the request, or what else is wrong with it.
async fn ask_for_feature(app: &App, request: Request) -> Result<(), HttpError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut asked = NodeRequest::post(path);
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        asked = asked.header(CONTENT_TYPE, content_type.clone());
    }
    asked.body = body::read(body, app.max_body_bytes).await?;
    require(app, Feature::ChatCompletions, asked).await
}
