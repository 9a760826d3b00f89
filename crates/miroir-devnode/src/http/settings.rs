//! Routes about settings, whole and one by one.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::body::RawBody;
use super::{Accepted, Answer, Shared, checked_uid, run_blocking};
use crate::engine::settings;
use crate::engine::settings_patch::SettingsPatch;
use crate::error::Result;
use crate::queue::task::Operation;

/// The settings that are changed by `PATCH`; all others by `PUT`.
const PATCHED: [&str; 5] = ["typoTolerance", "faceting", "pagination", "embedders", "chat"];
/// Shown by their own route only.
const HIDDEN: [&str; 2] = ["foreignKeys", "chat"];

pub async fn get(State(node): Shared, path: Path<String>) -> Result<Answer> {
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (entry, index) = node.index(&uid)?;
        let mut all = settings::effective(&entry.settings, &index)?;
        if let Value::Object(all) = &mut all {
            all.retain(|key, _| !HIDDEN.contains(&key.as_str()));
        }
        Ok(Answer(all))
    })
    .await
}

pub async fn update(State(node): Shared, uid: Path<String>, body: RawBody) -> Result<Accepted> {
    let patch = SettingsPatch::parse(body.json()?)?.into_json()?;
    let uid = checked_uid(uid)?;
    run_blocking(move || {
        let operation = Operation::UpdateSettings { patch, is_deletion: false };
        node.enqueue(Some(&uid), operation, None, None).map(Accepted)
    })
    .await
}

pub async fn reset(State(node): Shared, uid: Path<String>) -> Result<Accepted> {
    let patch: Map<String, Value> = all_keys().into_iter().map(|key| (key, Value::Null)).collect();
    let uid = checked_uid(uid)?;
    run_blocking(move || {
        let operation = Operation::UpdateSettings { patch, is_deletion: true };
        node.enqueue(Some(&uid), operation, None, None).map(Accepted)
    })
    .await
}

pub async fn get_one(State(node): Shared, Path((uid, name)): Path<(String, String)>) -> Result<Response> {
    let Some(key) = key_of(&name) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let uid = checked_uid(Path(uid))?;
    run_blocking(move || {
        let (entry, index) = node.index(&uid)?;
        let mut all = settings::effective(&entry.settings, &index)?;
        Ok(Answer(all[key].take()).into_response())
    })
    .await
}

pub async fn put_one(shared: Shared, path: Path<(String, String)>, body: RawBody) -> Result<Response> {
    write_one(shared, path, body, false).await
}

pub async fn patch_one(shared: Shared, path: Path<(String, String)>, body: RawBody) -> Result<Response> {
    write_one(shared, path, body, true).await
}

pub async fn reset_one(State(node): Shared, Path((uid, name)): Path<(String, String)>) -> Result<Response> {
    let Some(key) = key_of(&name) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let patch = Map::from_iter([(key, Value::Null)]);
    let uid = checked_uid(Path(uid))?;
    run_blocking(move || {
        let operation = Operation::UpdateSettings { patch, is_deletion: true };
        Ok(Accepted(node.enqueue(Some(&uid), operation, None, None)?).into_response())
    })
    .await
}

async fn write_one(
    State(node): Shared,
    Path((uid, name)): Path<(String, String)>,
    body: RawBody,
    is_patch: bool,
) -> Result<Response> {
    let Some(key) = key_of(&name) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    if PATCHED.contains(&key.as_str()) != is_patch {
        return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    let patch = SettingsPatch::parse_one(&key, body.json()?)?.into_json()?;
    let uid = checked_uid(Path(uid))?;
    run_blocking(move || {
        let operation = Operation::UpdateSettings { patch, is_deletion: false };
        Ok(Accepted(node.enqueue(Some(&uid), operation, None, None)?).into_response())
    })
    .await
}

fn all_keys() -> Vec<String> {
    match settings::defaults() {
        Value::Object(defaults) => defaults.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// The key of a sub-route: `ranking-rules` is `rankingRules`.
fn key_of(name: &str) -> Option<String> {
    all_keys().into_iter().find(|key| crate::refused::snake_case(key).replace('_', "-") == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_routes_are_keys_in_kebab_case() {
        assert_eq!(key_of("search-cutoff-ms").as_deref(), Some("searchCutoffMs"));
        assert_eq!(key_of("ranking-rules").as_deref(), Some("rankingRules"));
        assert_eq!(key_of("colour"), None);
    }
}
