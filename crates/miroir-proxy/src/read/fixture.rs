//! Nodes to read from, played by small servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use miroir_core::placement::{ReplicationFactor, assign};
use miroir_core::settings::ClientSettings;
use miroir_core::task::SyncState;
use miroir_core::view::{IndexEntry, View};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use crate::cluster::{Cluster, Membership, ScatterMetrics, ViewCell};
use crate::node_api::Node;

/// The address of a server that answers so.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Two nodes that both hold the two shards of an index.
pub(super) fn two_nodes(addresses: [String; 2]) -> (Cluster, IndexEntry) {
    let mut members = BTreeMap::new();
    let mut nodes = Vec::new();
    for (id, address) in ["a", "b"].into_iter().zip(addresses) {
        members.insert(NodeId::new(id), GroupId(0));
        nodes.push(Node::new(NodeId::new(id), &address, None).unwrap());
    }
    let (shards, physical) = (ShardCount::new(2).unwrap(), PhysicalUid::new("books"));
    let placement = assign(&physical, shards, ReplicationFactor::new(2).unwrap(), &members).unwrap();
    let now = OffsetDateTime::UNIX_EPOCH;
    let entry = IndexEntry {
        uid: IndexUid::new("books"),
        physical,
        primary_key: Some("id".to_owned()),
        shards,
        placement,
        settings: ClientSettings::default(),
        created_at: now,
        updated_at: now,
    };
    let view = View { usable: members.into_keys().collect(), ..View::default() };
    let view = Arc::new(ViewCell::new(view));
    let cluster = Cluster {
        membership: Arc::new(Membership::of(nodes, SyncState::InSync, Arc::clone(&view))),
        view,
        node_timeout: Duration::from_secs(5),
        unavailable_shards: UnavailableShardPolicy::Error,
        metrics: ScatterMetrics::default(),
        complaints: Arc::default(),
        paths: Arc::default(),
        large_searches: Arc::new(Semaphore::new(1)),
    };
    (cluster, entry)
}
