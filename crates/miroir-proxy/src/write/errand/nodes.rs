//! Letting several nodes do the same at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use miroir_core::ids::NodeId;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::Errands;
use crate::node_api::{Node, NodeReply, NodeRequest};

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
            Some(node) => on_node(errands, node, request.clone()).await,
            None => Err("it is not configured".to_owned()),
        };
        (id.clone(), done.map_err(|reason| format!("node `{id}`: {reason}")))
    };
    join_all(nodes.into_iter().map(one)).await.into_iter().collect()
}

async fn on_node(errands: &Errands, node: &Node, request: NodeRequest) -> Done {
    let reply = node.send(request, errands.timeout).await.map_err(|error| error.to_string())?;
    let accepted = read(&reply)?;
    let task = accepted["taskUid"].as_u64().ok_or("its answer names no task")?;
    loop {
        let reply = node.send(NodeRequest::get(["tasks", &task.to_string()]), errands.timeout).await;
        let reply = match reply {
            Ok(reply) => Some(reply),
            Err(error) if !errands.view.load().usable.contains(node.id()) => return Err(error.to_string()),
            Err(_) => None,
        };
        if let Some(task) = reply.map(|reply| read(&reply)).transpose()? {
            match task["status"].as_str() {
                Some("succeeded") => return Ok(task["details"].as_object().cloned().unwrap_or_default()),
                Some("failed") => return Err(message(&task["error"])),
                Some("canceled") => return Err("its task was canceled".to_owned()),
                _ => {}
            }
        }
        sleep(TASK_POLL_INTERVAL).await;
    }
}

fn read(reply: &NodeReply) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
    if reply.status.is_success() { Ok(body) } else { Err(message(&body)) }
}

fn message(error: &Value) -> String {
    error["message"].as_str().unwrap_or("it gave no reason").to_owned()
}
