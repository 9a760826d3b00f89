//! Routes of Meilisearch that Miroir does not serve. They say so, instead of looking as if they did not exist: with the
//! key, the methods and the experimental features that Meilisearch asks for, and then with an error of their own.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::PathAndQuery;
use axum::routing::{MethodFilter, MethodRouter, on};
use miroir_core::error::ErrorCode;

use super::features::{Feature, require};
use crate::cluster::NodeRequest;
use crate::http::App;
use crate::http::auth::{Action, Authorized, ChatCompletions, MetricsGet, TasksCompact};
use crate::http::body;
use crate::http::error::HttpError;

/// Why a route is refused although Meilisearch has it.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// Meilisearch refuses it as well without this feature.
    feature: Option<Feature>,
    /// What to do instead.
    advice: &'static str,
}

const fn behind(feature: Feature, advice: &'static str) -> Refusal {
    Refusal { feature: Some(feature), advice }
}

const CHATS: Refusal =
    behind(Feature::ChatCompletions, "Talk to the language model yourself and let it search here.");
const LOGS: Refusal =
    behind(Feature::LogsRoute, "Miroir writes its own log to the standard error, and so does every node.");
const TASK_QUEUE: Refusal = behind(
    Feature::TaskQueueCompactionRoute,
    "Miroir's list of tasks reuses its space; delete old tasks to free some.",
);

pub(super) fn routes() -> Router<App> {
    let stream = refused::<MetricsGet>(MethodFilter::POST, LOGS)
        .merge(refused::<MetricsGet>(MethodFilter::DELETE, LOGS));
    Router::new()
        .route("/chats/{workspace}/chat/completions", refused::<ChatCompletions>(MethodFilter::POST, CHATS))
        .route("/logs/stream", stream)
        .route("/logs/stderr", refused::<MetricsGet>(MethodFilter::POST, LOGS))
        .route("/tasks/compact", refused::<TasksCompact>(MethodFilter::POST, TASK_QUEUE))
}

fn refused<A: Action>(method: MethodFilter, refusal: Refusal) -> MethodRouter<App> {
    on(method, move |_: Authorized<A>, State(app): State<App>, request: Request| async move {
        refuse(&app, refusal, request).await
    })
}

async fn refuse(app: &App, refusal: Refusal, request: Request) -> HttpError {
    let what = format!("{} {}", request.method(), request.uri().path());
    if let Some(feature) = refusal.feature
        && let Err(error) = ask_for(app, feature, request).await
    {
        return error;
    }
    HttpError::new(
        ErrorCode::MiroirNotSupported,
        format!("Miroir does not serve `{what}`. {}", refusal.advice),
    )
}

/// Without the feature a node says why it refuses the request, or what else is wrong with it.
async fn ask_for(app: &App, feature: Feature, request: Request) -> Result<(), HttpError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut asked = NodeRequest::new(parts.method.clone(), path);
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        asked = asked.header(CONTENT_TYPE, content_type.clone());
    }
    asked.body = body::read(body, app.max_body_bytes).await?;
    require(app, feature, asked).await
}
