//! API keys, as far as a proxy makes itself one: made, listed and deleted with the master key, and asked for what they
//! grant by every other route.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use deserr::Deserr;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::body::RawBody;
use super::{Answer, Shared, run_blocking};
use crate::error::{ApiError, Result};
use crate::queue::store::Key;
use crate::refused::parse;

/// What a key to be made looks like. Only the form is looked at: there are actions that this node knows nothing of.
#[derive(Deserr)]
#[deserr(deny_unknown_fields, rename_all = camelCase)]
struct NewKey {
    #[deserr(default)]
    uid: Option<String>,
    #[deserr(default)]
    name: Option<String>,
    #[deserr(default)]
    description: Option<String>,
    actions: Vec<String>,
    indexes: Vec<String>,
    expires_at: Option<String>,
}

pub async fn list(State(node): Shared) -> Result<Answer> {
    run_blocking(move || {
        check_master_key(&node)?;
        let keys: Vec<Value> = node.store.keys().iter().map(Key::view).collect();
        let total = keys.len();
        Ok(Answer(json!({ "results": keys, "offset": 0, "limit": total, "total": total })))
    })
    .await
}

pub async fn create(State(node): Shared, body: RawBody) -> Result<Response> {
    run_blocking(move || {
        check_master_key(&node)?;
        let new =
            parse::<NewKey>(body.json()?).map_err(|refused| ApiError::new("bad_request", refused.message))?;
        let uid = match new.uid.as_deref().map(Uuid::try_parse) {
            None => Uuid::new_v4(),
            Some(Ok(uid)) => uid,
            Some(Err(error)) => {
                return Err(ApiError::new(
                    "invalid_api_key_uid",
                    format!("Invalid value at `.uid`: {error}"),
                ));
            }
        };
        let key = Key {
            uid: uid.to_string(),
            value: [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string()).concat(),
            name: new.name,
            description: new.description,
            actions: new.actions,
            indexes: new.indexes,
            expires_at: new.expires_at,
            created_at: OffsetDateTime::now_utc(),
        };
        if node.store.add_key(&key)? {
            return Ok((StatusCode::CREATED, axum::Json(key.view())).into_response());
        }
        let message = format!("`uid` field value `{uid}` is already an existing API key.");
        Err(ApiError::new("api_key_already_exists", message))
    })
    .await
}

pub async fn delete(State(node): Shared, Path(uid): Path<String>) -> Result<StatusCode> {
    run_blocking(move || {
        check_master_key(&node)?;
        if node.store.delete_key(&uid)? {
            return Ok(StatusCode::NO_CONTENT);
        }
        Err(ApiError::new("api_key_not_found", format!("API key `{uid}` not found.")))
    })
    .await
}

fn check_master_key(node: &crate::node::Node) -> Result<()> {
    if node.master_key.is_some() {
        return Ok(());
    }
    let message = "Meilisearch is running without a master key. To access this API endpoint, you must have set a master \
                   key at launch.";
    Err(ApiError::new("missing_master_key", message))
}

/// What a key must grant for a request; none for what every key may.
pub fn action(method: &Method, path: &str) -> Option<&'static str> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let (first, second, third) = (segments.next()?, segments.next().is_some(), segments.next());
    let is_read = *method == Method::GET;
    Some(match (first, second, third) {
        ("version", ..) => "version",
        ("stats", ..) | ("indexes", _, Some("stats")) => "stats.get",
        ("experimental-features", ..) => {
            if is_read {
                "experimental.get"
            } else {
                "experimental.update"
            }
        }
        ("keys", ..) => match *method {
            Method::GET => "keys.get",
            Method::POST => "keys.create",
            _ => "keys.delete",
        },
        ("swap-indexes", ..) => "indexes.swap",
        ("multi-search", ..) | ("indexes", _, Some("search" | "facet-search")) => "search",
        ("indexes", _, Some("settings")) => {
            if is_read {
                "settings.get"
            } else {
                "settings.update"
            }
        }
        ("indexes", _, Some("documents")) => match (method.as_str(), segments.next()) {
            ("GET", _) | (_, Some("fetch")) => "documents.get",
            ("DELETE", _) | (_, Some("delete" | "delete-batch")) => "documents.delete",
            _ => "documents.add",
        },
        ("indexes", _, None) => match *method {
            Method::GET => "indexes.get",
            Method::POST => "indexes.create",
            Method::PATCH => "indexes.update",
            _ => "indexes.delete",
        },
        ("tasks", _, _) if *method == Method::DELETE => "tasks.delete",
        ("tasks", true, _) if *method == Method::POST => "tasks.cancel",
        ("tasks" | "batches", ..) => "tasks.get",
        // The health is everybody's, and what is served nowhere is nobody's.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_asks_for_its_action() {
        let cases = [
            (Method::GET, "/health", None),
            (Method::GET, "/indexes", Some("indexes.get")),
            (Method::POST, "/indexes", Some("indexes.create")),
            (Method::DELETE, "/indexes/films", Some("indexes.delete")),
            (Method::POST, "/indexes/films/documents", Some("documents.add")),
            (Method::POST, "/indexes/films/documents/fetch", Some("documents.get")),
            (Method::POST, "/indexes/films/documents/delete-batch", Some("documents.delete")),
            (Method::GET, "/indexes/films/documents/7", Some("documents.get")),
            (Method::POST, "/indexes/films/search", Some("search")),
            (Method::PUT, "/indexes/films/settings/stop-words", Some("settings.update")),
            (Method::GET, "/tasks/7", Some("tasks.get")),
            (Method::POST, "/tasks/cancel", Some("tasks.cancel")),
            (Method::POST, "/keys", Some("keys.create")),
            (Method::PATCH, "/experimental-features", Some("experimental.update")),
        ];
        for (method, path, expected) in cases {
            assert_eq!(action(&method, path), expected, "{method} {path}");
        }
    }
}
