//! One node's life in the write path:
//!
//! ```text
//!              +-------------- its data were copied anew, or are there again -----------+
//!              v                                                                       |
//!  delivering: lane, tracker and a watch on its history --(lost, or damaged)--> rebuilding
//! ```
//!
//! A node whose disk was lost looks healthy: it answers, and takes writes. What gives it away is its own queue, which
//! ends before a number that it once gave us; or an index that is not there though all its creator's tasks are done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::task::SyncState;
use miroir_core::task::lane::{LaneEnd, LaneStart};
use miroir_core::view::IndexEntry;
use miroir_store::{NodeRecord, NodeTask};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::barrier::Barrier;
use super::committer::Event;
use super::fenced::FencedStore;
use super::lane::{Hands, LaneDriver};
use super::ledger::{Ledger, LedgerHandle};
use super::rebuild::Rebuilder;
use super::retry::until_stored;
use super::shelf::Shelf;
use super::stragglers::{Sequence, Stragglers};
use super::syncs::Syncs;
use super::tracker::{Tracker, Watched, open_on};
use crate::cluster::{Member, Membership};
use crate::node_api::{Node, TaskQuery, questions};
use crate::settings::Broadcasts;

/// Messages between a lane and its tracker before the lane waits.
const CHANNEL: usize = 1024;

/// Between looks at a node's history.
const LOOK: Duration = Duration::from_secs(1);

/// What gives away a node whose disk was lost.
const SHORT_QUEUE: &str =
    "its task queue is shorter than it was: its data directory is empty, older, or another one";

/// So many looks at its history to one at its indexes.
const LOOKS_PER_LIST: u32 = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Caretaker {
    node: Node,
    /// What the node's data are worth, as stored.
    sync: watch::Receiver<SyncState>,
    parts: CaretakerParts,
}

/// What the caretakers of all nodes have in common.
#[derive(Debug, Clone)]
pub(super) struct CaretakerParts {
    pub(super) store: Arc<FencedStore>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) ledger: LedgerHandle,
    pub(super) membership: Arc<Membership>,
    pub(super) barrier: Arc<Barrier>,
    pub(super) syncs: Arc<Syncs>,
    pub(super) rebuilder: Arc<Rebuilder>,
    pub(super) log_id: Arc<str>,
    pub(super) timeout: Duration,
    pub(super) decided: watch::Receiver<TaskUid>,
    pub(super) events: mpsc::Sender<Event>,
    /// Says when a change of settings may be sent.
    pub(super) broadcasts: Arc<Broadcasts>,
}

impl CaretakerParts {
    /// The member's caretaker; none if it is no member any more.
    pub(super) fn caretaker(&self, member: &Member) -> Option<Caretaker> {
        let sync = self.syncs.watch(member.node.id())?;
        Some(Caretaker { node: member.node.clone(), sync, parts: self.clone() })
    }
}

/// Why delivering has ended.
enum DeliveryEnd {
    Closed,
    /// The node lost what it had, or has something in another order: this is what gave it away.
    Lost(String),
    /// The committer found it damaged.
    Damaged,
    /// The lane lost its way, and another one begins where the store says.
    OutOfStep,
}

impl Caretaker {
    /// Cares for the node until the future is dropped.
    pub(super) async fn run(mut self) {
        loop {
            if *self.sync.borrow_and_update() == SyncState::Damaged {
                let rebuilder = Arc::clone(&self.parts.rebuilder);
                rebuilder.run_rebuild(&self.node, &mut self.sync).await;
            }
            match self.deliver().await {
                DeliveryEnd::Closed => return,
                DeliveryEnd::Damaged => {}
                DeliveryEnd::OutOfStep => sleep(LOOK).await,
                DeliveryEnd::Lost(cause) => self.report_loss(&cause).await,
            }
        }
    }

    async fn deliver(&mut self) -> DeliveryEnd {
        let Some(record) = self.record().await else { return DeliveryEnd::Closed };
        let node_tasks = until_stored("reading node tasks", || self.parts.store.node_tasks()).await;
        let accounted = Arc::new(AtomicU64::new(record.next_node_task.unwrap_or(0)));
        let stragglers = Arc::new(Stragglers::default());
        let (to_tracker, watched) = mpsc::channel::<Watched>(CHANNEL);
        let lane = LaneDriver {
            node: self.node.clone(),
            store: Arc::clone(&self.parts.store),
            shelf: Arc::clone(&self.parts.shelf),
            log_id: Arc::clone(&self.parts.log_id),
            timeout: self.parts.timeout,
            start: LaneStart {
                cursor: record.cursor,
                received: received_from(&record, &node_tasks),
                ahead: record.ahead,
                next_node_task: record.next_node_task,
            },
            accounted: Arc::clone(&accounted),
            stragglers: Arc::clone(&stragglers),
            decided: self.parts.decided.clone(),
            barrier: self.parts.barrier.for_lane(),
            tracker: to_tracker,
            events: self.parts.events.clone(),
            broadcasts: Arc::clone(&self.parts.broadcasts),
            hands: Hands::default(),
        };
        let tracker = Tracker {
            node: self.node.clone(),
            timeout: self.parts.timeout,
            events: self.parts.events.clone(),
            open: open_on(self.node.id(), &node_tasks),
            has_peers: self.has_peers().await,
            membership: Arc::clone(&self.parts.membership),
        };
        let mut sync = self.sync.clone();
        tokio::select! {
            end = lane.run() => match end {
                LaneEnd::Closed => DeliveryEnd::Closed,
                LaneEnd::HistoryLost => DeliveryEnd::Lost(SHORT_QUEUE.to_owned()),
                LaneEnd::OutOfStep { state, event } => {
                    tracing::error!(node = %self.node.id(), state, event, "a fault of Miroir's: a lane was told what it had not asked; it begins again where the store says");
                    DeliveryEnd::OutOfStep
                }
            },
            () = tracker.run(watched) => DeliveryEnd::Closed,
            end = self.watch_history(&accounted, &stragglers) => end,
            damaged = sync.wait_for(|sync| *sync == SyncState::Damaged) => {
                if damaged.is_ok() { DeliveryEnd::Damaged } else { DeliveryEnd::Closed }
            }
        }
    }

    async fn record(&self) -> Option<NodeRecord> {
        until_stored("reading what is known of a node", || self.parts.store.node(self.node.id().clone()))
            .await
    }

    /// No search goes to the node from now on; the rest follows when that is stored.
    async fn report_loss(&mut self, cause: &str) {
        let node = self.node.id().clone();
        tracing::error!(
            %node,
            cause,
            "node lost data; they are copied anew from its peers, and `/_miroir/topology` says how far that is"
        );
        self.parts.membership.note_sync(&node, SyncState::Damaged);
        // The committer, which sends the state, ends only together with this.
        let _ = self.parts.events.send(Event::Lost { node }).await;
        let _ = self.sync.wait_for(|sync| *sync == SyncState::Damaged).await;
    }

    /// Returns when the node has lost what it had, or did something twice.
    async fn watch_history(&self, accounted: &AtomicU64, stragglers: &Stragglers) -> DeliveryEnd {
        for look in 0_u32.. {
            if look > 0 {
                tokio::select! {
                    () = sleep(LOOK) => {}
                    () = self.node.returned() => {}
                }
            }
            let Some(standing) = self.parts.membership.standing(self.node.id()) else { continue };
            if standing.sync == SyncState::Damaged {
                // Whoever found out whose the node is has seen it already.
                return DeliveryEnd::Lost(SHORT_QUEUE.to_owned());
            }
            if !standing.reachable {
                continue;
            }
            let known = accounted.load(Ordering::Acquire);
            let next = self.node.ask(questions::next_task(), self.parts.timeout).await;
            let Ok(next) = next else { continue };
            if next < known {
                return DeliveryEnd::Lost(format!(
                    "{SHORT_QUEUE}: its next task is {next}, and it had {known} tasks"
                ));
            }
            if look % LOOKS_PER_LIST == LOOKS_PER_LIST - 1
                && let Some(index) = self.missing_index().await
            {
                return DeliveryEnd::Lost(format!(
                    "index `{index}` is not there: somebody deleted it on the node"
                ));
            }
            if self.look_for_stragglers(accounted, stragglers).await == Sequence::Broken {
                let cause = "it did a request of before a lost answer too late, after others";
                if self.has_peers().await {
                    return DeliveryEnd::Lost(cause.to_owned());
                }
                tracing::error!(node = %self.node.id(), cause, "node differs from what it should be, and has no peer");
            }
        }
        DeliveryEnd::Closed
    }

    async fn look_for_stragglers(&self, accounted: &AtomicU64, stragglers: &Stragglers) -> Sequence {
        let Some(from) = stragglers.look_from(Instant::now()) else { return Sequence::Kept };
        // While nobody sends settings all repairs are known.
        let _right = self.parts.broadcasts.sending.lock(self.node.id()).await;
        let repairs = self.parts.broadcasts.sending.repairs(self.node.id());
        let is_repair = |task: &Value| task["uid"].as_u64().is_some_and(|number| repairs.contains(&number));
        let counted = accounted.load(Ordering::Acquire);
        let page = questions::tasks(TaskQuery::starting_at(from, questions::TASKS_OF_A_PAGE));
        match self.node.ask(page, self.parts.timeout).await {
            Ok(mut tasks) => {
                tasks.retain(|task| !is_repair(task));
                stragglers.look_at(&tasks, counted)
            }
            Err(_) => Sequence::Kept,
        }
    }

    /// Whether every shard of the node has a copy elsewhere. Without one, data that are nearly right are better than none.
    async fn has_peers(&self) -> bool {
        let node = self.node.id().clone();
        let has_peers = move |index: &IndexEntry| {
            let shards = index.placement.shards_of(&node);
            shards.into_iter().all(|shard| index.placement.all_replicas(shard).any(|it| *it != node))
        };
        self.parts.ledger.ask(move |ledger| ledger.head.catalog().values().all(has_peers)).await
    }

    /// An index that is not there and must be. It must be if it was before and after the look, and is the same: others of
    /// its name may have come and gone meanwhile.
    async fn missing_index(&self) -> Option<PhysicalUid> {
        let before = self.settled_indexes().await;
        if before.is_empty() {
            return None;
        }
        let there = self.list_indexes().await?;
        let after = self.settled_indexes().await;
        let is_missing = |(index, created): &(PhysicalUid, OffsetDateTime)| {
            after.get(index) == Some(created) && !there.contains(index)
        };
        before.into_iter().find(is_missing).map(|(index, _)| index)
    }

    /// The node's indexes, with their times of creation, that nothing is about to change; none as long as the node owes
    /// something. An index that is deleted stays in the catalog until every node has done it.
    async fn settled_indexes(&self) -> BTreeMap<PhysicalUid, OffsetDateTime> {
        let node = self.node.id().clone();
        self.parts.ledger.ask(move |ledger| settled_indexes(ledger, &node)).await
    }

    async fn list_indexes(&self) -> Option<BTreeSet<PhysicalUid>> {
        let there = self.node.ask(questions::indexes(), self.parts.timeout).await.ok()?;
        Some(there.into_keys().collect())
    }
}

fn settled_indexes(ledger: &Ledger, node: &NodeId) -> BTreeMap<PhysicalUid, OffsetDateTime> {
    if !ledger.tasks.has_done_before(node, TaskUid(u64::MAX)) {
        return BTreeMap::new();
    }
    let held = |index: &&IndexEntry| {
        index.placement.shard_count_of(node) > 0 && ledger.head.unsettled(&index.uid).next().is_none()
    };
    let settled = ledger.head.catalog().values().filter(held);
    settled.map(|index| (index.physical.clone(), index.created_at)).collect()
}

/// What the node has of the entries from its lane's cursor on.
fn received_from(record: &NodeRecord, node_tasks: &[NodeTask]) -> BTreeSet<TaskUid> {
    let received = node_tasks.iter().filter(|it| it.node == record.id && it.task >= record.cursor);
    received.map(|it| it.task).chain(record.covered.iter().copied()).collect()
}
