//! Reads while some replica answers with an error of its own.

use axum::Router;
use axum::http::{StatusCode, header};
use miroir_core::error::ErrorCode;
use serde_json::json;

use miroir_core::view::IndexEntry;

use super::*;
use crate::cluster::Cluster;
use crate::read::counts::count_by_markers;
use crate::read::fixture::{serve, two_nodes};
use crate::read::get_document;

/// A server that gives this answer to everything.
async fn server(status: u16, body: Value) -> String {
    let answer = move || async move {
        (
            StatusCode::from_u16(status).unwrap(),
            [(header::CONTENT_TYPE, "application/json")],
            body.to_string(),
        )
    };
    serve(Router::new().fallback(answer)).await
}

async fn two_replicas(answers: [(u16, Value); 2]) -> (Cluster, IndexEntry) {
    let [first, second] = answers;
    two_nodes([server(first.0, first.1).await, server(second.0, second.1).await])
}

fn counts() -> Value {
    json!({ "numberOfDocuments": 7, "fieldDistribution": { "_miroir_shard_000": 3, "_miroir_shard_001": 4 } })
}

fn own_faults() -> Vec<(u16, Value)> {
    vec![
        (500, json!({ "code": "internal" })),
        (503, json!({ "code": "too_many_search_requests" })),
        (403, json!({ "code": "invalid_api_key" })),
        (404, json!({ "code": "index_not_found", "message": "gone", "type": "invalid_request" })),
        // What no Meilisearch says of a request.
        (400, json!({})),
        (418, json!("hello")),
    ]
}

#[tokio::test]
async fn documents_are_counted_by_another_replica_when_one_fails() {
    for (status, body) in own_faults() {
        for answers in [[(status, body.clone()), (200, counts())], [(200, counts()), (status, body.clone())]]
        {
            let (cluster, entry) = two_replicas(answers).await;
            let counted =
                count_by_markers(&Reader::new(&cluster, &cluster.view.load(), &entry)).await.unwrap();
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
            let view = cluster.view.load();
            let read = get_document(&Reader::new(&cluster, &view, &entry), "1", "").await.unwrap();
            assert_eq!(read["id"], 1, "{status}");
        }
    }
}

#[tokio::test]
async fn a_document_that_is_not_there_is_an_answer() {
    let missing = json!({
        "code": "document_not_found", "message": "Document `1` not found.", "type": "invalid_request",
    });
    let missing = (404, missing);
    let (cluster, entry) = two_replicas([missing.clone(), missing]).await;
    let view = cluster.view.load();
    let error = get_document(&Reader::new(&cluster, &view, &entry), "1", "").await.unwrap_err();
    assert!(matches!(error, RequestError::Refused(error) if error.code == ErrorCode::DocumentNotFound));
}

#[tokio::test]
async fn shards_that_every_replica_fails_to_count_are_unavailable_and_not_empty() {
    let broken = (500, json!({ "code": "internal" }));
    let (cluster, entry) = two_replicas([broken.clone(), broken]).await;
    let error = count_by_markers(&Reader::new(&cluster, &cluster.view.load(), &entry)).await.unwrap_err();
    assert!(matches!(error, RequestError::ShardsUnavailable(shards) if shards == [ShardId(0), ShardId(1)]));
}
