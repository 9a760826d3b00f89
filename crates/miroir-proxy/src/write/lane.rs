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
//! queue. What was received is stored in groups. After a crash, or when an answer was lost, the node's queue is compared
//! with what was to be sent (see [`recall`](super::recall)), so that nothing is sent twice and nothing stands before what
//! it has to follow. A node whose queue ends before what it once had has lost its data: its lane ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use miroir_core::ids::TaskUid;
use miroir_core::rules::RULES_FEATURE;
use miroir_core::task::{Op, OpResult, ops_for};
use miroir_store::{Delivery, OpSent, Reception};
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};

use super::committer::Event;
use super::fenced::FencedStore;
use super::gate::Gate;
use super::prepared::Decided;
use super::recall::{KnownRepairs, Recall, Told, ask_next_task, ask_recall, kind_of};
use super::receive::{Received, lacks_feature, reception};
use super::request::{is_marked, mark, request};
use super::retry::{Backoff, until_stored};
use super::shelf::Shelf;
use super::stragglers::{Identity, Resent, Stragglers};
use super::tracker::Watched;
use crate::cluster::{Node, NodeError, NodeReply, NodeRequest};
use crate::settings::Broadcasts;

/// Requests received that are stored together at most.
const GROUP: usize = 32;

/// How long one that is received waits for others to be stored with. Its end is looked for only after that.
const GATHERING: Duration = Duration::from_millis(20);

/// So many refusals of one write, for a reason of the node's own, and tasks no longer wait for the node.
const REFUSALS: u32 = 2;

/// How long a node that answers again may take to get to a request that was waiting in its socket all the while: one
/// that was not found in the queue is looked for once more after that, or the node would take both.
const STRAGGLING: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) node: Node,
    pub(super) store: Arc<FencedStore>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) log_id: Arc<str>,
    pub(super) timeout: Duration,
    /// The first entry that is not delivered.
    pub(super) cursor: TaskUid,
    /// Entries behind the cursor that were received before: a node that was taken as it is gets only some again.
    pub(super) received: BTreeSet<TaskUid>,
    /// The first number of the node's queue that is not accounted for; none before the first meeting.
    pub(super) next_node_task: Option<u64>,
    /// Where others can read it.
    pub(super) accounted: Arc<AtomicU64>,
    /// What it sent again.
    pub(super) stragglers: Arc<Stragglers>,
    /// Up to here entries are decided.
    pub(super) decided: watch::Receiver<TaskUid>,
    pub(super) gate: Gate,
    pub(super) tracker: mpsc::Sender<Watched>,
    pub(super) events: mpsc::Sender<Event>,
    /// Says when a change of settings may be sent.
    pub(super) broadcasts: Arc<Broadcasts>,
}

/// Why a lane has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneEnd {
    /// The write path ends.
    Closed,
    /// The node's queue has not what it had: its data are not those of the log.
    HistoryLost,
}

/// Whether an entry was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivered {
    /// All of it.
    Whole,
    /// Not even a part is worth anything: the node has lost what it had.
    HistoryLost,
}

/// What a lane does not know or has not stored.
#[derive(Debug)]
struct Pending {
    /// Received, but not stored.
    sent: Vec<OpSent>,
    /// Where the store has the cursor.
    stored_cursor: TaskUid,
    /// When others were stored last.
    stored: Instant,
    doubt: Doubt,
    /// The first number of the node's queue that is not accounted for.
    next_node_task: u64,
    /// From this number on it is known which of the node's tasks are repairs; none before the node was asked.
    repairs_known_from: Option<u64>,
}

/// Whether the node may have requests of which the lane does not know.
#[derive(Debug)]
enum Doubt {
    /// It has not.
    None,
    /// It may have, and was not asked.
    Unasked,
    /// It was asked: these are what it has.
    Told(Recall),
}

/// How a request may go on.
enum Step {
    Received(Reception),
    NotNow(String),
    HistoryLost,
}

fn switch_rules(on: bool) -> NodeRequest {
    let body = json!({ RULES_FEATURE: on }).to_string();
    NodeRequest::new(Method::PATCH, "/experimental-features").json(body)
}

impl Lane {
    /// Delivers until the future is dropped, or the node has lost what it had.
    pub(super) async fn run(mut self) -> LaneEnd {
        let mut pending = Pending {
            sent: Vec::new(),
            stored_cursor: self.cursor,
            stored: Instant::now(),
            doubt: Doubt::Unasked,
            next_node_task: self.meet().await,
            repairs_known_from: None,
        };
        loop {
            let decided = *self.decided.borrow_and_update();
            let end = self.gate.limit().map_or(decided, |limit| limit.min(decided));
            if self.cursor >= end {
                self.store_progress(&mut pending).await;
                self.gate.park(self.cursor);
                tokio::select! {
                    changed = self.decided.changed() => if changed.is_err() { return LaneEnd::Closed },
                    () = self.gate.changed() => {}
                }
                continue;
            }
            match self.shelf.next(self.cursor, self.node.id()).await {
                Some(work) if work.entry.uid < end => {
                    let uid = work.entry.uid;
                    self.gate.begin(uid);
                    if self.gate.limit().is_some_and(|limit| uid >= limit) {
                        continue;
                    }
                    if !self.received.contains(&uid)
                        && self.deliver(&work, &mut pending).await == Delivered::HistoryLost
                    {
                        return LaneEnd::HistoryLost;
                    }
                    self.cursor = TaskUid(uid.0 + 1);
                }
                _ => self.cursor = end,
            }
            if pending.sent.len() >= GROUP || pending.stored.elapsed() >= GATHERING {
                self.store_progress(&mut pending).await;
            }
        }
    }

    /// Where the node's queue ends, as far as it is accounted for. A node that is new says so itself.
    async fn meet(&self) -> u64 {
        let mut backoff = Backoff::new();
        let mut told = false;
        loop {
            if let Some(known) = self.next_node_task {
                return known;
            }
            match ask_next_task(&self.node, self.timeout).await {
                Ok(Ok(next)) => {
                    let node = self.node.id();
                    until_stored("meeting a node", || self.store.meet_node(node.clone(), next)).await;
                    if told {
                        self.tell_taking(None).await;
                    }
                    return next;
                }
                Ok(Err(reason)) if !told => {
                    tracing::warn!(node = %self.node.id(), %reason, "node is new to Miroir and does not say where its task queue ends, so it gets no writes; asking again");
                    self.tell_taking(Some(reason)).await;
                    told = true;
                }
                Ok(Err(_)) => {}
                Err(error) => tracing::debug!(%error, "a new node has to be waited for"),
            }
            backoff.pause().await;
        }
    }

    async fn deliver(&self, work: &Arc<Decided>, pending: &mut Pending) -> Delivered {
        for (number, op) in ops_for(&work.decision, self.node.id()).iter().enumerate() {
            if matches!(op, Op::Settings { .. }) {
                self.wait_for_wave(work.entry.uid, pending).await;
                if let Some(error) = self.broadcasts.skips(work.entry.uid, self.node.id()) {
                    let reception = Reception::Refused(error);
                    pending.sent.push(OpSent { task: work.entry.uid, op: number, reception });
                    continue;
                }
            }
            let Some(reception) = self.send_until_received(work, op, number, pending).await else {
                return Delivered::HistoryLost;
            };
            pending.sent.push(OpSent { task: work.entry.uid, op: number, reception });
        }
        Delivered::Whole
    }

    /// What was received before must be known while this waits: others may wait for its end.
    async fn wait_for_wave(&self, task: TaskUid, pending: &mut Pending) {
        if !self.broadcasts.is_open(task, self.node.id()) {
            self.store_received(task, pending).await;
            self.broadcasts.until_open(task, self.node.id()).await;
        }
    }

    /// None if the node has lost what it had.
    async fn send_until_received(
        &self,
        work: &Arc<Decided>,
        op: &Op<'_>,
        number: usize,
        pending: &mut Pending,
    ) -> Option<Reception> {
        let mark = mark(&self.log_id, work.entry.uid, number);
        let request = request(&self.shelf, work, self.node.id(), number, mark.clone()).await;
        let mut backoff = Backoff::new();
        let mut refusals = 0_u32;
        loop {
            match self.try_to_send(work, op, &mark, &request, pending).await {
                Ok(Step::Received(reception)) => {
                    if refusals >= REFUSALS {
                        self.tell_taking(None).await;
                    }
                    return Some(reception);
                }
                Ok(Step::HistoryLost) => return None,
                Ok(Step::NotNow(reason)) => {
                    refusals = refusals.saturating_add(1);
                    if refusals <= REFUSALS {
                        tracing::warn!(node = %self.node.id(), %reason, "node answers but does not take a write; it is tried again until it does");
                    }
                    if refusals == REFUSALS {
                        self.tell_taking(Some(reason)).await;
                    }
                }
                Err(error) => {
                    if error.may_have_been_seen() {
                        pending.doubt = Doubt::Unasked;
                    }
                    tracing::debug!(%error, "a write has to wait");
                }
            }
            self.store_received(work.entry.uid, pending).await;
            backoff.pause_unless(self.node.returned()).await;
        }
    }

    /// The receiver ends only together with this.
    async fn tell_taking(&self, refusal: Option<String>) {
        let _ = self.events.send(Event::Taking { node: self.node.id().clone(), refusal }).await;
    }

    async fn try_to_send(
        &self,
        work: &Decided,
        op: &Op<'_>,
        mark: &str,
        request: &NodeRequest,
        pending: &mut Pending,
    ) -> Result<Step, NodeError> {
        let _right = match op {
            Op::Settings { .. } => self.broadcasts.lock(self.node.id()).await,
            _ => None,
        };
        if let Some(step) = self.look_for(work, op, mark, pending).await? {
            return Ok(step);
        }
        let reply = self.send(op, request).await?;
        Ok(match reception(&reply) {
            Received::NotNow(reason) => Step::NotNow(reason),
            Received::Settled(reception) => match reception {
                Reception::Enqueued(number) if number < pending.next_node_task => Step::HistoryLost,
                Reception::Enqueued(number) => {
                    if !matches!(pending.doubt, Doubt::None) {
                        self.expect_twice(work, op, mark, number);
                    }
                    // Nothing that comes later in the log can be in the queue already.
                    pending.doubt = Doubt::None;
                    self.account_for(number, pending);
                    Step::Received(reception)
                }
                Reception::Refused(_) => Step::Received(reception),
            },
        })
    }

    /// Changes of rules were accepted when the feature was on. The node may have missed that, or it was switched off since.
    async fn send(&self, op: &Op<'_>, request: &NodeRequest) -> Result<NodeReply, NodeError> {
        let reply = self.node.send(request.clone(), self.timeout).await?;
        if !op.is_about_rules() || !lacks_feature(&reply) {
            return Ok(reply);
        }
        self.node.send(switch_rules(true), self.timeout).await?;
        let reply = self.node.send(request.clone(), self.timeout).await;
        let features = until_stored("reading the features", || self.store.features()).await;
        if !features.get(RULES_FEATURE).copied().unwrap_or(false)
            && let Err(error) = self.node.send(switch_rules(false), self.timeout).await
        {
            tracing::debug!(%error, "the feature is switched off later");
        }
        reply
    }

    /// In doubt, asks the node for the request. None: it does not have it, so it must be sent.
    async fn look_for(
        &self,
        work: &Decided,
        op: &Op<'_>,
        mark: &str,
        pending: &mut Pending,
    ) -> Result<Option<Step>, NodeError> {
        let Some(target) = &work.decision.target else { return Ok(None) };
        if matches!(pending.doubt, Doubt::None) {
            return Ok(None);
        }
        let found = |pending: &mut Pending| match &mut pending.doubt {
            Doubt::Told(recall) => {
                let numbers = self.broadcasts.repairs(self.node.id());
                let complete_from = pending.repairs_known_from.unwrap_or(u64::MAX);
                recall.take((op, &target.physical), mark, &KnownRepairs { numbers, complete_from })
            }
            Doubt::None | Doubt::Unasked => None,
        };
        let mut number = found(pending);
        for pause in [Duration::ZERO, STRAGGLING] {
            if number.is_some() {
                break;
            }
            tokio::time::sleep(pause).await;
            match ask_recall(&self.node, pending.next_node_task, self.timeout).await? {
                Told::Later(recall) => {
                    // What others sent before this is known only in part.
                    if pending.repairs_known_from.is_none()
                        || self.broadcasts.take_lost_repairs(self.node.id())
                    {
                        pending.repairs_known_from = Some(recall.end);
                    }
                    pending.doubt = Doubt::Told(recall);
                }
                Told::HistoryLost => return Ok(Some(Step::HistoryLost)),
                Told::Nothing(reason) => return Ok(Some(Step::NotNow(reason))),
            }
            number = found(pending);
        }
        Ok(number.map(|number| {
            self.account_for(number, pending);
            Step::Received(Reception::Enqueued(number))
        }))
    }

    fn account_for(&self, node_task: u64, pending: &mut Pending) {
        pending.next_node_task = node_task + 1;
        self.stragglers.count(node_task);
        self.accounted.store(node_task + 1, Ordering::Release);
    }

    /// The request was not found in the node's queue, and was sent again: the first one may still come.
    fn expect_twice(&self, work: &Decided, op: &Op<'_>, mark: &str, number: u64) {
        let Some(target) = &work.decision.target else { return };
        let identity =
            if is_marked(op) { Identity::Mark(mark.to_owned()) } else { Identity::Kind(kind_of(op)) };
        self.stragglers.expect(Resent {
            number,
            index: target.physical.to_string(),
            identity,
            is_repeatable: !matches!(op, Op::EditDocuments { .. }),
            since: Instant::now(),
        });
    }

    /// Stores what was received of entries before `current`, which is not delivered as a whole.
    async fn store_received(&self, current: TaskUid, pending: &mut Pending) {
        let (complete, begun): (Vec<_>, Vec<_>) =
            pending.sent.drain(..).partition(|sent| sent.task < current);
        pending.sent = begun;
        self.store_group(current, complete, pending).await;
    }

    async fn store_progress(&self, pending: &mut Pending) {
        pending.stored = Instant::now();
        let sent = std::mem::take(&mut pending.sent);
        self.store_group(self.cursor, sent, pending).await;
    }

    async fn store_group(&self, cursor: TaskUid, sent: Vec<OpSent>, pending: &mut Pending) {
        if sent.is_empty() {
            return;
        }
        let (node, from, at) = (self.node.id().clone(), pending.stored_cursor, OffsetDateTime::now_utc());
        let delivery = Delivery { node, from, cursor, sent, at };
        until_stored("progress of a lane", || self.store.deliver(delivery.clone())).await;
        pending.stored_cursor = cursor;
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
