//! `/indexes/{index}/settings` and its sub-routes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use bytes::Bytes;
use miroir_core::document::{Payload, reserved};
use miroir_core::ids::IndexUid;
use miroir_core::path::NodePath;
use miroir_core::relation;
use miroir_core::settings::client_view;
use miroir_core::task::{Mutation, SettingsOrigin};
use miroir_core::view::View;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::TaskResponse;
use crate::auth::{Authorized, SettingsGet, SettingsUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::IndexPath;
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, check_form, check_late_settings};
use crate::read::{existing, read_setting, read_settings};
use crate::search::read_uniformly;
use crate::write::NewWrite;

/// A settings sub-route.
#[derive(Debug)]
struct Setting {
    /// In the path.
    route: &'static str,
    /// In the settings object.
    key: &'static str,
    /// The method that changes it.
    changed_by: Change,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Put,
    Patch,
}

const fn put(route: &'static str, key: &'static str) -> Setting {
    Setting { route, key, changed_by: Change::Put }
}

const fn patch(route: &'static str, key: &'static str) -> Setting {
    Setting { route, key, changed_by: Change::Patch }
}

/// Every setting of Meilisearch 1.50, in the order of `GET /settings`.
const SETTINGS: [Setting; 22] = [
    put("displayed-attributes", "displayedAttributes"),
    put("searchable-attributes", "searchableAttributes"),
    put("filterable-attributes", "filterableAttributes"),
    put("sortable-attributes", "sortableAttributes"),
    put("foreign-keys", "foreignKeys"),
    put("ranking-rules", "rankingRules"),
    put("stop-words", "stopWords"),
    put("non-separator-tokens", "nonSeparatorTokens"),
    put("separator-tokens", "separatorTokens"),
    put("dictionary", "dictionary"),
    put("synonyms", "synonyms"),
    put("distinct-attribute", "distinctAttribute"),
    put("proximity-precision", "proximityPrecision"),
    patch("typo-tolerance", "typoTolerance"),
    patch("faceting", "faceting"),
    patch("pagination", "pagination"),
    patch("embedders", "embedders"),
    put("search-cutoff-ms", "searchCutoffMs"),
    put("localized-attributes", "localizedAttributes"),
    put("facet-search", "facetSearch"),
    put("prefix-search", "prefixSearch"),
    patch("chat", "chat"),
];

pub(super) fn routes() -> Router<App> {
    let whole = get(whole).patch(change_whole).delete(reset_whole);
    SETTINGS.iter().fold(Router::new().route("/indexes/{index}/settings", whole), |router, setting| {
        router.route(&format!("/indexes/{{index}}/settings/{}", setting.route), one(setting))
    })
}

fn one(setting: &'static Setting) -> MethodRouter<App> {
    let read = move |_: Authorized<SettingsGet>, IndexPath(uid): IndexPath, State(app): State<App>| async move {
        if let Some(value) = settings_of(&app, &uid).await?.shift_remove(setting.key) {
            return Ok::<_, RequestError>(Json(value));
        }
        let view = app.cluster.view.load();
        let entry = existing(&view, &uid)?;
        if setting.key == relation::SETTING {
            // One server shows it here whether its feature is on or off, and nodes don't have it.
            return Ok(Json(entry.settings.get(setting.key).cloned().unwrap_or_else(|| json!([]))));
        }
        read_setting(&app.cluster, &view, entry, setting.route).await.map(Json)
    };
    let change = move |caller: Authorized<SettingsUpdate>,
                       Path(uid): Path<String>,
                       State(app): State<App>,
                       body: JsonBody| async move {
        let method = match setting.changed_by {
            Change::Put => Method::PUT,
            Change::Patch => Method::PATCH,
        };
        check_settings(&app, method, Some(setting.route), body.bytes).await?;
        reserved::check_settings(&body.value)?;
        let patch = Map::from_iter([(setting.key.to_owned(), body.value)]);
        append(&app, &caller, &uid, patch, SettingsOrigin::Update).await
    };
    let reset = move |caller: Authorized<SettingsUpdate>, Path(uid): Path<String>, State(app): State<App>| async move {
        let patch = Map::from_iter([(setting.key.to_owned(), Value::Null)]);
        append(&app, &caller, &uid, patch, SettingsOrigin::Reset).await
    };
    let router = get(read).delete(reset);
    match setting.changed_by {
        Change::Put => router.put(change),
        Change::Patch => router.patch(change),
    }
}

async fn whole(
    _: Authorized<SettingsGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
) -> Result<Json<Map<String, Value>>, RequestError> {
    Ok(Json(settings_of(&app, &uid).await?))
}

async fn change_whole(
    caller: Authorized<SettingsUpdate>,
    Path(uid): Path<String>,
    State(app): State<App>,
    body: JsonBody,
) -> TaskResponse {
    check_settings(&app, Method::PATCH, None, body.bytes).await?;
    reserved::check_settings(&body.value)?;
    let Value::Object(patch) = body.value else {
        return Err(RequestError::Unreadable("settings that are no object were let through".to_owned()));
    };
    append(&app, &caller, &uid, patch, SettingsOrigin::Update).await
}

async fn reset_whole(
    caller: Authorized<SettingsUpdate>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> TaskResponse {
    let patch = SETTINGS.iter().map(|setting| (setting.key.to_owned(), Value::Null)).collect();
    append(&app, &caller, &uid, patch, SettingsOrigin::Reset).await
}

async fn check_settings(
    app: &App,
    method: Method,
    route: Option<&str>,
    body: Bytes,
) -> Result<(), RequestError> {
    let path = NodePath::of(["indexes", IMPOSSIBLE_UID, "settings"].into_iter().chain(route));
    check_form(&app.cluster, NodeRequest::new(method, path).json(body)).await
}

async fn append(
    app: &App,
    caller: &Authorized<SettingsUpdate>,
    uid: &str,
    patch: Map<String, Value>,
    origin: SettingsOrigin,
) -> TaskResponse {
    let index = crate::http::path::check_uid(uid)?;
    check_late_settings(&app.cluster, &patch).await?;
    let missing_index = caller.missing_index(&index);
    let mutation = Mutation::Settings { patch, origin, missing_index };
    let summary = app
        .writer
        .append(NewWrite { index, mutation, payload: Payload::default(), custom_metadata: None })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(summary)))
}

/// What the client would read on one Meilisearch. What a node adds to it is told by the settings that the node has.
async fn settings_of(app: &App, uid: &IndexUid) -> Result<Map<String, Value>, RequestError> {
    let view = app.cluster.view.load();
    existing(&view, uid)?;
    let ask = |view: Arc<View>| async move {
        let entry = existing(&view, uid)?;
        let node = read_settings(&app.cluster, &view, entry).await?;
        Ok(client_view(node, &entry.settings))
    };
    let (settings, _) = read_uniformly(&app.cluster, &view, [uid.clone()], None, ask).await?;
    Ok(settings)
}
