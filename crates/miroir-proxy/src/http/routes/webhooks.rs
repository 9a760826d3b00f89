//! `/webhooks`. Miroir keeps them and tells them of its own tasks; the nodes know of none.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_store::Collection;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::{Authorized, WebhooksCreate, WebhooksDelete, WebhooksGet, WebhooksUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::dry_run::{IMPOSSIBLE_UID, refusal};
use crate::node_api::NodeRequest;
use crate::webhook::{Webhook, WebhookFault, WebhookPatch};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{uuid}", get(one).patch(change).delete(remove))
}

async fn list(_: Authorized<WebhooksGet>, State(app): State<App>) -> Result<Json<Value>, RequestError> {
    let kept = app.writer.records(Collection::Webhooks).await?;
    let shown = kept.into_iter().map(|(uuid, webhook)| Ok(read(webhook)?.shown(&uuid)));
    Ok(Json(json!({ "results": shown.collect::<Result<Vec<_>, RequestError>>()? })))
}

async fn one(
    _: Authorized<WebhooksGet>,
    Path(uuid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    let uuid = read_uuid(&uuid)?;
    Ok(Json(find(&app, uuid).await?.shown(&uuid.to_string())))
}

async fn create(
    _: Authorized<WebhooksCreate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let Some(patch) = WebhookPatch::parse(&body.value) else { return Err(wrong_form(&app, body).await) };
    let uuid = Uuid::new_v4();
    let _turn = app.changing_records.lock().await;
    let count = app.writer.records(Collection::Webhooks).await?.len();
    let webhook = patch.create(uuid, count).map_err(refused)?;
    keep(&app, uuid, Some(&webhook)).await?;
    Ok((StatusCode::CREATED, Json(webhook.shown(&uuid.to_string()))))
}

async fn change(
    _: Authorized<WebhooksUpdate>,
    Path(uuid): Path<String>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Json<Value>, RequestError> {
    let Some(patch) = WebhookPatch::parse(&body.value) else { return Err(wrong_form(&app, body).await) };
    let uuid = read_own_uuid(&uuid)?;
    let _turn = app.changing_records.lock().await;
    let webhook = patch.apply(uuid, find(&app, uuid).await?).map_err(refused)?;
    keep(&app, uuid, Some(&webhook)).await?;
    Ok(Json(webhook.shown(&uuid.to_string())))
}

async fn remove(
    _: Authorized<WebhooksDelete>,
    Path(uuid): Path<String>,
    State(app): State<App>,
) -> Result<StatusCode, RequestError> {
    let uuid = read_own_uuid(&uuid)?;
    let _turn = app.changing_records.lock().await;
    find(&app, uuid).await?;
    keep(&app, uuid, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(fault: WebhookFault) -> RequestError {
    RequestError::Refused(fault.into())
}

fn read_uuid(text: &str) -> Result<Uuid, RequestError> {
    text.parse().map_err(|error: uuid::Error| refused(WebhookFault::Uuid(error.to_string())))
}

/// The nil id stands for a webhook from the command line, which nobody can change.
fn read_own_uuid(text: &str) -> Result<Uuid, RequestError> {
    match read_uuid(text)? {
        nil if nil.is_nil() => Err(refused(WebhookFault::Immutable(nil))),
        uuid => Ok(uuid),
    }
}

async fn find(app: &App, uuid: Uuid) -> Result<Webhook, RequestError> {
    let found = app.writer.records(Collection::Webhooks).await?.remove(&uuid.to_string());
    read(found.ok_or_else(|| refused(WebhookFault::NotFound(uuid)))?)
}

fn read(webhook: Value) -> Result<Webhook, RequestError> {
    serde_json::from_value(webhook).map_err(|error| {
        RequestError::new(ErrorCode::Internal, format!("A stored webhook can't be read: {error}."))
    })
}

async fn keep(app: &App, uuid: Uuid, webhook: Option<&Webhook>) -> Result<(), RequestError> {
    let body = webhook.map(|webhook| json!(webhook));
    Ok(app.writer.put_record(Collection::Webhooks, uuid.to_string(), body).await?)
}

/// Meilisearch reads the body before it looks at the id, and no webhook has this one.
async fn wrong_form(app: &App, body: JsonBody) -> RequestError {
    let request = NodeRequest::new(Method::PATCH, ["webhooks", IMPOSSIBLE_UID]).json(body.bytes);
    refusal(&app.cluster, request, "The body is not of the form `{url, headers}`.").await
}
