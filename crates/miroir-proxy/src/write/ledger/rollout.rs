//! Changes of settings in the ledger: a node has done its share of one only when it was read back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use miroir_core::error::{ResponseError, scrub_message};
use miroir_core::ids::{NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_core::settings::{Broadcast, NodeStage};
use miroir_core::task::{Mutation, Step, Verdict, fault_of};
use miroir_core::view::IndexEntry;

use super::{End, Ledger, Now, OpenTasks, Share, Stage};
use crate::write::prepared::Decided;

/// Whoever knows how changes of settings stand. The ledger asks, and keeps nothing of it.
pub(in crate::write) trait ChangesOfSettings: fmt::Debug + Send + Sync {
    /// Whether the task of a change can't end yet: not all nodes may have it, or the operator has to do something.
    fn is_held(&self, task: TaskUid) -> bool;

    /// What the task of a change fails with, if every node is to get back what it had.
    fn taken_back(&self, task: TaskUid) -> Option<ResponseError>;
}

/// What is special about a change of settings.
#[derive(Debug)]
pub(super) struct Rollout {
    index: PhysicalUid,
    /// Whether nodes that take it may change their documents: vectors move out of them, or back into them.
    rewrites: bool,
    /// The open waves, by their number.
    waves: BTreeMap<usize, Wave>,
}

/// A wave that is open.
#[derive(Debug)]
struct Wave {
    /// Since when it is known to be.
    open_since: Instant,
    /// Since when some node of it has the change.
    done_since: Option<Instant>,
}

impl Rollout {
    pub(super) fn of(work: &Decided) -> Option<Self> {
        let target = work.decision.target.as_ref().filter(|_| is_rollout(work))?;
        let index = target.physical.clone();
        let rewrites = matches!(
            &work.entry.mutation,
            Mutation::Settings { patch, .. } if patch.contains_key("embedders")
        );
        Some(Self { index, rewrites, waves: BTreeMap::new() })
    }
}

/// What nodes have made of a change of settings since the last look, as far as they were not verified.
#[derive(Debug, Default)]
pub(in crate::write) struct RolloutNews {
    /// Nodes that applied it and have to be read back.
    pub(in crate::write) applied: Vec<NodeId>,
    /// Nodes that did not take it.
    pub(in crate::write) refused: Vec<NodeId>,
}

/// Whether the entry is a client's change of settings, which goes through the nodes in waves. What Miroir adds of its own
/// goes to an index that nobody searches yet, and is not read back.
pub(in crate::write) fn is_rollout(work: &Decided) -> bool {
    let changes = |step: &Step| matches!(step, Step::Settings { .. });
    matches!(work.entry.mutation, Mutation::Settings { .. })
        && work.decision.verdict == Verdict::Accepted
        && work.decision.target.is_some()
        && work.decision.steps.iter().any(changes)
}

impl OpenTasks {
    /// A change of settings stands in the place of earlier ones of the same index, and so does its end: what nodes still
    /// owe of those is not read back any more. Should the later change fail, nobody knows what these nodes have.
    pub(super) fn replace_rollouts(&mut self, work: &Decided) {
        let ends = work.decision.steps.iter().any(|step| matches!(step, Step::DeleteIndex));
        let Some(target) = work.decision.target.as_ref().filter(|_| ends || is_rollout(work)) else { return };
        for task in self.rollouts.clone() {
            if self.physical_of(task).is_none_or(|index| index != target.physical) {
                continue;
            }
            if let Some(open) = self.open.get(&task).filter(|_| !ends) {
                let unread = open.shares.iter().filter(|(_, share)| share.unverified);
                self.unread.extend(unread.map(|(node, _)| (target.physical.clone(), node.clone())));
            }
            self.stop_verifying(task, None);
        }
    }

    /// Nodes that were not read back after a change, because of a later one, since this was asked.
    pub(in crate::write) fn take_unread(&mut self) -> Vec<(PhysicalUid, NodeId)> {
        std::mem::take(&mut self.unread)
    }

    fn stop_verifying(&mut self, task: TaskUid, node: Option<&NodeId>) {
        let Some(open) = self.open.get_mut(&task) else { return };
        let mut is_late = false;
        for (_, share) in open.shares.iter_mut().filter(|(id, _)| node.is_none_or(|node| node == *id)) {
            share.unverified = false;
            is_late |= share.is_done();
        }
        if is_late && matches!(open.stage, Stage::Settled { .. }) {
            self.late.insert(task);
        }
    }

    pub(in crate::write) fn physical_of(&self, task: TaskUid) -> Option<PhysicalUid> {
        self.open.get(&task)?.rollout.as_ref().map(|rollout| rollout.index.clone())
    }

    /// Every change of settings of which some node still owes its share.
    pub(in crate::write) fn rollouts(&self) -> impl Iterator<Item = TaskUid> {
        self.rollouts.iter().copied()
    }

    /// What nodes have made of a change.
    pub(in crate::write) fn rollout_news(&self, task: TaskUid) -> RolloutNews {
        let mut news = RolloutNews::default();
        for (node, share) in self.open.get(&task).into_iter().flat_map(|open| &open.shares) {
            if share.is_applied() && share.has_failed() {
                news.refused.push(node.clone());
            } else if share.is_applied() && share.unverified {
                news.applied.push(node.clone());
            }
        }
        news
    }

    /// A node was read back and has what it should, or nobody waits for that any more.
    pub(in crate::write) fn note_verified(&mut self, task: TaskUid, node: &NodeId) {
        self.stop_verifying(task, Some(node));
    }

    /// Nodes whose lanes may still stand at an earlier change of settings.
    fn held_up_before(&self, task: TaskUid) -> BTreeSet<NodeId> {
        let earlier = self.rollouts.range(..task).filter_map(|task| self.open.get(task));
        let owed = earlier.flat_map(|open| open.shares.iter().filter(|(_, share)| !share.is_applied()));
        owed.map(|(node, _)| node.clone()).collect()
    }

    /// A change is taken back: its task is to fail when every node has back what it had. Nodes that come later may do what
    /// they get, and get back what they had: they are read back, or, where it may have changed their documents, their data are
    /// copied anew.
    pub(in crate::write) fn note_taken_back(&mut self, task: TaskUid) {
        let Some(open) = self.open.get_mut(&task) else { return };
        let Some(rollout) = &open.rollout else { return };
        if let Stage::Settled { end } = &mut open.stage {
            *end = if rollout.rewrites { End::FailedOnNodes } else { End::Judged };
        }
        for share in open.shares.values_mut() {
            share.unverified = true;
        }
    }

    /// Why a node did not take a change, in the client's words.
    pub(in crate::write) fn refusal(&self, task: TaskUid) -> Option<ResponseError> {
        let open = self.open.get(&task)?;
        let index = &open.rollout.as_ref()?.index;
        let errors = open.shares.values().filter_map(Share::error);
        let error = errors.min_by_key(|error| fault_of(error.code))?;
        Some(ResponseError::new(error.code, scrub_message(&error.message, index, &open.index)))
    }
}

impl Ledger {
    /// Whether a change waits for a node of an open wave to do its work; not for nodes that are away. One that is much
    /// slower than others of its wave is not waited for, nor, where none of them has done it, one that has shown no sign of
    /// working for as long: nobody can know how long a change takes that no node has done before.
    pub(in crate::write) fn is_waiting_for_work(&mut self, broadcast: &Broadcast, now: &Now<'_>) -> bool {
        let task = broadcast.task;
        let held_up: BTreeSet<NodeId> = self.tasks.held_up_before(task);
        let states = &self.nodes;
        let Some(open) = self.tasks.open.get_mut(&task) else { return false };
        let Some(rollout) = &mut open.rollout else { return false };
        let has_done = |node: &NodeId| {
            open.shares.get(node).is_none_or(Share::is_applied)
                || broadcast.nodes.get(node) != Some(&NodeStage::Proposed)
        };
        let mut waits = false;
        for (number, nodes) in broadcast.waves.iter().enumerate().take(broadcast.open) {
            let begin = || Wave { open_since: now.instant, done_since: None };
            let wave = rollout.waves.entry(number).or_insert_with(begin);
            if nodes.iter().any(has_done) {
                wave.done_since.get_or_insert(now.instant);
            }
            let is_in_time = |node: &NodeId| {
                let sign = states.get(node).and_then(|state| state.sign);
                let since =
                    wave.done_since.unwrap_or_else(|| wave.open_since.max(sign.unwrap_or(wave.open_since)));
                now.instant.duration_since(since) < now.max_lag
                    || (wave.done_since.is_none() && held_up.contains(node))
            };
            waits |=
                nodes.iter().any(|node| !has_done(node) && states.is_awaited(node, now) && is_in_time(node));
        }
        waits
    }

    /// Whether a change waits for a node to be read back. That ends by itself.
    pub(in crate::write) fn is_waiting_for_reading(&self, broadcast: &Broadcast, now: &Now<'_>) -> bool {
        let Some(open) = self.tasks.open.get(&broadcast.task) else { return false };
        let is_done = |node: &NodeId| open.shares.get(node).is_none_or(Share::is_done);
        let applied = broadcast.nodes.iter().filter(|(_, stage)| matches!(stage, NodeStage::Applied { .. }));
        applied.into_iter().any(|(node, _)| !is_done(node) && self.nodes.is_awaited(node, now))
    }

    /// Whether nodes have refused a change so that it fails, now that nobody who may still answer is waited for: no copy of
    /// some shard has it, or may still get it. A node that broke decides nothing as long as one that is away may take it.
    pub(in crate::write) fn is_refused(&self, broadcast: &Broadcast) -> bool {
        let Some(open) = self.tasks.open.get(&broadcast.task) else { return false };
        let shards: BTreeSet<ShardId> =
            open.shares.values().flat_map(|share| share.shards.iter().copied()).collect();
        let is_refused = |shard: &ShardId| {
            let (mut refuses, mut breaks, mut may_come) = (false, false, false);
            for (node, share) in open.shares.iter().filter(|(_, share)| share.shards.contains(shard)) {
                match broadcast.nodes.get(node).filter(|_| self.nodes.is_trusted(node)) {
                    Some(NodeStage::Refused) if share.has_broken() => breaks = true,
                    Some(NodeStage::Refused) => refuses = true,
                    Some(NodeStage::Proposed) => may_come = true,
                    Some(NodeStage::Skipped) | None => {}
                    Some(
                        NodeStage::Waiting
                        | NodeStage::Applied { .. }
                        | NodeStage::Verified
                        | NodeStage::Differs { .. },
                    ) => return false,
                }
            }
            refuses || (breaks && !may_come)
        };
        shards.iter().any(is_refused)
    }

    /// What is said of nodes that come later to a task that failed though it was accepted.
    pub(super) fn end_of_failed(&self, task: TaskUid) -> End {
        let rollout = self.tasks.open.get(&task).and_then(|open| open.rollout.as_ref());
        let is_undone =
            rollout.is_some_and(|rollout| !rollout.rewrites) && self.head.changes.taken_back(task).is_some();
        if is_undone { End::Judged } else { End::FailedOnNodes }
    }

    /// The forms that an index may have on a node that has applied this change: with everything decided since, and with
    /// the primary key that it had before. None if the change is not read back any more.
    pub(in crate::write) fn targets_of(
        &self,
        task: TaskUid,
        node: &NodeId,
        index: &PhysicalUid,
    ) -> Vec<IndexEntry> {
        let share = self.tasks.open.get(&task).and_then(|open| open.shares.get(node));
        if share.is_some_and(|share| share.unverified) { self.head.targets(index) } else { Vec::new() }
    }

    /// Whether a change of an index's settings or of its existence is decided and not over, or owed by this node.
    pub(in crate::write) fn is_busy(&self, index: &PhysicalUid, node: &NodeId) -> bool {
        let owed = self.tasks.rollouts.iter().any(|task| {
            self.tasks.open.get(task).is_some_and(|open| open.shares.contains_key(node))
                && self.tasks.physical_of(*task).is_some_and(|other| other == *index)
        });
        self.head.is_changing(index) || owed
    }
}
