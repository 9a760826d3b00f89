//! `POST /multi-search`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::network::Network;
use miroir_core::search::{MultiRequest, SubQuery};
use miroir_core::view::View;
use serde_json::{Map, Value};

use crate::http::App;
use crate::http::auth::{Authorized, Search};
use crate::http::body::JsonBody;
use crate::http::error::HttpError;
use crate::http::headers::{SettingsFloor, about, wants_metadata};
use crate::http::reserved;
use crate::search::{
    Asking, Peers, explain_access_fault, explain_form, explain_network_fault, read_uniformly, run_federated,
    run_several,
};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/multi-search", post(search))
}

async fn search(
    caller: Authorized<Search>,
    State(app): State<App>,
    headers: HeaderMap,
    SettingsFloor(floor): SettingsFloor,
    body: JsonBody,
) -> Result<(HeaderMap, Json<Map<String, Value>>), HttpError> {
    let Ok(mut request) = MultiRequest::parse(&body.value) else {
        return Err(explain_form(&app.cluster, &body.value).await);
    };
    for position in 0..request.queries.len() {
        if let Err(error) = admit(&caller, &mut request.queries[position]) {
            return Err(explain_access_fault(&app.cluster, &request, position, error).await);
        }
    }
    let view = app.cluster.view.load();
    let peers = peers(&app).await?;
    check_network(&app, &peers, &request).await?;
    let asking = Asking::new(wants_metadata(&headers));
    let indexes = request.queries.iter().map(|query| query.index.clone());
    let (app, request, peers) = (&app, &request, &peers);
    let ask = |view: Arc<View>| async move {
        match &request.federation {
            Some(federation) => {
                run_federated(&app.cluster, &view, request, federation, asking, peers.server()).await
            }
            None => run_several(&app.cluster, &view, request, asking).await,
        }
    };
    let (answer, note) = read_uniformly(&app.cluster, &view, indexes, floor, ask).await?;
    Ok((about(&answer.shortfall, note), Json(answer.body)))
}

/// Confines one query to what the caller may find in its index.
fn admit(caller: &Authorized<Search>, query: &mut SubQuery) -> Result<(), HttpError> {
    caller.confine(&query.index, &mut query.body)?;
    reserved::check_search(&query.body)
}

/// What clients told of other servers.
pub(super) async fn peers(app: &App) -> Result<Peers, HttpError> {
    let enabled = app.writer.features().await?.get("network").copied().unwrap_or(false);
    let network = if enabled { app.writer.network().await? } else { Network::default() };
    Ok(Peers { enabled, network })
}

async fn check_network(app: &App, peers: &Peers, request: &MultiRequest) -> Result<(), HttpError> {
    for (position, query) in request.queries.iter().enumerate() {
        // Without a federation options are refused as such.
        let found = match request.federation {
            Some(_) => peers.check_query(query),
            None => peers.check_search(&query.body),
        };
        if let Err(error) = found {
            return Err(explain_network_fault(&app.cluster, request, position, error).await);
        }
    }
    Ok(())
}
