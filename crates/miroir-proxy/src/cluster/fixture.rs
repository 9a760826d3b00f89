//! Clusters for tests: an index over some nodes, which may be in memory or small servers.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use miroir_core::placement::{GroupPlacement, IndexPlacement};
use miroir_core::settings::ClientSettings;
use miroir_core::task::SyncState;
use miroir_core::view::{IndexEntry, View};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::{Cluster, Membership, ScatterMetrics, ViewCell, ViewPublisher};
use crate::node_api::Node;

/// An index with the primary key `id`; for each shard the nodes that hold it.
pub(crate) fn index(name: &str, shards: &[&[&str]]) -> IndexEntry {
    let rows = shards.iter().map(|nodes| nodes.iter().copied().map(NodeId::new).collect()).collect();
    let shards = ShardCount::new(u32::try_from(shards.len()).unwrap()).unwrap();
    IndexEntry {
        uid: IndexUid::new(name),
        physical: PhysicalUid::new(name),
        primary_key: Some("id".to_owned()),
        shards,
        placement: IndexPlacement::new(shards, [(GroupId(0), GroupPlacement::new(rows))].into()).unwrap(),
        settings: ClientSettings::default(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

/// Shard 0 on a and b, shard 1 on b and c.
pub(crate) fn films() -> IndexEntry {
    index("films", &[&["a", "b"], &["b", "c"]])
}

/// A view of the index in which these nodes answer.
pub(crate) fn view(entry: IndexEntry, usable: &[&str]) -> View {
    View {
        indexes: [(entry.uid.clone(), Arc::new(entry))].into(),
        usable: usable.iter().copied().map(NodeId::new).collect(),
        ..View::default()
    }
}

/// A cluster of these nodes, which all answer.
pub(crate) fn cluster(nodes: Vec<Node>) -> Cluster {
    cluster_with(nodes).0
}

/// The same, and what changes its view.
pub(crate) fn cluster_with(nodes: Vec<Node>) -> (Cluster, Arc<ViewPublisher>) {
    let usable = nodes.iter().map(|node| node.id().clone()).collect();
    let publisher = Arc::new(ViewPublisher::new(View { usable, ..View::default() }));
    let membership = Arc::new(Membership::of(nodes, SyncState::InSync, Arc::clone(&publisher)));
    (over(membership, publisher.view()), publisher)
}

/// A cluster of these members.
pub(crate) fn over(membership: Arc<Membership>, view: Arc<ViewCell>) -> Cluster {
    Cluster {
        membership,
        view,
        node_timeout: Duration::from_secs(5),
        unavailable_shards: UnavailableShardPolicy::Error,
        metrics: ScatterMetrics::default(),
        complaints: Arc::default(),
        paths: Arc::default(),
        large_searches: Arc::new(Semaphore::new(1)),
    }
}
