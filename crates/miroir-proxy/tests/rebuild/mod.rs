//! Nodes that lose their data get them back from their peers.

use std::collections::BTreeMap;

use miroir_core::task::{Deletion, Mutation, TaskStatus};
use serde_json::{Map, Value, json};

use crate::write_bench::{Bench, add, documents, settings};

/// What each node holds of an index, vectors included, by id.
async fn held(bench: &Bench, index: &str) -> Vec<BTreeMap<u64, Map<String, Value>>> {
    let mut held = Vec::new();
    for node in &bench.nodes {
        let body = json!({ "limit": 10_000, "retrieveVectors": true });
        let path = format!("/indexes/{index}/documents/fetch");
        let page = node.client().post(&path, &body).await.unwrap().success().unwrap();
        let documents = page["results"].as_array().unwrap().iter();
        let documents = documents.map(|it| (it["id"].as_u64().unwrap(), it.as_object().unwrap().clone()));
        held.push(documents.collect());
    }
    held
}

/// Each of so many documents is on two nodes, and the same on both.
async fn assert_two_equal_copies(bench: &Bench, index: &str, count: u64) {
    let held = held(bench, index).await;
    for id in 0..count {
        let copies: Vec<_> = held.iter().filter_map(|node| node.get(&id)).collect();
        assert_eq!(copies.len(), 2, "document {id}");
        assert_eq!(copies[0], copies[1]);
    }
    assert_eq!(held.iter().map(BTreeMap::len).sum::<usize>() as u64, count * 2);
}

fn with_vectors(mut documents: Vec<Value>) -> Vec<Value> {
    for (place, document) in documents.iter_mut().enumerate() {
        document["_vectors"] = json!({ "own": [place, 0.5] });
    }
    documents
}

#[tokio::test]
async fn a_node_whose_disk_was_lost_gets_documents_settings_and_vectors_back_while_clients_write() {
    let mut bench = Bench::start(3, 2, 6).await;
    let embedders = json!({ "own": { "source": "userProvided", "dimensions": 2 } });
    bench.write("movies", settings(json!({ "embedders": embedders, "stopWords": ["the"] }))).await;
    bench.write("movies", add(with_vectors(documents(0..150)))).await;
    bench.write("empty", (Mutation::CreateIndex { primary_key: None }, Vec::new())).await;
    bench.nodes[1].restart_emptied().await.unwrap();
    let mut last = None;
    for round in 5..15 {
        last = Some(bench.append("movies", add(with_vectors(documents(30 * round..30 * (round + 1))))).await);
    }
    bench.append("late", add(documents(0..20))).await;
    let gone = Deletion::ByIds((440..450).map(|id| id.to_string()).collect());
    let deleted = bench.append("movies", (Mutation::DeleteDocuments { deletion: gone }, Vec::new())).await;
    for task in [last.unwrap(), deleted] {
        let task = bench.wait_task(task).await;
        assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    }
    // The first write that it took gave it away, so it was not waited for.
    bench.wait_until("the node is in sync again", |bench| bench.is_in_sync(1)).await;
    assert_two_equal_copies(&bench, "movies", 440).await;
    assert_two_equal_copies(&bench, "late", 20).await;
    let (emptied, peer) = (&bench.nodes[1], &bench.nodes[0]);
    for index in ["movies", "late", "empty"] {
        let path = format!("/indexes/{index}/settings");
        let right = peer.client().get(&path).await.unwrap().success().unwrap();
        assert_eq!(emptied.client().get(&path).await.unwrap().success().unwrap(), right);
    }
    bench.restart_writer().await;
    let task = bench.write("movies", add(with_vectors(documents(440..450)))).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    assert!(bench.is_in_sync(1));
    assert_two_equal_copies(&bench, "movies", 450).await;
}

#[tokio::test]
async fn an_index_that_somebody_dropped_on_a_node_comes_back() {
    let bench = Bench::start(2, 2, 3).await;
    bench.write("movies", add(documents(0..40))).await;
    bench.nodes[0].client().delete("/indexes/movies").await.unwrap().success().unwrap();
    bench.wait_until("the loss is noticed", |bench| !bench.is_in_sync(0)).await;
    bench.wait_until("the node is in sync again", |bench| bench.is_in_sync(0)).await;
    assert_two_equal_copies(&bench, "movies", 40).await;
}
