//! `/indexes` and `/indexes/{index}`.

use axum::extract::{Query, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::document::Payload;
use miroir_core::ids::IndexUid;
use miroir_core::path::NodePath;
use miroir_core::task::Mutation;
use miroir_core::view::IndexEntry;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::TaskResponse;
use super::page::{ListPage, Window};
use crate::auth::{Authorized, IndexesCreate, IndexesDelete, IndexesGet, IndexesUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::{IndexPath, check_uid};
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, check_form, refusal};
use crate::read::existing;
use crate::write::NewWrite;

/// Stands where an index would in a write about several.
pub(super) const NO_INDEX: &str = "";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/indexes", get(list).post(create))
        .route("/indexes/{index}", get(one).patch(update).delete(delete))
}

fn shown(entry: &IndexEntry) -> Value {
    let date = |date: time::OffsetDateTime| date.format(&Rfc3339).unwrap_or_default();
    json!({
        "uid": entry.uid,
        "createdAt": date(entry.created_at),
        "updatedAt": date(entry.updated_at),
        "primaryKey": entry.primary_key,
    })
}

async fn list(
    caller: Authorized<IndexesGet>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<ListPage>, RequestError> {
    let window = Window::read(&app, "/indexes", query.as_deref(), &pairs).await?;
    let view = app.cluster.view.load();
    let entries: Vec<_> = view.indexes.values().filter(|entry| caller.allows(&entry.uid)).collect();
    Ok(Json(window.page(entries.into_iter(), |entry| shown(entry))))
}

/// A node's words for a query that can't be read.
pub(super) async fn wrong_query(app: &App, path: &'static str, query: Option<&str>) -> RequestError {
    let request = NodeRequest::get(NodePath::from(path).with_query(query.unwrap_or_default()));
    refusal(&app.cluster, request, "The query parameters can't be read.").await
}

async fn one(
    _: Authorized<IndexesGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    let view = app.cluster.view.load();
    Ok(Json(shown(existing(&view, &uid)?)))
}

async fn create(caller: Authorized<IndexesCreate>, State(app): State<App>, body: JsonBody) -> TaskResponse {
    let Some((uid, primary_key)) = read_creation(&body.value) else {
        return Err(wrong_creation(&app, body).await);
    };
    let index = check_uid(&uid).map_err(inside_uid)?;
    caller.require(&index)?;
    append(&app, index, Mutation::CreateIndex { primary_key }).await
}

fn read_creation(body: &Value) -> Option<(String, Option<String>)> {
    let body = body.as_object()?;
    let known = body.keys().all(|key| key == "uid" || key == "primaryKey");
    let key = body.get("primaryKey").filter(|key| !key.is_null());
    let readable = known && key.is_none_or(Value::is_string);
    let uid = body.get("uid")?.as_str()?.to_owned();
    readable.then(|| (uid, key.and_then(Value::as_str).map(str::to_owned)))
}

/// A node is asked with a uid that it can't accept, put last so that it finds the other fault first.
async fn wrong_creation(app: &App, body: JsonBody) -> RequestError {
    let mut asked = body.value;
    if let Value::Object(fields) = &mut asked
        && fields.get("uid").is_some_and(Value::is_string)
    {
        fields.shift_remove("uid");
        fields.insert("uid".to_owned(), json!(IMPOSSIBLE_UID));
    }
    let request = NodeRequest::post("/indexes").json(asked.to_string());
    refusal(&app.cluster, request, "The body is not of the form `{uid, primaryKey}`.").await
}

/// In a body the uid has a place that the message names.
fn inside_uid(error: RequestError) -> RequestError {
    match error {
        RequestError::Refused(mut error) => {
            error.message = format!("Invalid value at `.uid`: {}", error.message);
            RequestError::Refused(error)
        }
        other => other,
    }
}

async fn update(
    _: Authorized<IndexesUpdate>,
    IndexPath(index): IndexPath,
    State(app): State<App>,
    body: JsonBody,
) -> TaskResponse {
    check_form(
        &app.cluster,
        NodeRequest::new(reqwest::Method::PATCH, ["indexes", IMPOSSIBLE_UID]).json(body.bytes),
    )
    .await?;
    let fields = body.value.as_object().cloned().unwrap_or_default();
    let primary_key = fields.get("primaryKey").and_then(Value::as_str).map(str::to_owned);
    let mutation = match fields.get("uid").and_then(Value::as_str) {
        Some(uid) => Mutation::RenameIndex { old_uid: index.clone(), new_uid: check_uid(uid)?, primary_key },
        None => Mutation::UpdateIndex { primary_key },
    };
    append(&app, index, mutation).await
}

async fn delete(
    _: Authorized<IndexesDelete>,
    IndexPath(index): IndexPath,
    State(app): State<App>,
) -> TaskResponse {
    append(&app, index, Mutation::DeleteIndex).await
}

async fn append(app: &App, index: IndexUid, mutation: Mutation) -> TaskResponse {
    let write = NewWrite { index, mutation, payload: Payload::default(), custom_metadata: None };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}
