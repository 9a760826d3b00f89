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
//! be over soon holds nobody: then the attempt ends before anything is held.
//!
//! An attempt may be cut anywhere. What index it had brought to its line is stored, and the next attempt leaves it there if
//! nobody did anything to it since; of everything else it trusts nothing but the peers.

mod attempt;
mod caught_up;
mod error;
mod last_pass;
mod operator_requests;
mod past;
mod plan;
mod rules;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use miroir_core::task::SyncState;
use miroir_store::{NodeRecord, StoreError};
use tokio::sync::{mpsc, watch};

use self::attempt::Attempt;
use self::error::RebuildError;
pub(super) use self::operator_requests::OperatorRequests;
use self::past::{Past, Sight};
use self::telling::Telling;
use super::barrier::Barrier;
use super::committer::Event;
use super::fenced::FencedStore;
use super::ledger::LedgerHandle;
use super::retry::Backoff;
use crate::cluster::Membership;
use crate::node_api::{Node, questions};
use crate::settings::Broadcasts;
use crate::transfer::{Progress, Target};

/// How long an index is held at most until it stands still, and again until it is copied. After that writes to it go on, and
/// the attempt counts for nothing. The next one may take twice as long.
const FIRST_HOLD: Duration = Duration::from_mins(2);

/// What that comes to at most.
const LONGEST_HOLD: Duration = Duration::from_mins(30);

/// What it takes to rebuild nodes; shared by all of them.
#[derive(Debug)]
pub(super) struct Rebuilder {
    pub(super) store: Arc<FencedStore>,
    pub(super) ledger: LedgerHandle,
    pub(super) membership: Arc<Membership>,
    pub(super) barrier: Arc<Barrier>,
    pub(super) timeout: Duration,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) operator_requests: Arc<OperatorRequests>,
    /// Says which indexes are frozen.
    pub(super) broadcasts: Arc<Broadcasts>,
    /// One node at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Rebuilder {
    /// Returns when the node's data are those of the log, or are taken for that, and its lane may go on; tries again for
    /// ever. Nothing is held or lost if the future is dropped.
    pub(super) async fn run_rebuild(&self, node: &Node, sync: &mut watch::Receiver<SyncState>) {
        self.operator_requests.forget(node.id());
        let mut past = Past::default();
        let mut backoff = Backoff::new();
        let mut longest_hold = FIRST_HOLD;
        let mut telling = Telling::new(node.id().clone(), Arc::clone(&self.membership));
        loop {
            let given = self.operator_requests.given();
            let attempt = {
                telling.tell_turn();
                let _turn = self.turn.lock().await;
                let progress = Progress::new();
                let attempt = tokio::select! {
                    attempt = self.rebuild(node, sync, &mut past, (longest_hold, &progress)) => attempt,
                    never = telling.run(&progress) => match never {},
                };
                self.ledger.order(|ledger| ledger.head.stop_watching()).await;
                telling.end(&progress, attempt.is_ok());
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
        self.operator_requests.forget(node.id());
        self.membership.note_damage(node.id(), None, None);
    }

    async fn rebuild(
        &self,
        node: &Node,
        sync: &mut watch::Receiver<SyncState>,
        past: &mut Past,
        (longest_hold, progress): (Duration, &Arc<Progress>),
    ) -> Result<(), RebuildError> {
        let target = Target::new(node.clone(), self.timeout, Arc::clone(progress));
        target.wait_until_idle().await?;
        target.switch_features(&self.store.features().await?).await?;
        let attempt = Attempt::begin(self, target, longest_hold).await?;
        past.note_overwritten();
        let end = attempt.run().await?;
        self.tell(end, sync).await;
        Ok(())
    }

    /// Returns when the node counts as what the event says. The committer ends only together with this, and so does the
    /// sender of the state.
    async fn tell(&self, event: Event, sync: &mut watch::Receiver<SyncState>) {
        let _ = self.events.send(event).await;
        let _ = sync.wait_for(|sync| *sync != SyncState::Damaged).await;
    }

    /// Whether the node has again what it had.
    async fn look_back(&self, node: &Node, past: &mut Past) -> Result<bool, RebuildError> {
        let known = self.record(node).await?.next_node_task.unwrap_or(0);
        let id = node.id().clone();
        let must_have = self.ledger.ask(move |ledger| ledger.must_have(&id)).await;
        let target = Target::new(node.clone(), self.timeout, Progress::new());
        let there = target.ask(questions::indexes()).await?;
        let next = target.next_task().await?;
        let lacks_index = must_have.iter().any(|index| !there.contains_key(index));
        Ok(past.note(Sight { next, known, lacks_index }))
    }

    async fn record(&self, node: &Node) -> Result<NodeRecord, RebuildError> {
        let record = self.store.node(node.id().clone()).await?;
        record.ok_or_else(|| StoreError::Corrupt(format!("node `{}` is not there", node.id())).into())
    }
}
