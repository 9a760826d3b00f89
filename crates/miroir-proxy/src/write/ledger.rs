//! What is decided and not yet over, in memory: which node still owes what, which index looks how at the end of the log,
//! which node's data are worth what. The store has all of it too; this is for those who can't wait for a disk.
//!
//! It has three parts. The [`Head`] is how indexes look, now and after everything decided; [`OpenTasks`] are what nodes have
//! done of each task; [`Nodes`] are what their data are worth. What is about one of them is done by that one. What is here is
//! about several: to take in a decision, to end tasks, and to begin anew with a node.
//!
//! Tasks about one index end in the order of the log, though nodes finish them in any: a client that saw one succeed
//! sees everything before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_core::rules::RuleBook;
use miroir_core::task::{
    Behind, Effect, Folded, Lack, NodeReport, Op, OpResult, SyncEvent, SyncState, TaskStatus, details_at_end,
    details_at_start, fold, ops_for, touched_shards,
};
use miroir_core::view::IndexEntry;
use miroir_store::{Commit, Settled};
use time::OffsetDateTime;

pub(super) use self::handle::{LedgerHandle, Questions};
pub(super) use self::head::Head;
pub(super) use self::names::name_on_nodes;
use self::nodes::Nodes;
pub(super) use self::obstacle::Obstacle;
use self::open::{End, Open, Stage, effects};
use self::patience::NodeState;
pub(super) use self::rebuilt::Copied;
use self::rollout::Rollout;
pub(super) use self::rollout::{ChangesOfSettings, RolloutNews, is_rollout};
use self::share::Share;
use self::tasks::OpenTasks;
pub(super) use self::touched::Touched;
pub use self::waiting::{ShareState, TaskOnNode, WaitReason};
use super::prepared::Decided;
use super::progress::NodeProgress;

/// How much a task that took long counts at the next one.
const PACE_FADES: (u32, u32) = (4, 5);

/// What became true at once, and has to be stored and told.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) commit: Commit,
    /// Ended tasks, in order.
    pub(super) ended: Vec<(TaskUid, TaskStatus)>,
    /// What nodes lack, if that changed.
    pub(super) behind: Option<Behind>,
}

/// What is known of the outside when tasks are settled.
pub(super) struct Now<'a> {
    pub(super) is_reachable: &'a dyn Fn(&NodeId) -> bool,
    pub(super) date: OffsetDateTime,
    pub(super) instant: Instant,
    pub(super) max_lag: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    /// How indexes look.
    pub(super) head: Head,
    /// Which node has done what.
    pub(super) tasks: OpenTasks,
    /// What nodes are worth.
    pub(super) nodes: Nodes,
    /// How long tasks take, from when they are the first of their index.
    pace: Duration,
}

impl Ledger {
    pub(super) fn new(
        catalog: Vec<IndexEntry>,
        rules: RuleBook,
        nodes: impl IntoIterator<Item = (NodeId, SyncState)>,
        changes: Arc<dyn ChangesOfSettings>,
    ) -> Self {
        Self {
            head: Head::new(catalog, rules, changes),
            tasks: OpenTasks::default(),
            nodes: Nodes::new(nodes),
            pace: Duration::ZERO,
        }
    }

    /// How far each node is.
    pub(super) fn progress(&self) -> BTreeMap<NodeId, NodeProgress> {
        let begin = |state: &NodeState| NodeProgress {
            sync: state.sync,
            entries: 0,
            oldest: None,
            quiet_since: None,
        };
        let mut progress: BTreeMap<NodeId, NodeProgress> =
            self.nodes.iter().map(|(id, state)| (id.clone(), begin(state))).collect();
        for open in self.tasks.open.values() {
            for (node, share) in open.shares.iter().filter(|(_, share)| !share.is_done()) {
                if let Some(progress) = progress.get_mut(node) {
                    progress.entries += 1;
                    let last_end = self.nodes.get(node).and_then(|state| state.last_end);
                    let quiet_since = last_end.map_or(share.since, |last_end| last_end.max(share.since));
                    progress.quiet_since =
                        Some(progress.quiet_since.map_or(quiet_since, |since| since.min(quiet_since)));
                    progress.oldest =
                        Some(progress.oldest.map_or(open.since, |oldest| oldest.min(open.since)));
                }
            }
        }
        progress
    }

    /// Takes in a decision. `ended` says how its task ended, when it did before a restart.
    pub(super) fn add(&mut self, work: &Arc<Decided>, ended: Option<TaskStatus>) {
        let uid = work.entry.uid;
        let nodes = work.decision.target.iter().flat_map(|target| target.placement.nodes());
        let rollout = Rollout::of(work);
        self.tasks.replace_rollouts(work);
        self.head.add(work, ended.is_some());
        let mut shares = BTreeMap::new();
        for node in nodes {
            let ops = ops_for(&work.decision, node);
            if ops.is_empty() {
                continue;
            }
            let held = work.decision.target.as_ref().map(|target| target.placement.shards_of(node));
            shares.insert(
                node.clone(),
                Share {
                    results: vec![None; ops.len()],
                    forgiven: ops.iter().map(Op::error_when_repeated).collect(),
                    shards: held.unwrap_or_default(),
                    lack: ops.iter().map(Op::lack).max().unwrap_or(Lack::Documents),
                    since: OffsetDateTime::now_utc(),
                    unverified: rollout.is_some(),
                },
            );
        }
        let index = work.entry.index_uid.clone();
        let target = work.decision.target.as_ref();
        let physical = target.map_or_else(|| PhysicalUid::new(index.as_str()), |it| it.physical.clone());
        let stage = if let Some(status) = ended {
            for (node, share) in &shares {
                if let Some(state) = self.nodes.get_mut(node) {
                    state.owe(&physical, share.lack);
                }
            }
            Stage::Settled { end: End::of(status, &work.decision.verdict) }
        } else {
            let touched = touched_shards(&work.decision);
            let work = Arc::clone(work);
            Stage::Unsettled { work, touched, first_since: None, covered_since: None }
        };
        self.tasks
            .insert(uid, Open { index, physical, since: work.entry.enqueued_at, shares, stage, rollout });
    }

    /// Notes how a request ended. Ends of requests that nobody waits for are not news.
    pub(super) fn note(&mut self, node: &NodeId, task: TaskUid, op: usize, result: OpResult) {
        let now = OffsetDateTime::now_utc();
        self.nodes.note_end(node, now);
        let Some(open) = self.tasks.open.get_mut(&task) else { return };
        let Some(share) = open.shares.get_mut(node) else { return };
        share.since = now;
        if let Some(slot) = share.results.get_mut(op) {
            *slot = Some(result);
        }
        if share.is_done() && matches!(open.stage, Stage::Settled { .. }) {
            self.tasks.late.insert(task);
        }
    }

    /// Ends all tasks that can end, and finds out which nodes are behind and which have caught up. `awaits` says of changes of
    /// settings whether they wait for nodes.
    pub(super) fn settle(&mut self, now: &Now<'_>, awaits: &BTreeMap<TaskUid, bool>) -> Outcome {
        let mut outcome = Outcome::default();
        self.collect_late_shares(now, &mut outcome.commit);
        for index in self.indexes_to_settle(now) {
            while let Some(task) = self.head.first(&index) {
                if !self.settle_one(task, now, awaits.get(&task).copied(), &mut outcome) {
                    break;
                }
            }
        }
        outcome.commit.nodes.extend(self.nodes.take_changed());
        outcome.behind = self.nodes.take_news();
        outcome
    }

    /// The indexes of which the first task may end: there can be very many whose nodes have yet to say anything.
    fn indexes_to_settle(&mut self, now: &Now<'_>) -> Vec<IndexUid> {
        let mut indexes = Vec::new();
        for (index, works) in &self.head.unsettled {
            let first = works.keys().next().and_then(|task| self.tasks.open.get_mut(task));
            if first.is_none_or(|open| open.begins_to_end(now.instant)) {
                indexes.push(index.clone());
            }
        }
        indexes
    }

    fn settle_one(
        &mut self,
        task: TaskUid,
        now: &Now<'_>,
        awaits: Option<bool>,
        outcome: &mut Outcome,
    ) -> bool {
        let nodes = &self.nodes;
        let Some(open) = self.tasks.open.get_mut(&task) else { return false };
        if !open.begins_to_end(now.instant) {
            return false;
        }
        let Stage::Unsettled { work, touched, first_since, covered_since } = &mut open.stage else {
            return false;
        };
        let first_since = first_since.unwrap_or(now.instant);
        if awaits == Some(true) || (open.rollout.is_some() && self.head.changes.is_held(task)) {
            return false;
        }
        let done: BTreeMap<&NodeId, &Share> =
            open.shares.iter().filter(|(node, share)| share.is_done() && nodes.is_trusted(node)).collect();
        let shards_of = |share: &&Share| share.shards.iter().copied().collect::<Vec<_>>();
        let covered: BTreeSet<ShardId> = done.values().flat_map(shards_of).collect();
        let kept: BTreeSet<ShardId> =
            done.values().filter(|share| !share.has_broken()).flat_map(shards_of).collect();
        // A replica that broke says nothing about the write, as long as another one may still take it.
        let pending: BTreeSet<ShardId> = open
            .shares
            .iter()
            .filter(|(node, share)| !share.is_done() && nodes.is_trusted(node))
            .flat_map(|(_, share)| shards_of(&share))
            .collect();
        let is_open =
            |shard: &ShardId| !covered.contains(shard) || (!kept.contains(shard) && pending.contains(shard));
        if touched.iter().any(is_open) {
            return false;
        }
        let since = *covered_since.get_or_insert_with(|| {
            let took = now.instant.duration_since(first_since);
            self.pace = took.max(self.pace * PACE_FADES.0 / PACE_FADES.1);
            now.instant
        });
        let in_time = awaits.is_none() && now.instant.duration_since(since) < now.max_lag;
        let awaited = |node: &NodeId| in_time && nodes.is_awaited(node, now);
        if open.shares.iter().any(|(node, share)| !share.is_done() && awaited(node)) {
            return false;
        }
        let reports: BTreeMap<NodeId, NodeReport> =
            done.iter().map(|(node, share)| ((*node).clone(), share.report())).collect();
        let mut folded = fold(&work.decision, open.index.as_str(), &reports);
        if let Some(error) = open.rollout.as_ref().and_then(|_| self.head.changes.taken_back(task)) {
            (folded.status, folded.error) = (TaskStatus::Failed, Some(error));
            // Whoever did not take it has what it should have.
            folded.failed_alone.clear();
        }
        let work = Arc::clone(work);
        self.close(&work, &folded, now.date, outcome);
        true
    }

    fn close(&mut self, work: &Decided, folded: &Folded, date: OffsetDateTime, outcome: &mut Outcome) {
        let uid = work.entry.uid;
        let mut details = details_at_start(&work.entry.mutation);
        let reported = effects(work, Some(folded)).filter_map(|effect| match effect {
            Effect::Report { details } => Some(details.clone()),
            _ => None,
        });
        details.extend(reported.flatten());
        outcome.ended.push((uid, folded.status));
        outcome.commit.settled.push(Settled {
            task: uid,
            status: folded.status,
            error: folded.error.clone(),
            details: details_at_end(details, &work.entry.mutation, folded.status, folded.count),
            finished_at: date,
        });
        self.head.settle(work, folded, date, &mut outcome.commit);
        for node in &folded.failed_alone {
            self.nodes.note(node, SyncEvent::FailedAlone);
        }
        let end = match End::of(folded.status, &work.decision.verdict) {
            End::FailedOnNodes => self.end_of_failed(uid),
            end => end,
        };
        self.leave_behind(uid, end, &mut outcome.commit);
    }

    /// Who has not done its share of an ended task is behind; when nobody is, the task is forgotten.
    fn leave_behind(&mut self, task: TaskUid, end: End, commit: &mut Commit) {
        let Some(open) = self.tasks.open.get_mut(&task) else { return };
        open.stage = Stage::Settled { end };
        open.shares.retain(|_, share| !share.is_done());
        for (node, share) in &open.shares {
            if let Some(state) = self.nodes.get_mut(node) {
                state.owe(&open.physical, share.lack);
                state.sync = state.sync.next(SyncEvent::LeftBehind);
            }
        }
        if open.shares.is_empty() {
            self.tasks.remove(task);
            commit.forgotten.push(task);
        }
    }

    /// Shares of ended tasks that were done meanwhile. A node that fails what has succeeded is damaged, and so is one that
    /// does what has failed.
    fn collect_late_shares(&mut self, now: &Now<'_>, commit: &mut Commit) {
        for task in std::mem::take(&mut self.tasks.late) {
            let Some(open) = self.tasks.open.get_mut(&task) else { continue };
            let Stage::Settled { end } = open.stage else { continue };
            for (node, share) in open.shares.extract_if(.., |_, share| share.is_done()) {
                let Some(state) = self.nodes.get_mut(&node) else { continue };
                state.pay(&open.physical, share.lack);
                if end.is_contradicted_by(&share) {
                    state.sync = state.sync.next(SyncEvent::FailedAlone);
                }
            }
            if open.shares.is_empty() {
                self.tasks.remove(task);
                commit.forgotten.push(task);
            }
        }
        self.nodes.look(now, self.pace);
    }
}

#[cfg(test)]
mod fixture;
mod handle;
mod head;
mod members;
mod names;
mod nodes;
mod obstacle;
mod open;
mod patience;
mod rebuilt;
mod rollout;
mod share;
mod tasks;
#[cfg(test)]
mod tests;
mod touched;
mod waiting;
