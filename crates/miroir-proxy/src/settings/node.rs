//! Reading the settings of one index on one node.

use std::time::Duration;

use miroir_core::settings::{Canonical, SettingsHash};
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};

use crate::node_api::{Node, NodeTaskState, Unanswered, questions};

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
    Unanswered(#[from] Unanswered),
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
    let read_back = node.ask(questions::settings(&targets[0].physical), timeout).await?;
    let seen_for = |entry: &IndexEntry| Canonical::of_node(&read_back, &entry.settings, entry.node_context());
    if targets.iter().any(|entry| seen_for(entry) == Canonical::of_client(&entry.settings)) {
        return Ok(ReadBack::Same);
    }
    let seen = seen_for(&targets[0]);
    let keys = Canonical::of_client(&targets[0].settings).differing_keys(&seen);
    Ok(ReadBack::Other { keys, hash: seen.hash(), read_back })
}

/// Waits until a task of the node has ended.
pub(super) async fn wait_for(node: &Node, task: u64, timeout: Duration) -> Result<(), Failure> {
    let ended = node.end_of_task(task, (timeout, REPAIR_POLL_INTERVAL), |_| false);
    match tokio::time::timeout(timeout, ended).await.map_err(|_| Failure::TooLate)?? {
        NodeTaskState::Failed(message) => Err(Failure::Failed(message)),
        NodeTaskState::Canceled => Err(Failure::Failed("somebody canceled it".to_owned())),
        NodeTaskState::Succeeded(_) | NodeTaskState::Open => Ok(()),
    }
}
