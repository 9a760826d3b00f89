//! `POST` and `GET /indexes/{index}/search`.

use std::sync::Arc;

use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::document::reserved;
use miroir_core::ids::{IndexUid, SettingsVersion};
use miroir_core::search::{SearchRequest, body_of_query};
use miroir_core::view::View;
use serde_json::{Map, Value};

use super::client_query::{ClientQuery, queried_index};
use super::remote_servers::take_servers_asked;
use crate::auth::{Authorized, Search};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::headers::{SettingsFloor, about, wants_metadata};
use crate::http::path::IndexPath;
use crate::probe::explain;
use crate::read::existing;
use crate::search::{QueryMetadata, read_uniformly, run_over_servers};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/search", get(by_query).post(by_body))
}

type SearchResponse = (HeaderMap, Json<Map<String, Value>>);

async fn by_body(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    headers: HeaderMap,
    SettingsFloor(floor): SettingsFloor,
    body: JsonBody,
) -> Result<SearchResponse, RequestError> {
    let asked = ClientQuery::by_body("search", body).confined(&caller, &uid)?;
    answer(&app, &uid, asked, QueryMetadata::new(wants_metadata(&headers)), floor).await
}

async fn by_query(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    headers: HeaderMap,
    SettingsFloor(floor): SettingsFloor,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<SearchResponse, RequestError> {
    let asked = ClientQuery::by_query("search", query, body_of_query(&pairs)).confined(&caller, &uid)?;
    answer(&app, &uid, asked, QueryMetadata::new(wants_metadata(&headers)), floor).await
}

async fn answer(
    app: &App,
    uid: &IndexUid,
    asked: ClientQuery,
    metadata: QueryMetadata,
    floor: Option<SettingsVersion>,
) -> Result<SearchResponse, RequestError> {
    let view = app.cluster.view.load();
    let entry = queried_index(app, &view, uid, &asked.original).await?;
    let asked = asked.related(app, &view, entry).await?;
    let original = &asked.original;
    let Ok(mut request) = asked.body.and_then(SearchRequest::parse) else {
        return Err(explain(&app.cluster, entry, original).await);
    };
    reserved::check_search(&request.body)?;
    let (servers, original) = take_servers_asked(app, &mut request.body, asked.original).await?;
    let (request, original, servers) = (&request, &original, &servers);
    let ask = |view: Arc<View>| async move {
        let entry = existing(&view, uid)?;
        let mut answer =
            run_over_servers((&app.cluster, &view), entry, request, original, metadata, servers).await?;
        app.relations(&view).fill(entry, &mut answer.body).await?;
        Ok(answer)
    };
    let (answer, note) = read_uniformly(&app.cluster, &view, [uid.clone()], floor, ask).await?;
    Ok((about(&answer.shortfall, note), Json(answer.body)))
}
