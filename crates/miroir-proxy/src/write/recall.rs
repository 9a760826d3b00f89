//! Asks a node for its own queue: what it holds, and where it ends.

use std::collections::VecDeque;
use std::time::Duration;

use miroir_core::task::lane::Replay;

use crate::node_api::{Node, NodeError, Unanswered, questions};

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
    let mut tasks = VecDeque::new();
    let ask = |question| node.ask(question, timeout);
    let end = questions::walk_tasks((from, next), ask, |page| tasks.extend(page)).await;
    Ok(or_reason(end)?.map(|end| Replay { tasks, end }))
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
