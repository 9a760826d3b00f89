//! `/network`: kept and shown, as by a Community Edition without a leader.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::network::{Network, NetworkError, change, check_network_form};
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::remote_servers::remote_servers;
use crate::auth::{Authorized, NetworkGet, NetworkUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{find_fault, refusal};
use crate::search::feature_missing;

/// How often a change is tried when others come between.
const MAX_TRIES: usize = 8;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/network", get(read).patch(update)).route("/network/control", post(control))
}

async fn read(_: Authorized<NetworkGet>, State(app): State<App>) -> Result<Json<Network>, RequestError> {
    require_feature(&app, "Using the /network route").await?;
    Ok(Json(app.records.network().await?))
}

async fn update(
    _: Authorized<NetworkUpdate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Json<Network>, RequestError> {
    let Some(patch) = body.value.as_object().filter(|patch| check_network_form(patch).is_ok()) else {
        return Err(wrong_form(&app, body.value).await);
    };
    require_feature(&app, "Using the /network route").await?;
    for _ in 0..MAX_TRIES {
        let network = app.records.network().await?;
        let next =
            change(&network, patch, Uuid::now_v7().to_string(), check_url).map_err(|error| match error {
                NetworkError::Refused(error) => RequestError::Refused(error),
                NetworkError::NotUnderstood => RequestError::Unreadable("the network".to_owned()),
            })?;
        if app.records.replace_network(network.version, next.clone()).await? {
            return Ok(Json(next));
        }
    }
    Err(RequestError::new(ErrorCode::Internal, "The network changes too often to be changed now."))
}

/// Only the Enterprise Edition has anything to control. A node says what is wrong with the form.
async fn control(
    _: Authorized<NetworkUpdate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<(), RequestError> {
    let request = NodeRequest::post("/network/control").json(body.bytes);
    let comes_after_form = |reply: &NodeReply| {
        [ErrorCode::FeatureNotEnabled, ErrorCode::RequiresEnterpriseEdition]
            .into_iter()
            .any(|code| reply.has_code(code))
    };
    if let Some(reply) = find_fault(&app.cluster, request, comes_after_form).await {
        return Err(RequestError::Node(reply));
    }
    require_feature(&app, "Using the /network/control route").await?;
    let message = "Meilisearch Enterprise Edition is required to call this route";
    Err(RequestError::new(ErrorCode::RequiresEnterpriseEdition, message))
}

async fn require_feature(app: &App, action: &str) -> Result<(), RequestError> {
    if remote_servers(app).await?.enabled { Ok(()) } else { Err(feature_missing(action)) }
}

fn check_url(url: &str) -> Result<(), String> {
    Url::parse(url).map(|_| ()).map_err(|error| error.to_string())
}

/// A node is asked with a field that it refuses once it has read the form, so that nothing changes there.
async fn wrong_form(app: &App, body: Value) -> RequestError {
    let mut body = body;
    if let Value::Object(patch) = &mut body {
        patch.entry("previousRemotes").or_insert_with(|| json!(Map::new()));
    }
    let request = NodeRequest::new(Method::PATCH, "/network").json(body.to_string());
    refusal(&app.cluster, request, "The body is not a change of the network.").await
}
