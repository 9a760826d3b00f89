//! Sends a node the settings of an index again, and notes which of the node's tasks that is.

use miroir_core::ids::PhysicalUid;
use miroir_core::settings::repair_patch;
use miroir_core::view::IndexEntry;
use reqwest::Method;
use serde_json::{Map, Value};

use super::Broadcasts;
use super::node::Failure;
use crate::cluster::{Node, NodeRequest};

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
    let path = format!("/indexes/{}/settings", entry.physical);
    let request = NodeRequest::new(Method::PATCH, path).json(Value::Object(change).to_string());
    let reply = match node.send(request, timeout).await {
        Ok(reply) => reply,
        Err(error) => {
            // Its answer may be all that was lost.
            let now = changes_of(broadcasts, node, &entry.physical).await?;
            broadcasts.note_repairs(node.id(), now.into_iter().filter(|number| Some(*number) > earlier));
            return Err(error.into());
        }
    };
    if !reply.status.is_success() {
        return Err(Failure::Refused(reply.status.as_u16()));
    }
    let answer: Value = serde_json::from_slice(&reply.body).map_err(|_| Failure::OutOfForm)?;
    let number = answer["taskUid"].as_u64().ok_or(Failure::OutOfForm)?;
    broadcasts.note_repairs(node.id(), [number]);
    Ok(number)
}

/// The numbers of the node's last changes of an index's settings.
async fn changes_of(broadcasts: &Broadcasts, node: &Node, index: &PhysicalUid) -> Result<Vec<u64>, Failure> {
    let path = format!("/tasks?types=settingsUpdate&indexUids={index}&limit={LOOKED_THROUGH}");
    let reply = node.send(NodeRequest::get(path), broadcasts.config.verify_timeout).await?;
    let page: Value = serde_json::from_slice(&reply.body).map_err(|_| Failure::OutOfForm)?;
    let tasks = page["results"].as_array().ok_or(Failure::OutOfForm)?;
    Ok(tasks.iter().filter_map(|task| task["uid"].as_u64()).collect())
}
