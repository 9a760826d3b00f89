//! A node that lost its data, or a write, gets them anew from its peers:
//!
//! ```text
//!  damaged --> compare with peers and copy what differs, while writes go on
//!                 |                                                ^
//!                 v                                                | something in the way: pause
//!              hold the lanes, let the peers finish --- in vain ---+
//!                 |
//!                 v
//!              compare and copy what differs by now --> the lane goes on from here: behind, and soon in sync
//! ```
//!
//! The first pass does most of the work and disturbs nobody. While lanes are held, writes are accepted and wait; the
//! second pass only looks at indexes about which something was decided since the first began, and copies the few documents
//! that changed. What can't be over soon holds nobody: then the attempt ends before the lanes are held. Each attempt begins from
//! nothing and trusts nothing but the peers, so it may be cut anywhere.

mod copy;
mod error;
mod orders;
mod past;
mod peers;
mod rules;
mod shard;
mod target;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::SyncState;
use miroir_store::{Accepted, NodeRecord, Rebuilt, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use self::copy::{Pass, copy_indexes};
use self::error::RebuildError;
pub(super) use self::orders::Orders;
use self::past::{Past, Sight};
use self::peers::{Orphans, Peers, plan_peers};
use self::rules::copy_rules;
use self::target::Target;
use super::committer::Event;
use super::gate::{Gates, Hold};
use super::inventory::{inventory_request, read_inventory};
use super::ledger::{Ledger, name_on_nodes};
use super::recall::ask_next_task;
use super::retry::Backoff;
use crate::cluster::{Membership, Node};
use crate::settings::Broadcasts;

/// How long lanes are held at most. After that writes go on, and the attempt counts for nothing. The next one may take
/// twice as long.
const FIRST_HOLD: Duration = Duration::from_mins(2);

/// What that comes to at most.
const LONGEST_HOLD: Duration = Duration::from_mins(30);

/// Between looks at what is being waited for.
const LOOK: Duration = Duration::from_millis(20);

/// What it takes to rebuild nodes; shared by all of them.
#[derive(Debug)]
pub(super) struct Rebuilder {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) membership: Arc<Membership>,
    pub(super) gates: Arc<Gates>,
    pub(super) timeout: Duration,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) orders: Arc<Orders>,
    /// Says which indexes are frozen.
    pub(super) broadcasts: Arc<Broadcasts>,
    /// One node at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// How things were when the first pass began.
#[derive(Debug)]
struct FirstPass {
    peers: Peers,
    next_task: u64,
}

impl Rebuilder {
    /// Returns when the node's data are those of the log, or are taken for that, and its lane may go on; tries again for
    /// ever. Nothing is held or lost if the future is dropped.
    pub(super) async fn run_rebuild(&self, node: &Node, sync: &mut watch::Receiver<SyncState>) {
        self.orders.forget(node.id());
        let mut past = Past::default();
        let mut backoff = Backoff::new();
        let mut longest_hold = FIRST_HOLD;
        loop {
            let given = self.orders.given();
            let attempt = {
                let _turn = self.turn.lock().await;
                let attempt = self.rebuild(node, sync, &mut past, longest_hold).await;
                self.ledger().stop_watching();
                attempt
            };
            if matches!(attempt, Err(RebuildError::TooLong(_))) {
                longest_hold = (longest_hold * 2).min(LONGEST_HOLD);
            }
            let reason = match attempt {
                Ok(()) => break,
                Err(error @ RebuildError::NoPeer { .. }) => match self.look_back(node, &mut past).await {
                    Ok(true) => {
                        tracing::warn!(node = %node.id(), "node has again what it had");
                        self.tell(Event::Restored { node: node.id().clone() }, sync).await;
                        break;
                    }
                    Ok(false) => {
                        let advice = past.advice().replace("{id}", node.id().as_str());
                        format!("{error}: {advice}")
                    }
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(node = %node.id(), %reason, "node can't be rebuilt now; trying again");
            self.membership.note_damage(node.id(), Some(reason));
            tokio::select! {
                () = backoff.pause() => {}
                () = given => {}
            }
        }
        self.orders.forget(node.id());
        self.membership.note_damage(node.id(), None);
    }

    async fn rebuild(
        &self,
        node: &Node,
        sync: &mut watch::Receiver<SyncState>,
        past: &mut Past,
        longest_hold: Duration,
    ) -> Result<(), RebuildError> {
        let on_orphans = self.orders.on_orphans_of(node.id());
        let target = Target::new(node.clone(), self.timeout);
        target.wait_until_idle().await?;
        target.switch_features(&self.store.features().await?).await?;
        let on_orphans =
            if self.peers(node, on_orphans)?.has_orphans() { Orphans::Taken } else { Orphans::Missed };
        self.check_way(node, on_orphans)?;
        past.note_overwritten();
        let first = self.begin_first_pass(&target, on_orphans).await?;
        copy_indexes(&target, &first.peers, &Pass::First).await?;
        self.copy_rules(&target).await?;
        self.check_way(node, on_orphans)?;
        let hold = self.gates.close();
        let end = timeout(longest_hold, self.finish(&target, &hold, on_orphans, &first))
            .await
            .map_err(|_| RebuildError::TooLong(longest_hold))??;
        self.tell(end, sync).await;
        Ok(())
    }

    /// Nothing holds the lanes for what can't be over soon. Tasks that wait for the node itself need not be.
    fn check_way(&self, node: &Node, on_orphans: Orphans) -> Result<(), RebuildError> {
        if on_orphans == Orphans::Taken {
            return Ok(());
        }
        let frozen = self.broadcasts.frozen().into_iter().map(|(index, _)| index).collect();
        let is_reachable = |id: &NodeId| self.membership.standing(id).is_some_and(|it| it.reachable);
        self.ledger().obstacle(node.id(), &frozen, is_reachable).map_or(Ok(()), |it| Err(it.into()))
    }

    /// What there is to copy, together with the beginning of the watch on what changes meanwhile.
    async fn begin_first_pass(
        &self,
        target: &Target,
        on_orphans: Orphans,
    ) -> Result<FirstPass, RebuildError> {
        self.ledger().watch_touched();
        let next_task = target.next_task_without_own().await?;
        Ok(FirstPass { peers: self.peers(target.node(), on_orphans)?, next_task })
    }

    /// Indexes about which nothing was decided since the first pass began, and that have the same name.
    /// None is that when somebody else wrote to the node: a request of before its damage, say, that came late.
    async fn untouched(
        &self,
        target: &Target,
        first: &FirstPass,
        second: &Peers,
    ) -> Result<BTreeSet<PhysicalUid>, RebuildError> {
        if target.next_task_without_own().await? != first.next_task {
            return Ok(BTreeSet::new());
        }
        let ledger = self.ledger();
        let names = |peers: &Peers| -> BTreeSet<(IndexUid, PhysicalUid)> {
            let names = peers.wanted.iter().map(|it| (it.index.uid.clone(), it.index.physical.clone()));
            names.collect()
        };
        let before = names(&first.peers);
        let same = second.wanted.iter().map(|wanted| &wanted.index).filter(|index| {
            !ledger.is_touched(index) && before.contains(&(index.uid.clone(), index.physical.clone()))
        });
        Ok(same.map(|index| index.physical.clone()).collect())
    }

    /// Returns when the node counts as what the event says. The committer ends only together with this, and so does the
    /// sender of the state.
    async fn tell(&self, event: Event, sync: &mut watch::Receiver<SyncState>) {
        let _ = self.events.send(event).await;
        let _ = sync.wait_for(|sync| *sync != SyncState::Damaged).await;
    }

    /// The second pass, with all lanes at one place of the log.
    async fn finish(
        &self,
        target: &Target,
        hold: &Hold,
        on_orphans: Orphans,
        first: &FirstPass,
    ) -> Result<Event, RebuildError> {
        let node = target.node();
        let sources = self.peers(node, on_orphans)?.sources();
        let line = hold.line_up(&sources).await;
        while !self.stands_still(node.id(), &sources, line, on_orphans) {
            sleep(LOOK).await;
        }
        let peers = self.peers(node, on_orphans)?;
        let untouched = self.untouched(target, first, &peers).await?;
        copy_indexes(target, &peers, &Pass::Second { untouched }).await?;
        self.copy_rules(target).await?;
        let next_node_task = ask_next_task(node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        let id = node.id().clone();
        if on_orphans == Orphans::Missed {
            return Ok(Event::Rebuilt(Rebuilt { node: id, cursor: line, next_node_task }));
        }
        let record = self.record(node).await?;
        let received = self.store.node_tasks().await?;
        let ledger = self.ledger();
        if let Some(task) = ledger.unrepeatable_before(&id, line)
            && !sources.is_empty()
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
        let target = Target::new(node.clone(), self.timeout);
        let answer = target.ask(inventory_request()).await?;
        let there = read_inventory(&answer).ok_or_else(|| RebuildError::Unreadable(answer.to_string()))?;
        let next = ask_next_task(node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        let lacks_index = must_have.iter().any(|index| !there.contains_key(index));
        Ok(past.note(Sight { next, known, lacks_index }))
    }

    async fn record(&self, node: &Node) -> Result<NodeRecord, RebuildError> {
        let record = self.store.nodes().await?.into_iter().find(|record| record.id == *node.id());
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

    /// Whether everything is over that has to do with what the node holds. What waits for a node that is taken as it is
    /// can't be over before.
    fn stands_still(
        &self,
        node: &NodeId,
        sources: &BTreeSet<NodeId>,
        line: TaskUid,
        on_orphans: Orphans,
    ) -> bool {
        let ledger = self.ledger();
        (on_orphans == Orphans::Taken || ledger.is_over_before(line, node))
            && sources.iter().all(|source| ledger.has_done_for(node, source, line))
    }

    /// Whom to copy from, as things are now.
    fn peers(&self, node: &Node, on_orphans: Orphans) -> Result<Peers, RebuildError> {
        let catalog = self.ledger().catalog().values().cloned().collect();
        plan_peers(node.id(), catalog, on_orphans, &self.membership)
    }
}
