//! What a node has is deleted, before it is used as a new one.

use std::collections::BTreeSet;
use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Unusable;
use super::look::{ask_indexes, message_of, read_results};
use crate::node_api::{Node, NodeRequest};

/// Tasks of a node's queue that have not ended, whose indexes may be yet to come.
const WAITING: usize = 10_000;

/// Puts the deletion of every index into the node's queue, also of those that tasks before it will make, and that of all
/// dynamic search rules. Whatever is put there later comes behind that.
pub(super) async fn delete_everything(node: &Node, timeout: Duration) -> Result<(), Unusable> {
    let mut indexes = ask_indexes(node, timeout).await?;
    indexes.extend(ask_coming_indexes(node, timeout).await?);
    for index in indexes {
        let path = NodePath::from(["indexes", index.as_str()]);
        order(node, NodeRequest::new(Method::DELETE, path), "an order to delete an index", timeout).await?;
    }
    order(
        node,
        NodeRequest::new(Method::DELETE, "/dynamic-search-rules"),
        "an order to delete its dynamic search rules",
        timeout,
    )
    .await
}

async fn ask_coming_indexes(node: &Node, timeout: Duration) -> Result<BTreeSet<PhysicalUid>, Unusable> {
    let path = NodePath::from("/tasks?statuses=enqueued,processing").with("limit", WAITING);
    let reply = node.probe_as_master(NodeRequest::get(path), timeout).await?;
    let tasks = read_results("a question for its tasks", &reply)?;
    let index = |task: &Value| Some(PhysicalUid::new(task["indexUid"].as_str()?));
    Ok(tasks.iter().filter_map(index).collect())
}

/// What the node does not have, or can't have because a feature is off, is deleted already.
async fn order(
    node: &Node,
    request: NodeRequest,
    question: &'static str,
    timeout: Duration,
) -> Result<(), Unusable> {
    let reply = node.probe_as_master(request, timeout).await?;
    let is_gone = matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
    if reply.status.is_success() || is_gone {
        return Ok(());
    }
    Err(Unusable::Refused { question, status: reply.status.as_u16(), message: message_of(&reply) })
}
