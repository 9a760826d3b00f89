//! The requests that carry the parts of a decision to a node.

use std::collections::BTreeSet;
use std::sync::Arc;

use miroir_core::document::edit::keep_marker;
use miroir_core::hash::shard_of;
use miroir_core::ids::{NodeId, ShardCount, ShardId, TaskUid};
use miroir_core::task::{Deletion, Mutation, Op, WriteMethod, ops_for};
use reqwest::Method;
use serde_json::{Value, json};

use super::prepared::{Decided, Documents};
use super::shelf::Shelf;
use crate::node_api::NodeRequest;
use miroir_core::path::NodePath;

/// Where nodes keep dynamic search rules.
const RULES: &str = "/dynamic-search-rules";

/// The mark by which a request is found again in a node's queue: which log, which entry, which of its requests.
pub(super) fn mark(log_id: &str, task: TaskUid, op: usize) -> String {
    format!("miroir:{log_id}:{task}:{op}")
}

/// Whether a task has such a mark.
pub(super) fn is_mark(metadata: &Value) -> bool {
    metadata.as_str().is_some_and(|metadata| metadata.starts_with("miroir:"))
}

/// Whether the node keeps the mark of such a request: only the routes of documents and of rules take one.
pub(super) const fn is_marked(op: &Op<'_>) -> bool {
    match op {
        Op::AddDocuments { .. }
        | Op::DeleteByIds { .. }
        | Op::DeleteByFilter { .. }
        | Op::EditDocuments { .. }
        | Op::Clear
        | Op::PutRule { .. }
        | Op::DeleteRule { .. }
        | Op::ClearRules => true,
        Op::CreateIndex { .. } | Op::UpdateIndex { .. } | Op::DeleteIndex | Op::Settings { .. } => false,
    }
}

/// The request for one part of a decision, made on a thread of its own: a body may be large.
pub(super) async fn request(
    shelf: &Shelf,
    decided: &Arc<Decided>,
    node: &NodeId,
    number: usize,
    mark: String,
) -> NodeRequest {
    let documents = match &ops_for(&decided.decision, node)[number] {
        Op::AddDocuments { part, .. } => Some(shelf.documents(decided, *part).await),
        _ => None,
    };
    let (decided, node) = (Arc::clone(decided), node.clone());
    let made = tokio::task::spawn_blocking(move || {
        write_request(&decided, &ops_for(&decided.decision, &node)[number], documents.as_deref(), &mark)
    });
    made.await.expect("putting a request together does not panic")
}

/// `documents` are there if the request sends any.
fn write_request(decided: &Decided, op: &Op<'_>, documents: Option<&Documents>, mark: &str) -> NodeRequest {
    let target = decided.decision.target.as_ref().expect("a decision with requests has a target");
    let physical = &target.physical;
    let index = || NodePath::from(["indexes", physical.as_str()]);
    let documents_of = |action: &str| index().then("documents").then(action);
    let count = target.placement.shard_count();
    match op {
        Op::CreateIndex { primary_key } => NodeRequest::new(Method::POST, "/indexes")
            .json(json!({ "uid": physical, "primaryKey": primary_key }).to_string()),
        Op::UpdateIndex { primary_key } => {
            NodeRequest::new(Method::PATCH, index()).json(json!({ "primaryKey": primary_key }).to_string())
        }
        Op::DeleteIndex => NodeRequest::new(Method::DELETE, index()),
        Op::Settings { patch } => {
            let body = serde_json::to_string(patch).expect("JSON can be written");
            NodeRequest::new(Method::PATCH, index().then("settings")).json(body)
        }
        Op::AddDocuments { method, primary_key, skip_creation, shards, .. } => {
            let verb = match method {
                WriteMethod::Replace => Method::POST,
                WriteMethod::Update => Method::PUT,
            };
            let path = index().then("documents").with("primaryKey", primary_key).with("customMetadata", mark);
            let path = if *skip_creation { path.with("skipCreation", true) } else { path };
            let body = documents.map(|documents| documents.body(shards, count)).unwrap_or_default();
            NodeRequest::new(verb, path).body("application/x-ndjson", body)
        }
        Op::DeleteByIds { shards, .. } => {
            let ids = ids_of(&decided.entry.mutation, shards, count);
            marked(Method::POST, documents_of("delete-batch"), mark).json(json!(ids).to_string())
        }
        Op::DeleteByFilter { filter, .. } => {
            marked(Method::POST, documents_of("delete"), mark).json(json!({ "filter": filter }).to_string())
        }
        Op::EditDocuments { filter, context, function, .. } => {
            let mut body = json!({ "function": keep_marker(function) });
            if let Some(filter) = filter {
                body["filter"] = filter.clone();
            }
            if let Some(context) = context {
                body["context"] = (*context).clone();
            }
            marked(Method::POST, documents_of("edit"), mark).json(body.to_string())
        }
        Op::Clear => marked(Method::DELETE, index().then("documents"), mark),
        Op::PutRule { uid, update } => {
            marked(Method::PATCH, NodePath::from(RULES).then(uid), mark).json(json!(update).to_string())
        }
        Op::DeleteRule { uid } => marked(Method::DELETE, NodePath::from(RULES).then(uid), mark),
        Op::ClearRules => marked(Method::DELETE, RULES.into(), mark),
    }
}

fn ids_of<'a>(mutation: &'a Mutation, shards: &BTreeSet<ShardId>, count: ShardCount) -> Vec<&'a str> {
    let Mutation::DeleteDocuments { deletion: Deletion::ByIds(ids) } = mutation else { return Vec::new() };
    ids.iter().map(String::as_str).filter(|id| shards.contains(&shard_of(id, count))).collect()
}

fn marked(method: Method, path: NodePath, mark: &str) -> NodeRequest {
    NodeRequest::new(method, path.with("customMetadata", mark))
}
