//! The requests that carry the parts of a decision to a node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::document::edit::keep_marker;
use miroir_core::hash::shard_of;
use miroir_core::ids::{NodeId, ShardCount, ShardId};
use miroir_core::path::NodePath;
use miroir_core::rules::RULES_FEATURE;
use miroir_core::task::lane::NodeAnswer;
use miroir_core::task::{Deletion, Mutation, Op, WriteMethod, ops_for};
use miroir_store::Store;
use reqwest::Method;
use serde_json::json;

use super::prepared::{Decided, Documents};
use super::receive::{lacks_feature, reception};
use super::retry::until_stored;
use super::shelf::Shelf;
use crate::node_api::{Node, NodeError, NodeRequest};

/// Where nodes keep dynamic search rules.
const RULES: &str = "/dynamic-search-rules";

/// The request for one part of a decision.
#[derive(Debug)]
pub(super) struct OpRequest {
    request: NodeRequest,
    is_about_rules: bool,
}

/// Puts the request for one part of a decision together, on a thread of its own: a body may be large.
pub(super) async fn request(
    shelf: &Shelf,
    decided: &Arc<Decided>,
    node: &NodeId,
    number: usize,
    mark: String,
) -> OpRequest {
    let op = &ops_for(&decided.decision, node)[number];
    let is_about_rules = op.is_about_rules();
    let documents = match op {
        Op::AddDocuments { part, .. } => Some(shelf.documents(decided, *part).await),
        _ => None,
    };
    let (decided, node) = (Arc::clone(decided), node.clone());
    let made = tokio::task::spawn_blocking(move || {
        write_request(&decided, &ops_for(&decided.decision, &node)[number], documents.as_deref(), &mark)
    });
    let request = made.await.expect("putting a request together does not panic");
    OpRequest { request, is_about_rules }
}

impl OpRequest {
    /// Sends it, once or as often as it takes to have the feature of rules on: changes of rules were accepted when it was.
    /// The node may have missed that, or it was switched off since.
    pub(super) async fn send(
        &self,
        node: &Node,
        store: &dyn Store,
        timeout: Duration,
    ) -> Result<NodeAnswer, NodeError> {
        let reply = node.send(self.request.clone(), timeout).await?;
        if !self.is_about_rules || !lacks_feature(&reply) {
            return Ok(reception(&reply));
        }
        node.send(switch_rules(true), timeout).await?;
        let reply = node.send(self.request.clone(), timeout).await;
        let features = until_stored("reading the features", || store.features()).await;
        if !features.get(RULES_FEATURE).copied().unwrap_or(false)
            && let Err(error) = node.send(switch_rules(false), timeout).await
        {
            tracing::debug!(%error, "the feature is switched off later");
        }
        Ok(reception(&reply?))
    }
}

fn switch_rules(on: bool) -> NodeRequest {
    let body = json!({ RULES_FEATURE: on }).to_string();
    NodeRequest::new(Method::PATCH, "/experimental-features").json(body)
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
