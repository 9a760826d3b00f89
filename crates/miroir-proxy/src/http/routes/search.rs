//! `POST` and `GET /indexes/{index}/search`.

use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::ids::IndexUid;
use miroir_core::keys::Confined;
use miroir_core::search::{NotUnderstood, SearchRequest, body_of_query};
use reqwest::Method;
use serde_json::{Map, Value};

use super::existing;
use crate::http::App;
use crate::http::auth::{Authorized, Search};
use crate::http::body::JsonBody;
use crate::http::error::HttpError;
use crate::http::headers::degraded;
use crate::http::path::IndexPath;
use crate::http::reserved;
use crate::search::{Original, explain, run_search};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/search", get(by_query).post(by_body))
}

type Found = (HeaderMap, Json<Map<String, Value>>);

async fn by_body(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Found, HttpError> {
    let request = match body.value {
        Value::Object(body) => SearchRequest::parse(body),
        _ => Err(NotUnderstood("the body")),
    };
    let original = Original { method: Method::POST, path: "/search".to_owned(), body: Some(body.bytes) };
    answer(&app, &caller, &uid, request, original).await
}

async fn by_query(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Found, HttpError> {
    let request = body_of_query(&pairs).and_then(SearchRequest::parse);
    let path = format!("/search?{}", query.unwrap_or_default());
    answer(&app, &caller, &uid, request, Original { method: Method::GET, path, body: None }).await
}

async fn answer(
    app: &App,
    caller: &Authorized<Search>,
    uid: &IndexUid,
    request: Result<SearchRequest, NotUnderstood>,
    original: Original,
) -> Result<Found, HttpError> {
    let view = app.cluster.view.load();
    let entry = existing(&view, uid)?;
    let Ok(mut request) = request else { return Err(explain(&app.cluster, entry, &original).await) };
    let original = match caller.confine(uid, &mut request.body)? {
        Confined::AsSent => original,
        Confined::Filtered => original.confined(&request.body),
    };
    reserved::check_search(&request.body)?;
    let answer = run_search(&app.cluster, &view, entry, &request, &original).await?;
    Ok((degraded(&answer.missing), Json(answer.body)))
}
