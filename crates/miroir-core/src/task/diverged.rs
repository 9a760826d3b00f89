//! Copies that differ after a write failed. Documents reach a node in several requests if there are many; when one fails
//! on one replica and another one on the next, what was done before it stays, and is not the same on both.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decision, Fault, NodeReport, Op, OpResult, ops_for};
use crate::ids::{NodeId, ShardId};

/// Of each shard, the requests that were done.
type Done = BTreeMap<ShardId, BTreeSet<usize>>;

/// The nodes to leave out so that all copies of a shard have had the same requests done. Each shard keeps a copy, even one
/// that differs. What is at fault for the failure says which stay: of a write that is itself at fault those that have least
/// of it, as it is to have failed; where nodes broke those that have most.
pub(super) fn diverged(
    decision: &Decision,
    reports: &BTreeMap<NodeId, NodeReport>,
    fault: Fault,
) -> BTreeSet<NodeId> {
    let mut nodes: Vec<(&NodeId, Done)> = reports
        .iter()
        .filter(|(_, report)| !report.contains(&OpResult::Skipped))
        .map(|(node, report)| (node, done_by(decision, node, report)))
        .collect();
    nodes.sort_by_key(|(_, done)| done.values().map(BTreeSet::len).sum::<usize>());
    if fault == Fault::Node {
        nodes.reverse();
    }
    let mut kept = Done::new();
    let mut differing = Vec::new();
    for (node, done) in nodes {
        if done.iter().all(|(shard, parts)| kept.get(shard).is_none_or(|kept| kept == parts)) {
            kept.extend(done);
        } else {
            differing.push((node, done));
        }
    }
    let replaced =
        differing.into_iter().filter(|(_, done)| done.keys().all(|shard| kept.contains_key(shard)));
    replaced.map(|(node, _)| node.clone()).collect()
}

fn done_by(decision: &Decision, node: &NodeId, report: &NodeReport) -> Done {
    let mut done = Done::new();
    for (op, result) in ops_for(decision, node).iter().zip(report) {
        let Op::AddDocuments { part, shards, .. } = op else { continue };
        for shard in shards {
            let parts = done.entry(*shard).or_default();
            if matches!(result, OpResult::Done { .. }) {
                parts.insert(*part);
            }
        }
    }
    done
}
