//! What a node says of itself: a mark, its indexes, what is in its queue.

use std::collections::BTreeSet;
use std::time::Duration;

use miroir_core::identity::{Mark, Traces, log_of_request};
use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Unusable;
use super::key::{Keys, MarkedKey, ShownKey};
use crate::node_api::{Node, NodeReply, NodeRequest};

/// The route of keys.
pub(super) const KEYS: &str = "/keys";

/// More keys than a node has.
const ALL_KEYS: usize = 100_000;

/// More indexes than a node has.
const ALL_INDEXES: usize = 1_000_000;

/// The newest tasks among which a mark, or a request of any Miroir, is looked for.
const TRACES: usize = 1000;

/// The index that the task with the mark is about. There is none of this name, so the task does nothing, and fails.
const MARKED_INDEX: &str = "_miroir_mark";

/// A task of a node's queue.
#[derive(Debug)]
pub(super) struct SeenTask {
    pub(super) number: u64,
    /// The log whose request it was.
    pub(super) log: Option<String>,
}

/// Sees to it that no Miroir answers at the address.
pub async fn expect_meilisearch(node: &Node, timeout: Duration) -> Result<(), Unusable> {
    let reply = node.probe(NodeRequest::get("/_miroir/ready").briefly(), timeout).await?;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let is_ready = matches!(answer["status"].as_str(), Some("ready" | "not_ready"));
    if is_ready && matches!(reply.status.as_u16(), 200 | 503) { Err(Unusable::Miroir) } else { Ok(()) }
}

/// The node's version, if it says. Asked with the configured key, which must be right.
pub async fn ask_version(node: &Node, timeout: Duration) -> Result<Option<String>, Unusable> {
    let reply = node.probe_as_master(NodeRequest::get("/version").briefly(), timeout).await?;
    if reply.refuses_key() {
        return Err(Unusable::RefusesKey);
    }
    Ok(read_version(&reply))
}

/// The version in an answer to a question for it.
pub(in crate::cluster) fn read_version(reply: &NodeReply) -> Option<String> {
    let version: Value = serde_json::from_slice(&reply.body).ok()?;
    Some(version["pkgVersion"].as_str()?.to_owned())
}

/// The node's keys that carry a mark.
pub async fn ask_keys(node: &Node, timeout: Duration) -> Result<Keys, Unusable> {
    const QUESTION: &str = "a question for its keys";
    let request = NodeRequest::get(NodePath::from(KEYS).with("limit", ALL_KEYS));
    let reply = node.probe_as_master(request, timeout).await?;
    if reply.refuses_key() {
        return Ok(Keys::Hidden);
    }
    let results = read_results(QUESTION, &reply)?;
    let keys: Result<Vec<ShownKey>, _> = results.into_iter().map(serde_json::from_value).collect();
    let keys = keys.map_err(|_| Unusable::Unreadable(QUESTION))?;
    Ok(Keys::Listed(keys.into_iter().filter_map(ShownKey::marked).collect()))
}

/// The newest mark that the node shows: that of a key, or else that of a task.
pub async fn ask_shown_mark(node: &Node, keys: &Keys, timeout: Duration) -> Result<Option<Mark>, Unusable> {
    if let Some(MarkedKey { mark, .. }) = keys.marked().next() {
        return Ok(Some(mark.clone()));
    }
    let request =
        NodeRequest::get(NodePath::from("/tasks").with("indexUids", MARKED_INDEX).with("limit", TRACES));
    let reply = node.probe_as_master(request, timeout).await?;
    let tasks = read_results("a question for its tasks", &reply)?;
    Ok(tasks.iter().find_map(|task| Mark::parse(task["customMetadata"].as_str()?)))
}

/// The node's indexes.
pub(super) async fn ask_indexes(node: &Node, timeout: Duration) -> Result<BTreeSet<PhysicalUid>, Unusable> {
    let request = NodeRequest::get(NodePath::from("/indexes").with("limit", ALL_INDEXES));
    let reply = node.probe_as_master(request, timeout).await?;
    let indexes = read_results("a question for its indexes", &reply)?;
    let uid = |index: &Value| Some(PhysicalUid::new(index["uid"].as_str()?));
    Ok(indexes.iter().filter_map(uid).collect())
}

/// What is found on a node that shows no mark.
pub async fn ask_traces(node: &Node, timeout: Duration) -> Result<Traces, Unusable> {
    let indexes = ask_indexes(node, timeout).await?;
    let tasks = ask_newest_tasks(node, TRACES, timeout).await?;
    Ok(Traces { indexes, last_log: tasks.into_iter().find_map(|task| task.log) })
}

/// The end of the node's queue, newest first.
pub(super) async fn ask_newest_tasks(
    node: &Node,
    limit: usize,
    timeout: Duration,
) -> Result<Vec<SeenTask>, Unusable> {
    const QUESTION: &str = "a question for its tasks";
    let request = NodeRequest::get(NodePath::from("/tasks").with("limit", limit));
    let reply = node.probe_as_master(request, timeout).await?;
    let seen = |task: &Value| {
        let log = task["customMetadata"].as_str().and_then(log_of_request).map(str::to_owned);
        Some(SeenTask { number: task["uid"].as_u64()?, log })
    };
    let tasks: Option<Vec<_>> = read_results(QUESTION, &reply)?.iter().map(seen).collect();
    tasks.ok_or(Unusable::Unreadable(QUESTION))
}

/// Leaves the mark in a task. It is there when this returns, whenever the task is done.
pub(super) async fn leave_mark_in_task(node: &Node, own: &Mark, timeout: Duration) -> Result<(), Unusable> {
    let path = NodePath::from(["indexes", MARKED_INDEX, "documents"]).with("customMetadata", own);
    let reply = node.probe_as_master(NodeRequest::new(Method::DELETE, path), timeout).await?;
    if reply.status == StatusCode::ACCEPTED {
        return Ok(());
    }
    let (status, message) = (reply.status.as_u16(), message_of(&reply));
    Err(Unusable::Refused { question: "the mark of this cluster", status, message })
}

pub(super) fn read_results(question: &'static str, reply: &NodeReply) -> Result<Vec<Value>, Unusable> {
    if !reply.status.is_success() {
        let (status, message) = (reply.status.as_u16(), message_of(reply));
        return Err(Unusable::Refused { question, status, message });
    }
    let answer: Result<Value, _> = serde_json::from_slice(&reply.body);
    match answer.map(|mut answer| answer["results"].take()) {
        Ok(Value::Array(results)) => Ok(results),
        _ => Err(Unusable::Unreadable(question)),
    }
}

/// The message of an error, or whatever else was answered.
pub(super) fn message_of(reply: &NodeReply) -> String {
    let error: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match error["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("HTTP {}", reply.status.as_u16()),
    }
}
