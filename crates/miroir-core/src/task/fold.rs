//! What the nodes' answers amount to: the end of the client's task, and which nodes can't be trusted any more.
//!
//! A node *did* its part if each of its requests succeeded and none was skipped. A shard is *kept* if a node that did its
//! part holds it. A node that failed where all its shards that the task touches are kept by others has failed alone: it
//! leaves the in-sync set, and the task is none the worse. A failure of a touched shard that nobody keeps is the failure of
//! the task. Nodes that did other parts of a failed task than their peers leave the set too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::diverged::diverged;
use super::{Counts, Decision, Effect, Op, Step, TaskStatus, Verdict, ops_for, touched_shards};
use crate::document::edit::message_without_marker;
use crate::error::{ErrorCode, ErrorType, ResponseError, scrub_message};
use crate::ids::{GroupId, IndexUid, NodeId, ShardId};
use crate::placement::IndexPlacement;

/// How one request ended on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", content = "value", rename_all = "camelCase")]
pub enum OpResult {
    /// The node did it.
    Done {
        /// How many documents it deleted, if it says so.
        deleted: Option<u64>,
    },
    /// The node reports success without having looked: it dropped the work because a later deletion made it pointless.
    Skipped,
    /// The node refused it, now or when it came to it.
    Failed(ResponseError),
}

/// How the requests of one decision ended on a node, in order.
pub type NodeReport = Vec<OpResult>;

/// The end of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Succeeded or failed.
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// How many documents were written or deleted.
    pub count: u64,
    /// Whether an index that the decision creates is there now.
    pub created: bool,
    /// Whether nodes have documents of it, and so the index's primary key, though it failed.
    pub has_part: bool,
    /// Nodes that failed alone, or otherwise than their peers.
    pub failed_alone: BTreeSet<NodeId>,
}

/// The end of the task with this decision, from the reports of the nodes that had to do something and were waited for.
pub fn fold(decision: &Decision, index: &str, reports: &BTreeMap<NodeId, NodeReport>) -> Folded {
    let Some(target) = &decision.target else {
        return Folded::of(&decision.verdict, 0);
    };
    let failures: BTreeMap<&NodeId, Failure> = reports
        .iter()
        .filter_map(|(node, report)| Some((node, failure_of(decision, node, report)?)))
        .collect();
    let kept: BTreeSet<ShardId> = reports
        .iter()
        .filter(|(node, report)| !failures.contains_key(node) && !report.contains(&OpResult::Skipped))
        .flat_map(|(node, _)| target.placement.shards_of(node))
        .collect();
    let touched = touched_shards(decision);
    let is_kept = |shard: &ShardId| kept.contains(shard) || !touched.contains(shard);
    let (alone, shared): (Vec<_>, Vec<_>) =
        failures.into_iter().partition(|(node, _)| target.placement.shards_of(node).iter().all(is_kept));
    let mut failed_alone: BTreeSet<NodeId> = alone.into_iter().map(|(node, _)| node.clone()).collect();
    if let Some(fault) = shared.iter().map(|(_, failure)| failure.fault).min() {
        failed_alone.extend(diverged(decision, reports, fault));
    }
    let verdict = shared.iter().map(|(_, failure)| failure).min_by_key(|failure| failure.fault).map_or_else(
        || decision.verdict.clone(),
        |failure| {
            let message = scrub_message(&failure.error.message, &target.physical, &IndexUid::new(index));
            Verdict::Refused(ResponseError::new(failure.error.code, message))
        },
    );
    let created = shared.iter().all(|(_, failure)| !failure.in_creation);
    let count = count_documents(decision, &target.placement, reports);
    let has_part = reports.iter().any(|(node, report)| has_added(decision, node, report));
    Folded { created, has_part, failed_alone, ..Folded::of(&verdict, count) }
}

impl Folded {
    fn of(verdict: &Verdict, count: u64) -> Self {
        let (status, error) = match verdict {
            Verdict::Accepted => (TaskStatus::Succeeded, None),
            Verdict::Refused(error) => (TaskStatus::Failed, Some(error.clone())),
        };
        Self { status, error, count, created: true, has_part: false, failed_alone: BTreeSet::new() }
    }
}

/// Whose fault a failure is; the client's counts before the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Every node would refuse it.
    Client,
    /// Another node may take it.
    Node,
}

/// Whose fault an error of a node's task is.
pub const fn fault_of(error: ErrorCode) -> Fault {
    match error.family() {
        ErrorType::InvalidRequest => Fault::Client,
        ErrorType::Internal | ErrorType::System | ErrorType::Auth => Fault::Node,
    }
}

#[derive(Debug)]
struct Failure {
    error: ResponseError,
    fault: Fault,
    in_creation: bool,
}

fn failure_of(decision: &Decision, node: &NodeId, report: &NodeReport) -> Option<Failure> {
    let ops = ops_for(decision, node);
    let makes_index = decision.effects.iter().any(|effect| matches!(effect, Effect::Create { .. }));
    ops.iter().zip(report).enumerate().find_map(|(number, (op, result))| {
        let OpResult::Failed(error) = result else { return None };
        if op.error_when_repeated() == Some(error.code) {
            return None;
        }
        let fault = fault_of(error.code);
        // The first request for a new index makes it, whatever it is.
        let in_creation = makes_index && number == 0;
        let mut error = error.clone();
        if matches!(op, Op::EditDocuments { .. }) {
            error.message = message_without_marker(&error.message);
        }
        Some(Failure { error, fault, in_creation })
    })
}

fn has_added(decision: &Decision, node: &NodeId, report: &NodeReport) -> bool {
    let ops = ops_for(decision, node);
    let mut added = ops.iter().zip(report).filter(|(op, _)| matches!(op, Op::AddDocuments { .. }));
    added.any(|(_, result)| matches!(result, OpResult::Done { .. }))
}

fn count_documents(
    decision: &Decision,
    placement: &IndexPlacement,
    reports: &BTreeMap<NodeId, NodeReport>,
) -> u64 {
    let is_whole = |step: &Step| matches!(step, Step::Clear | Step::DeleteIndex | Step::ClearRules);
    let whole = decision.steps.iter().any(is_whole);
    if whole {
        return count_whole(placement, reports);
    }
    let mut count = decision.indexed_documents;
    let mut once: BTreeMap<BTreeSet<ShardId>, u64> = BTreeMap::new();
    for (node, report) in reports {
        for (op, result) in ops_for(decision, node).into_iter().zip(report) {
            let (Some(counts), Some(deleted)) = (counts_of(op), deleted(result)) else { continue };
            match counts {
                Counts::Yes => count += deleted,
                Counts::No => {}
                Counts::Once(shards) => {
                    once.insert(shards, deleted);
                }
            }
        }
    }
    count + once.values().sum::<u64>()
}

fn counts_of(op: Op<'_>) -> Option<Counts> {
    match op {
        Op::DeleteByIds { counts, .. }
        | Op::DeleteByFilter { counts, .. }
        | Op::EditDocuments { counts, .. } => Some(counts),
        Op::CreateIndex { .. }
        | Op::UpdateIndex { .. }
        | Op::DeleteIndex
        | Op::Settings { .. }
        | Op::AddDocuments { .. }
        | Op::Clear
        | Op::PutRule { .. }
        | Op::DeleteRule { .. }
        | Op::ClearRules => None,
    }
}

/// The documents of an index of which every node says how many it had. Each document is in a group as often as the group
/// keeps copies, so one group of which every node answered tells it. Without such a group the best one is taken.
fn count_whole(placement: &IndexPlacement, reports: &BTreeMap<NodeId, NodeReport>) -> u64 {
    let of_group = |group: GroupId| {
        let rows: Vec<&[NodeId]> =
            placement.shard_count().shards().map(|shard| placement.replicas(group, shard)).collect();
        let nodes: BTreeSet<&NodeId> = rows.iter().copied().flatten().collect();
        let copies = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1) as u64;
        let counts: Vec<u64> = nodes
            .iter()
            .filter_map(|node| reports.get(*node)?.iter().filter_map(deleted).next_back())
            .collect();
        let sum = counts.iter().sum::<u64>();
        // Missing nodes are taken to be like the others.
        let all = sum * nodes.len() as u64 / (counts.len() as u64).max(1);
        (counts.len() == nodes.len(), all.div_ceil(copies))
    };
    placement.groups().map(|(group, _)| of_group(group)).max().map_or(0, |(_, count)| count)
}

fn deleted(result: &OpResult) -> Option<u64> {
    match result {
        OpResult::Done { deleted } => *deleted,
        OpResult::Skipped | OpResult::Failed(_) => None,
    }
}
