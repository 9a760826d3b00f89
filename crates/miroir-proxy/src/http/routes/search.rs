//! `POST` and `GET /indexes/{index}/search`.

use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::ids::IndexUid;
use miroir_core::search::{SearchRequest, body_of_query};
use serde_json::{Map, Value};

use super::asked::Asked;
use super::existing;
use crate::http::App;
use crate::http::auth::{Authorized, Search};
use crate::http::body::JsonBody;
use crate::http::error::HttpError;
use crate::http::headers::degraded;
use crate::http::path::IndexPath;
use crate::http::reserved;
use crate::search::{explain, run_search};

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
    answer(&app, &uid, Asked::by_body("/search", body).confined(&caller, &uid)?).await
}

async fn by_query(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Found, HttpError> {
    let asked = Asked::by_query("/search", query, body_of_query(&pairs));
    answer(&app, &uid, asked.confined(&caller, &uid)?).await
}

async fn answer(app: &App, uid: &IndexUid, asked: Asked) -> Result<Found, HttpError> {
    let view = app.cluster.view.load();
    let entry = existing(&view, uid)?;
    let original = &asked.original;
    let Ok(request) = asked.body.and_then(SearchRequest::parse) else {
        return Err(explain(&app.cluster, entry, original).await);
    };
    reserved::check_search(&request.body)?;
    let answer = run_search(&app.cluster, &view, entry, &request, original).await?;
    Ok((degraded(&answer.missing), Json(answer.body)))
}
