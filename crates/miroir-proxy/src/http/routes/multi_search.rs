//! `POST /multi-search`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::reserved;
use miroir_core::search::{MultiRequest, SubQuery};
use miroir_core::view::View;
use serde_json::{Map, Value};

use super::remote_servers::remote_servers;
use crate::auth::{Authorized, Search};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::headers::{SettingsFloor, about, wants_metadata};
use crate::probe::{explain_access_fault, explain_form, explain_network_fault, inside};
use crate::search::{
    QueryMetadata, RemoteServers, ServersAsked, find_nothing, read_uniformly, run_federated, run_several,
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
) -> Result<(HeaderMap, Json<Map<String, Value>>), RequestError> {
    let Ok(mut request) = MultiRequest::parse(&body.value) else {
        return Err(explain_form(&app.cluster, &body.value).await);
    };
    for position in 0..request.queries.len() {
        if let Err(error) = admit(&caller, &mut request.queries[position]) {
            return Err(explain_access_fault(&app.cluster, &request, position, error).await);
        }
    }
    let view = app.cluster.view.load();
    let remote_servers = remote_servers(&app).await?;
    check_network(&app, &remote_servers, &request).await?;
    let asks_nobody = ask_network(&remote_servers, &mut request)?;
    answer_all_conditions(&app, &view, &mut request).await?;
    let metadata = QueryMetadata::new(wants_metadata(&headers));
    let indexes = request.queries.iter().map(|query| query.index.clone());
    let (app, request, remote_servers) = (&app, &request, &remote_servers);
    let ask = |view: Arc<View>| async move {
        let cluster = &app.cluster;
        let Some(federation) = &request.federation else {
            let mut answer = run_several(cluster, &view, request, metadata, remote_servers).await?;
            fill_all(app, &view, request, &mut answer.body).await?;
            return Ok(answer);
        };
        let mut answer =
            run_federated(cluster, &view, request, federation, metadata, remote_servers.server()).await?;
        app.relations(&view).fill_federated(&mut answer.body).await?;
        Ok(answer)
    };
    let (mut answer, note) = read_uniformly(&app.cluster, &view, indexes, floor, ask).await?;
    if asks_nobody {
        find_nothing(&mut answer.body);
    }
    Ok((about(&answer.shortfall, note), Json(answer.body)))
}

/// Answers every query's conditions on other indexes' documents.
async fn answer_all_conditions(
    app: &App,
    view: &View,
    request: &mut MultiRequest,
) -> Result<(), RequestError> {
    let alone = request.federation.is_none();
    for (position, query) in request.queries.iter_mut().enumerate() {
        let Some(entry) = view.index(&query.index) else { continue };
        let answered = app.relations(view).answer_conditions(entry, &mut query.body).await;
        answered.map_err(|error| if alone { inside(position, error) } else { error })?;
    }
    Ok(())
}

/// Fills the hits of every answer.
async fn fill_all(
    app: &App,
    view: &View,
    request: &MultiRequest,
    body: &mut Map<String, Value>,
) -> Result<(), RequestError> {
    let answers = body.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten();
    for (position, (query, answer)) in request.queries.iter().zip(answers).enumerate() {
        if let (Some(entry), Value::Object(answer)) = (view.index(&query.index), answer) {
            let filled = app.relations(view).fill(entry, answer).await;
            filled.map_err(|error| inside(position, error))?;
        }
    }
    Ok(())
}

/// Confines one query to what the caller may find in its index.
fn admit(caller: &Authorized<Search>, query: &mut SubQuery) -> Result<(), RequestError> {
    caller.confine(&query.index, &mut query.body)?;
    Ok(reserved::check_search(&query.body)?)
}

/// Has queries of a federated search that ask a network ask this server by its name, and leaves out those that ask nobody.
/// Whether there is no other query.
fn ask_network(remote_servers: &RemoteServers, request: &mut MultiRequest) -> Result<bool, RequestError> {
    if request.federation.is_none() {
        return Ok(false);
    }
    let asked = request
        .queries
        .iter()
        .map(|query| remote_servers.asked_by(&query.body))
        .collect::<Result<Vec<_>, _>>()?;
    let nobody = !asked.is_empty() && asked.iter().all(|servers| *servers == ServersAsked::Nobody);
    let is_mixed = !nobody && asked.contains(&ServersAsked::Nobody);
    let mut queries = Vec::new();
    for (position, (mut query, servers)) in
        std::mem::take(&mut request.queries).into_iter().zip(asked).enumerate()
    {
        query.body.shift_remove("useNetwork");
        match servers {
            ServersAsked::Nobody if is_mixed => continue,
            ServersAsked::Nobody | ServersAsked::Here => {}
            ServersAsked::Named(server) => query.ask(&server),
        }
        if is_mixed {
            query.stand_at(position);
        }
        queries.push(query);
    }
    request.queries = queries;
    Ok(nobody)
}

async fn check_network(
    app: &App,
    remote_servers: &RemoteServers,
    request: &MultiRequest,
) -> Result<(), RequestError> {
    for (position, query) in request.queries.iter().enumerate() {
        // Without a federation options are refused as such.
        let found = match request.federation {
            Some(_) => remote_servers.check_query(query),
            None => remote_servers.asked_by(&query.body).map(drop),
        };
        if let Err(error) = found {
            return Err(explain_network_fault(&app.cluster, request, position, error).await);
        }
    }
    Ok(())
}
