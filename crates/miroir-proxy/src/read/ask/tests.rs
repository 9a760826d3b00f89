//! Reads while some replica answers with an error of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use miroir_core::ids::{GroupId, IndexUid, PhysicalUid, ShardCount};
use miroir_core::placement::{ReplicationFactor, assign};
use miroir_core::settings::ClientSettings;
use serde_json::json;
use time::OffsetDateTime;

use super::*;
use crate::cluster::{Membership, Node, ViewCell};
use crate::config::UnavailableShardPolicy;
use crate::observe::ScatterMetrics;
use crate::read::counts::count_by_markers;
use crate::read::get_document;

/// A server that gives this answer to everything.
async fn server(status: u16, body: serde_json::Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = move || async move {
        (
            StatusCode::from_u16(status).unwrap(),
            [(header::CONTENT_TYPE, "application/json")],
            body.to_string(),
        )
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

/// Two nodes that both hold the two shards of an index.
async fn two_replicas(answers: [(u16, serde_json::Value); 2]) -> (Cluster, IndexEntry) {
    let mut members = BTreeMap::new();
    let mut nodes = Vec::new();
    for (id, (status, body)) in ["a", "b"].into_iter().zip(answers) {
        members.insert(NodeId::new(id), GroupId(0));
        nodes.push(Node::new(NodeId::new(id), &server(status, body).await, None).unwrap());
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
    let view = View { readable: members.into_keys().collect(), ..View::default() };
    let view = Arc::new(ViewCell::new(view));
    let cluster = Cluster {
        membership: Arc::new(Membership::new(nodes, |_| true, Arc::clone(&view))),
        view,
        node_timeout: Duration::from_secs(5),
        unavailable_shards: UnavailableShardPolicy::Error,
        metrics: ScatterMetrics::default(),
        complaints: Arc::default(),
    };
    (cluster, entry)
}

fn counts() -> serde_json::Value {
    json!({ "fieldDistribution": { "_miroir_shard_000": 3, "_miroir_shard_001": 4 } })
}

fn own_faults() -> Vec<(u16, serde_json::Value)> {
    vec![
        (500, json!({ "code": "internal" })),
        (503, json!({ "code": "too_many_search_requests" })),
        (403, json!({ "code": "invalid_api_key" })),
        (404, json!({ "code": "index_not_found" })),
    ]
}

#[tokio::test]
async fn documents_are_counted_by_another_replica_when_one_fails() {
    for (status, body) in own_faults() {
        for answers in [[(status, body.clone()), (200, counts())], [(200, counts()), (status, body.clone())]]
        {
            let (cluster, entry) = two_replicas(answers).await;
            let counted = count_by_markers(&cluster, &cluster.view.load(), &entry).await.unwrap();
            assert_eq!(counted, [(ShardId(0), 3), (ShardId(1), 4)], "{status}");
        }
    }
}

#[tokio::test]
async fn a_document_is_read_from_another_replica_when_one_does_not_know_the_index() {
    for (status, body) in own_faults() {
        for place in 0..2 {
            let mut answers = [(200, json!({ "id": 1 })), (200, json!({ "id": 1 }))];
            answers[place] = (status, body.clone());
            let (cluster, entry) = two_replicas(answers).await;
            let read = get_document(&cluster, &cluster.view.load(), &entry, ("1", "1", "")).await.unwrap();
            assert_eq!(read["id"], 1, "{status}");
        }
    }
}

#[tokio::test]
async fn a_document_that_is_not_there_is_an_answer() {
    let missing = (404, json!({ "code": "document_not_found", "message": "Document `1` not found." }));
    let (cluster, entry) = two_replicas([missing.clone(), missing]).await;
    let error = get_document(&cluster, &cluster.view.load(), &entry, ("1", "1", "")).await.unwrap_err();
    assert!(matches!(error, HttpError::Node(reply) if reply.status == StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn shards_that_every_replica_fails_to_count_are_unavailable_and_not_empty() {
    let broken = (500, json!({ "code": "internal" }));
    let (cluster, entry) = two_replicas([broken.clone(), broken]).await;
    let error = count_by_markers(&cluster, &cluster.view.load(), &entry).await.unwrap_err();
    assert!(matches!(error, HttpError::ShardsUnavailable(shards) if shards == [ShardId(0), ShardId(1)]));
}
