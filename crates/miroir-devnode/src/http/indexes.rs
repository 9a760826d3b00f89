//! Routes about indexes themselves.

use axum::extract::{Path, State};
use axum::http::Uri;
use deserr::Deserr;
use serde_json::{Value, json};

use super::body::RawBody;
use super::params::Params;
use super::{Accepted, Answer, Shared, check_uid, checked_uid, run_blocking};
use crate::engine::read;
use crate::error::{ApiError, Result};
use crate::node::Node;
use crate::queue::store::IndexEntry;
use crate::queue::task::{Operation, Swap, show_time};
use crate::refused::parse;

const DEFAULT_LIMIT: usize = 20;

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct Creation {
    uid: String,
    #[deserr(default)]
    primary_key: Option<String>,
}

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct Update {
    #[deserr(default)]
    primary_key: Option<String>,
    #[deserr(default)]
    uid: Option<String>,
}

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct SwapPair {
    indexes: Vec<String>,
    #[deserr(default)]
    rename: bool,
}

pub async fn list(State(node): Shared, uri: Uri) -> Result<Answer> {
    let params = Params::parse(&uri, &["offset", "limit"], "invalid_index_")?;
    let offset = params.size("offset")?.unwrap_or(0);
    let limit = params.size("limit")?.unwrap_or(DEFAULT_LIMIT);
    run_blocking(move || {
        let entries = node.store.indexes()?;
        let page = entries.iter().skip(offset).take(limit).map(|entry| view(&node, entry));
        let results = page.collect::<Result<Vec<_>>>()?;
        Ok(Answer(json!({ "results": results, "offset": offset, "limit": limit, "total": entries.len() })))
    })
    .await
}

pub async fn create(State(node): Shared, body: RawBody) -> Result<Accepted> {
    let sent = body.json()?;
    let creation: Creation = parse(sent)
        .map_err(|refused| refused.coded_or_missing("invalid_index_", "uid", "missing_index_uid"))?;
    check_uid(&creation.uid).map_err(|message| {
        ApiError::new("invalid_index_uid", format!("Invalid value at `.uid`: {message}"))
    })?;
    run_blocking(move || {
        let operation = Operation::CreateIndex { primary_key: creation.primary_key };
        node.enqueue(Some(&creation.uid), operation, None, None).map(Accepted)
    })
    .await
}

pub async fn get(State(node): Shared, path: Path<String>) -> Result<Answer> {
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (entry, _) = node.index(&uid)?;
        view(&node, &entry).map(Answer)
    })
    .await
}

pub async fn update(State(node): Shared, path: Path<String>, body: RawBody) -> Result<Accepted> {
    let sent = body.json()?;
    for (field, code) in
        [("createdAt", "immutable_index_created_at"), ("updatedAt", "immutable_index_updated_at")]
    {
        if sent.get(field).is_some() {
            let message = format!("Immutable field `{field}`: expected one of `primaryKey`, `uid`");
            return Err(ApiError::new(code, message));
        }
    }
    let update: Update = parse(sent).map_err(|refused| refused.coded("invalid_index_"))?;
    if let Some(new_uid) = &update.uid {
        check_uid(new_uid).map_err(|message| ApiError::new("invalid_index_uid", message))?;
    }
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let operation = Operation::UpdateIndex { primary_key: update.primary_key, new_uid: update.uid };
        node.enqueue(Some(&uid), operation, None, None).map(Accepted)
    })
    .await
}

pub async fn delete(State(node): Shared, path: Path<String>) -> Result<Accepted> {
    let uid = checked_uid(path)?;
    run_blocking(move || node.enqueue(Some(&uid), Operation::DeleteIndex, None, None).map(Accepted)).await
}

pub async fn stats(State(node): Shared, path: Path<String>) -> Result<Answer> {
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (_, index) = node.index(&uid)?;
        read::stats(&index, node.store.is_indexing(&uid)?).map(Answer)
    })
    .await
}

pub async fn swap(State(node): Shared, body: RawBody) -> Result<Accepted> {
    let pairs: Vec<SwapPair> = parse(body.json()?)
        .map_err(|refused| refused.coded_or_missing("invalid_swap_", "indexes", "missing_swap_indexes"))?;
    let swaps = checked_swaps(pairs)?;
    run_blocking(move || node.enqueue(None, Operation::SwapIndexes { swaps }, None, None).map(Accepted)).await
}

fn checked_swaps(pairs: Vec<SwapPair>) -> Result<Vec<Swap>> {
    let mut seen = Vec::new();
    let mut swaps = Vec::new();
    for (number, pair) in pairs.into_iter().enumerate() {
        let Ok([left, right]) = <[String; 2]>::try_from(pair.indexes.clone()) else {
            let names = pair.indexes.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!(
                "Two indexes must be given for each swap. The list `[{}]` contains {} indexes.",
                names.replace('`', "\""),
                pair.indexes.len()
            );
            return Err(ApiError::new("invalid_swap_indexes", message));
        };
        for (side, uid) in [&left, &right].into_iter().enumerate() {
            check_uid(uid).map_err(|message| {
                let message = format!("Invalid value at `[{number}].indexes[{side}]`: {message}");
                ApiError::new("invalid_swap_indexes", message)
            })?;
            if seen.contains(uid) {
                let message = format!(
                    "Indexes must be declared only once during a swap. `{uid}` was specified several times."
                );
                return Err(ApiError::new("invalid_swap_duplicate_index_found", message));
            }
            seen.push(uid.clone());
        }
        swaps.push(Swap { indexes: (left, right), rename: pair.rename });
    }
    Ok(swaps)
}

fn view(node: &Node, entry: &IndexEntry) -> Result<Value> {
    let index = node.engine.index(&entry.folder)?;
    let rtxn = index.read_txn()?;
    Ok(json!({
        "uid": entry.uid,
        "createdAt": show_time(entry.created_at),
        "updatedAt": show_time(index.updated_at(&rtxn)?),
        "primaryKey": index.primary_key(&rtxn)?,
    }))
}
