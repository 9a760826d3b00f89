//! The node that gets data, as the one who writes to it sees it.
//!
//! Tasks are put into its queue and not waited for one by one: it works on them in order, and takes together what goes
//! together, the more the more there is. How much may be in the queue is bounded, since the node keeps it on its disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use miroir_core::error::ErrorCode;
use serde_json::{Map, Value};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::TransferError;
use super::progress::{Doing, Progress, Ticket};
use crate::node_api::questions::{self, Question};
use crate::node_api::{Node, NodeError, NodeTaskState, TaskQuery, Unanswered};

/// Between questions for the end of tasks.
const TASK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Between questions for what the node is doing.
const GLANCE: Duration = Duration::from_millis(500);

/// How long nothing may end before it is looked whether the node still knows what it is to finish.
const QUIET: Duration = Duration::from_secs(5);

/// Tasks in one question: an address has its limits. The oldest end first.
const ASKED: usize = 300;

/// What may be in the node's queue at once, in the unit below.
const ROOM: u32 = 8 << 10;

/// Bytes of a body that take one place there. A task without one takes one all the same.
const UNIT: usize = 32 << 10;

/// How often a question is asked that is not answered, with a pause between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a task that somebody canceled did nothing.
const CANCELED: &str = "it was canceled";

/// See the module.
#[derive(Debug)]
pub struct Target {
    node: Node,
    timeout: Duration,
    pub(super) progress: Arc<Progress>,
    /// Tasks that were put into the node's queue by this.
    enqueued: Arc<AtomicU64>,
    open: Mutex<BTreeMap<u64, Open>>,
    room: Arc<Semaphore>,
    /// Rung when tasks have ended.
    ended: Notify,
}

/// Where a node's queue ends.
#[derive(Debug, Clone, Copy)]
pub struct QueueEnd {
    /// The number that the next task gets.
    pub next: u64,
    /// The number that it would get if only the copy had put tasks into the queue since it began. As long as it stays the
    /// same nobody else has.
    pub without_own: u64,
}

impl QueueEnd {
    /// Whether the queue has kept its tasks since it ended, without those of the copy, at `before`.
    ///
    /// # Errors
    /// That it has not: then the node was emptied.
    pub const fn check_kept(self, before: u64) -> Result<(), TransferError> {
        if self.without_own.wrapping_sub(before).cast_signed() < 0 {
            Err(TransferError::TasksLost)
        } else {
            Ok(())
        }
    }
}

/// What the end of a task means.
#[derive(Debug)]
pub(super) struct Work {
    /// So many documents are as they should be then.
    pub(super) documents: u64,
    /// Its index, if it is one that the target has to have, is not done before.
    pub(super) ticket: Option<Arc<Ticket>>,
}

/// A task in the node's queue. Its place is free, and its index may be done, when this is dropped.
#[derive(Debug)]
struct Open {
    work: Work,
    _place: OwnedSemaphorePermit,
}

impl Target {
    /// Nothing that comes from here is in its queue yet. `timeout` is for each request.
    pub fn new(node: Node, timeout: Duration, progress: Arc<Progress>) -> Self {
        Self {
            node,
            timeout,
            progress,
            enqueued: Arc::default(),
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM as usize)),
            ended: Notify::new(),
        }
    }

    /// The same node, for work whose end is waited for by itself.
    pub fn aside(&self) -> Self {
        Self {
            node: self.node.clone(),
            timeout: self.timeout,
            progress: Arc::clone(&self.progress),
            enqueued: Arc::clone(&self.enqueued),
            open: Mutex::default(),
            room: Arc::clone(&self.room),
            ended: Notify::new(),
        }
    }

    /// Counts what is done.
    pub const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The node.
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// How long each request may take.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The node's answer to a question.
    ///
    /// # Errors
    /// When it has none.
    pub async fn ask<T>(&self, question: Question<T>) -> Result<T, TransferError> {
        ask(&self.node, question, self.timeout).await
    }

    /// Puts a task into the node's queue; answers its number.
    ///
    /// # Errors
    /// When the node does not take it.
    pub async fn enqueue(&self, order: Question<u64>) -> Result<u64, TransferError> {
        let name = order.name();
        let task = self.node.ask(order, self.timeout).await;
        let task = task.map_err(|error| TransferError::unanswered(&self.node, &name, error))?;
        self.enqueued.fetch_add(1, Ordering::Relaxed);
        Ok(task)
    }

    /// Puts a task into the node's queue when there is room in it, and does not wait for its end: whoever watches does.
    pub(super) async fn put(&self, order: Question<u64>, work: Work) -> Result<(), TransferError> {
        let places = u32::try_from(order.body_bytes() / UNIT).unwrap_or(u32::MAX).clamp(1, ROOM);
        let place = Arc::clone(&self.room).acquire_many_owned(places).await.expect("nobody closes it");
        let task = self.enqueue(order).await?;
        self.open().insert(task, Open { work, _place: place });
        Ok(())
    }

    /// Takes note of the tasks that end. Returns when one has failed, or is not known any more.
    pub(super) async fn watch(&self) -> TransferError {
        let mut glanced = Instant::now();
        let mut moved = Instant::now();
        loop {
            sleep(TASK_POLL_INTERVAL).await;
            if glanced.elapsed() >= GLANCE {
                if let Some(doing) = self.doing().await {
                    self.progress.note(doing, glanced.elapsed());
                }
                glanced = Instant::now();
            }
            let asked = self.asked();
            if asked.is_empty() {
                moved = Instant::now();
                continue;
            }
            let ended = questions::tasks(TaskQuery::of_numbers(asked.iter()).ended());
            let ended = match self.ask(ended).await {
                Ok(ended) => ended,
                Err(error) => return error,
            };
            for task in ended {
                if let Err(error) = check_end(&task) {
                    return error;
                }
                moved = Instant::now();
                let ended = task["uid"].as_u64().and_then(|task| self.open().remove(&task));
                if let Some(Open { work: Work { documents, ticket }, .. }) = ended {
                    self.progress.add_documents(documents);
                    drop(ticket);
                }
            }
            self.ended.notify_waiters();
            if moved.elapsed() >= QUIET {
                moved = Instant::now();
                if let Err(error) = self.look_for_lost().await {
                    return error;
                }
            }
        }
    }

    /// What one question is about.
    fn asked(&self) -> Vec<u64> {
        self.open().keys().take(ASKED).copied().collect()
    }

    /// Of tasks that the node does not know any more nobody will ever hear how they ended.
    async fn look_for_lost(&self) -> Result<(), TransferError> {
        let asked = self.asked();
        let known = self.ask(questions::tasks(TaskQuery::of_numbers(asked.iter()))).await?;
        let is_known = |number: &u64| known.iter().any(|task| task["uid"] == *number);
        if asked.iter().all(is_known) { Ok(()) } else { Err(TransferError::TasksLost) }
    }

    /// What the node is doing; none if that is nothing, or if it does not say. Only those who watch depend on it.
    async fn doing(&self) -> Option<Doing> {
        read_doing(&self.node.ask(questions::open_batch(), self.timeout).await.ok()??)
    }

    /// Returns when everything that was put into the queue has ended, provided that somebody watches.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open().is_empty() {
                return;
            }
            ended.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the node's queue ends.
    ///
    /// # Errors
    /// When the node does not say.
    pub async fn queue_end(&self) -> Result<QueueEnd, TransferError> {
        // Before the question: what is being put into the queue meanwhile makes it longer only.
        let own = self.enqueued.load(Ordering::Relaxed);
        let next = self.next_task().await?;
        Ok(QueueEnd { next, without_own: next.wrapping_sub(own) })
    }

    /// The number that the node's next task gets.
    ///
    /// # Errors
    /// When the node does not say.
    pub async fn next_task(&self) -> Result<u64, TransferError> {
        self.ask(questions::next_task()).await
    }

    /// Enqueues a task and waits for its end.
    pub(super) async fn run(&self, order: Question<u64>) -> Result<(), TransferError> {
        let task = self.enqueue(order).await?;
        self.wait_for(task).await
    }

    /// Waits for the end of a task that must succeed.
    ///
    /// # Errors
    /// When it did not, or the node does not say.
    pub async fn wait_for(&self, task: u64) -> Result<(), TransferError> {
        loop {
            let failed = match self.ask(questions::task(task)).await? {
                NodeTaskState::Open => {
                    sleep(TASK_POLL_INTERVAL).await;
                    continue;
                }
                NodeTaskState::Succeeded(_) => return Ok(()),
                NodeTaskState::Failed(reason) => reason,
                NodeTaskState::Canceled => CANCELED.to_owned(),
            };
            return Err(TransferError::TaskFailed { task, reason: failed });
        }
    }

    /// Waits until the node has nothing in its queue.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn wait_until_idle(&self) -> Result<(), TransferError> {
        while !self.ask(questions::tasks(TaskQuery::newest(1).open())).await?.is_empty() {
            sleep(TASK_POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Switches experimental features. A node whose version does not know one goes without.
    ///
    /// # Errors
    /// When the node does not switch one that it knows.
    pub async fn switch_features(&self, features: &BTreeMap<String, bool>) -> Result<(), TransferError> {
        for (name, enabled) in features {
            let order = questions::change_features(&Map::from_iter([(name.clone(), Value::Bool(*enabled))]));
            let request = order.name();
            match self.node.ask(order, self.timeout).await {
                Ok(()) => {}
                Err(Unanswered::Refused(reply)) if reply.status.as_u16() == 400 => {}
                Err(error) => return Err(TransferError::unanswered(&self.node, &request, error)),
            }
        }
        Ok(())
    }
}

fn read_doing(batch: &Value) -> Option<Doing> {
    if batch["stats"]["types"]["documentAdditionOrUpdate"].is_null() {
        return Some(Doing::Other);
    }
    let percent = batch["progress"]["percentage"].as_f64().unwrap_or(0.0).clamp(0.0, 100.0);
    let received = batch["details"]["receivedDocuments"].as_u64()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a number of documents, about"
    )]
    Some(Doing::Documents((received as f64 * percent / 100.0) as u64))
}

/// An error if the task did not succeed. An index that is gone already is as good as one that is deleted now.
fn check_end(task: &Value) -> Result<(), TransferError> {
    let gone = task["error"]["code"] == ErrorCode::IndexNotFound.as_str();
    match task["status"].as_str() {
        Some("succeeded") => Ok(()),
        Some("failed") if gone && task["type"] == "indexDeletion" => Ok(()),
        _ => Err(TransferError::TaskFailed {
            task: task["uid"].as_u64().unwrap_or(0),
            reason: task["error"]["message"].as_str().unwrap_or(CANCELED).to_owned(),
        }),
    }
}

/// The answer of a node to a question. It may be asked again: a busy node can miss one of thousands, and all that was copied
/// would count for nothing.
pub(super) async fn ask<T>(
    node: &Node,
    question: Question<T>,
    timeout: Duration,
) -> Result<T, TransferError> {
    let name = question.name();
    for _ in 1..TRIES {
        match node.ask(question.clone(), timeout).await {
            Err(Unanswered::Node(NodeError::NoAnswer { .. })) => sleep(PAUSE).await,
            told => return told.map_err(|error| TransferError::unanswered(node, &name, error)),
        }
    }
    node.ask(question, timeout).await.map_err(|error| TransferError::unanswered(node, &name, error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_says_what_the_node_is_doing_and_how_far_it_is() {
        let documents = json!({
            "progress": { "percentage": 25.5 },
            "details": { "receivedDocuments": 2_000, "indexedDocuments": null },
            "stats": { "types": { "documentAdditionOrUpdate": 3 } },
        });
        assert_eq!(read_doing(&documents), Some(Doing::Documents(510)));
        let settings = json!({ "progress": null, "stats": { "types": { "settingsUpdate": 1 } } });
        assert_eq!(read_doing(&settings), Some(Doing::Other));
    }
}
