//! Questions to a node in memory.

use miroir_core::ids::PhysicalUid;
use reqwest::StatusCode;
use serde_json::{Map, json};

use super::*;
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};

const DEADLINE: Duration = Duration::from_secs(1);

fn films() -> PhysicalUid {
    PhysicalUid::new("films")
}

async fn with_settings(fake: &FakeNode) -> Node {
    let node = fake.node();
    let patch = Map::from_iter([("stopWords".to_owned(), json!(["a"]))]);
    node.ask(change_settings(&films(), patch), DEADLINE).await.unwrap();
    node
}

async fn with_documents(fake: &FakeNode, ids: &[u32]) -> Node {
    let node = fake.node();
    let lines: Vec<String> = ids.iter().map(|id| json!({ "id": id }).to_string()).collect();
    let add = NodeRequest::post("/indexes/films/documents").body("application/x-ndjson", lines.join("\n"));
    node.send(add, DEADLINE).await.unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn settings_are_an_object_and_an_index_that_is_not_there_has_none() {
    let node = with_settings(&FakeNode::new("a")).await;
    let read = node.ask(settings(&films()), DEADLINE).await.unwrap();
    assert_eq!(read["stopWords"], json!(["a"]));
    let refused = node.ask(settings(&PhysicalUid::new("books")), DEADLINE).await.unwrap_err();
    assert_eq!(refused.to_string(), "HTTP 404: Index `books` not found.");
    assert!(!refused.is_about_request(), "another node may have the index");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_is_waited_for_through_errors_that_pass() {
    let fake = FakeNode::new("a");
    fake.take_time(Duration::from_secs(3));
    let node = with_settings(&fake).await;
    let times = (DEADLINE, Duration::from_millis(100));
    assert_eq!(node.ask(task(0), DEADLINE).await.unwrap(), NodeTaskState::Open);
    fake.plan(FaultPlan::default().then(Fault::LoseAnswer).then(Fault::Unreachable));
    assert!(node.end_of_task(0, times, |_| false).await.is_err());
    let passes = |error: &Unanswered| matches!(error, Unanswered::Node(_));
    let ended = node.end_of_task(0, times, passes).await.unwrap();
    assert_eq!(ended, NodeTaskState::Succeeded(Map::new()));
    assert!(matches!(node.ask(task(7), DEADLINE).await, Err(Unanswered::Refused(_))));
    let number = node.ask(delete_index(&PhysicalUid::new("books")), DEADLINE).await.unwrap();
    let failed = node.end_of_task(number, times, passes).await.unwrap();
    assert_eq!(failed, NodeTaskState::Failed("Index `books` not found.".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_read_by_number_by_index_and_by_what_has_ended() {
    let fake = FakeNode::new("a");
    assert_eq!(fake.node().ask(next_task(), DEADLINE).await.unwrap(), 0);
    let node = with_documents(&fake, &[1]).await;
    fake.take_time(Duration::from_secs(3));
    node.ask(leave_task("nobodys", "a mark"), DEADLINE).await.unwrap();
    assert_eq!(node.ask(next_task(), DEADLINE).await.unwrap(), 2);
    let numbers = async |query| -> Vec<u64> {
        let tasks = node.ask(tasks(query), DEADLINE).await.unwrap();
        tasks.iter().map(|task| task["uid"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(TaskQuery::newest(5)).await, [1, 0]);
    assert_eq!(numbers(TaskQuery::starting_at(1, 5)).await, [1]);
    assert_eq!(numbers(TaskQuery::newest(5).open()).await, [1]);
    assert_eq!(numbers(TaskQuery::of_numbers([0, 1].iter()).ended()).await, [0]);
    let marked = node.ask(tasks(TaskQuery::newest(5).of_index("nobodys")), DEADLINE).await.unwrap();
    assert_eq!(marked[0]["customMetadata"], "a mark");
}

#[tokio::test(start_paused = true)]
async fn documents_come_page_by_page_with_their_ids() {
    let fake = FakeNode::new("a");
    let node = with_documents(&fake, &[1, 2]).await;
    let page = node.ask(documents(&films(), &Map::new()), DEADLINE).await.unwrap();
    let read = page.read().unwrap();
    assert_eq!(read.total, 2);
    let ids: Vec<String> = read.with_ids("id").filter_map(|(id, _)| id).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(page.read().unwrap().with_ids("name").filter_map(|(id, _)| id).count(), 0);
    assert_eq!(node.ask(document(&films(), "2", ""), DEADLINE).await.unwrap()["id"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_node_has_is_told_by_its_indexes_and_their_statistics() {
    let fake = FakeNode::new("a");
    let node = with_documents(&fake, &[1, 2]).await;
    let there = node.ask(indexes(), DEADLINE).await.unwrap();
    assert_eq!(there, [(films(), Some("id".to_owned()))].into());
    let stats = node.ask(index_stats(&films(), InternalSizes::Hide), DEADLINE).await.unwrap();
    assert_eq!(stats["numberOfDocuments"], 2);
    let all = node.ask(all_stats(InternalSizes::Show), DEADLINE).await.unwrap();
    assert_eq!(all["indexes"]["films"]["numberOfDocuments"], 2);
}

#[test]
fn a_list_of_indexes_is_no_list_if_one_has_no_name() {
    let reply = |body: &Value| NodeReply {
        status: StatusCode::OK,
        content_type: None,
        body: body.to_string().into(),
    };
    let read = |body: Value| (indexes().read)(reply(&body)).ok().map(|indexes| indexes.len());
    let good = json!({ "results": [{ "uid": "a", "primaryKey": "id" }, { "uid": "b", "primaryKey": null }] });
    assert_eq!(read(good), Some(2));
    assert_eq!(read(json!({ "message": "no" })), None);
    assert_eq!(read(json!({ "results": [{ "primaryKey": "id" }] })), None);
}

#[tokio::test(start_paused = true)]
async fn a_node_says_how_it_is_and_a_miroir_is_known_for_one() {
    let fake = FakeNode::new("a");
    let node = fake.node();
    let locked = json!({ "message": "The key is wrong.", "code": "invalid_api_key", "type": "auth" });
    fake.plan(FaultPlan::default().then(Fault::Refuse(StatusCode::FORBIDDEN, locked)));
    let error = node.ask(version(), DEADLINE).await.unwrap_err().to_string();
    assert!(error.starts_with("HTTP 403: The key is wrong.") && error.contains("node_master_key"), "{error}");
    node.ask_unused(health(), DEADLINE).await.unwrap();
    assert_eq!(node.ask_as_master(version(), DEADLINE).await.unwrap(), "1.50.0");
    assert!(!node.ask_unused(is_miroir(), DEADLINE).await.unwrap());
    let not_ready = Fault::Refuse(StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not_ready" }));
    fake.plan(FaultPlan::default().then(not_ready));
    assert!(node.ask_unused(is_miroir(), DEADLINE).await.unwrap());
    let broken = Fault::Refuse(StatusCode::INTERNAL_SERVER_ERROR, json!("disk full"));
    fake.plan(FaultPlan::default().then(broken));
    let error = node.ask(health(), DEADLINE).await.unwrap_err();
    assert_eq!(error.to_string(), "HTTP 500: \"disk full\"");
    let changes = Map::from_iter([("metrics".to_owned(), json!(true))]);
    node.ask(change_features(&changes), DEADLINE).await.unwrap();
    assert_eq!(node.ask(features(), DEADLINE).await.unwrap(), changes);
}
