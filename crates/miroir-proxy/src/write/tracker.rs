//! Notices what a node has finished: one question about everything that is open on it, more often while things happen,
//! none while nothing is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::OpResult;
use miroir_store::NodeTask;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::committer::Event;
use super::receive::op_result;
use crate::cluster::Membership;
use crate::node_api::{Node, TaskQuery, Unanswered, questions};

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(50);

/// So many open tasks make the pause between questions longer by [`SHORTEST`]: each question is then about some that ended,
/// and who waits behind many does not notice.
const BACKLOG: u32 = 16;

/// Between questions to a node that does not answer.
const AWAY: Duration = Duration::from_millis(500);

/// Tasks in one question: an address has its limits. The oldest end first.
const ASKED: usize = 300;

/// How long nothing may end before it is looked whether the node still knows what it is to finish.
const QUIET: Duration = Duration::from_secs(5);

/// How often it is told that a node works.
const TELLING: Duration = Duration::from_secs(1);

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
    /// By the node's number.
    pub(super) open: BTreeMap<u64, Watched>,
    /// Whether every shard of the node has another copy.
    pub(super) has_peers: bool,
    /// Where it is told what the node says of a task on which it does not come on.
    pub(super) membership: Arc<Membership>,
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
        let mut moved = Instant::now();
        let mut told = Instant::now();
        loop {
            if self.open.is_empty() {
                let Some(watched) = more.recv().await else { return };
                self.open.insert(watched.node_task, watched);
                (pause, moved) = (SHORTEST, Instant::now());
            }
            while self.open.len() < OPEN
                && let Ok(watched) = more.try_recv()
            {
                self.open.insert(watched.node_task, watched);
                pause = SHORTEST;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.node.returned() => {}
            }
            pause = match self.ask().await {
                Some(0) => (pause * 3 / 2).min(LONGEST),
                Some(_) => {
                    moved = Instant::now();
                    self.membership.note_own_task(self.node.id(), None);
                    pause_behind(self.open.len())
                }
                None => AWAY,
            };
            if pause != AWAY && !self.open.is_empty() && told.elapsed() > TELLING {
                told = Instant::now();
                // The committer ends only together with this.
                let _ = self.events.send(Event::Working { node: self.node.id().clone() }).await;
            }
            if moved.elapsed() > QUIET {
                self.look_for_deleted().await;
                moved = Instant::now();
            }
        }
    }

    /// A server forgets only tasks that are over: somebody deleted them there, or it made room. How they ended nobody knows,
    /// so the node's data are compared with its peers'; without peers they are taken to have succeeded.
    async fn look_for_deleted(&mut self) {
        let asked = self.asked();
        let Some(tasks) = self.list(TaskQuery::of_numbers(asked.iter())).await else { return };
        let first = tasks.iter().min_by_key(|task| task["uid"].as_u64());
        self.membership.note_own_task(self.node.id(), first.map(describe));
        let known: BTreeSet<u64> = tasks.iter().filter_map(|task| task["uid"].as_u64()).collect();
        let deleted: Vec<u64> = asked.difference(&known).copied().collect();
        if deleted.is_empty() {
            return;
        }
        let node = self.node.id().clone();
        tracing::warn!(%node, tasks = ?deleted, "tasks were deleted on the node before Miroir saw how they ended");
        // The committer ends only together with this.
        if self.has_peers {
            let _ = self.events.send(Event::Lost { node }).await;
            return;
        }
        for Watched { task, op, .. } in deleted.iter().filter_map(|node_task| self.open.remove(node_task)) {
            let result = OpResult::Done { deleted: None };
            let _ = self.events.send(Event::Ended { node: node.clone(), task, op, result }).await;
        }
    }

    /// What one question is about.
    fn asked(&self) -> BTreeSet<u64> {
        self.open.keys().take(ASKED).copied().collect()
    }

    /// What the node lists; none if it does not say.
    async fn list(&self, query: TaskQuery) -> Option<Vec<Value>> {
        match self.node.ask(questions::tasks(query), self.timeout).await {
            Ok(tasks) => Some(tasks),
            Err(Unanswered::Node(_)) => None,
            Err(reason) => {
                tracing::warn!(node = %self.node.id(), %reason, "node does not tell how its tasks ended, and Miroir's tasks wait for that; asking again");
                None
            }
        }
    }

    /// How many tasks have ended; none if the node does not say.
    async fn ask(&mut self) -> Option<usize> {
        let tasks = self.list(TaskQuery::of_numbers(self.asked().iter()).ended()).await?;
        let ended: Vec<(Watched, OpResult)> = tasks
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

/// How long to wait for more, while things happen.
fn pause_behind(open: usize) -> Duration {
    let backlog = u32::try_from(open).unwrap_or(u32::MAX) / BACKLOG;
    SHORTEST.saturating_mul(backlog.saturating_add(1)).min(LONGEST)
}

/// What a node says of one of its tasks.
fn describe(task: &Value) -> String {
    let text = |name: &str| task[name].as_str().unwrap_or("unknown");
    let since = if task["startedAt"].is_string() { text("startedAt") } else { text("enqueuedAt") };
    let error = task["error"]["message"].as_str().map_or_else(String::new, |error| format!(": {error}"));
    format!("its task {} ({}) is `{}` since {since}{error}", task["uid"], text("type"), text("status"))
}

#[cfg(test)]
mod tests;
