//! Letting several nodes do the same at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use miroir_core::ids::NodeId;
use serde_json::{Map, Value};

use super::Errands;
use crate::node_api::{Node, NodeTaskState, Question, Unanswered};

/// Between two looks at a node's task.
const TASK_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The details of the node's finished task, or why there is none.
pub(super) type Done = Result<Map<String, Value>, String>;

/// Has each of the nodes make a task, whose number is the answer to `order`, and waits until the tasks are over. A node that is not read
/// any more is given up.
pub(super) async fn on_nodes(
    errands: &Errands,
    nodes: BTreeSet<NodeId>,
    order: &Question<u64>,
) -> BTreeMap<NodeId, Done> {
    let one = async |id: NodeId| {
        let done = match errands.membership.node(&id) {
            Some(node) => on_node(errands, &node, order.clone()).await,
            None => Err("it is not a member of the cluster".to_owned()),
        };
        (id.clone(), done.map_err(|reason| format!("node `{id}`: {reason}")))
    };
    join_all(nodes.into_iter().map(one)).await.into_iter().collect()
}

async fn on_node(errands: &Errands, node: &Node, order: Question<u64>) -> Done {
    let task = node.ask(order, errands.timeout).await.map_err(|error| error.to_string())?;
    let may_pass = |error: &Unanswered| {
        matches!(error, Unanswered::Node(_)) && errands.view.load().usable.contains(node.id())
    };
    let ended = node.end_of_task(task, (errands.timeout, TASK_POLL_INTERVAL), may_pass).await;
    match ended.map_err(|error| error.to_string())? {
        NodeTaskState::Succeeded(details) => Ok(details),
        NodeTaskState::Failed(message) => Err(message),
        NodeTaskState::Canceled | NodeTaskState::Open => Err("its task was canceled".to_owned()),
    }
}
