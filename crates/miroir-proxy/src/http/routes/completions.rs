//! `POST /chats/{workspace}/chat/completions`: a model answers, and searches here while it does so.

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use miroir_core::chat::{ChatRequest, Workspace};
use miroir_core::error::ErrorCode;
use tokio::sync::mpsc;

use super::chats::kept_workspace;
use super::features::{Feature, require};
use crate::auth::{Authorized, Bearer, ChatCompletions};
use crate::chat::{ChatParts, Conversation, Offers, offer_indexes};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::{JsonBody, malformed};
use crate::http::headers::about;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{IMPOSSIBLE_UID, ask_any};

/// Events that wait for the client to take them; then the model waits.
const EVENTS_AHEAD: usize = 10;

/// How long a client should wait before it asks again when the stream broke (Meilisearch 1.50).
const RETRY: Duration = Duration::from_secs(10);

/// Asks servers in between not to hold pieces back.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

pub(super) fn routes() -> Router<App> {
    Router::new().route("/chats/{workspace}/chat/completions", post(complete))
}

async fn complete(
    caller: Authorized<ChatCompletions>,
    bearer: Bearer,
    Path(name): Path<String>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Response, RequestError> {
    let asked = to_impossible_workspace(&body);
    let mut request = match ChatRequest::parse(&body.bytes) {
        Ok(request) => request,
        Err(error) => return Err(wrong_form(&app, asked, &error).await),
    };
    require(&app, Feature::ChatCompletions, asked).await?;
    check_support(&request)?;
    let workspace = workspace(&app, &name).await?;
    let reports = request.take_reports()?;
    let Offers { indexes, shortfall, note } = offer_indexes(&app.cluster, &caller).await?;
    let as_developer = workspace.instructs_as_developer(request.model());
    request.offer_search(&workspace.prompts, as_developer, &indexes);
    let (events, said) = mpsc::channel(EVENTS_AHEAD);
    let parts = ChatParts::from_ref(&app);
    let conversation = Conversation { parts, caller: bearer, name, workspace, request, reports, events };
    tokio::spawn(conversation.run());
    Ok((about(&shortfall, note), [UNBUFFERED], stream_of(said)).into_response())
}

/// The same request for a workspace that no node has.
fn to_impossible_workspace(body: &JsonBody) -> NodeRequest {
    NodeRequest::post(["chats", IMPOSSIBLE_UID, "chat", "completions"]).json(body.bytes.clone())
}

/// What is wrong with a body, in a node's words if one can say it. Where a kind of value is read in a way of its own, what
/// is wrong with it counts as wrong JSON.
async fn wrong_form(app: &App, asked: NodeRequest, error: &serde_json::Error) -> RequestError {
    const ABOUT_FORM: [ErrorCode; 2] = [ErrorCode::BadRequest, ErrorCode::MalformedPayload];
    let is_about_form = |reply: &NodeReply| ABOUT_FORM.into_iter().any(|code| reply.has_code(code));
    match ask_any(&app.cluster, asked).await {
        Some(reply) if is_about_form(&reply) => RequestError::Node(reply),
        _ if error.is_data() => {
            RequestError::new(ErrorCode::BadRequest, format!("Json deserialize error: {error}"))
        }
        _ => malformed(error),
    }
}

/// One server streams one answer, and does nothing else either.
fn check_support(request: &ChatRequest) -> Result<(), RequestError> {
    if let Some(n) = request.several() {
        let message = format!("You tried to specify n = {n} but only single choices are supported (n = 1).");
        return Err(RequestError::new(ErrorCode::UnimplementedMultiChoiceChatCompletions, message));
    }
    if !request.is_streamed() {
        let message = "Non-streamed chat completions is not implemented";
        return Err(RequestError::new(ErrorCode::UnimplementedNonStreamingChatCompletions, message));
    }
    Ok(())
}

async fn workspace(app: &App, name: &str) -> Result<Workspace, RequestError> {
    let kept = kept_workspace(app, name).await?;
    Workspace::read(&kept["set"], &kept["shown"])
        .map_err(|error| RequestError::Unreadable(format!("the settings of chat `{name}`: {error}")))
}

fn stream_of(said: mpsc::Receiver<String>) -> impl IntoResponse {
    let first = stream::once(async { Event::default().retry(RETRY) });
    let events = stream::unfold(said, async |mut said| {
        let event = said.recv().await?;
        Some((Event::default().data(event), said))
    });
    Sse::new(first.chain(events).map(Ok::<_, std::convert::Infallible>))
}
