//! Sends a node the settings of an index again, and notes which of the node's tasks that is.

use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use miroir_core::settings::repair_patch;
use miroir_core::view::IndexEntry;
use reqwest::Method;
use serde_json::{Map, Value};

use super::Broadcasts;
use super::node::Failure;
use crate::node_api::{Node, NodeReply, NodeRequest, Unanswered, good_answer};

/// Tasks that are looked through for a repair whose answer was lost.
const LOOKED_THROUGH: usize = 100;

/// Puts the change into the node's queue that brings it to `entry` in the settings that differ; `found` are these and all
/// that it has. Answers the node's task. The caller has the right to send the node settings, so what appears in its queue
/// about settings meanwhile is this.
pub(super) async fn send_repair(
    broadcasts: &Broadcasts,
    node: &Node,
    entry: &IndexEntry,
    (keys, read_back): (&[String], &Map<String, Value>),
) -> Result<u64, Failure> {
    let timeout = broadcasts.config.verify_timeout;
    let earlier = changes_of(broadcasts, node, &entry.physical).await?.into_iter().max();
    let change = repair_patch(keys, read_back, &entry.settings, entry.node_context());
    let path = ["indexes", entry.physical.as_str(), "settings"];
    let request = NodeRequest::new(Method::PATCH, path).json(Value::Object(change).to_string());
    let sent = match node.send(request, timeout).await {
        Ok(reply) if reply.status.is_client_error() => return task_of(&reply),
        Ok(reply) => task_of(&reply),
        Err(error) => Err(Unanswered::from(error).into()),
    };
    match &sent {
        Ok(number) => broadcasts.note_repairs(node.id(), [*number]),
        // The answer may be all that was lost.
        Err(_) => look_for_repair(broadcasts, node, &entry.physical, earlier).await,
    }
    sent
}

fn task_of(reply: &NodeReply) -> Result<u64, Failure> {
    Ok(good_answer(reply)?["taskUid"].as_u64().ok_or(Unanswered::OutOfForm)?)
}

/// Notes the change that came after `earlier`. If there is none the node may still have it in its hands.
async fn look_for_repair(broadcasts: &Broadcasts, node: &Node, index: &PhysicalUid, earlier: Option<u64>) {
    let now = changes_of(broadcasts, node, index).await.unwrap_or_default();
    let later: Vec<u64> = now.into_iter().filter(|number| Some(*number) > earlier).collect();
    if later.is_empty() {
        broadcasts.note_lost_repair(node.id());
    }
    broadcasts.note_repairs(node.id(), later);
}

/// The numbers of the node's last changes of an index's settings.
async fn changes_of(broadcasts: &Broadcasts, node: &Node, index: &PhysicalUid) -> Result<Vec<u64>, Failure> {
    let path =
        NodePath::from("/tasks?types=settingsUpdate").with("indexUids", index).with("limit", LOOKED_THROUGH);
    let reply = node.send(NodeRequest::get(path), broadcasts.config.verify_timeout).await;
    let page = good_answer(&reply.map_err(Unanswered::from)?)?;
    let tasks = page["results"].as_array().ok_or(Unanswered::OutOfForm)?;
    Ok(tasks.iter().filter_map(|task| task["uid"].as_u64()).collect())
}
