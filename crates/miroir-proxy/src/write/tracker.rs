//! Notices what a node has finished: one question about everything that is open on it, more often while things happen,
//! none while nothing is open.

use std::collections::BTreeMap;
use std::time::Duration;

use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::OpResult;
use miroir_store::NodeTask;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::committer::Event;
use super::receive::op_result;
use crate::cluster::{Node, NodeRequest};

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(50);

/// Between questions to a node that does not answer.
const AWAY: Duration = Duration::from_millis(500);

/// Tasks in one question: an address has its limits. The oldest end first.
const ASKED: usize = 300;

/// Tasks watched at a time; beyond that the lane waits.
const OPEN: usize = 10_000;

/// A node's task to watch, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) node_task: u64,
    pub(super) task: TaskUid,
    pub(super) op: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) node: Node,
    pub(super) timeout: Duration,
    pub(super) events: mpsc::Sender<Event>,
    /// By the node's number. One task may stand for several requests: one whose answer was lost is found again.
    pub(super) open: BTreeMap<u64, Watched>,
}

/// What the node had not finished when the store was last told.
pub(super) fn open_on(node: &NodeId, node_tasks: &[NodeTask]) -> BTreeMap<u64, Watched> {
    let open = node_tasks.iter().filter(|task| task.node == *node && task.result.is_none());
    open.filter_map(|open| {
        let node_task = open.node_task?;
        Some((node_task, Watched { node_task, task: open.task, op: open.op }))
    })
    .collect()
}

impl Tracker {
    /// Watches until the future is dropped.
    pub(super) async fn run(mut self, mut more: mpsc::Receiver<Watched>) {
        let mut pause = SHORTEST;
        loop {
            if self.open.is_empty() {
                let Some(watched) = more.recv().await else { return };
                self.open.insert(watched.node_task, watched);
                pause = SHORTEST;
            }
            while self.open.len() < OPEN
                && let Ok(watched) = more.try_recv()
            {
                self.open.insert(watched.node_task, watched);
                pause = SHORTEST;
            }
            sleep(pause).await;
            pause = match self.ask().await {
                Some(0) => (pause * 3 / 2).min(LONGEST),
                Some(_) => SHORTEST,
                None => AWAY,
            };
        }
    }

    /// How many tasks have ended; none if the node does not say.
    async fn ask(&mut self) -> Option<usize> {
        let uids: Vec<String> = self.open.keys().take(ASKED).map(u64::to_string).collect();
        let path = format!("/tasks?statuses=succeeded,failed,canceled&limit={ASKED}&uids={}", uids.join(","));
        let reply = self.node.send(NodeRequest::get(path), self.timeout).await.ok()?;
        if !reply.status.is_success() {
            tracing::warn!(node = %self.node.id(), status = reply.status.as_u16(), "node does not tell its tasks");
            return None;
        }
        let tasks: Value = serde_json::from_slice(&reply.body).ok()?;
        let ended: Vec<(Watched, OpResult)> = tasks["results"]
            .as_array()?
            .iter()
            .filter_map(|task| Some((*self.open.get(&task["uid"].as_u64()?)?, op_result(task)?)))
            .collect();
        let count = ended.len();
        for (Watched { node_task, task, op }, result) in ended {
            self.open.remove(&node_task);
            let node = self.node.id().clone();
            // The committer ends only together with this.
            let _ = self.events.send(Event::Ended { node, task, op, result }).await;
        }
        Some(count)
    }
}
