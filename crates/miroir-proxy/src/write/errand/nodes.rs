//! Letting several nodes do the same at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use miroir_core::ids::NodeId;
use serde_json::{Map, Value};

use super::Errands;
use crate::node_api::{Node, NodeRequest, NodeTaskState, Unanswered, good_answer};

/// Between two looks at a node's task.
const TASK_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The details of the node's finished task, or why there is none.
pub(super) type Done = Result<Map<String, Value>, String>;

/// Sends `request`, which makes a task, to each of the nodes and waits until the tasks are over. A node that is not read
/// any more is given up.
pub(super) async fn on_nodes(
    errands: &Errands,
    nodes: BTreeSet<NodeId>,
    request: &NodeRequest,
) -> BTreeMap<NodeId, Done> {
    let one = async |id: NodeId| {
        let done = match errands.membership.node(&id) {
            Some(node) => on_node(errands, &node, request.clone()).await,
            None => Err("it is not a member of the cluster".to_owned()),
        };
        (id.clone(), done.map_err(|reason| format!("node `{id}`: {reason}")))
    };
    join_all(nodes.into_iter().map(one)).await.into_iter().collect()
}

async fn on_node(errands: &Errands, node: &Node, request: NodeRequest) -> Done {
    let reply = node.send(request, errands.timeout).await.map_err(|error| error.to_string())?;
    let accepted = good_answer(&reply).map_err(|error| error.to_string())?;
    let task = accepted["taskUid"].as_u64().ok_or("its answer names no task")?;
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
