//! `POST` and `GET /indexes/{index}/similar`.

use std::sync::Arc;

use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::document::reserved;
use miroir_core::ids::{IndexUid, SettingsVersion};
use miroir_core::search::{SimilarRequest, similar_of_query};
use miroir_core::view::View;
use serde_json::{Map, Value};

use super::client_query::{ClientQuery, imposed, queried_index};
use crate::auth::{Authorized, Search};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::headers::{SettingsFloor, about};
use crate::http::path::IndexPath;
use crate::probe::explain;
use crate::read::existing;
use crate::search::{read_uniformly, run_similar};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/similar", get(by_query).post(by_body))
}

type SimilarResponse = (HeaderMap, Json<Map<String, Value>>);

async fn by_body(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    SettingsFloor(floor): SettingsFloor,
    body: JsonBody,
) -> Result<SimilarResponse, RequestError> {
    answer(&app, &caller, &uid, (ClientQuery::by_body("similar", body), floor)).await
}

async fn by_query(
    caller: Authorized<Search>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    SettingsFloor(floor): SettingsFloor,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<SimilarResponse, RequestError> {
    let asked = ClientQuery::by_query("similar", query, similar_of_query(&pairs));
    answer(&app, &caller, &uid, (asked, floor)).await
}

async fn answer(
    app: &App,
    caller: &Authorized<Search>,
    uid: &IndexUid,
    (asked, floor): (ClientQuery, Option<SettingsVersion>),
) -> Result<SimilarResponse, RequestError> {
    let asked = asked.confined(caller, uid)?;
    let view = app.cluster.view.load();
    let entry = queried_index(app, &view, uid, &asked.original).await?;
    let asked = asked.related(app, &view, entry).await?;
    let Ok(mut request) = asked.body.and_then(SimilarRequest::parse) else {
        return Err(explain(&app.cluster, entry, &asked.original).await);
    };
    reserved::check_similar(&request.body)?;
    let mut imposed = imposed(caller, uid)?;
    app.relations(&view).answer_conditions(entry, &mut imposed).await?;
    request.visible = imposed.shift_remove("filter");
    let (request, original) = (&request, &asked.original);
    let ask = |view: Arc<View>| async move {
        run_similar(&app.cluster, &view, existing(&view, uid)?, request, original).await
    };
    let (answer, note) = read_uniformly(&app.cluster, &view, [uid.clone()], floor, ask).await?;
    Ok((about(&answer.shortfall, note), Json(answer.body)))
}
