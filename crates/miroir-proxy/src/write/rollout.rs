//! Moves changes of settings on: from one wave to the next, from the nodes' work to their reading back, to the end or to
//! the operator.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::settings::{Broadcast, NodeEvent, NodeStage, PhaseEvent, Strategy};
use miroir_core::view::IndexEntry;
use miroir_store::{Commit, SettingsChange, Store};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::ledger::{Ledger, Now, Outcome, RolloutNews};
use super::retry::until_stored;
use crate::settings::{Broadcasts, Job, Step, Targets, Verdict, taken_back_error};

/// What a node should have, as the ledger knows it.
#[derive(Debug)]
pub(super) struct LedgerTargets(pub(super) Arc<Mutex<Ledger>>);

impl Targets for LedgerTargets {
    fn targets(&self, job: &Job) -> Vec<IndexEntry> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.targets_of(job.task, &job.node, &job.index)
    }

    fn catalog_targets(&self, index: &PhysicalUid, node: &NodeId) -> Vec<IndexEntry> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.is_busy(index, node) { Vec::new() } else { ledger.targets(index) }
    }
}

/// The part of the committer that knows of settings.
#[derive(Debug)]
pub(super) struct Rollouts {
    pub(super) store: Arc<dyn Store>,
    pub(super) broadcasts: Arc<Broadcasts>,
    pub(super) jobs: mpsc::Sender<Job>,
}

impl Rollouts {
    /// Takes in what became of reading a node back. Answers whether the node has the change now.
    pub(super) fn note(&self, ledger: &mut Ledger, task: TaskUid, node: &NodeId, verdict: Verdict) -> bool {
        self.broadcasts.note_read(task, node);
        match verdict {
            Verdict::Verified => {
                self.broadcasts.note(task, node, NodeEvent::Verified);
                ledger.note_verified(task, node);
                true
            }
            Verdict::Obsolete => {
                ledger.note_verified(task, node);
                false
            }
            Verdict::GivenUp(keys, hash) => {
                // A change that is over waits for nobody: its node is simply tried again.
                if self.broadcasts.broadcast(task).is_some_and(|broadcast| !broadcast.phase.is_over()) {
                    self.broadcasts.note(task, node, NodeEvent::GaveUp(keys, hash));
                }
                false
            }
        }
    }

    /// Looks at every change, and decides what has to be done.
    pub(super) fn plan(&self, ledger: &mut Ledger, now: &Now<'_>) -> Step {
        let mut step = Step::default();
        for retried in self.broadcasts.take_retries() {
            ledger.hold(retried.task, retried.is_held());
            step.save.push(retried);
        }
        for task in ledger.rollouts().collect::<Vec<_>>() {
            let RolloutNews { applied, refused } = ledger.rollout_news(task);
            for node in refused {
                self.broadcasts.note(task, &node, NodeEvent::Refused);
            }
            let Some(index) = ledger.physical_of(task) else { continue };
            let jobs = applied.into_iter().map(|node| Job { task, node, index: index.clone() });
            step.verify.extend(jobs.filter(|job| self.broadcasts.note_applied(job)));
            if let Some(broadcast) = self.broadcasts.broadcast(task).filter(|it| !it.phase.is_over()) {
                self.plan_one(ledger, &broadcast, now, &mut step);
            }
        }
        step
    }

    fn plan_one(&self, ledger: &mut Ledger, broadcast: &Broadcast, now: &Now<'_>, step: &mut Step) {
        let task = broadcast.task;
        let open: BTreeSet<NodeId> =
            broadcast.nodes.keys().filter(|node| broadcast.is_open_for(node)).cloned().collect();
        let stage = |node: &NodeId| broadcast.nodes.get(node);
        let has_applied = |node: &NodeId| !matches!(stage(node), Some(NodeStage::Proposed));
        let is_given_up = |node: &NodeId| matches!(stage(node), Some(NodeStage::Differs { .. }));
        if ledger.is_waiting_for(task, &open, has_applied, now) {
            return;
        }
        step.save.extend(self.broadcasts.step(task, PhaseEvent::Applied));
        let differs = broadcast.differing().next().is_some();
        let taken_back = broadcast.taken_back.is_some();
        if broadcast.has_failed() && !taken_back && broadcast.strategy == Strategy::Sequential {
            let error = ledger.refusal(task).unwrap_or_else(|| taken_back_error(broadcast));
            step.take_back.push((task, error));
            return;
        }
        if ledger.is_waiting_for(task, &open, is_given_up, now) {
            return;
        }
        if !taken_back && !broadcast.is_open_for_all() {
            step.open.push(task);
        } else if differs && (taken_back || !self.broadcasts.freezes()) {
            for (node, _) in broadcast.differing() {
                ledger.note_verified(task, node);
            }
        } else if differs && let Some(frozen) = self.broadcasts.step(task, PhaseEvent::Unrepairable) {
            tracing::error!(index = %frozen.index, task = %task, "settings did not reach every node; writes to the index are frozen");
            ledger.hold(task, true);
            step.save.push(frozen);
        }
    }

    /// Does what was decided. What is stored is stored before anybody can see it.
    pub(super) async fn act(&self, ledger: &Mutex<Ledger>, step: Step) {
        for broadcast in step.save {
            self.save(broadcast).await;
        }
        for task in step.open {
            let Some(broadcast) = self.broadcasts.prepare_next_wave(task) else { continue };
            self.save(broadcast.clone()).await;
            ledger.lock().unwrap_or_else(PoisonError::into_inner).hold(task, broadcast.is_held());
            self.broadcasts.open(broadcast);
        }
        for (task, error) in step.take_back {
            let Some(broadcast) = self.broadcasts.prepare_to_take_back(task, error.clone()) else { continue };
            tracing::warn!(index = %broadcast.index, %task, %error, "settings are taken back");
            self.save(broadcast.clone()).await;
            ledger.lock().unwrap_or_else(PoisonError::into_inner).take_back(task, error);
            self.broadcasts.turn_round(broadcast);
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
        let Outcome { commit, ended } = outcome;
        for (task, node) in verified {
            self.advance(commit, task, node);
        }
        let mut ahead = 0;
        for (task, status) in ended {
            if let Some(broadcast) = self.broadcasts.plan_end(*task, *status, ahead) {
                ahead += u64::from(broadcast.version.is_some());
                commit.settings.push(SettingsChange::Ended(Box::new(broadcast)));
            }
        }
        commit.settings.extend(gone.into_iter().map(SettingsChange::Forgotten));
    }

    /// Nodes that have the settings of an index have its last commit, whether that was noted or not.
    pub(super) fn note_seen(&self, commit: &mut Commit, seen: Vec<(PhysicalUid, NodeId)>) {
        let at = OffsetDateTime::now_utc();
        for (index, node) in seen {
            if let Some(version) = self.broadcasts.missing_version(&index, &node) {
                commit.settings.push(SettingsChange::Advanced { index, node, version, at });
            }
        }
    }

    /// A node has a change that was committed without it.
    fn advance(&self, commit: &mut Commit, task: TaskUid, node: NodeId) {
        let Some(broadcast) = self.broadcasts.broadcast(task) else { return };
        let Some(version) = broadcast.version else { return };
        let at = OffsetDateTime::now_utc();
        commit.settings.push(SettingsChange::Advanced { index: broadcast.index, node, version, at });
    }
}
