//! `/keys` and `/keys/{key}`, where `{key}` is a key's uid or its value.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::form::unknown_parameter;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::KeyUid;
use miroir_core::keys::{HeldKey, read_creation, read_patch};
use serde_json::Value;
use time::OffsetDateTime;

use super::page::{ListPage, Window};
use crate::auth::{Authorized, KeysCreate, KeysDelete, KeysGet, KeysUpdate, fresh_uid};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/keys", get(list).post(create))
        .route("/keys/{key}", get(one).patch(update).delete(delete))
}

async fn list(
    _: Authorized<KeysGet>,
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<ListPage>, RequestError> {
    let mut window = Window::default();
    for (name, text) in &pairs {
        match name.as_str() {
            "offset" => window.offset = read_count(name, text, ErrorCode::InvalidApiKeyOffset)?,
            "limit" => window.limit = read_count(name, text, ErrorCode::InvalidApiKeyLimit)?,
            _ => {
                let message = unknown_parameter(name, &["offset", "limit"]);
                return Err(RequestError::new(ErrorCode::BadRequest, message));
            }
        }
    }
    let ring = app.keys.load();
    Ok(Json(window.page(ring.keys().iter(), HeldKey::shown)))
}

fn read_count(name: &str, text: &str, code: ErrorCode) -> Result<usize, RequestError> {
    text.parse().map_err(|_| {
        let message =
            format!("Invalid value in parameter `{name}`: could not parse `{text}` as a positive integer");
        RequestError::new(code, message)
    })
}

async fn create(
    _: Authorized<KeysCreate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let now = OffsetDateTime::now_utc();
    let key = read_creation(&body.value, now)?.into_key(fresh_uid(), now);
    let uid = key.uid;
    match app.keys.add(key).await? {
        Some(held) => Ok((StatusCode::CREATED, Json(held.shown()))),
        None => Err(RequestError::new(
            ErrorCode::ApiKeyAlreadyExists,
            format!("`uid` field value `{uid}` is already an existing API key."),
        )),
    }
}

async fn one(
    _: Authorized<KeysGet>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, RequestError> {
    app.keys.load().named(&name).map(|held| Json(held.shown())).ok_or_else(|| not_found(&name))
}

async fn update(
    _: Authorized<KeysUpdate>,
    State(app): State<App>,
    Path(name): Path<String>,
    body: JsonBody,
) -> Result<Json<Value>, RequestError> {
    let patch = read_patch(&body.value)?;
    let uid = uid_of(&app, &name)?;
    app.keys.patch(uid, patch).await?.map(|held| Json(held.shown())).ok_or_else(|| not_found(&name))
}

async fn delete(
    _: Authorized<KeysDelete>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, RequestError> {
    let uid = uid_of(&app, &name)?;
    app.keys.delete(uid).await?.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| not_found(&name))
}

fn uid_of(app: &App, name: &str) -> Result<KeyUid, RequestError> {
    app.keys.load().named(name).map(|held| held.key.uid).ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> RequestError {
    ResponseError::new(ErrorCode::ApiKeyNotFound, format!("API key `{name}` not found.")).into()
}
