//! `POST /swap-indexes`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::Payload;
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::task::{Mutation, Swap};
use serde_json::{Map, Value, json};

use super::TaskResponse;
use super::indexes::NO_INDEX;
use crate::auth::{Authorized, IndexesSwap};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::check_uid;
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, refusal};
use crate::write::NewWrite;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/swap-indexes", post(swap))
}

async fn swap(caller: Authorized<IndexesSwap>, State(app): State<App>, body: JsonBody) -> TaskResponse {
    let Some(lists) = read(&body.value) else { return Err(wrong_form(&app, body.value).await) };
    let swaps = lists.into_iter().map(|list| pair(list, &caller)).collect::<Result<Vec<_>, _>>()?;
    check_once(&swaps)?;
    let write = NewWrite {
        index: IndexUid::new(NO_INDEX),
        mutation: Mutation::SwapIndexes { swaps },
        payload: Payload::default(),
        custom_metadata: None,
    };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}

/// What should be a pair.
#[derive(Debug, PartialEq, Eq)]
struct List {
    indexes: Vec<IndexUid>,
    rename: bool,
}

/// `None` for whatever has not the right form.
fn read(body: &Value) -> Option<Vec<List>> {
    body.as_array()?.iter().map(|list| read_list(list.as_object()?)).collect()
}

fn read_list(pair: &Map<String, Value>) -> Option<List> {
    if !pair.keys().all(|key| key == "indexes" || key == "rename") {
        return None;
    }
    let uid = |uid: &Value| check_uid(uid.as_str()?).ok();
    let indexes = pair.get("indexes")?.as_array()?.iter().map(uid).collect::<Option<_>>()?;
    let rename = match pair.get("rename") {
        None => false,
        Some(rename) => rename.as_bool()?,
    };
    Some(List { indexes, rename })
}

/// Two indexes that the caller may both touch.
fn pair(list: List, caller: &Authorized<IndexesSwap>) -> Result<Swap, RequestError> {
    let List { indexes, rename } = list;
    let [first, second] = match <[IndexUid; 2]>::try_from(indexes) {
        Ok(pair) => pair,
        Err(indexes) => {
            let names = indexes.iter().map(|uid| format!("\"{uid}\"")).collect::<Vec<_>>().join(", ");
            let count = indexes.len();
            return Err(RequestError::new(
                ErrorCode::InvalidSwapIndexes,
                format!(
                    "Two indexes must be given for each swap. The list `[{names}]` contains {count} indexes."
                ),
            ));
        }
    };
    caller.require(&first)?;
    caller.require(&second)?;
    Ok(Swap { indexes: (first, second), rename })
}

fn check_once(swaps: &[Swap]) -> Result<(), RequestError> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for uid in swaps.iter().flat_map(|swap| [&swap.indexes.0, &swap.indexes.1]) {
        if !seen.insert(uid) {
            twice.insert(uid);
        }
    }
    let names = twice.iter().map(|uid| format!("`{uid}`")).collect::<Vec<_>>().join(", ");
    let were = match twice.len() {
        0 => return Ok(()),
        1 => "was",
        _ => "were",
    };
    Err(RequestError::new(
        ErrorCode::InvalidSwapDuplicateIndexFound,
        format!("Indexes must be declared only once during a swap. {names} {were} specified several times."),
    ))
}

/// A node finds the same fault first; a last pair that it can't accept keeps it from acting in any case.
async fn wrong_form(app: &App, mut body: Value) -> RequestError {
    if let Value::Array(pairs) = &mut body {
        pairs.push(json!({ "indexes": [IMPOSSIBLE_UID, IMPOSSIBLE_UID] }));
    }
    refusal(
        &app.cluster,
        NodeRequest::post("/swap-indexes").json(body.to_string()),
        "The body is not a list of `{indexes, rename}`.",
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_of_valid_names_are_read() {
        assert_eq!(read(&json!([])), Some(Vec::new()));
        let read_one = read(&json!([{ "indexes": ["a", "b"], "rename": true }])).unwrap();
        assert!(read_one[0].rename);
        for wrong in [
            json!({}),
            json!([{ "indexes": ["a", "b c"] }]),
            json!([{ "rename": true }]),
            json!([{ "indexes": ["a", "b"], "rename": 1 }]),
            json!([{ "indexes": ["a", "b"], "force": true }]),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_index_is_swapped_once_at_most() {
        let swap =
            |first, second| Swap { indexes: (IndexUid::new(first), IndexUid::new(second)), rename: false };
        let swaps = [swap("a", "b"), swap("b", "c")];
        let RequestError::Refused(error) = check_once(&swaps).unwrap_err() else { panic!("refused") };
        assert_eq!(error.code, ErrorCode::InvalidSwapDuplicateIndexFound);
        assert!(error.message.ends_with("`b` was specified several times."), "{}", error.message);
    }
}
