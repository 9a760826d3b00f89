//! Asks a node for its own queue: what it holds, and where it ends.

use std::collections::VecDeque;
use std::time::Duration;

use miroir_core::path::NodePath;
use miroir_core::task::lane::Replay;
use serde_json::Value;

use crate::node_api::{Node, NodeError, NodeRequest, TaskQuery, Unanswered, questions};

/// Tasks in one question.
pub(super) const PAGE: u64 = 1_000;

/// Asks the node what its queue holds from this number on; nothing if it ends before. The inner error says why the node
/// does not tell.
pub(super) async fn read_queue(
    node: &Node,
    from: u64,
    timeout: Duration,
) -> Result<Result<Replay, String>, NodeError> {
    let next = match ask_next_task(node, timeout).await? {
        Ok(next) => next,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut replay = Replay { tasks: VecDeque::new(), end: next };
    let mut from = from;
    while from < next {
        let page = questions::tasks(TaskQuery::starting_at(from, PAGE));
        let page = match or_reason(node.ask(page, timeout).await)? {
            Ok(page) => page,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(last) = page.last().and_then(|task| task["uid"].as_u64()) else { break };
        replay.tasks.extend(page);
        from = last + 1;
        replay.end = replay.end.max(from);
    }
    Ok(Ok(replay))
}

/// The number that the node's next task gets. The inner error says why it does not tell.
pub(super) async fn ask_next_task(node: &Node, timeout: Duration) -> Result<Result<u64, String>, NodeError> {
    or_reason(node.ask(questions::next_task(), timeout).await)
}

/// A node that answers says why it does not tell.
fn or_reason<T>(answer: Result<T, Unanswered>) -> Result<Result<T, String>, NodeError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(Unanswered::Node(error)) => Err(error),
        Err(error) => Ok(Err(format!("its answer to a question for its tasks: {error}"))),
    }
}

pub(super) async fn ask_tasks(
    node: &Node,
    path: NodePath,
    timeout: Duration,
) -> Result<Result<Vec<Value>, String>, NodeError> {
    let reply = node.send(NodeRequest::get(path), timeout).await?;
    let tasks = serde_json::from_slice::<Value>(&reply.body).ok().and_then(|mut body| {
        match body.get_mut("results").map(Value::take) {
            Some(Value::Array(tasks)) => Some(tasks),
            _ => None,
        }
    });
    Ok(tasks.ok_or_else(|| match reply.status.as_u16() {
        401 | 403 => "it refuses Miroir's key; see `node_master_key` in the configuration".to_owned(),
        status => format!("HTTP {status} to a question for its tasks"),
    }))
}
