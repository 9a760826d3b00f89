//! Turns what nodes have finished into what clients see. What becomes true together is stored together.
//!
//! The order matters: first readers lose the nodes that are behind, then they see the changed catalog, then the store
//! says that the task has succeeded. So whoever learns that a task has succeeded sees its effect wherever it reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::{OpResult, SyncState};
use miroir_store::{CatalogChange, Commit, Rebuilt, Store};
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::ledger::{Ledger, Now, Outcome};
use super::retry::until_stored;
use super::shelf::Shelf;
use crate::cluster::{Membership, ViewCell};
use crate::webhook::Ended;

/// Ends that are taken together at most.
const GROUP: usize = 1024;

/// How often to look at nodes that are waited for, when nothing happens by itself.
const LOOK: Duration = Duration::from_millis(100);

/// Something that may let tasks end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// Decisions were added to the ledger.
    Decided,
    /// A request ended on a node.
    Ended { node: NodeId, task: TaskUid, op: usize, result: OpResult },
    /// A node no longer has what it had.
    Lost { node: NodeId },
    /// A node's data were copied anew.
    Rebuilt(Rebuilt),
}

/// Ends tasks until the future is dropped. Between two steps nothing is lost by that: the store says what has ended on
/// nodes, or the nodes themselves do.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewCell>,
    pub(super) max_lag: Duration,
    /// Rung when tasks have ended.
    pub(super) ended: Arc<Notify>,
    /// Tells webhooks.
    pub(super) told: Ended,
    /// Where each node's caretaker reads what its data are worth.
    pub(super) syncs: BTreeMap<NodeId, watch::Sender<SyncState>>,
}

impl Committer {
    pub(super) async fn run(self, mut events: mpsc::Receiver<Event>) {
        let mut group = Vec::with_capacity(GROUP);
        // What had ended before a restart.
        let outcome = self.settle(std::iter::empty());
        self.make_true(outcome).await;
        loop {
            let waiting = self.ledger().unsettled_count() > 0;
            let received = if waiting {
                timeout(LOOK, events.recv_many(&mut group, GROUP)).await.unwrap_or(usize::MAX)
            } else {
                events.recv_many(&mut group, GROUP).await
            };
            if received == 0 {
                return;
            }
            let outcome = self.settle(group.drain(..));
            self.make_true(outcome).await;
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, events: impl Iterator<Item = Event>) -> Outcome {
        let is_reachable =
            |node: &NodeId| self.membership.standing(node).is_some_and(|standing| standing.reachable);
        let now = Now {
            is_reachable: &is_reachable,
            date: OffsetDateTime::now_utc(),
            instant: Instant::now(),
            max_lag: self.max_lag,
        };
        let mut ledger = self.ledger();
        let mut first = Commit::default();
        for event in events {
            match event {
                Event::Decided => {}
                Event::Ended { node, task, op, result } => {
                    ledger.note(&node, task, op, result.clone());
                    first.results.push((node, task, op, result));
                }
                Event::Lost { node } => ledger.lose(&node),
                Event::Rebuilt(rebuilt) => {
                    first.forgotten.extend(ledger.begin_anew(&rebuilt));
                    first.rebuilt.push(rebuilt);
                }
            }
        }
        let mut outcome = ledger.settle(&now);
        outcome.commit.results = first.results;
        outcome.commit.rebuilt = first.rebuilt;
        outcome.commit.forgotten.extend(first.forgotten);
        outcome
    }

    async fn make_true(&self, outcome: Outcome) {
        let Outcome { commit, ended } = outcome;
        if commit.is_empty() {
            return;
        }
        for (node, sync) in &commit.nodes {
            tell(node, *sync);
            if *sync != SyncState::InSync {
                self.membership.set_in_sync(node, false);
            }
        }
        self.publish(&commit);
        until_stored("ends of tasks", || self.store.commit(commit.clone())).await;
        for (node, sync) in &commit.nodes {
            if *sync == SyncState::InSync {
                self.membership.set_in_sync(node, true);
            }
        }
        for (node, sync) in &commit.nodes {
            if let Some(sender) = self.syncs.get(node) {
                sender.send_replace(*sync);
            }
        }
        for task in &commit.forgotten {
            self.shelf.remove(*task);
        }
        for (task, status) in &ended {
            tracing::debug!(%task, %status, "task ended");
        }
        self.told.hand_in(ended.into_iter().map(|(task, _)| task).collect());
        self.ended.notify_one();
    }

    fn publish(&self, commit: &Commit) {
        if commit.catalog.is_empty() {
            return;
        }
        self.view.update(|view| {
            for change in &commit.catalog {
                match change {
                    CatalogChange::Put(entry) => {
                        view.indexes.insert(entry.uid.clone(), Arc::new((**entry).clone()));
                    }
                    CatalogChange::Remove(uid) => {
                        view.indexes.remove(uid);
                    }
                }
            }
        });
    }
}

fn tell(node: &NodeId, sync: SyncState) {
    match sync {
        SyncState::InSync => tracing::info!(%node, "node has caught up and is read again"),
        SyncState::Behind => {
            tracing::warn!(%node, "a task succeeded without this node; it is not read until it caught up");
        }
        SyncState::Damaged => {
            tracing::error!(%node, "node's data are not those of the log; it is not read until they are copied anew");
        }
    }
}
