//! A node that lost its data, or a write, gets them anew from its peers:
//!
//! ```text
//!  damaged --> compare with peers and copy what differs, while writes go on
//!                 |              ^                                    ^
//!                 |              | much was written meanwhile: again  | something in the way: pause
//!                 v              |                                    |
//!              little was written meanwhile                           |
//!                 v                                                   |
//!              each index that was written to: hold it, let the peers finish,
//!              compare and copy what differs by now, let it go -- in vain --+
//!                 |
//!                 v
//!              the lane goes on, for each index from where it was held: behind, and soon in sync
//! ```
//!
//! The passes before do most of the work and disturb nobody; each after the first only looks at indexes about which something
//! was decided since the one before it began, so there is little left for the last one. Only in that are indexes held, a few
//! at a time and each no longer than it takes to copy the rest of it: writes to it are accepted and wait, and those to others
//! go on. So each index of the node ends at a line of its own in the log, and the node's lane passes what it has. What can't
//! be over soon holds nobody: then the attempt ends before anything is held. Each attempt begins from nothing and trusts
//! nothing but the peers, so it may be cut anywhere.

mod copy;
mod counter;
mod documents;
mod error;
mod orders;
mod past;
mod peers;
mod rules;
mod survey;
mod target;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::rules::RULES_UID;
use miroir_core::task::SyncState;
use miroir_store::{Accepted, NodeRecord, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub(super) use self::copy::copy_documents;
use self::copy::{Pass, SIDE_BY_SIDE, copy_indexes, copy_one};
use self::counter::Counter;
use self::error::RebuildError;
pub(super) use self::orders::Orders;
use self::past::{Past, Sight};
use self::peers::{Orphans, Peers, Wanted, plan_peers};
use self::rules::copy_rules;
use self::target::{Target, ask};
use self::telling::Telling;
use super::barrier::Barrier;
use super::committer::Event;
use super::inventory::{inventory_request, read_inventory};
use super::ledger::{Copied, Ledger, Touched, name_on_nodes};
use super::recall::ask_next_task;
use super::retry::Backoff;
use crate::cluster::{Membership, RebuildStage};
use crate::node_api::Node;
use crate::settings::Broadcasts;

/// How long an index is held at most until it stands still, and again until it is copied. After that writes to it go on, and
/// the attempt counts for nothing. The next one may take twice as long.
const FIRST_HOLD: Duration = Duration::from_mins(2);

/// What that comes to at most.
const LONGEST_HOLD: Duration = Duration::from_mins(30);

/// A pass that takes no longer leaves little to the next one: that one may hold indexes.
const SHORT_PASS: Duration = Duration::from_secs(5);

/// So many passes before indexes are held at most.
const MOST_PASSES: usize = 6;

/// Between looks at what is being waited for.
const STILL_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What it takes to rebuild nodes; shared by all of them.
#[derive(Debug)]
pub(super) struct Rebuilder {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) membership: Arc<Membership>,
    pub(super) barrier: Arc<Barrier>,
    pub(super) timeout: Duration,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) orders: Arc<Orders>,
    /// Says which indexes are frozen.
    pub(super) broadcasts: Arc<Broadcasts>,
    /// One node at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// A pass, and how things were when it began.
#[derive(Debug)]
struct Begun {
    peers: Peers,
    next_task: u64,
    pass: Pass,
}

impl Rebuilder {
    /// Returns when the node's data are those of the log, or are taken for that, and its lane may go on; tries again for
    /// ever. Nothing is held or lost if the future is dropped.
    pub(super) async fn run_rebuild(&self, node: &Node, sync: &mut watch::Receiver<SyncState>) {
        self.orders.forget(node.id());
        let mut past = Past::default();
        let mut backoff = Backoff::new();
        let mut longest_hold = FIRST_HOLD;
        let mut telling = Telling::new(node.id().clone(), Arc::clone(&self.membership));
        loop {
            let given = self.orders.given();
            let attempt = {
                telling.tell_turn();
                let _turn = self.turn.lock().await;
                let counter = Counter::new();
                let attempt = tokio::select! {
                    attempt = self.rebuild(node, sync, &mut past, (longest_hold, &counter)) => attempt,
                    never = telling.run(&counter) => match never {},
                };
                self.ledger().stop_watching();
                telling.end(&counter, attempt.is_ok());
                attempt
            };
            let error = match attempt {
                Ok(()) => break,
                Err(error) => error,
            };
            if error.needs_more_time() {
                longest_hold = (longest_hold * 2).min(LONGEST_HOLD);
            }
            let mut advice = error.advice().to_owned();
            let mut reason = error.to_string();
            if matches!(error, RebuildError::NoPeer { .. }) {
                match self.look_back(node, &mut past).await {
                    Ok(true) => {
                        tracing::warn!(node = %node.id(), "node has again what it had");
                        self.tell(Event::Restored { node: node.id().clone() }, sync).await;
                        break;
                    }
                    Ok(false) => advice = past.advice().replace("{id}", node.id().as_str()),
                    Err(error) => (advice, reason) = (error.advice().to_owned(), error.to_string()),
                }
            }
            telling.tell_failure(&reason, &advice);
            tokio::select! {
                () = backoff.pause() => {}
                () = given => {}
            }
        }
        self.orders.forget(node.id());
        self.membership.note_damage(node.id(), None, None);
    }

    async fn rebuild(
        &self,
        node: &Node,
        sync: &mut watch::Receiver<SyncState>,
        past: &mut Past,
        (longest_hold, counter): (Duration, &Arc<Counter>),
    ) -> Result<(), RebuildError> {
        let on_orphans = self.orders.on_orphans_of(node.id());
        let target = Target::new(node.clone(), self.timeout, Arc::clone(counter));
        target.wait_until_idle().await?;
        target.switch_features(&self.store.features().await?).await?;
        let on_orphans =
            if self.peers(node, on_orphans)?.has_orphans() { Orphans::Taken } else { Orphans::Missed };
        self.check_way(node, on_orphans)?;
        past.note_overwritten();
        counter.enter(RebuildStage::Copying);
        let last = self.copy_while_writes_go_on(&target, on_orphans).await?;
        counter.enter(RebuildStage::Holding);
        let end = self.finish(&target, longest_hold, on_orphans, &last).await?;
        self.tell(end, sync).await;
        Ok(())
    }

    /// All passes but the last one. Answers the one after whose beginning it is known what changed.
    async fn copy_while_writes_go_on(
        &self,
        target: &Target,
        on_orphans: Orphans,
    ) -> Result<Begun, RebuildError> {
        let mut begun = self.begin_pass(target, on_orphans, None).await?;
        let mut before = Duration::MAX;
        for number in 1.. {
            let since = Instant::now();
            copy_indexes(target, &begun.peers, &begun.pass).await?;
            self.copy_rules(target).await?;
            self.check_way(target.node(), on_orphans)?;
            let took = since.elapsed();
            // One that takes as long as the one before it will not get shorter.
            if took <= SHORT_PASS || took > before / 2 || number >= MOST_PASSES {
                break;
            }
            before = took;
            begun = self.begin_pass(target, on_orphans, Some(&begun)).await?;
        }
        Ok(begun)
    }

    /// Nothing is held for what can't be over soon. Tasks that wait for the node itself need not be.
    fn check_way(&self, node: &Node, on_orphans: Orphans) -> Result<(), RebuildError> {
        if on_orphans == Orphans::Taken {
            return Ok(());
        }
        let frozen = self.broadcasts.frozen().into_iter().map(|(index, _)| index).collect();
        let is_reachable = |id: &NodeId| self.membership.standing(id).is_some_and(|it| it.reachable);
        self.ledger().obstacle(node.id(), &frozen, is_reachable).map_or(Ok(()), |it| Err(it.into()))
    }

    /// What there is to copy, together with the beginning of the watch on what changes meanwhile.
    async fn begin_pass(
        &self,
        target: &Target,
        on_orphans: Orphans,
        before: Option<&Begun>,
    ) -> Result<Begun, RebuildError> {
        let touched = self.ledger().watch_touched();
        self.plan_pass(target, on_orphans, before, touched.as_ref()).await
    }

    async fn plan_pass(
        &self,
        target: &Target,
        on_orphans: Orphans,
        before: Option<&Begun>,
        touched: Option<&Touched>,
    ) -> Result<Begun, RebuildError> {
        let next_task = target.next_task_without_own().await?;
        // Later than the beginning of the watch: what changes in between is seen by the watch at least.
        let peers = self.peers(target.node(), on_orphans)?;
        let pass = before.map_or(Pass::First, |before| Pass::Later {
            untouched: untouched(before, touched, next_task, &peers),
        });
        Ok(Begun { peers, next_task, pass })
    }

    /// Returns when the node counts as what the event says. The committer ends only together with this, and so does the
    /// sender of the state.
    async fn tell(&self, event: Event, sync: &mut watch::Receiver<SyncState>) {
        let _ = self.events.send(event).await;
        let _ = sync.wait_for(|sync| *sync != SyncState::Damaged).await;
    }

    /// The last pass: each index by itself, and held if something was written to it since the pass before.
    async fn finish(
        &self,
        target: &Target,
        longest_hold: Duration,
        on_orphans: Orphans,
        last: &Begun,
    ) -> Result<Event, RebuildError> {
        let node = target.node();
        let (line, now) = self.begin_last_pass(target, on_orphans, last).await?;
        let quiet = now.pass.untouched().cloned();
        let mut lines: BTreeMap<PhysicalUid, TaskUid> = quiet.map(|index| (index, line)).collect();
        let of_before =
            last.peers.wanted.iter().chain(&now.peers.wanted).map(|wanted| &wanted.index.physical);
        let rules = PhysicalUid::new(RULES_UID);
        let held: BTreeSet<PhysicalUid> =
            of_before.filter(|index| !lines.contains_key(*index)).chain([&rules]).cloned().collect();
        target.counter.begin(0, held.len() as u64);
        let ends = stream::iter(held.into_iter().map(|index| async move {
            let line = self.catch_up(target, &index, longest_hold, on_orphans).await?;
            Ok::<_, RebuildError>((index, line))
        }));
        let ends: Vec<_> = ends.buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        lines.extend(ends);
        let next_node_task = ask_next_task(node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        let id = node.id().clone();
        if on_orphans == Orphans::Missed {
            return Ok(Event::Rebuilt(Copied { node: id, lines, next_node_task }));
        }
        self.accept(node, &lines, next_node_task).await
    }

    /// What is left to copy. What is untouched is as the log says before the entry that is the answer, and nothing that
    /// comes from there on has been done to it.
    async fn begin_last_pass(
        &self,
        target: &Target,
        on_orphans: Orphans,
        last: &Begun,
    ) -> Result<(TaskUid, Begun), RebuildError> {
        let (line, touched) = {
            let mut ledger = self.ledger();
            (ledger.end().max(self.barrier.begun()), ledger.watch_touched())
        };
        Ok((line, self.plan_pass(target, on_orphans, Some(last), touched.as_ref()).await?))
    }

    /// Holds an index, copies what was written to it meanwhile, and lets it go on. Answers from where on it was held.
    async fn catch_up(
        &self,
        target: &Target,
        index: &PhysicalUid,
        longest_hold: Duration,
        on_orphans: Orphans,
    ) -> Result<TaskUid, RebuildError> {
        let ticket = target.counter.ticket();
        let hold = self.barrier.hold(index.clone());
        let line = hold.line();
        let still = self.until_still(target.node(), index, line, on_orphans);
        let moving = |_| RebuildError::Moving {
            index: index.clone(),
            after: longest_hold,
            waits_for: self.moving(target.node().id(), index),
        };
        timeout(longest_hold, still).await.map_err(moving)??;
        let copied = async {
            if index.as_str() == RULES_UID {
                return self.copy_rules(target).await;
            }
            let wanted = self.peers_of(target.node(), index, on_orphans)?.wanted.pop();
            copy_one(&target.aside(), index, wanted.as_ref()).await
        };
        let too_long = |_| RebuildError::TooLong { index: index.clone(), after: longest_hold };
        timeout(longest_hold, copied).await.map_err(too_long)??;
        drop((hold, ticket));
        Ok(line)
    }

    /// The end of a rebuild of a node that is taken as it is where nobody else has what it has: its lane does again what it
    /// had not finished.
    async fn accept(
        &self,
        node: &Node,
        lines: &BTreeMap<PhysicalUid, TaskUid>,
        next_node_task: u64,
    ) -> Result<Event, RebuildError> {
        let id = node.id().clone();
        let record = self.record(node).await?;
        let received = self.store.node_tasks().await?;
        let has_sources = !self.peers(node, Orphans::Taken)?.sources().is_empty();
        let ledger = self.ledger();
        let end = lines.values().max().copied().unwrap_or(TaskUid(0));
        if let Some(task) = ledger.unrepeatable_before(&id, end)
            && has_sources
        {
            return Err(RebuildError::Unrepeatable(task));
        }
        let again = ledger.to_do_again(&id, &received);
        let cursor = again.first().map_or(record.cursor, |first| record.cursor.min(*first));
        Ok(Event::Accepted(Accepted { node: id, cursor, next_node_task, again }))
    }

    /// Whether the node has again what it had.
    async fn look_back(&self, node: &Node, past: &mut Past) -> Result<bool, RebuildError> {
        let known = self.record(node).await?.next_node_task.unwrap_or(0);
        let must_have = self.ledger().must_have(node.id());
        let answer = ask(node, inventory_request(), self.timeout).await?;
        let there = read_inventory(&answer).ok_or_else(|| RebuildError::Unreadable(answer.to_string()))?;
        let next = ask_next_task(node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        let lacks_index = must_have.iter().any(|index| !there.contains_key(index));
        Ok(past.note(Sight { next, known, lacks_index }))
    }

    async fn record(&self, node: &Node) -> Result<NodeRecord, RebuildError> {
        let record = self.store.node(node.id().clone()).await?;
        record.ok_or_else(|| RebuildError::Unreadable(format!("the store does not know {}", node.id())))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn copy_rules(&self, target: &Target) -> Result<(), RebuildError> {
        let features = self.store.features().await?;
        let (book, catalog) = {
            let ledger = self.ledger();
            (ledger.rules().clone(), ledger.catalog().clone())
        };
        let name = |uid: &str| name_on_nodes(&catalog, uid, catalog.get(&IndexUid::new(uid)));
        copy_rules(target, &book, &features, name).await
    }

    /// Waits until everything before the line is over that is about the index. What waits for a node that is taken as it is
    /// can't be over before.
    async fn until_still(
        &self,
        node: &Node,
        index: &PhysicalUid,
        line: TaskUid,
        on_orphans: Orphans,
    ) -> Result<(), RebuildError> {
        loop {
            let sources = self.peers_of(node, index, on_orphans)?.sources();
            let is_still = {
                let ledger = self.ledger();
                (on_orphans == Orphans::Taken || ledger.is_over_before(line, index))
                    && sources.iter().all(|source| ledger.has_done_of(index, source, line))
            };
            if is_still {
                return Ok(());
            }
            sleep(STILL_POLL_INTERVAL).await;
        }
    }

    /// What is not over about an index.
    fn moving(&self, node: &NodeId, index: &PhysicalUid) -> String {
        let Some((task, index, nodes)) = self.ledger().first_before(TaskUid(u64::MAX), index, node) else {
            return "nothing that is known".to_owned();
        };
        let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
        match nodes[..] {
            [] => format!("task {task} about index `{index}` is not over"),
            _ => format!("task {task} about index `{index}` is not done on {}", nodes.join(", ")),
        }
    }

    /// Whom to copy one index from, as things are now; nobody if the node has to have none of this name.
    fn peers_of(&self, node: &Node, index: &PhysicalUid, on_orphans: Orphans) -> Result<Peers, RebuildError> {
        let of_name = |ledger: &Ledger| ledger.catalog().values().find(|it| it.physical == *index).cloned();
        let catalog = of_name(&self.ledger()).into_iter().collect();
        plan_peers(node.id(), catalog, on_orphans, &self.membership)
    }

    /// Whom to copy from, as things are now.
    fn peers(&self, node: &Node, on_orphans: Orphans) -> Result<Peers, RebuildError> {
        let catalog = self.ledger().catalog().values().cloned().collect();
        plan_peers(node.id(), catalog, on_orphans, &self.membership)
    }
}

/// Indexes about which nothing was decided since the pass before began, and that have the same name.
/// None is that when somebody else wrote to the node: a request of before its damage, say, that came late.
fn untouched(
    before: &Begun,
    touched: Option<&Touched>,
    next_task: u64,
    now: &Peers,
) -> BTreeSet<PhysicalUid> {
    let Some(touched) = touched.filter(|_| next_task == before.next_task) else { return BTreeSet::new() };
    let name = |wanted: &Wanted| (wanted.index.uid.clone(), wanted.index.physical.clone());
    let names: BTreeSet<(IndexUid, PhysicalUid)> = before.peers.wanted.iter().map(name).collect();
    let same = now.wanted.iter().filter(|it| !touched.contains(&it.index) && names.contains(&name(it)));
    same.map(|wanted| wanted.index.physical.clone()).collect()
}
