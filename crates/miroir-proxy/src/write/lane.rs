//! The ordered delivery of the log to one node:
//!
//! ```text
//!            entry decided              request received
//!   idle -------------------> sending -------------------> sending the next, or idle
//!                              |   ^
//!              can't be reached |   | pause over; not found in the node's queue
//!              or no answer     v   |
//!                             pausing ----> found in the node's queue: received
//! ```
//!
//! It sends without waiting for the node to finish what it sent before: a node works on one index in the order of its
//! queue. What was received is stored in groups; after a crash some of it is sent again, in the same order, which
//! leaves the node with the same documents. Requests whose *count* matters are looked for first.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::TaskUid;
use miroir_core::task::{Op, OpResult, ops_for};
use miroir_store::{Delivery, OpSent, Reception, Store};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};

use super::committer::Event;
use super::prepared::Prepared;
use super::receive::{Received, reception};
use super::request::{find_mark, is_marked, mark, recent_tasks, request};
use super::retry::{Backoff, until_stored};
use super::shelf::Shelf;
use super::tracker::Watched;
use crate::cluster::{Node, NodeError, NodeRequest};

/// Requests received that are stored together at most.
const GROUP: usize = 32;

/// Where to look for a request whose answer was lost: further back there can't be one of ours that is not stored.
const LOOK_BACK: usize = 4 * GROUP;

/// How long a node that answers again may take to get to a request that was waiting in its socket all the while: one
/// that was not found in the queue is looked for once more after that, or the node would take both.
const STRAGGLING: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) node: Node,
    pub(super) store: Arc<dyn Store>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) log_id: Arc<str>,
    pub(super) timeout: Duration,
    /// The first entry that is not delivered.
    pub(super) cursor: TaskUid,
    /// Up to here entries are decided.
    pub(super) decided: watch::Receiver<TaskUid>,
    pub(super) tracker: mpsc::Sender<Watched>,
    pub(super) events: mpsc::Sender<Event>,
}

/// What a lane does not know or has not stored.
#[derive(Debug, Default)]
struct Pending {
    /// Received, but not stored.
    sent: Vec<OpSent>,
    /// The next request may be in the node's queue already.
    doubtful: bool,
}

/// What a node's queue says about a request whose answer was lost.
enum Found {
    Task(u64),
    Nothing,
    /// The node does not tell, for this reason.
    NoAnswer(String),
}

impl Lane {
    /// Delivers until the future is dropped.
    pub(super) async fn run(mut self) {
        let mut pending = Pending { doubtful: true, ..Pending::default() };
        loop {
            let decided = *self.decided.borrow_and_update();
            if self.cursor >= decided {
                self.store_progress(&mut pending).await;
                if self.decided.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.shelf.next(self.cursor).await {
                Some(work) => {
                    self.deliver(&work, &mut pending).await;
                    self.cursor = TaskUid(work.decided.entry.uid.0 + 1);
                }
                None => self.cursor = decided,
            }
            if pending.sent.len() >= GROUP {
                self.store_progress(&mut pending).await;
            }
        }
    }

    async fn deliver(&self, work: &Arc<Prepared>, pending: &mut Pending) {
        for (number, op) in ops_for(&work.decided.decision, self.node.id()).iter().enumerate() {
            let reception = self.send_until_received(work, op, number, pending).await;
            pending.sent.push(OpSent { task: work.decided.entry.uid, op: number, reception });
        }
    }

    async fn send_until_received(
        &self,
        work: &Arc<Prepared>,
        op: &Op<'_>,
        number: usize,
        pending: &mut Pending,
    ) -> Reception {
        let mark = mark(&self.log_id, work.decided.entry.uid, number);
        let request = self.request(work, number, &mark).await;
        let mut backoff = Backoff::new();
        loop {
            match self.try_to_send(work, op, &mark, &request, pending).await {
                Ok(Received::Settled(reception)) => return reception,
                Ok(Received::NotNow(reason)) => {
                    tracing::warn!(node = %self.node.id(), %reason, "node does not take a write now; trying again");
                }
                Err(error) => {
                    pending.doubtful |= error.may_have_been_seen();
                    tracing::debug!(%error, "a write has to wait");
                }
            }
            self.store_received(work.decided.entry.uid, pending).await;
            backoff.pause().await;
        }
    }

    /// Large bodies are put together on a thread of their own.
    async fn request(&self, work: &Arc<Prepared>, number: usize, mark: &str) -> NodeRequest {
        let (work, node, mark) = (Arc::clone(work), self.node.id().clone(), mark.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let ops = ops_for(&work.decided.decision, &node);
            request(&work, &ops[number], &mark)
        });
        made.await.expect("putting a request together does not panic")
    }

    async fn try_to_send(
        &self,
        work: &Prepared,
        op: &Op<'_>,
        mark: &str,
        request: &NodeRequest,
        pending: &mut Pending,
    ) -> Result<Received, NodeError> {
        let marked = is_marked(op);
        if pending.doubtful && marked {
            for pause in [Duration::ZERO, STRAGGLING] {
                tokio::time::sleep(pause).await;
                match self.find_sent(work, mark).await? {
                    Found::Task(task) => return Ok(Received::Settled(Reception::Enqueued(task))),
                    Found::NoAnswer(reason) => return Ok(Received::NotNow(reason)),
                    Found::Nothing => {}
                }
            }
        }
        let reply = self.node.send(request.clone(), self.timeout).await?;
        let received = reception(&reply);
        // A request without a mark was not looked for: what follows it may be in the queue as well.
        if marked && matches!(received, Received::Settled(_)) {
            pending.doubtful = false;
        }
        Ok(received)
    }

    /// A node that does not say what it has must not be sent anything again.
    async fn find_sent(&self, work: &Prepared, mark: &str) -> Result<Found, NodeError> {
        let Some(target) = &work.decided.decision.target else { return Ok(Found::Nothing) };
        let reply = self.node.send(recent_tasks(&target.physical, LOOK_BACK), self.timeout).await?;
        let tasks = serde_json::from_slice::<Value>(&reply.body).ok().filter(|it| it["results"].is_array());
        Ok(match tasks {
            Some(tasks) => find_mark(&tasks, mark).map_or(Found::Nothing, Found::Task),
            None => Found::NoAnswer(format!("HTTP {} to a question for its tasks", reply.status.as_u16())),
        })
    }

    /// Stores what was received of entries before `current`, which is not delivered as a whole.
    async fn store_received(&self, current: TaskUid, pending: &mut Pending) {
        let (complete, begun): (Vec<_>, Vec<_>) =
            pending.sent.drain(..).partition(|sent| sent.task < current);
        pending.sent = begun;
        self.store_group(current, complete).await;
    }

    async fn store_progress(&self, pending: &mut Pending) {
        self.store_group(self.cursor, std::mem::take(&mut pending.sent)).await;
    }

    async fn store_group(&self, cursor: TaskUid, sent: Vec<OpSent>) {
        if sent.is_empty() {
            return;
        }
        let delivery = Delivery { node: self.node.id().clone(), cursor, sent, at: OffsetDateTime::now_utc() };
        until_stored("progress of a lane", || self.store.deliver(delivery.clone())).await;
        for sent in delivery.sent {
            self.hand_on(sent).await;
        }
    }

    /// The receivers end only together with this.
    async fn hand_on(&self, sent: OpSent) {
        let OpSent { task, op, reception } = sent;
        match reception {
            Reception::Enqueued(node_task) => {
                let _ = self.tracker.send(Watched { node_task, task, op }).await;
            }
            Reception::Refused(error) => {
                let node = self.node.id().clone();
                let result = OpResult::Failed(error);
                let _ = self.events.send(Event::Ended { node, task, op, result }).await;
            }
        }
    }
}
