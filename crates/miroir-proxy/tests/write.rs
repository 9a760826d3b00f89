//! The write path over real nodes, from the log to the documents. Each test stands on its own nodes.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod rebuild;
mod write_bench;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use miroir_core::ids::TaskUid;
use miroir_core::task::{Deletion, MissingIndex, Mutation, TaskFilter, TaskPage, TaskStatus};
use miroir_proxy::write::WriteError;
use miroir_store::StoreError;
use serde_json::json;
use write_bench::{Bench, Full, add, append_to, documents, relay_to, settings};

#[tokio::test]
async fn documents_are_spread_over_the_nodes_of_their_shards_and_visible_once_the_task_has_succeeded() {
    let bench = Bench::start(3, 1, 6).await;
    let task = bench.write("movies", add(documents(0..100))).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    assert_eq!(
        task.details.clone().map(serde_json::Value::Object),
        Some(json!({ "receivedDocuments": 100, "indexedDocuments": 100 }))
    );
    let index = bench.index("movies").expect("the index is visible");
    assert_eq!(index.primary_key.as_deref(), Some("id"));
    let counts = bench.counts("movies").await;
    assert_eq!(counts.iter().sum::<u64>(), 100);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let fields = bench.nodes[0].client().get("/indexes/movies/stats").await.unwrap().body;
    let names: Vec<_> = fields["fieldDistribution"].as_object().unwrap().keys().cloned().collect();
    assert!(names.iter().any(|name| name.starts_with("_miroir_shard_")), "{names:?}");
    let tasks = bench.writer().tasks(TaskFilter::default(), TaskPage::default()).await.unwrap();
    assert_eq!((tasks.total, tasks.results.len(), tasks.from), (1, 1, Some(TaskUid(0))));
}

#[tokio::test]
async fn a_batch_with_one_bad_document_is_refused_as_a_whole_and_still_creates_its_index() {
    let bench = Bench::start(2, 1, 4).await;
    let task = bench.write("movies", add(vec![json!({ "id": 1 }), json!({ "id": "not ok" })])).await;
    assert_eq!(task.status, TaskStatus::Failed);
    assert_eq!(task.error.unwrap().code.as_str(), "invalid_document_id");
    assert_eq!(bench.index("movies").unwrap().primary_key, None);
    assert_eq!(bench.counts("movies").await, [0, 0]);
    let retry = bench.write("movies", add(vec![json!({ "key_id": 1 })])).await;
    assert_eq!(retry.status, TaskStatus::Succeeded, "{retry:?}");
    assert_eq!(bench.index("movies").unwrap().primary_key.as_deref(), Some("key_id"));
}

#[tokio::test]
async fn every_deleted_document_is_counted_once_however_many_copies_there_are() {
    let bench = Bench::start(3, 2, 4).await;
    bench.write("movies", settings(json!({ "filterableAttributes": ["group"] }))).await;
    bench.write("movies", add(documents(0..60))).await;
    let ids = Deletion::ByIds(vec!["1".into(), "2".into(), "3".into(), "unknown".into()]);
    let by_ids = bench.write("movies", (Mutation::DeleteDocuments { deletion: ids }, Vec::new())).await;
    assert_eq!(by_ids.details.clone().unwrap()["deletedDocuments"], 3, "{by_ids:?}");
    let filter = Deletion::ByFilter(json!("group = 1"));
    let by_filter = bench.write("movies", (Mutation::DeleteDocuments { deletion: filter }, Vec::new())).await;
    assert_eq!(by_filter.details.clone().unwrap()["deletedDocuments"], 19, "{by_filter:?}");
    let all = Deletion::All;
    let all = bench.write("movies", (Mutation::DeleteDocuments { deletion: all }, Vec::new())).await;
    assert_eq!(all.details.clone().unwrap()["deletedDocuments"], 38, "{all:?}");
    bench.write("movies", add(documents(0..10))).await;
    let gone = bench.write("movies", (Mutation::DeleteIndex, Vec::new())).await;
    assert_eq!(gone.details.clone().unwrap()["deletedDocuments"], 10, "{gone:?}");
    assert!(bench.index("movies").is_none());
}

#[tokio::test]
async fn a_filter_that_nodes_refuse_fails_the_task_without_showing_miroirs_own_names() {
    let bench = Bench::start(2, 1, 4).await;
    bench.write("movies", add(documents(0..10))).await;
    let filter = Deletion::ByFilter(json!("group = 1"));
    let task = bench.write("movies", (Mutation::DeleteDocuments { deletion: filter }, Vec::new())).await;
    assert_eq!(task.status, TaskStatus::Failed);
    let error = task.error.unwrap();
    assert_eq!(error.code.as_str(), "invalid_document_filter");
    assert!(!error.message.contains("_miroir"), "{}", error.message);
    assert_eq!(bench.counts("movies").await.iter().sum::<u64>(), 10);
}

#[tokio::test]
async fn indexes_are_created_changed_and_refused_as_one_meilisearch_does() {
    let bench = Bench::start(2, 1, 2).await;
    let create = || (Mutation::CreateIndex { primary_key: Some("sku".to_owned()) }, Vec::new());
    let change = |key: &str| (Mutation::UpdateIndex { primary_key: Some(key.to_owned()) }, Vec::new());
    assert_eq!(bench.write("shop", create()).await.status, TaskStatus::Succeeded);
    let again = bench.write("shop", create()).await;
    assert_eq!(again.error.unwrap().code.as_str(), "index_already_exists");
    assert_eq!(bench.write("shop", change("id")).await.status, TaskStatus::Succeeded);
    assert_eq!(bench.index("shop").unwrap().primary_key.as_deref(), Some("id"));
    bench.write("shop", add(documents(0..5))).await;
    let late = bench.write("shop", change("sku")).await;
    assert_eq!(late.error.unwrap().code.as_str(), "index_primary_key_already_exists");
    let missing = bench.write("nowhere", (Mutation::DeleteIndex, Vec::new())).await;
    assert_eq!(missing.error.unwrap().message, "Index `nowhere` not found.");
    let (mutation, payload) = add(documents(0..1));
    let Mutation::AddDocuments { method, primary_key, skip_creation, received, .. } = mutation else {
        unreachable!()
    };
    let missing_index = MissingIndex::Refuse;
    let refused = Mutation::AddDocuments { method, primary_key, skip_creation, received, missing_index };
    let refused = bench.write("nowhere", (refused, payload)).await;
    assert_eq!(refused.error.unwrap().code.as_str(), "index_not_found");
    assert!(bench.index("nowhere").is_none());
}

#[tokio::test]
async fn a_node_that_comes_later_gets_its_part_of_new_indexes_and_stays_a_member() {
    let mut bench = Bench::start(2, 1, 6).await;
    bench.write("movies", add(documents(0..60))).await;
    bench.join().await;
    let indexes = bench.nodes[2].client().get("/indexes").await.unwrap().success().unwrap();
    assert_eq!(indexes["total"], 0, "what there is stays where it is: {indexes}");
    let task = bench.write("books", add(documents(0..60))).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    let counts = bench.counts("books").await;
    assert!(counts.iter().sum::<u64>() == 60 && !counts.contains(&0), "{counts:?}");
    // It is a member as any other when the process starts again.
    bench.restart_writer().await;
    let task = bench.write("books", add(documents(60..120))).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    assert_eq!(bench.counts("books").await.iter().sum::<u64>(), 120);
}

#[tokio::test]
async fn a_dead_node_stops_no_write_and_catches_up_when_it_is_back() {
    let mut bench = Bench::start(3, 2, 4).await;
    bench.write("movies", add(documents(0..30))).await;
    bench.nodes[1].process().kill().unwrap();
    for round in 1..4 {
        let task = bench.write("movies", add(documents(30 * round..30 * (round + 1)))).await;
        assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    }
    assert!(!bench.is_in_sync(1));
    assert!(bench.is_in_sync(0) && bench.is_in_sync(2));
    bench.nodes[1].restart().await.unwrap();
    bench.wait_until("the node is in sync again", |bench| bench.is_in_sync(1)).await;
    let counts = bench.counts("movies").await;
    assert_eq!(counts.iter().sum::<u64>(), 240, "{counts:?}");
}

#[tokio::test]
async fn a_node_with_a_full_disk_is_not_waited_for_and_returns_when_there_is_room() {
    let full = Full::default();
    let bench = Bench::start_behind(2, 2, 4, async |number, address| match number {
        1 => relay_to(address, Full::clone(&full)).await,
        _ => address,
    })
    .await;
    bench.write("movies", add(documents(0..30))).await;
    full.store(true, Ordering::Relaxed);
    let began = Instant::now();
    for round in 1..6 {
        let task = bench.write("movies", add(documents(30 * round..30 * (round + 1)))).await;
        assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    }
    // Far less than what a node may lag behind.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(bench.is_in_sync(0) && !bench.is_in_sync(1));
    full.store(false, Ordering::Relaxed);
    bench.wait_until("the node is in sync again", |bench| bench.is_in_sync(1)).await;
    assert_eq!(bench.counts("movies").await, [180, 180]);
    let task = bench.write("movies", add(documents(180..200))).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    assert!(bench.is_in_sync(1));
}

#[tokio::test]
async fn a_miroir_that_stops_anywhere_goes_on_where_it_was() {
    let mut bench = Bench::start(2, 2, 3).await;
    let mut last = TaskUid(0);
    for round in 0..40 {
        last = bench.append("movies", add(documents(round * 5..(round + 1) * 5))).await;
        if round % 8 == 3 {
            bench.restart_writer().await;
        }
    }
    let task = bench.wait_task(last).await;
    assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    assert_eq!(last, TaskUid(39));
    assert_eq!(bench.counts("movies").await, [200, 200]);
    let filter = TaskFilter { statuses: Some(vec![TaskStatus::Succeeded]), ..TaskFilter::default() };
    let tasks = bench.writer().tasks(filter, TaskPage::default()).await.unwrap();
    assert_eq!((tasks.total, tasks.next), (40, Some(TaskUid(19))));
}

#[tokio::test]
async fn changes_of_several_indexes_and_settings_sent_at_once_all_arrive_in_order() {
    let bench = Bench::start(3, 2, 4).await;
    let mut tasks = Vec::new();
    for round in 0..5 {
        for index in ["a", "b"] {
            tasks.push(bench.append(index, add(documents(round * 10..(round + 1) * 10))).await);
            let synonyms = json!({ "synonyms": { "round": [round.to_string()] } });
            tasks.push(bench.append(index, settings(synonyms)).await);
        }
    }
    for task in tasks {
        let task = bench.wait_task(task).await;
        assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
    }
    for index in ["a", "b"] {
        assert_eq!(bench.counts(index).await.iter().sum::<u64>(), 100);
        assert_eq!(bench.index(index).unwrap().settings.get("synonyms"), Some(&json!({ "round": ["4"] })));
        for node in &bench.nodes {
            let synonyms =
                node.client().get(&format!("/indexes/{index}/settings/synonyms")).await.unwrap().body;
            assert_eq!(synonyms, json!({ "round": ["4"] }));
        }
    }
}

#[tokio::test]
async fn a_write_path_that_another_one_has_taken_over_from_refuses_writes_and_the_other_goes_on() {
    let mut bench = Bench::start(2, 1, 4).await;
    bench.write("movies", add(documents(0..10))).await;
    let old = bench.start_beside().await;
    // Nobody told the old one: it learns it from the store.
    let refused = append_to(&old, "movies", add(documents(10..20))).await.unwrap_err();
    assert!(matches!(refused, WriteError::Store(StoreError::Superseded { .. })), "{refused}");
    let task = bench.write("movies", add(documents(20..30))).await;
    assert_eq!((task.status, task.uid), (TaskStatus::Succeeded, TaskUid(1)), "{task:?}");
    assert_eq!(bench.counts("movies").await.iter().sum::<u64>(), 20);
    // What is only read, both can read.
    assert_eq!(old.task(task.uid).await.unwrap().unwrap().status, TaskStatus::Succeeded);
    old.shutdown().await;
}
