//! What a task waits for, node by node, for those who want to know.

use std::time::Instant;

use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::SyncState;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Ledger, Nodes, Now, Open, Share, Stage};

/// How far a node is with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareState {
    /// It has not done all of it.
    Open,
    /// It has, and has to be read back.
    Unverified,
    /// It has.
    Done,
    /// It refused.
    Failed,
}

/// Why the task waits for a node, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// It did its share.
    Over,
    /// No node has done it for some shard.
    NoCopyHasIt,
    /// It goes from wave to wave; the index's broadcast says where it is.
    Rollout,
    /// Others have done it, and this node has everything that ended before.
    InSync,
    /// It owes little, and is about to catch up.
    NearlyCaughtUp,
    /// The task ended without it.
    TaskEnded,
    /// It does not answer.
    Unreachable,
    /// It answers, and is not this cluster's.
    Foreign,
    /// It answers, and takes no writes.
    TakesNoWrites,
    /// It owes something that ended without it.
    Behind,
    /// Its data have to be copied anew.
    Damaged,
}

/// One node's part in a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskOnNode {
    /// The node.
    pub node: NodeId,
    /// How far it is.
    pub state: ShareState,
    /// Since when, as far as this process knows.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Requests that have ended on it, and all that it gets.
    pub requests: (usize, usize),
    /// Whether the task waits for it.
    pub waited_for: bool,
    /// Until when at most; none where nobody can say.
    #[serde(with = "time::serde::rfc3339::option")]
    pub waited_for_until: Option<OffsetDateTime>,
    /// Why, or why not.
    pub reason: WaitReason,
}

impl Ledger {
    /// The nodes that have a part in a task; none if it is not decided, or all of them have done it.
    pub(in crate::write) fn task_on_nodes(&self, task: TaskUid, now: &Now<'_>) -> Vec<TaskOnNode> {
        let Some(open) = self.tasks.open.get(&task) else { return Vec::new() };
        open.shares.iter().map(|(node, share)| open.on_node(&self.nodes, node, share, now)).collect()
    }
}

impl Open {
    fn on_node(&self, nodes: &Nodes, node: &NodeId, share: &Share, now: &Now<'_>) -> TaskOnNode {
        let state = match (share.is_applied(), share.is_done()) {
            (_, true) if share.has_failed() => ShareState::Failed,
            (_, true) => ShareState::Done,
            (true, false) => ShareState::Unverified,
            (false, false) => ShareState::Open,
        };
        let (reason, until) =
            if share.is_done() { (WaitReason::Over, None) } else { self.why(nodes, node, now) };
        let waited_for = match reason {
            WaitReason::NoCopyHasIt
            | WaitReason::Rollout
            | WaitReason::InSync
            | WaitReason::NearlyCaughtUp => true,
            WaitReason::Over
            | WaitReason::TaskEnded
            | WaitReason::Unreachable
            | WaitReason::Foreign
            | WaitReason::TakesNoWrites
            | WaitReason::Behind
            | WaitReason::Damaged => false,
        };
        TaskOnNode {
            node: node.clone(),
            state,
            since: share.since,
            requests: (share.results.iter().flatten().count(), share.results.len()),
            waited_for,
            waited_for_until: until.map(|until| now.date + until.saturating_duration_since(now.instant)),
            reason,
        }
    }

    fn why(&self, nodes: &Nodes, node: &NodeId, now: &Now<'_>) -> (WaitReason, Option<Instant>) {
        let Stage::Unsettled { covered_since, .. } = &self.stage else {
            return (WaitReason::TaskEnded, None);
        };
        let Some(state) = nodes.get(node) else { return (WaitReason::Unreachable, None) };
        let moment = state.moment_until().filter(|until| now.instant < *until);
        match (state.sync, covered_since) {
            (SyncState::Damaged, _) => (WaitReason::Damaged, None),
            _ if !(now.is_reachable)(node) => (WaitReason::Unreachable, None),
            _ if state.refuses => (WaitReason::TakesNoWrites, None),
            _ if self.rollout.is_some() => (WaitReason::Rollout, None),
            (_, None) => (WaitReason::NoCopyHasIt, None),
            (SyncState::InSync, Some(since)) => (WaitReason::InSync, Some(*since + now.max_lag)),
            (SyncState::Behind, Some(since)) => match moment {
                Some(until) => (WaitReason::NearlyCaughtUp, Some(until.min(*since + now.max_lag))),
                None => (WaitReason::Behind, None),
            },
        }
    }
}
