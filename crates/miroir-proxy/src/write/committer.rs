//! Turns what nodes have finished into what clients see. What becomes true together is stored together.
//!
//! The order matters: first readers lose the copies that are behind, then they see the changed catalog, then the store
//! says that the task has succeeded. So whoever learns that a task has succeeded sees its effect wherever it reads. Only
//! the versions of settings are stored before all of that: none that was seen may ever be taken back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::settings::Broadcast;
use miroir_core::task::{OpResult, SyncState};
use miroir_store::{Accepted, CatalogChange, Commit, Rebuilt, SettingsChange};
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::fenced::FencedStore;
use super::ledger::{Copied, Ledger, Now, Outcome, Questions};
use super::retry::until_stored;
use super::rollout::Rollouts;
use super::shelf::Shelf;
use super::syncs::Syncs;
use crate::cluster::{Membership, ViewChange, ViewPublisher};
use crate::settings::{Job, Seen, Verdict};
use crate::webhook::WebhookQueue;

/// Ends that are taken together at most.
const GROUP: usize = 1024;

/// How often to look at nodes that are waited for, when nothing happens by itself.
const AWAITED_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Something that may let tasks end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// Decisions were added to the ledger.
    Decided,
    /// A request ended on a node.
    Ended { node: NodeId, task: TaskUid, op: usize, result: OpResult },
    /// A node no longer has what it had.
    Lost { node: NodeId },
    /// A node answers, but takes no writes: its disk is full, say. Without a reason it takes them again.
    Taking { node: NodeId, refusal: Option<String> },
    /// A node's data were copied anew.
    Rebuilt(Copied),
    /// What a node had lost is there again.
    Restored { node: NodeId },
    /// A damaged node is taken as it is.
    Accepted(Accepted),
    /// A node's settings were read back.
    ReadBack { job: Job, verdict: Verdict },
    /// What a look at an index's settings on a node has shown.
    Seen(Seen),
    /// A node says that it works on something.
    Working { node: NodeId },
    /// A node has left the cluster, and nobody needs these entries any more.
    Left { forgotten: Vec<TaskUid> },
}

/// What nodes have finished, and what it means.
#[derive(Debug, Default)]
struct News {
    results: Vec<(NodeId, TaskUid, usize, OpResult)>,
    /// Nodes that have a change of settings now.
    verified: Vec<(TaskUid, NodeId)>,
    /// What looks at settings have shown.
    seen: Vec<Seen>,
    /// Settings of nodes that nobody knows any more.
    doubted: Vec<SettingsChange>,
    /// Changes of settings that are over, and have gone on on a node.
    saves: Vec<Broadcast>,
    /// Nodes whose data were copied anew.
    rebuilt: Vec<Rebuilt>,
    /// Nodes that are taken as they are.
    accepted: Vec<Accepted>,
    /// Entries that nobody needs any more because of that.
    forgotten: Vec<TaskUid>,
}

/// Ends tasks until the future is dropped. Between two steps nothing is lost by that: the store says what has ended on
/// nodes, or the nodes themselves do.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) store: Arc<FencedStore>,
    /// The sequencer has the other key to it. Everybody else asks.
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewPublisher>,
    pub(super) rollouts: Rollouts,
    pub(super) max_lag: Duration,
    /// Rung when tasks have ended, or a change of settings was frozen.
    pub(super) tasks_ended: Arc<Notify>,
    /// Tells webhooks.
    pub(super) webhooks: WebhookQueue,
    /// Where each node's caretaker reads what its data are worth.
    pub(super) syncs: Arc<Syncs>,
}

impl Committer {
    /// Until nobody is left who could tell it anything.
    pub(super) async fn run(self, events: mpsc::Receiver<Event>, questions: Questions) {
        tokio::join!(self.commit(events), self.answer(questions));
    }

    /// Answers those who ask what the ledger knows, also while a step is being stored.
    async fn answer(&self, mut questions: Questions) {
        while let Some(question) = questions.recv().await {
            question(&mut self.ledger());
        }
    }

    async fn commit(&self, mut events: mpsc::Receiver<Event>) {
        let mut group = Vec::with_capacity(GROUP);
        // What had ended before a restart.
        self.take(std::iter::empty()).await;
        loop {
            let waiting = {
                let ledger = self.ledger();
                ledger.head.unsettled_count(&[]) > 0 || ledger.tasks.rollouts().next().is_some()
            };
            let received = if waiting {
                timeout(AWAITED_CHECK_INTERVAL, events.recv_many(&mut group, GROUP))
                    .await
                    .unwrap_or(usize::MAX)
            } else {
                events.recv_many(&mut group, GROUP).await
            };
            if received == 0 {
                return;
            }
            self.take(group.drain(..)).await;
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, events: impl Iterator<Item = Event>) {
        let news = self.note(events);
        let mut step = self.with_ledger(|ledger, now| self.rollouts.plan(ledger, now));
        let moved = !step.save.is_empty();
        step.save.extend(news.saves);
        let awaits = std::mem::take(&mut step.awaits);
        self.rollouts.act(&self.ledger, step).await;
        if moved {
            // A frozen change refuses what waited for it.
            self.tasks_ended.notify_one();
        }
        let mut outcome = self.with_ledger(|ledger, now| ledger.settle(now, &awaits));
        outcome.commit.results = news.results;
        outcome.commit.rebuilt = news.rebuilt;
        outcome.commit.accepted = news.accepted;
        outcome.commit.forgotten.extend(news.forgotten);
        outcome.commit.settings.extend(news.doubted);
        let gone = self.gone(&outcome.commit);
        self.rollouts.note_seen(&mut outcome.commit, news.seen);
        self.rollouts.complete(&mut outcome, news.verified, gone);
        self.make_true(outcome).await;
    }

    fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger, &Now<'_>) -> T) -> T {
        let is_reachable =
            |node: &NodeId| self.membership.standing(node).is_some_and(|standing| standing.reachable);
        let now = Now {
            is_reachable: &is_reachable,
            date: OffsetDateTime::now_utc(),
            instant: Instant::now(),
            max_lag: self.max_lag,
        };
        look(&mut self.ledger(), &now)
    }

    fn note(&self, events: impl Iterator<Item = Event>) -> News {
        let mut ledger = self.ledger();
        let mut news = News::default();
        let unread = ledger.tasks.take_unread().into_iter();
        news.doubted.extend(unread.map(|(index, node)| self.rollouts.broadcasts.lose_sight(index, node)));
        for event in events {
            match event {
                Event::Decided => {}
                Event::Left { forgotten } => news.forgotten.extend(forgotten),
                Event::Working { node } => ledger.nodes.note_sign(&node, Instant::now()),
                Event::Ended { node, task, op, result } => {
                    ledger.nodes.note_sign(&node, Instant::now());
                    ledger.note(&node, task, op, result.clone());
                    news.results.push((node, task, op, result));
                }
                Event::Lost { node } => ledger.nodes.lose(&node),
                Event::Taking { node, refusal } => {
                    ledger.nodes.note_taking(&node, refusal.is_none());
                    self.membership.note_refusal(&node, refusal);
                }
                Event::Rebuilt(copied) => {
                    let (rebuilt, forgotten) = ledger.begin_anew(&copied);
                    news.forgotten.extend(forgotten);
                    news.doubted.extend(self.doubt(&rebuilt.node));
                    news.rebuilt.push(rebuilt);
                }
                Event::Restored { node } => {
                    ledger.nodes.take_back_in(&node);
                    news.doubted.extend(self.doubt(&node));
                }
                Event::Accepted(accepted) => {
                    ledger.accept(&accepted);
                    news.doubted.extend(self.doubt(&accepted.node));
                    news.accepted.push(accepted);
                }
                Event::Seen(seen) => news.seen.push(seen),
                Event::ReadBack { job, verdict } => {
                    let read = self.rollouts.note(&mut ledger, &job, verdict);
                    news.saves.extend(read.save);
                    if read.has_it {
                        news.verified.push((job.task, job.node));
                    }
                }
            }
        }
        news
    }

    /// The node was changed by others than its lane.
    fn doubt(&self, node: &NodeId) -> Vec<SettingsChange> {
        self.membership.note_refusal(node, None);
        self.rollouts.broadcasts.doubt_all(node)
    }

    /// Indexes that are gone from the nodes, and did not only change their name. One that is there again under its own
    /// name was made anew.
    fn gone(&self, commit: &Commit) -> Vec<PhysicalUid> {
        let view = self.view.load();
        let is_renamed = |uid: &IndexUid, physical: &PhysicalUid| {
            commit.catalog.iter().any(
                |it| matches!(it, CatalogChange::Put(entry) if entry.physical == *physical && entry.uid != *uid),
            )
        };
        let removed = commit.catalog.iter().filter_map(|change| match change {
            CatalogChange::Remove(uid) => Some((uid, view.index(uid)?.physical.clone())),
            CatalogChange::Put(_) => None,
        });
        removed.filter(|(uid, physical)| !is_renamed(uid, physical)).map(|(_, physical)| physical).collect()
    }

    async fn make_true(&self, outcome: Outcome) {
        let Outcome { mut commit, ended, behind } = outcome;
        if let Some(behind) = &behind {
            self.view.publish([ViewChange::LackToo(behind.clone())]);
        }
        if commit.is_empty() && behind.is_none() {
            return;
        }
        for (node, sync) in &commit.nodes {
            tell(node, *sync);
            let before = self.membership.standing(node).map(|standing| standing.sync);
            let is_worse = match sync {
                SyncState::InSync => false,
                SyncState::Behind => before != Some(SyncState::Damaged),
                SyncState::Damaged => true,
            };
            if is_worse {
                self.membership.note_sync(node, *sync);
            }
        }
        let versions = self.store_versions(&mut commit).await;
        self.publish(&commit, &versions);
        if !commit.is_empty() {
            until_stored("ends of tasks", || self.store.commit(commit.clone())).await;
        }
        for (node, sync) in &commit.nodes {
            self.membership.note_sync(node, *sync);
        }
        if let Some(behind) = behind {
            self.view.publish([ViewChange::Lack(behind)]);
        }
        for (node, sync) in &commit.nodes {
            self.syncs.tell(node, *sync);
        }
        for task in &commit.forgotten {
            self.shelf.remove(*task);
            self.rollouts.broadcasts.forget(*task);
        }
        for (task, status) in &ended {
            tracing::debug!(%task, %status, "task ended");
        }
        self.webhooks.hand_in(ended.into_iter().map(|(task, _)| task).collect());
        self.tasks_ended.notify_one();
    }

    /// Versions of settings are promises: they are stored before anybody sees them. What is left of the commit waits until
    /// it can be seen. The answer is what was taken out of it.
    async fn store_versions(&self, commit: &mut Commit) -> Vec<SettingsChange> {
        let is_forgotten = |change: &mut SettingsChange| matches!(change, SettingsChange::Forgotten(_));
        let forgotten = commit.settings.extract_if(.., is_forgotten).collect();
        let settings = std::mem::replace(&mut commit.settings, forgotten);
        if !settings.is_empty() {
            let first = Commit { settings: settings.clone(), ..Commit::default() };
            until_stored("versions of settings", || self.store.commit(first.clone())).await;
        }
        settings
    }

    fn publish(&self, commit: &Commit, versions: &[SettingsChange]) {
        let settings: Vec<SettingsChange> = versions.iter().chain(&commit.settings).cloned().collect();
        if commit.catalog.is_empty() && settings.is_empty() && commit.rules.is_empty() {
            return;
        }
        let rules = (!commit.rules.is_empty()).then(|| ViewChange::Rules(self.ledger().head.rules().clone()));
        let indexes = commit.catalog.iter().map(|change| match change {
            CatalogChange::Put(entry) => ViewChange::Index(Arc::new((**entry).clone())),
            CatalogChange::Remove(uid) => ViewChange::NoIndex(uid.clone()),
        });
        self.rollouts.broadcasts.end(&settings, rules.into_iter().chain(indexes).collect());
    }
}

fn tell(node: &NodeId, sync: SyncState) {
    match sync {
        SyncState::InSync => tracing::info!(%node, "node has caught up and is read for every index"),
        SyncState::Behind => {
            tracing::warn!(%node, "a task succeeded without this node; its copy of the index is not read until it caught up");
        }
        SyncState::Damaged => {
            tracing::error!(%node, "node is not read until its data are copied anew");
        }
    }
}
