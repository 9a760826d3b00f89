//! `/webhooks`. Miroir keeps them and tells them of its own tasks; the nodes know of none.

use std::collections::BTreeMap;
use std::future::ready;

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
use crate::http::records::change_record;
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, refusal};
use crate::webhook::{Webhook, WebhookFault, WebhookPatch};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{uuid}", get(one).patch(change).delete(remove))
}

async fn list(_: Authorized<WebhooksGet>, State(app): State<App>) -> Result<Json<Value>, RequestError> {
    let kept = app.records.collection(Collection::Webhooks).await?.by_id;
    let shown = kept.into_iter().map(|(uuid, webhook)| Ok(read(webhook)?.shown(&uuid)));
    Ok(Json(json!({ "results": shown.collect::<Result<Vec<_>, RequestError>>()? })))
}

async fn one(
    _: Authorized<WebhooksGet>,
    Path(uuid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    let uuid = read_uuid(&uuid)?;
    let kept = app.records.collection(Collection::Webhooks).await?.by_id;
    Ok(Json(find(kept, uuid)?.shown(&uuid.to_string())))
}

async fn create(
    _: Authorized<WebhooksCreate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let Some(patch) = WebhookPatch::parse(&body.value) else { return Err(wrong_form(&app, body).await) };
    let uuid = Uuid::new_v4();
    let webhook = change_record(&app, Collection::Webhooks, uuid.to_string(), |kept| {
        let created = patch.clone().create(uuid, kept.len()).map_err(refused);
        ready(created.map(|webhook| (Some(json!(webhook)), webhook)))
    });
    let webhook = webhook.await?;
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
    let webhook = change_record(&app, Collection::Webhooks, uuid.to_string(), |kept| {
        let changed = find(kept, uuid).and_then(|old| patch.clone().apply(uuid, old).map_err(refused));
        ready(changed.map(|webhook| (Some(json!(webhook)), webhook)))
    });
    let webhook = webhook.await?;
    Ok(Json(webhook.shown(&uuid.to_string())))
}

async fn remove(
    _: Authorized<WebhooksDelete>,
    Path(uuid): Path<String>,
    State(app): State<App>,
) -> Result<StatusCode, RequestError> {
    let uuid = read_own_uuid(&uuid)?;
    change_record(&app, Collection::Webhooks, uuid.to_string(), |kept| {
        ready(find(kept, uuid).map(|_| (None, StatusCode::NO_CONTENT)))
    })
    .await
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

fn find(mut kept: BTreeMap<String, Value>, uuid: Uuid) -> Result<Webhook, RequestError> {
    let found = kept.remove(&uuid.to_string());
    read(found.ok_or_else(|| refused(WebhookFault::NotFound(uuid)))?)
}

fn read(webhook: Value) -> Result<Webhook, RequestError> {
    serde_json::from_value(webhook).map_err(|error| {
        RequestError::new(ErrorCode::Internal, format!("A stored webhook can't be read: {error}."))
    })
}

/// Meilisearch reads the body before it looks at the id, and no webhook has this one.
async fn wrong_form(app: &App, body: JsonBody) -> RequestError {
    let request = NodeRequest::new(Method::PATCH, ["webhooks", IMPOSSIBLE_UID]).json(body.bytes);
    refusal(&app.cluster, request, "The body is not of the form `{url, headers}`.").await
}
