//! The nodes with all that is known of each.

use std::collections::BTreeMap;
use std::time::Instant;

use miroir_core::ids::{ClusterId, GroupId, IndexUid, NodeId, ShardCount};
use miroir_core::task::SyncState;
use miroir_core::view::{IndexEntry, View, coverage};
use serde::Serialize;
use time::OffsetDateTime;

use crate::cluster::{Member, Membership, Rebuilding, Standing, versions_agree};
use crate::write::NodeProgress;

/// So many indexes are named of a node that is behind in more.
const NAMED: usize = 20;

/// A node is said to be stuck when nothing has ended there for so many seconds.
const STALLED: f64 = 10.0;

/// What is configured of the cluster, and does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What the nodes' marks name.
    pub cluster: ClusterId,
    /// Shards of a new index.
    pub shards: ShardCount,
    /// Copies of a shard in a group.
    pub replication_factor: u32,
}

/// What a node is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It answers and has everything that clients were told has succeeded: it is read.
    Healthy,
    /// It answers and is getting the writes that it missed. It is read for the indexes in which it missed none.
    CatchingUp,
    /// It answers, and lost a write for good: it is not read until its data are copied anew.
    Damaged,
    /// It does not answer.
    Unreachable,
    /// It is not this cluster's, and is not used.
    Foreign,
}

impl NodeStatus {
    /// What two facts make of a node. One that does not answer may be any of the others as well.
    pub fn of(standing: Option<Standing>, sync: Option<SyncState>) -> Self {
        match (standing, sync) {
            (None | Some(Standing { reachable: false, .. }), _) => Self::Unreachable,
            (Some(Standing { sync: SyncState::InSync, .. }), _) => Self::Healthy,
            (Some(_), Some(SyncState::Damaged)) | (Some(Standing { sync: SyncState::Damaged, .. }), None) => {
                Self::Damaged
            }
            (Some(_), Some(SyncState::InSync | SyncState::Behind) | None) => Self::CatchingUp,
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub id: NodeId,
    /// Where it listens.
    pub address: String,
    /// The replica group that it belongs to.
    pub group: GroupId,
    /// What it is good for.
    pub status: NodeStatus,
    /// The version of Meilisearch that it last said to run.
    pub version: Option<String>,
    /// Copies of shards that it holds, over all indexes.
    pub shard_count: usize,
    /// Milliseconds since it last answered a health check; none if it never did.
    pub last_seen_ms: Option<u64>,
    /// Entries of the log that it has not finished.
    pub lag: usize,
    /// How long ago the oldest of them was accepted, in seconds.
    pub lag_seconds: f64,
    /// Indexes of which it lacks something that clients were told has succeeded: its copies of them are stale.
    pub late_index_count: usize,
    /// Some of them.
    pub late_indexes: Vec<IndexUid>,
    /// How long nothing has ended there although it had something to do, in seconds; 0 while it has nothing to do.
    pub quiet_seconds: f64,
    /// What is wrong with it, if anything is known.
    pub error: Option<String>,
    /// How far its data are copied anew, while they are.
    pub rebuild: Option<Rebuilding>,
}

/// One replica group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    /// Its number.
    pub id: GroupId,
    /// Its nodes.
    pub nodes: Vec<NodeId>,
}

/// The whole cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topology {
    /// What tells this cluster from every other, and what the marks on its nodes name.
    pub cluster_id: ClusterId,
    /// Shards of a new index.
    pub shards: ShardCount,
    /// Copies of a shard in a group.
    pub replication_factor: u32,
    /// The replica groups.
    pub groups: Vec<GroupReport>,
    /// The nodes.
    pub nodes: Vec<NodeReport>,
    /// Whether all nodes run the same version, as far as its first two numbers go.
    pub versions_agree: bool,
    /// Nodes that are not healthy.
    pub degraded_node_count: usize,
    /// Shards of which only copies are left that are behind. They are asked, if the operator wants that.
    pub stale_shard_count: u32,
    /// Shards of which no copy can be read.
    pub missing_shard_count: u32,
    /// Whether copies of shards are on the move. This version never moves any.
    pub rebalance_in_progress: bool,
    /// Whether every shard of every index can be read, from a copy that has everything or from one that is behind.
    pub fully_covered: bool,
}

/// The cluster as it is now.
pub fn look(
    layout: &Layout,
    membership: &Membership,
    view: &View,
    progress: &BTreeMap<NodeId, NodeProgress>,
) -> Topology {
    let members = membership.members();
    let nodes: Vec<NodeReport> =
        members.members().map(|member| report(member, membership, view, progress)).collect();
    let mut groups: BTreeMap<GroupId, Vec<NodeId>> = BTreeMap::new();
    for (node, group) in members.groups() {
        groups.entry(*group).or_default().push(node.clone());
    }
    let coverage = coverage(view);
    Topology {
        cluster_id: layout.cluster,
        shards: layout.shards,
        replication_factor: layout.replication_factor,
        groups: groups.into_iter().map(|(id, nodes)| GroupReport { id, nodes }).collect(),
        versions_agree: versions_agree(membership.versions().values().map(String::as_str)),
        degraded_node_count: nodes.iter().filter(|node| node.status != NodeStatus::Healthy).count(),
        nodes,
        stale_shard_count: coverage.stale,
        missing_shard_count: coverage.missing,
        rebalance_in_progress: false,
        fully_covered: coverage.is_full() && coverage.nodes > 0,
    }
}

fn report(
    Member { node, group, .. }: &Member,
    membership: &Membership,
    view: &View,
    progress: &BTreeMap<NodeId, NodeProgress>,
) -> NodeReport {
    let id = node.id();
    let progress = progress.get(id);
    let sighting = membership.sighting(id);
    let status = match NodeStatus::of(membership.standing(id), progress.map(|progress| progress.sync)) {
        NodeStatus::Unreachable if sighting.foreign.is_some() => NodeStatus::Foreign,
        status => status,
    };
    let late = late_indexes(view, id);
    let seen = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
    let quiet_seconds = progress.and_then(|progress| progress.quiet_since).map_or(0.0, seconds_since);
    let stalled = (quiet_seconds >= STALLED).then(|| {
        let own = sighting.own_task.unwrap_or_else(|| "it does not tell of its tasks".to_owned());
        format!("nothing has ended there for {quiet_seconds:.0} s: {own}")
    });
    let error = match status {
        NodeStatus::Damaged => {
            Some(sighting.damage.unwrap_or_else(|| "its data are to be copied anew".to_owned()))
        }
        NodeStatus::Healthy | NodeStatus::CatchingUp | NodeStatus::Unreachable | NodeStatus::Foreign => {
            let refusal = sighting.refusal.map(|reason| format!("it takes no writes: {reason}"));
            sighting.error.or(refusal).or(stalled).or(sighting.warning)
        }
    };
    NodeReport {
        id: id.clone(),
        address: node.address().to_owned(),
        version: membership.versions().remove(id),
        group: *group,
        status,
        shard_count: view.indexes.values().map(|entry| entry.placement.shard_count_of(id)).sum(),
        last_seen_ms: sighting.last_seen.map(seen),
        lag: progress.map_or(0, |progress| progress.entries),
        lag_seconds: progress.and_then(|progress| progress.oldest).map_or(0.0, seconds_since),
        quiet_seconds,
        late_index_count: late.len(),
        late_indexes: late.into_iter().take(NAMED).collect(),
        error,
        // One that is unreachable meanwhile is not copied to, and one that is back was a moment ago.
        rebuild: sighting.rebuild.filter(|_| status == NodeStatus::Damaged),
    }
}

/// The indexes in which the node is behind, by the client's names. Those that are no more are not named.
fn late_indexes(view: &View, node: &NodeId) -> Vec<IndexUid> {
    let is_late = |entry: &IndexEntry| {
        entry.placement.shard_count_of(node) > 0 && view.behind.of(&entry.physical, node).is_some()
    };
    view.indexes.values().filter(|entry| is_late(entry)).map(|entry| entry.uid.clone()).collect()
}

/// A clock that went back gives no time at all.
pub(super) fn seconds_since(date: OffsetDateTime) -> f64 {
    (OffsetDateTime::now_utc() - date).as_seconds_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::fixture::{films, view};
    use crate::node_api::Node;

    #[test]
    fn a_node_that_does_not_answer_is_unreachable_whatever_its_data_are_worth() {
        let status = |reachable, sync| NodeStatus::of(Some(Standing { reachable, sync }), Some(sync));
        let statuses = [
            status(true, SyncState::InSync),
            status(true, SyncState::Behind),
            status(true, SyncState::Damaged),
            status(false, SyncState::InSync),
            NodeStatus::of(None, None),
        ];
        let expected = [
            NodeStatus::Healthy,
            NodeStatus::CatchingUp,
            NodeStatus::Damaged,
            NodeStatus::Unreachable,
            NodeStatus::Unreachable,
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn a_topology_names_the_shards_lag_and_fault_of_each_node() {
        let nodes =
            ["a", "b", "c"].map(|id| Node::new(NodeId::new(id), "http://127.0.0.1:1/", None).unwrap());
        let membership = Membership::of(nodes.into(), SyncState::InSync, Arc::default());
        for id in ["a", "b"] {
            membership.note_reached(&NodeId::new(id));
            membership.note_check(&NodeId::new(id), Ok(()));
        }
        membership.note_check(&NodeId::new("c"), Err("refused".to_owned()));
        membership.note_version(&NodeId::new("a"), "1.50.0".to_owned());
        membership.note_version(&NodeId::new("b"), "1.49.2".to_owned());
        let layout = Layout {
            cluster: ClusterId(uuid::Uuid::nil()),
            shards: ShardCount::new(2).unwrap(),
            replication_factor: 2,
        };
        let progress = NodeProgress { sync: SyncState::Behind, entries: 3, oldest: None, quiet_since: None };
        let topology =
            look(&layout, &membership, &view(films(), &["a", "b"]), &[(NodeId::new("c"), progress)].into());
        assert_eq!((topology.degraded_node_count, topology.fully_covered), (1, true));
        assert_eq!(topology.groups.len(), 1);
        assert_eq!((topology.versions_agree, topology.nodes[0].version.as_deref()), (false, Some("1.50.0")));
        let counts: Vec<_> = topology.nodes.iter().map(|node| node.shard_count).collect();
        assert_eq!(counts, [1, 2, 1]);
        assert!(topology.nodes[0].last_seen_ms.is_some());
        let lost = &topology.nodes[2];
        assert_eq!((lost.status, lost.lag, lost.last_seen_ms), (NodeStatus::Unreachable, 3, None));
        assert_eq!((lost.error.as_deref(), lost.address.as_str()), (Some("refused"), "http://127.0.0.1:1"));
    }
}
