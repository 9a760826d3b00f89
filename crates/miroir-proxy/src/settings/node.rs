//! Reading the settings of one index on one node.

use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use miroir_core::settings::{Canonical, SettingsHash};
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use crate::node_api::{Node, NodeError, NodeRequest};

/// Between two looks at a repair.
const REPAIR_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What a node has.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReadBack {
    /// Exactly what it should have.
    Same,
    /// Something else: how it reads, in which settings it differs, and their hash in canonical form.
    Other { read_back: Map<String, Value>, keys: Vec<String>, hash: SettingsHash },
}

/// Why a node's settings are not known, or not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("HTTP {0}")]
    Refused(u16),
    #[error("the answer is out of form")]
    OutOfForm,
    #[error("the repair did not end in time")]
    TooLate,
    #[error("the repair failed: {0}")]
    Failed(String),
}

/// Compares what the node reports with what it may have: any of `targets`, which are not none.
pub(super) async fn read_back(
    node: &Node,
    targets: &[IndexEntry],
    timeout: Duration,
) -> Result<ReadBack, Failure> {
    let read_back = fetch_settings(node, &targets[0].physical, timeout).await?;
    let seen_for = |entry: &IndexEntry| Canonical::of_node(&read_back, &entry.settings, entry.node_context());
    if targets.iter().any(|entry| seen_for(entry) == Canonical::of_client(&entry.settings)) {
        return Ok(ReadBack::Same);
    }
    let seen = seen_for(&targets[0]);
    let keys = Canonical::of_client(&targets[0].settings).differing_keys(&seen);
    Ok(ReadBack::Other { keys, hash: seen.hash(), read_back })
}

async fn fetch_settings(
    node: &Node,
    index: &PhysicalUid,
    timeout: Duration,
) -> Result<Map<String, Value>, Failure> {
    let reply = node.send(NodeRequest::get(["indexes", index.as_str(), "settings"]), timeout).await?;
    if !reply.status.is_success() {
        return Err(Failure::Refused(reply.status.as_u16()));
    }
    serde_json::from_slice(&reply.body).map_err(|_| Failure::OutOfForm)
}

/// Waits until a task of the node has ended.
pub(super) async fn wait_for(node: &Node, task: u64, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        let reply = node.send(NodeRequest::get(["tasks", &task.to_string()]), timeout).await?;
        let task: Value = serde_json::from_slice(&reply.body).map_err(|_| Failure::OutOfForm)?;
        match task["status"].as_str() {
            Some("succeeded") => return Ok(()),
            Some("failed" | "canceled") => {
                let message = task["error"]["message"].as_str().unwrap_or("the node gave no reason");
                return Err(Failure::Failed(message.to_owned()));
            }
            _ if Instant::now() > deadline => return Err(Failure::TooLate),
            _ => sleep(REPAIR_POLL_INTERVAL).await,
        }
    }
}
