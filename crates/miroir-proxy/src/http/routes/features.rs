//! `/experimental-features`. Miroir remembers what is switched on and tells every node. A node that does not answer
//! then is told when it does ([`crate::accord`]).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::accord::OWN_FEATURE;
use crate::auth::{Authorized, FeaturesGet, FeaturesUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::node_api::{NodeRequest, questions};
use crate::probe::{IMPOSSIBLE_UID, refusal};

/// Every feature of Meilisearch 1.50, in its order.
const FEATURES: [&str; 15] = [
    "metrics",
    "logsRoute",
    "editDocumentsByFunction",
    "containsFilter",
    "dynamicSearchRules",
    "network",
    "getTaskDocumentsRoute",
    "taskQueueCompactionRoute",
    "compositeEmbedders",
    "chatCompletions",
    "multimodal",
    "foreignKeys",
    "disableDocumentsFetchQueue",
    "legacySearch",
    "renderRoute",
];

/// Features that open routes which Miroir serves itself, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    ChatCompletions,
    DynamicSearchRules,
    GetTaskDocumentsRoute,
    LogsRoute,
    Metrics,
    RenderRoute,
    TaskQueueCompactionRoute,
}

impl Feature {
    const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chatCompletions",
            Self::DynamicSearchRules => "dynamicSearchRules",
            Self::GetTaskDocumentsRoute => "getTaskDocumentsRoute",
            Self::LogsRoute => "logsRoute",
            Self::Metrics => "metrics",
            Self::RenderRoute => "renderRoute",
            Self::TaskQueueCompactionRoute => "taskQueueCompactionRoute",
        }
    }
}

/// Refuses what needs a feature that is switched off, in the words in which a node refuses `request`. A node on which the
/// feature is on all the same would act on the request, so it is not asked.
pub(super) async fn require(app: &App, feature: Feature, request: NodeRequest) -> Result<(), RequestError> {
    if is_on(app, feature).await? {
        return Ok(());
    }
    let view = app.cluster.view.load();
    for node in view.usable_first_complete().filter_map(|id| app.cluster.membership.node(id)) {
        let features = node.ask(questions::features(), app.cluster.node_timeout).await;
        if !features.is_ok_and(|features| features.get(feature.name()) == Some(&Value::Bool(false))) {
            continue;
        }
        match node.send(request.clone(), app.cluster.node_timeout).await {
            Ok(reply) if reply.status.is_client_error() => return Err(RequestError::Node(reply)),
            Ok(reply) => {
                tracing::warn!(node = %node.id(), status = %reply.status, "node was to say what is wrong with a request and did something else; asking another one");
            }
            Err(error) => {
                tracing::warn!(%error, "node was to say what is wrong with a request and did not answer; asking another one");
            }
        }
    }
    Err(RequestError::new(
        ErrorCode::FeatureNotEnabled,
        format!("This requires enabling the `{}` experimental feature.", feature.name()),
    ))
}

/// The same for what a node must not be asked, since it would act on it if the feature were switched on just then; `action`
/// and `feature` as Meilisearch calls them.
pub(super) async fn require_unasked(
    app: &App,
    feature: Feature,
    action: &str,
    (name, discussion): (&str, u32),
) -> Result<(), RequestError> {
    if is_on(app, feature).await? {
        return Ok(());
    }
    Err(RequestError::feature_missing(action, name, discussion))
}

async fn is_on(app: &App, feature: Feature) -> Result<bool, RequestError> {
    Ok(app.records.features().await?.get(feature.name()).copied().unwrap_or(false))
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/experimental-features", get(read).patch(change))
}

async fn read(
    _: Authorized<FeaturesGet>,
    State(app): State<App>,
) -> Result<Json<Map<String, Value>>, RequestError> {
    Ok(Json(shown(&app.records.features().await?)))
}

fn shown(switched: &BTreeMap<String, bool>) -> Map<String, Value> {
    let is_on = |name: &str| switched.get(name).copied().unwrap_or(false);
    FEATURES.iter().map(|name| ((*name).to_owned(), json!(is_on(name)))).collect()
}

async fn change(
    _: Authorized<FeaturesUpdate>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Json<Map<String, Value>>, RequestError> {
    let Some(changes) = read_changes(&body.value) else { return Err(wrong_form(&app, body.value).await) };
    app.records.set_features(changes).await?;
    let features = shown(&app.records.features().await?);
    let mut for_nodes = features.clone();
    for_nodes.shift_remove(OWN_FEATURE);
    for node in app.cluster.membership.members().nodes() {
        let switched = node.ask(questions::change_features(&for_nodes), app.cluster.node_timeout);
        if let Err(error) = switched.await {
            tracing::warn!(node = %node.id(), %error, "node did not switch its features");
        }
    }
    Ok(Json(features))
}

/// `None` for whatever Meilisearch would refuse.
fn read_changes(body: &Value) -> Option<BTreeMap<String, bool>> {
    let mut changes = BTreeMap::new();
    for (name, value) in body.as_object()? {
        if !FEATURES.contains(&name.as_str()) {
            return None;
        }
        match value {
            Value::Null => {}
            Value::Bool(on) => {
                changes.insert(name.clone(), *on);
            }
            _ => return None,
        }
    }
    Some(changes)
}

/// A node is asked with one more field, which it refuses in any case, after all others.
async fn wrong_form(app: &App, mut body: Value) -> RequestError {
    if let Value::Object(features) = &mut body {
        features.shift_remove(IMPOSSIBLE_UID);
        features.insert(IMPOSSIBLE_UID.to_owned(), Value::Null);
    }
    let request = NodeRequest::new(Method::PATCH, "/experimental-features").json(body.to_string());
    refusal(&app.cluster, request, "The body is not an object of features and booleans.").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_features_are_shown_and_null_changes_nothing() {
        let changes = read_changes(&json!({ "containsFilter": true, "metrics": null })).unwrap();
        assert_eq!(changes, BTreeMap::from([("containsFilter".to_owned(), true)]));
        let features = shown(&changes);
        assert_eq!(features["containsFilter"], true);
        assert_eq!(features["renderRoute"], false);
        assert_eq!(features.len(), FEATURES.len());
        assert_eq!(read_changes(&json!({ "teleport": true })), None);
        assert_eq!(read_changes(&json!({ "metrics": "yes" })), None);
        assert_eq!(read_changes(&json!([])), None);
    }
}
