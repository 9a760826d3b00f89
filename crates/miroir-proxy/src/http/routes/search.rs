//! `POST` and `GET /indexes/{index}/search`.

use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::search::{SearchRequest, body_of_query};
use serde_json::{Map, Value};

use super::asked::Asked;
use super::existing;
use super::multi_search::peers;
use crate::cluster::NodeRequest;
use crate::http::App;
use crate::http::auth::{Authorized, Search};
use crate::http::body::JsonBody;
use crate::http::dry_run::{NOBODY, check_form};
use crate::http::error::HttpError;
use crate::http::headers::{degraded, wants_metadata};
use crate::http::path::IndexPath;
use crate::http::reserved;
use crate::search::{Asking, Original, explain, run_search};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/search", get(by_query).post(by_body))
}

type Found = (HeaderMap, Json<Map<String, Value>>);

async fn by_body(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Found, HttpError> {
    let asked = Asked::by_body("/search", body).confined(&caller, &uid)?;
    answer(&app, &uid, asked, Asking::new(wants_metadata(&headers))).await
}

async fn by_query(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Found, HttpError> {
    let asked = Asked::by_query("/search", query, body_of_query(&pairs)).confined(&caller, &uid)?;
    answer(&app, &uid, asked, Asking::new(wants_metadata(&headers))).await
}

/// Meilisearch finds fault with the request before it looks for the index.
async fn without_index(app: &App, uid: &IndexUid, original: &Original) -> HttpError {
    let path = format!("/indexes/{NOBODY}{}", original.path);
    let request = NodeRequest::new(original.method.clone(), path);
    let request = match &original.body {
        Some(body) => request.json(body.clone()),
        None => request,
    };
    match check_form(&app.cluster, request).await {
        Ok(()) => HttpError::new(ErrorCode::IndexNotFound, format!("Index `{uid}` not found.")),
        Err(fault) => fault,
    }
}

async fn answer(app: &App, uid: &IndexUid, asked: Asked, asking: Asking) -> Result<Found, HttpError> {
    let view = app.cluster.view.load();
    let original = &asked.original;
    let Ok(entry) = existing(&view, uid) else { return Err(without_index(app, uid, original).await) };
    let Ok(request) = asked.body.and_then(SearchRequest::parse) else {
        return Err(explain(&app.cluster, entry, original).await);
    };
    reserved::check_search(&request.body)?;
    if request.body.contains_key("useNetwork") {
        peers(app).await?.check_search(&request.body)?;
    }
    let mut answer = run_search(&app.cluster, &view, entry, &request, original).await?;
    asking.sign(&mut answer.body, entry);
    Ok((degraded(&answer.missing), Json(answer.body)))
}
