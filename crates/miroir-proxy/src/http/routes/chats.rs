//! Chat workspaces and their settings: kept by Miroir, checked and filled in by a node. Miroir talks to the models itself
//! ([`super::completions`]), so no node has to keep a workspace.

use std::collections::BTreeMap;
use std::future::ready;

use axum::extract::{Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::chat::shown_settings;
use miroir_core::error::ErrorCode;
use miroir_store::Collection;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::features::{Feature, require};
use super::page::{ListPage, Window};
use crate::auth::{Authorized, ChatsDelete, ChatsGet, ChatsSettingsGet, ChatsSettingsUpdate};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::check_uid;
use crate::http::records::change_record;
use crate::node_api::NodeRequest;
use crate::probe::ask_any;

/// Where nodes check settings: a workspace that they have for nothing else.
const SCRATCH: &str = "/chats/miroir/settings";

/// The settings of a workspace. Whatever a change leaves out stays as it is; null is the default.
const PARTS: [&str; 8] =
    ["source", "orgId", "projectId", "apiVersion", "deploymentId", "baseUrl", "apiKey", "prompts"];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/chats", get(list))
        .route("/chats/{workspace}", get(one).delete(remove))
        .route("/chats/{workspace}/settings", get(settings).patch(change).delete(reset))
}

async fn list(
    _: Authorized<ChatsGet>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<ListPage>, RequestError> {
    let window = Window::read(&app, "/chats", query.as_deref(), &pairs).await?;
    require_chats(&app, NodeRequest::get("/chats")).await?;
    let kept = workspaces(&app).await?;
    Ok(Json(window.page(kept.keys(), |uid| json!({ "uid": uid }))))
}

async fn one(
    _: Authorized<ChatsGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    require_chats(&app, NodeRequest::get("/chats/miroir")).await?;
    check_uid(&uid)?;
    if workspaces(&app).await?.contains_key(&uid) {
        Ok(Json(json!({ "uid": uid })))
    } else {
        Err(missing(&uid, "chat"))
    }
}

async fn remove(
    _: Authorized<ChatsDelete>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<StatusCode, RequestError> {
    require_chats(&app, NodeRequest::new(Method::DELETE, "/chats/miroir")).await?;
    change_record(&app, Collection::ChatWorkspaces, uid.clone(), |kept| {
        let there = kept.contains_key(&uid);
        ready(if there { Ok((None, StatusCode::NO_CONTENT)) } else { Err(missing(&uid, "chat")) })
    })
    .await
}

async fn settings(
    _: Authorized<ChatsSettingsGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    require_chats(&app, NodeRequest::get(SCRATCH)).await?;
    let mut kept = kept_workspace(&app, &uid).await?;
    Ok(Json(kept["shown"].take()))
}

async fn change(
    _: Authorized<ChatsSettingsUpdate>,
    Path(uid): Path<String>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Response, RequestError> {
    let request = NodeRequest::new(Method::PATCH, SCRATCH);
    require_chats(&app, request.clone().json(body.bytes.clone())).await?;
    let Value::Object(patch) = body.value else {
        let refused = || RequestError::new(ErrorCode::BadRequest, "The body is not an object.");
        let shown = check(&app, request.json(body.bytes)).await?.ok_or_else(refused)?;
        return Ok(Json(shown).into_response());
    };
    let shown = change_record(&app, Collection::ChatWorkspaces, uid.clone(), |mut kept| {
        let set = kept.remove(&uid).map(|mut kept| kept["set"].take());
        check_whole(&app, merged(set.as_ref().and_then(Value::as_object), &patch))
    });
    Ok(Json(shown.await?).into_response())
}

async fn reset(
    _: Authorized<ChatsSettingsUpdate>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    require_chats(&app, NodeRequest::new(Method::DELETE, SCRATCH)).await?;
    let shown = change_record(&app, Collection::ChatWorkspaces, uid.clone(), |kept| {
        let (app, missing) = (&app, (!kept.contains_key(&uid)).then(|| missing(&uid, "Chat")));
        async move {
            match missing {
                Some(missing) => Err(missing),
                None => check_whole(app, Map::new()).await,
            }
        }
    });
    shown.await.map(Json)
}

/// Has a node check the whole settings. What is to be kept of them, and what the node makes of them.
async fn check_whole(app: &App, set: Map<String, Value>) -> Result<(Option<Value>, Value), RequestError> {
    let request = NodeRequest::new(Method::PATCH, SCRATCH).json(whole(&set).to_string());
    let shown = match check(app, request).await? {
        Some(shown) => shown,
        None => shown_settings(&set)?,
    };
    Ok((Some(json!({ "set": set, "shown": shown })), shown))
}

/// What a node makes of settings; none if nodes know no chats.
async fn check(app: &App, request: NodeRequest) -> Result<Option<Value>, RequestError> {
    let Some(reply) = ask_any(&app.cluster, request).await else {
        return Err(RequestError::new(
            ErrorCode::MiroirNodeUnavailable,
            "No node can check the settings now. Try again when one is back.",
        ));
    };
    if reply.status == StatusCode::NOT_FOUND && reply.body.is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(&reply.body) {
        Ok(shown) if reply.status.is_success() => Ok(Some(shown)),
        Ok(_) => Err(RequestError::Node(reply)),
        Err(_) => Err(RequestError::new(ErrorCode::MiroirNotSupported, "The nodes know no chat workspaces.")),
    }
}

async fn require_chats(app: &App, request: NodeRequest) -> Result<(), RequestError> {
    require(app, Feature::ChatCompletions, request).await
}

async fn workspaces(app: &App) -> Result<BTreeMap<String, Value>, RequestError> {
    Ok(app.records.collection(Collection::ChatWorkspaces).await?.by_id)
}

/// What clients set of a workspace (`set`), and what they are shown of it (`shown`).
pub(super) async fn kept_workspace(app: &App, uid: &str) -> Result<Value, RequestError> {
    workspaces(app).await?.remove(uid).ok_or_else(|| missing(uid, "Chat"))
}

fn missing(uid: &str, word: &str) -> RequestError {
    RequestError::new(ErrorCode::ChatNotFound, format!("{word} {} not found", quoted(uid, word)))
}

/// Meilisearch quotes the uid of a workspace whose settings are asked for, and no other.
fn quoted(uid: &str, word: &str) -> String {
    if word == "Chat" { format!("`{uid}`") } else { uid.to_owned() }
}

/// What is set after a change. Fields that Meilisearch does not know are kept, to be refused by a node.
fn merged(set: Option<&Map<String, Value>>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mut set = set.cloned().unwrap_or_default();
    for (name, value) in patch {
        match (name.as_str(), value, set.get_mut(name)) {
            (_, Value::Null, _) if PARTS.contains(&name.as_str()) => {
                set.shift_remove(name);
            }
            ("prompts", Value::Object(prompts), Some(Value::Object(old))) => {
                old.extend(prompts.iter().map(|(name, prompt)| (name.clone(), prompt.clone())));
            }
            _ => {
                set.insert(name.clone(), value.clone());
            }
        }
    }
    set
}

/// Every part, so that nothing remains of what the node checked before.
fn whole(set: &Map<String, Value>) -> Value {
    let mut whole = set.clone();
    for part in PARTS {
        whole.entry(part).or_insert(Value::Null);
    }
    if let Some(Value::Object(prompts)) = whole.get_mut("prompts") {
        for prompt in
            ["system", "searchDescription", "searchQParam", "searchFilterParam", "searchIndexUidParam"]
        {
            prompts.entry(prompt).or_insert(Value::Null);
        }
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("not an object: {value}") };
        object
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name_and_null_takes_away() {
        let set = object(json!({ "source": "openAi", "apiKey": "a", "prompts": { "system": "s" } }));
        let patch = object(json!({ "apiKey": null, "orgId": "o", "prompts": { "searchQParam": "q" } }));
        let after =
            json!({ "source": "openAi", "prompts": { "system": "s", "searchQParam": "q" }, "orgId": "o" });
        assert_eq!(Value::Object(merged(Some(&set), &patch)), after);
    }

    #[test]
    fn a_node_is_sent_every_part() {
        let sent = whole(&object(json!({ "source": "mistral", "prompts": { "system": "s" } })));
        assert_eq!(sent["source"], "mistral");
        assert_eq!(sent["apiKey"], Value::Null);
        assert!(sent.as_object().is_some_and(|sent| PARTS.iter().all(|part| sent.contains_key(*part))));
        assert_eq!(sent["prompts"].as_object().map(Map::len), Some(5));
    }
}
