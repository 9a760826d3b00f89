//! What the operator sees of changes of settings. Field names are in snake case, like those of all administration routes.

use std::collections::BTreeMap;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, SettingsVersion, TaskUid};
use miroir_core::settings::{Broadcast, NodeStage, Phase, SettingsHash, Strategy};
use miroir_core::view::View;
use serde::Serialize;
use time::OffsetDateTime;

/// The changes of one index's settings.
#[derive(Debug, Serialize)]
pub struct IndexBroadcasts {
    /// The index.
    pub index: IndexUid,
    /// Its last committed version.
    pub version: Option<SettingsVersion>,
    /// The version that each of its nodes was verified to have.
    pub node_versions: BTreeMap<NodeId, Option<SettingsVersion>>,
    /// The change that is on its way.
    pub current: Option<BroadcastReport>,
    /// Changes that are over, newest first.
    pub history: Vec<BroadcastReport>,
}

/// One change.
#[derive(Debug, Serialize)]
pub struct BroadcastReport {
    /// The task that asked for it.
    pub task_uid: TaskUid,
    /// Where it stands.
    pub phase: Phase,
    /// How it goes through the nodes.
    pub strategy: Strategy,
    /// What it was committed as.
    pub version: Option<SettingsVersion>,
    /// What every node must come to.
    pub hash: SettingsHash,
    /// Why every node gets back, or got back, what it had.
    pub taken_back: Option<String>,
    /// How long it took, or takes by now.
    pub elapsed_ms: u64,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    /// When it was over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// Where it stands on each node.
    pub nodes: BTreeMap<NodeId, NodeProgress>,
}

/// Where a change stands on a node.
#[derive(Debug, Serialize)]
pub struct NodeProgress {
    /// From 0: the nodes of a wave get it together, when those of the earlier ones have it.
    pub wave: usize,
    #[serde(flatten)]
    stage: NodeStage,
    /// The hash that was read back, where it was the one proposed.
    pub verified_hash: Option<SettingsHash>,
}

impl IndexBroadcasts {
    /// What is known of an index, from all changes that are kept of it, newest first.
    pub fn new(
        view: &View,
        uid: &IndexUid,
        physical: &PhysicalUid,
        kept: &[Broadcast],
        now: OffsetDateTime,
    ) -> Self {
        let versions = view.settings.indexes.get(physical);
        let version_of = |node: &NodeId| versions.and_then(|versions| versions.nodes.get(node)).copied();
        let nodes = view.index(uid).into_iter().flat_map(|entry| entry.placement.nodes());
        let report = |broadcast: &Broadcast| BroadcastReport::new(broadcast, now);
        Self {
            index: uid.clone(),
            version: view.settings.committed(physical),
            node_versions: nodes.map(|node| (node.clone(), version_of(node))).collect(),
            current: kept.iter().find(|broadcast| !broadcast.phase.is_over()).map(report),
            history: kept.iter().filter(|broadcast| broadcast.phase.is_over()).map(report).collect(),
        }
    }
}

impl BroadcastReport {
    fn new(broadcast: &Broadcast, now: OffsetDateTime) -> Self {
        let elapsed = broadcast.ended_at.unwrap_or(now) - broadcast.began_at;
        let wave = |node: &NodeId| broadcast.waves.iter().position(|wave| wave.contains(node)).unwrap_or(0);
        let progress = |(node, stage): (&NodeId, &NodeStage)| {
            let is_verified = *stage == NodeStage::Verified && broadcast.taken_back.is_none();
            let verified_hash = is_verified.then(|| broadcast.hash.clone());
            (node.clone(), NodeProgress { wave: wave(node), stage: stage.clone(), verified_hash })
        };
        Self {
            task_uid: broadcast.task,
            phase: broadcast.phase,
            strategy: broadcast.strategy,
            version: broadcast.version,
            hash: broadcast.hash.clone(),
            taken_back: broadcast.taken_back.as_ref().map(|error| error.message.clone()),
            elapsed_ms: u64::try_from(elapsed.whole_milliseconds()).unwrap_or(0),
            began_at: broadcast.began_at,
            ended_at: broadcast.ended_at,
            nodes: broadcast.nodes.iter().map(progress).collect(),
        }
    }
}
