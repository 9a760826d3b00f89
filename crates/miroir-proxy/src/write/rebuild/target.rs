//! The node that is rebuilt, as the one who writes to it sees it.
//!
//! Tasks are put into its queue and not waited for one by one: it works on them in order, and takes together what goes
//! together, the more the more there is. How much may be in the queue is bounded, since the node keeps it on its disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::error::ErrorCode;
use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::counter::{Counter, Doing, Ticket};
use super::error::RebuildError;
use crate::node_api::{Node, NodeError, NodeReply, NodeRequest};
use crate::write::recall::ask_next_task;

/// Between questions for the end of tasks.
const TASK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Between questions for what the node is doing.
const GLANCE: Duration = Duration::from_millis(500);

/// Tasks in one question: an address has its limits. The oldest end first.
const ASKED: usize = 300;

/// What may be in the node's queue at once, in the unit below.
const ROOM: u32 = 8 << 10;

/// Bytes of a body that take one place there. A task without one takes one all the same.
const UNIT: usize = 32 << 10;

/// How often a question is asked that is not answered, with a pause between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Target {
    node: Node,
    timeout: Duration,
    pub(super) counter: Arc<Counter>,
    /// Tasks that were put into the node's queue by this.
    enqueued: Arc<AtomicU64>,
    open: Mutex<BTreeMap<u64, Open>>,
    room: Arc<Semaphore>,
    /// Rung when tasks have ended.
    ended: Notify,
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
    pub(super) fn new(node: Node, timeout: Duration, counter: Arc<Counter>) -> Self {
        Self {
            node,
            timeout,
            counter,
            enqueued: Arc::default(),
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM as usize)),
            ended: Notify::new(),
        }
    }

    /// The same node, for work whose end is waited for by itself.
    pub(super) fn aside(&self) -> Self {
        Self {
            node: self.node.clone(),
            timeout: self.timeout,
            counter: Arc::clone(&self.counter),
            enqueued: Arc::clone(&self.enqueued),
            open: Mutex::default(),
            room: Arc::clone(&self.room),
            ended: Notify::new(),
        }
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The node's answer, if it is a good one.
    pub(super) async fn ask(&self, request: NodeRequest) -> Result<Value, RebuildError> {
        ask(&self.node, request, self.timeout).await
    }

    /// The primary key of an index, if the node has the index.
    pub(super) async fn find_index(
        &self,
        index: &PhysicalUid,
    ) -> Result<Option<Option<String>>, RebuildError> {
        let request = NodeRequest::get(["indexes", index.as_str()]);
        let path = request.path.to_string();
        let reply = send_question(&self.node, request, self.timeout).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = read(&self.node, &path, &reply)?;
        Ok(Some(answer["primaryKey"].as_str().map(str::to_owned)))
    }

    /// The bytes of a good answer of any node.
    pub(super) async fn fetch(&self, node: &Node, request: NodeRequest) -> Result<Bytes, RebuildError> {
        let path = request.path.to_string();
        let reply = send_question(node, request, self.timeout).await?;
        if reply.status.is_success() { Ok(reply.body) } else { Err(refusal(node, &path, &reply)) }
    }

    /// Puts a task into the node's queue; answers its number.
    pub(super) async fn enqueue(&self, request: NodeRequest) -> Result<u64, RebuildError> {
        let path = request.path.to_string();
        let reply = self.node.send(request, self.timeout).await?;
        let answer = read(&self.node, &path, &reply)?;
        self.enqueued.fetch_add(1, Ordering::Relaxed);
        answer["taskUid"].as_u64().ok_or_else(|| RebuildError::Unreadable(answer.to_string()))
    }

    /// Puts a task into the node's queue when there is room in it, and does not wait for its end: whoever watches does.
    pub(super) async fn put(&self, request: NodeRequest, work: Work) -> Result<(), RebuildError> {
        let places = u32::try_from(request.body.len() / UNIT).unwrap_or(u32::MAX).clamp(1, ROOM);
        let place = Arc::clone(&self.room).acquire_many_owned(places).await.expect("nobody closes it");
        let task = self.enqueue(request).await?;
        self.open().insert(task, Open { work, _place: place });
        Ok(())
    }

    /// Takes note of the tasks that end. Returns when one has failed.
    pub(super) async fn watch(&self) -> RebuildError {
        let mut glanced = Instant::now();
        loop {
            sleep(TASK_POLL_INTERVAL).await;
            if glanced.elapsed() >= GLANCE {
                if let Some(doing) = self.doing().await {
                    self.counter.note(doing, glanced.elapsed());
                }
                glanced = Instant::now();
            }
            let asked: Vec<String> = self.open().keys().take(ASKED).map(u64::to_string).collect();
            if asked.is_empty() {
                continue;
            }
            let path = NodePath::from("/tasks?statuses=succeeded,failed,canceled");
            let path = path.with("limit", ASKED).with("uids", asked.join(","));
            let answer = match self.ask(NodeRequest::get(path)).await {
                Ok(answer) => answer,
                Err(error) => return error,
            };
            for task in answer["results"].as_array().into_iter().flatten() {
                if let Err(error) = check_end(task) {
                    return error;
                }
                let ended = task["uid"].as_u64().and_then(|task| self.open().remove(&task));
                if let Some(Open { work: Work { documents, ticket }, .. }) = ended {
                    self.counter.add_documents(documents);
                    drop(ticket);
                }
            }
            self.ended.notify_waiters();
        }
    }

    /// What the node is doing; none if that is nothing, or if it does not say. Only those who watch depend on it.
    async fn doing(&self) -> Option<Doing> {
        let path = NodePath::from("/batches?statuses=processing&limit=1");
        let answer = self.node.send(NodeRequest::get(path), self.timeout).await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.body).ok()?;
        read_doing(answer["results"].get(0)?)
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

    /// The number that the node's next task would have if only this had put tasks into its queue since it began. As long
    /// as it stays the same nobody else has.
    pub(super) async fn next_task_without_own(&self) -> Result<u64, RebuildError> {
        let next = ask_next_task(&self.node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        Ok(next.wrapping_sub(self.enqueued.load(Ordering::Relaxed)))
    }

    /// Enqueues a task and waits for its end.
    pub(super) async fn run(&self, request: NodeRequest) -> Result<(), RebuildError> {
        let task = self.enqueue(request).await?;
        self.wait_for(task).await
    }

    /// Waits for the end of a task that must succeed.
    pub(super) async fn wait_for(&self, task: u64) -> Result<(), RebuildError> {
        loop {
            let answer = self.ask(NodeRequest::get(["tasks", &task.to_string()])).await?;
            if matches!(answer["status"].as_str(), Some("enqueued" | "processing")) {
                sleep(TASK_POLL_INTERVAL).await;
            } else {
                return check_end(&answer);
            }
        }
    }

    /// Waits until the node has nothing in its queue.
    pub(super) async fn wait_until_idle(&self) -> Result<(), RebuildError> {
        loop {
            let open = self.ask(NodeRequest::get("/tasks?statuses=enqueued,processing&limit=1")).await?;
            if open["results"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            sleep(TASK_POLL_INTERVAL).await;
        }
    }

    /// Switches the experimental features that clients switched. A node whose version does not know one goes without.
    pub(super) async fn switch_features(
        &self,
        features: &BTreeMap<String, bool>,
    ) -> Result<(), RebuildError> {
        for (name, enabled) in features {
            let body = json!({ name: enabled }).to_string();
            let request = NodeRequest::new(Method::PATCH, "/experimental-features").json(body);
            let reply = self.node.send(request, self.timeout).await?;
            if reply.status != StatusCode::BAD_REQUEST {
                read(&self.node, "/experimental-features", &reply)?;
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
fn check_end(task: &Value) -> Result<(), RebuildError> {
    let gone = task["error"]["code"] == ErrorCode::IndexNotFound.as_str();
    match task["status"].as_str() {
        Some("succeeded") => Ok(()),
        Some("failed") if gone && task["type"] == "indexDeletion" => Ok(()),
        _ => Err(RebuildError::TaskFailed {
            task: task["uid"].as_u64().unwrap_or(0),
            reason: task["error"]["message"].as_str().unwrap_or("it was canceled").to_owned(),
        }),
    }
}

/// The answer of a node to a question, if it is a good one.
pub(super) async fn ask(node: &Node, request: NodeRequest, timeout: Duration) -> Result<Value, RebuildError> {
    let path = request.path.to_string();
    let reply = send_question(node, request, timeout).await?;
    read(node, &path, &reply)
}

/// A question may be asked again: a busy node can miss one of thousands, and all that was copied would count for nothing.
async fn send_question(node: &Node, request: NodeRequest, timeout: Duration) -> Result<NodeReply, NodeError> {
    for _ in 1..TRIES {
        match node.send(request.clone(), timeout).await {
            Err(NodeError::NoAnswer { .. }) => sleep(PAUSE).await,
            told => return told,
        }
    }
    node.send(request, timeout).await
}

fn read(node: &Node, request: &str, reply: &NodeReply) -> Result<Value, RebuildError> {
    if !reply.status.is_success() {
        return Err(refusal(node, request, reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| RebuildError::Unreadable(format!("{request}: {error}")))
}

fn refusal(node: &Node, request: &str, reply: &NodeReply) -> RebuildError {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let words = body["message"].as_str().map(str::to_owned);
    RebuildError::Refused {
        node: node.id().clone(),
        // Without the list of what was asked for.
        request: request.split_once('?').map_or(request, |(path, _)| path).to_owned(),
        status: reply.status.as_u16(),
        message: words.unwrap_or_else(|| String::from_utf8_lossy(&reply.body).into_owned()),
    }
}

#[cfg(test)]
mod tests {
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
