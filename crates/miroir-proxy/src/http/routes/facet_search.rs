//! `POST /indexes/{index}/facet-search`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::reserved;
use miroir_core::search::FacetSearchRequest;
use miroir_core::view::View;
use serde_json::{Map, Value, json};

use super::client_query::{ClientQuery, queried_index};
use super::remote_servers::take_servers_asked;
use crate::auth::{Authorized, Search};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::headers::{SettingsFloor, about};
use crate::http::path::IndexPath;
use crate::probe::explain;
use crate::read::existing;
use crate::search::{ServersAsked, read_uniformly, run_facet_search};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/facet-search", post(by_body))
}

async fn by_body(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    SettingsFloor(floor): SettingsFloor,
    body: JsonBody,
) -> Result<(HeaderMap, Json<Map<String, Value>>), RequestError> {
    let asked = ClientQuery::by_body("facet-search", body).confined(&caller, &uid)?;
    let view = app.cluster.view.load();
    let entry = queried_index(&app, &view, &uid, &asked.original).await?;
    let asked = asked.related(&app, &view, entry).await?;
    let Ok(mut request) = asked.body.and_then(FacetSearchRequest::parse) else {
        return Err(explain(&app.cluster, entry, &asked.original).await);
    };
    reserved::check_search(&request.body)?;
    let (servers, original) = take_servers_asked(&app, &mut request.body, asked.original).await?;
    let (app, uid, request, original) = (&app, &uid, &request, &original);
    let ask = |view: Arc<View>| async move {
        run_facet_search(&app.cluster, &view, existing(&view, uid)?, request, original).await
    };
    let (mut answer, note) = read_uniformly(&app.cluster, &view, [uid.clone()], floor, ask).await?;
    if servers != ServersAsked::Here {
        answer.body.insert("remoteErrors".to_owned(), json!({}));
    }
    Ok((about(&answer.shortfall, note), Json(answer.body)))
}
