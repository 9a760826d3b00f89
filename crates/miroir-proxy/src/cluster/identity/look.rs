//! What a node says of itself: a mark, its indexes, what is in its queue.

use std::collections::BTreeSet;
use std::time::Duration;

use miroir_core::identity::{Mark, Traces, log_of_request};
use miroir_core::ids::PhysicalUid;
use serde_json::Value;

use super::Unusable;
use super::key::{Keys, MarkedKey, ShownKey};
use crate::node_api::{Node, TaskQuery, Unanswered, questions};

/// The newest tasks among which a mark, or a request of any Miroir, is looked for.
const TRACES: u64 = 1000;

/// The index that the task with the mark is about. There is none of this name, so the task does nothing, and fails.
const MARKED_INDEX: &str = "_miroir_mark";

/// What is asked, as errors name it.
const ABOUT_TASKS: &str = "a question for its tasks";
const ABOUT_KEYS: &str = "a question for its keys";

/// A task of a node's queue.
#[derive(Debug)]
pub(super) struct SeenTask {
    pub(super) number: u64,
    /// The log whose request it was.
    pub(super) log: Option<String>,
}

/// Sees to it that no Miroir answers at the address.
pub async fn expect_meilisearch(node: &Node, timeout: Duration) -> Result<(), Unusable> {
    let is_miroir = node.ask_unused(questions::is_miroir(), timeout).await;
    if is_miroir.map_err(Unusable::because("a question whether it is a Miroir"))? {
        Err(Unusable::Miroir)
    } else {
        Ok(())
    }
}

/// The node's version, if it says. Asked with the configured key, which must be right.
pub async fn ask_version(node: &Node, timeout: Duration) -> Result<Option<String>, Unusable> {
    told_version(node.ask_as_master(questions::version(), timeout).await)
}

/// The version in the answer to a question for it. Only that the key is right matters.
pub(in crate::cluster) fn told_version(
    answer: Result<String, Unanswered>,
) -> Result<Option<String>, Unusable> {
    match answer {
        Ok(version) => Ok(Some(version)),
        Err(Unanswered::Node(error)) => Err(error.into()),
        Err(Unanswered::Refused(reply)) if reply.refuses_key() => Err(Unusable::RefusesKey),
        Err(Unanswered::Refused(_) | Unanswered::OutOfForm) => Ok(None),
    }
}

/// The node's keys that carry a mark.
pub async fn ask_keys(node: &Node, timeout: Duration) -> Result<Keys, Unusable> {
    let keys = match node.ask_as_master(questions::keys(), timeout).await {
        Err(Unanswered::Refused(reply)) if reply.refuses_key() => return Ok(Keys::Hidden),
        answer => answer.map_err(Unusable::because(ABOUT_KEYS))?,
    };
    let keys: Result<Vec<ShownKey>, _> = keys.into_iter().map(serde_json::from_value).collect();
    let keys = keys.map_err(|_| Unusable::Unreadable(ABOUT_KEYS))?;
    Ok(Keys::Listed(keys.into_iter().filter_map(ShownKey::marked).collect()))
}

/// The newest mark that the node shows: that of a key, or else that of a task.
pub async fn ask_shown_mark(node: &Node, keys: &Keys, timeout: Duration) -> Result<Option<Mark>, Unusable> {
    if let Some(MarkedKey { mark, .. }) = keys.marked().next() {
        return Ok(Some(mark.clone()));
    }
    let marked = TaskQuery::newest(TRACES).of_index(MARKED_INDEX);
    let tasks = ask_tasks(node, marked, timeout).await?;
    Ok(tasks.iter().find_map(|task| Mark::parse(task["customMetadata"].as_str()?)))
}

/// Tasks of the node.
pub(super) async fn ask_tasks(
    node: &Node,
    query: TaskQuery,
    timeout: Duration,
) -> Result<Vec<Value>, Unusable> {
    node.ask_as_master(questions::tasks(query), timeout).await.map_err(Unusable::because(ABOUT_TASKS))
}

/// The node's indexes.
pub(super) async fn ask_indexes(node: &Node, timeout: Duration) -> Result<BTreeSet<PhysicalUid>, Unusable> {
    let indexes = node.ask_as_master(questions::indexes(), timeout).await;
    Ok(indexes.map_err(Unusable::because("a question for its indexes"))?.into_keys().collect())
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
    limit: u64,
    timeout: Duration,
) -> Result<Vec<SeenTask>, Unusable> {
    let seen = |task: &Value| {
        let log = task["customMetadata"].as_str().and_then(log_of_request).map(str::to_owned);
        Some(SeenTask { number: task["uid"].as_u64()?, log })
    };
    let tasks = ask_tasks(node, TaskQuery::newest(limit), timeout).await?;
    let tasks: Option<Vec<_>> = tasks.iter().map(seen).collect();
    tasks.ok_or(Unusable::Unreadable(ABOUT_TASKS))
}

/// Leaves the mark in a task. It is there when this returns, whenever the task is done.
pub(super) async fn leave_mark_in_task(node: &Node, own: &Mark, timeout: Duration) -> Result<(), Unusable> {
    let left = node.ask_as_master(questions::leave_task(MARKED_INDEX, own), timeout).await;
    left.map(drop).map_err(Unusable::because("the mark of this cluster"))
}
