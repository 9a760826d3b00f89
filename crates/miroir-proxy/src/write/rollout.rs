//! Moves changes of settings on: from one wave to the next, from the nodes' work to their reading back, to the end or to
//! the operator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use miroir_core::error::ResponseError;
use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::settings::{Broadcast, NodeEvent, PhaseEvent, SettingsUnknown, Strategy};
use miroir_core::view::IndexEntry;
use miroir_store::{Commit, SettingsChange};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::fenced::FencedStore;
use super::ledger::{ChangesOfSettings, Ledger, LedgerHandle, Now, Outcome, RolloutNews};
use super::retry::until_stored;
use crate::settings::{BroadcastStep, Broadcasts, Job, Seen, Targets, Verdict, taken_back_error};

/// What a node should have, as the ledger knows it.
#[derive(Debug)]
pub(super) struct LedgerTargets(pub(super) LedgerHandle);

impl Targets for LedgerTargets {
    async fn targets(&self, job: &Job) -> Vec<IndexEntry> {
        let job = job.clone();
        self.0.ask(move |ledger| ledger.targets_of(job.task, &job.node, &job.index)).await
    }

    async fn catalog_targets(&self, index: &PhysicalUid, node: &NodeId) -> Vec<IndexEntry> {
        let (index, node) = (index.clone(), node.clone());
        let look = move |ledger: &Ledger| {
            if ledger.is_busy(&index, &node) { Vec::new() } else { ledger.head.targets(&index) }
        };
        self.0.ask(look).await
    }
}

impl ChangesOfSettings for Broadcasts {
    fn is_held(&self, task: TaskUid) -> bool {
        Self::is_held(self, task)
    }

    fn taken_back(&self, task: TaskUid) -> Option<ResponseError> {
        Self::taken_back(self, task)
    }
}

/// What became of reading a node back.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Whether the node has the change now.
    pub(super) has_it: bool,
    /// The change, which is over, as it stands now.
    pub(super) save: Option<Broadcast>,
}

/// The part of the committer that knows of settings.
#[derive(Debug)]
pub(super) struct Rollouts {
    pub(super) store: Arc<FencedStore>,
    pub(super) broadcasts: Arc<Broadcasts>,
    pub(super) jobs: mpsc::Sender<Job>,
}

impl Rollouts {
    /// Takes in what became of reading a node back. What it adds to a change that is over is to be stored.
    pub(super) fn note(&self, ledger: &mut Ledger, job: &Job, verdict: Verdict) -> Read {
        let Job { task, ref node, ref index, generation } = *job;
        self.broadcasts.note_read(task, node);
        let mut read = Read::default();
        if verdict != Verdict::Obsolete && self.broadcasts.generation(index, node) != generation {
            // It is read once more.
            return read;
        }
        match verdict {
            Verdict::Verified => {
                self.broadcasts.note(task, node, NodeEvent::Verified);
                ledger.tasks.note_verified(task, node);
                read.has_it = true;
                read.save = self.broadcasts.broadcast(task).filter(|broadcast| broadcast.phase.is_over());
            }
            Verdict::Obsolete => ledger.tasks.note_verified(task, node),
            Verdict::Spoiled => {
                self.broadcasts.note(task, node, NodeEvent::Verified);
                ledger.tasks.note_verified(task, node);
                ledger.nodes.lose(node);
            }
            Verdict::GivenUp(keys, hash) => {
                read.save = self.broadcasts.give_up(task, node, (keys, hash), Instant::now());
            }
        }
        read
    }

    /// Looks at every change, and decides what has to be done.
    pub(super) fn plan(&self, ledger: &mut Ledger, now: &Now<'_>) -> BroadcastStep {
        let mut step = BroadcastStep::default();
        for retried in self.broadcasts.take_retries() {
            step.save.push(retried);
        }
        for task in ledger.tasks.rollouts().collect::<Vec<_>>() {
            let RolloutNews { applied, refused } = ledger.tasks.rollout_news(task);
            for node in refused {
                self.broadcasts.note(task, &node, NodeEvent::Refused);
            }
            let Some(index) = ledger.tasks.physical_of(task) else { continue };
            let job = |node| {
                let generation = self.broadcasts.generation(&index, &node);
                Job { task, node, index: index.clone(), generation }
            };
            let jobs = applied.into_iter().map(job);
            step.verify.extend(jobs.filter(|job| self.broadcasts.note_applied(job, now.instant)));
            if let Some(broadcast) = self.broadcasts.broadcast(task).filter(|it| !it.phase.is_over()) {
                let awaits = self.plan_one(ledger, &broadcast, now, &mut step);
                step.awaits.insert(task, awaits);
            }
        }
        step
    }

    /// Answers whether the change waits for nodes.
    fn plan_one(
        &self,
        ledger: &mut Ledger,
        broadcast: &Broadcast,
        now: &Now<'_>,
        step: &mut BroadcastStep,
    ) -> bool {
        let task = broadcast.task;
        if ledger.is_waiting_for_work(broadcast, now) {
            return true;
        }
        step.save.extend(self.broadcasts.step(task, PhaseEvent::Applied));
        let differs = broadcast.differing().next().is_some();
        let taken_back = broadcast.taken_back.is_some();
        let fails = match broadcast.strategy {
            Strategy::Sequential => broadcast.has_failed(),
            Strategy::TwoPhase => ledger.is_refused(broadcast),
        };
        if fails && !taken_back {
            let error = ledger.tasks.refusal(task).unwrap_or_else(|| taken_back_error(broadcast));
            step.take_back.push((task, error));
            return true;
        }
        if ledger.is_waiting_for_reading(broadcast, now) {
            return true;
        }
        if !taken_back && !broadcast.is_open_for_all() {
            step.open.push(task);
            return true;
        }
        if differs && (taken_back || !self.broadcasts.freezes()) {
            for (node, _) in broadcast.differing() {
                ledger.tasks.note_verified(task, node);
            }
        } else if differs && let Some(frozen) = self.broadcasts.step(task, PhaseEvent::Unrepairable) {
            tracing::error!(index = %frozen.index, task = %task, "some nodes could not be brought to a change of settings, and the index takes no writes: mend or stop the nodes that `GET /_miroir/indexes/…/settings/broadcast` names, then `POST` to its `/retry`");
            step.save.push(frozen);
        }
        false
    }

    /// Does what was decided. What is stored is stored before anybody can see it.
    pub(super) async fn act(&self, ledger: &Mutex<Ledger>, step: BroadcastStep) {
        for broadcast in step.save {
            self.save(broadcast).await;
        }
        for task in step.open {
            let Some(broadcast) = self.broadcasts.prepare_next_wave(task) else { continue };
            self.save(broadcast.clone()).await;
            self.broadcasts.open(broadcast);
        }
        for (task, error) in step.take_back {
            let Some(broadcast) = self.broadcasts.prepare_to_take_back(task, error.clone()) else { continue };
            tracing::warn!(index = %broadcast.index, %task, %error, "nodes refused a change of settings or did not come to it: it fails, and nodes that have it get back what they had");
            self.save(broadcast.clone()).await;
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            self.broadcasts.turn_round(broadcast);
            ledger.tasks.note_taken_back(task);
        }
        for job in step.verify {
            if let Err(error) = self.jobs.try_send(job) {
                let job = error.into_inner();
                // Its turn comes with the next look.
                self.broadcasts.note_read(job.task, &job.node);
            }
        }
    }

    async fn save(&self, broadcast: Broadcast) {
        until_stored("a change of settings", || self.store.save_broadcast(broadcast.clone())).await;
    }

    /// Adds to what becomes true what it means for settings.
    pub(super) fn complete(
        &self,
        outcome: &mut Outcome,
        verified: Vec<(TaskUid, NodeId)>,
        gone: Vec<PhysicalUid>,
    ) {
        let Outcome { commit, ended, .. } = outcome;
        for (task, node) in verified {
            self.advance(commit, task, node);
        }
        let mut last = self.broadcasts.last_version();
        for (task, status) in ended {
            if let Some(broadcast) = self.broadcasts.plan_end(*task, *status, &mut last) {
                commit.settings.push(SettingsChange::Ended(Box::new(broadcast)));
            }
        }
        commit.settings.extend(gone.into_iter().map(SettingsChange::Forgotten));
    }

    /// Nodes that have the settings of an index have its last commit, whether that was noted or not.
    pub(super) fn note_seen(&self, commit: &mut Commit, seen: Vec<Seen>) {
        for seen in seen {
            commit.settings.extend(match seen {
                Seen::AsItShould { index, node, generation } => {
                    self.broadcasts.plan_trust(&index, &node, generation)
                }
                // The index may have been deleted since.
                Seen::Changed { index, node } => {
                    let why = SettingsUnknown::Changed;
                    let is_there = self.broadcasts.has(&index, &node);
                    is_there.then_some(SettingsChange::Doubted { index, node, why })
                }
            });
        }
    }

    /// A node has a change that was committed without it.
    fn advance(&self, commit: &mut Commit, task: TaskUid, node: NodeId) {
        let Some(broadcast) = self.broadcasts.broadcast(task) else { return };
        let Some(version) = broadcast.version.filter(|_| self.broadcasts.has(&broadcast.index, &node)) else {
            return;
        };
        let at = OffsetDateTime::now_utc();
        commit.settings.push(SettingsChange::Advanced { index: broadcast.index, node, version, at });
    }
}
