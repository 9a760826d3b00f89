//! Sends a node the settings of an index again, and notes which of the node's tasks that is.

use miroir_core::ids::PhysicalUid;
use miroir_core::settings::repair_patch;
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};

use super::Broadcasts;
use super::node::Failure;
use crate::node_api::{Node, TaskQuery, Unanswered, questions};

/// Tasks that are looked through for a repair whose answer was lost.
const LOOKED_THROUGH: u64 = 100;

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
    let sent = node.ask(questions::change_settings(&entry.physical, change), timeout).await;
    match &sent {
        Ok(number) => broadcasts.sending.note_repairs(node.id(), [*number]),
        Err(Unanswered::Refused(reply)) if reply.status.is_client_error() => {}
        // The answer may be all that was lost.
        Err(_) => look_for_repair(broadcasts, node, &entry.physical, earlier).await,
    }
    Ok(sent?)
}

/// Notes the change that came after `earlier`. If there is none the node may still have it in its hands.
async fn look_for_repair(broadcasts: &Broadcasts, node: &Node, index: &PhysicalUid, earlier: Option<u64>) {
    let now = changes_of(broadcasts, node, index).await.unwrap_or_default();
    let later: Vec<u64> = now.into_iter().filter(|number| Some(*number) > earlier).collect();
    if later.is_empty() {
        broadcasts.sending.note_lost_repair(node.id());
    }
    broadcasts.sending.note_repairs(node.id(), later);
}

/// The numbers of the node's last changes of an index's settings.
async fn changes_of(broadcasts: &Broadcasts, node: &Node, index: &PhysicalUid) -> Result<Vec<u64>, Failure> {
    let changes = TaskQuery::newest(LOOKED_THROUGH).of_type("settingsUpdate").of_index(index);
    let tasks = node.ask(questions::tasks(changes), broadcasts.config.verify_timeout).await?;
    Ok(tasks.iter().filter_map(|task| task["uid"].as_u64()).collect())
}
