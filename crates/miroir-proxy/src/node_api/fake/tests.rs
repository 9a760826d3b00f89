use serde_json::{Value, json};

use super::*;

const DEADLINE: Duration = Duration::from_secs(1);

async fn send(node: &Node, request: NodeRequest) -> Value {
    let reply = node.send(request, DEADLINE).await.unwrap();
    serde_json::from_slice(&reply.body).unwrap()
}

fn add(ids: &[u32]) -> NodeRequest {
    let lines: Vec<String> = ids.iter().map(|id| json!({ "id": id }).to_string()).collect();
    NodeRequest::post("/indexes/films/documents?customMetadata=mark")
        .body("application/x-ndjson", lines.join("\n"))
}

#[tokio::test(start_paused = true)]
async fn tasks_are_done_in_order_and_take_their_time() {
    let fake = FakeNode::new("a");
    fake.take_time(Duration::from_secs(1));
    let node = fake.node();
    assert_eq!(send(&node, add(&[1, 2])).await["taskUid"], 0);
    let settings =
        NodeRequest::new(reqwest::Method::PATCH, "/indexes/films/settings").json(r#"{"stopWords":["a"]}"#);
    assert_eq!(send(&node, settings).await["taskUid"], 1);
    let listed = send(&node, NodeRequest::get("/tasks?statuses=enqueued")).await;
    assert_eq!(
        (listed["total"].as_u64(), listed["results"][1]["customMetadata"].as_str()),
        (Some(2), Some("mark"))
    );
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(send(&node, NodeRequest::get("/tasks/0")).await["status"], "succeeded");
    assert_eq!(send(&node, NodeRequest::get("/tasks/1")).await["status"], "enqueued");
    sleep(Duration::from_secs(1)).await;
    let read = send(&node, NodeRequest::get("/indexes/films/settings")).await;
    assert_eq!((&read["stopWords"], &read["searchableAttributes"]), (&json!(["a"]), &json!(["*"])));
    assert_eq!(fake.ids("films"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_may_have_been_seen_or_not_and_may_come_late() {
    let fake = FakeNode::new("a");
    let node = fake.node();
    let plan = FaultPlan::default()
        .then(Fault::Unreachable)
        .then(Fault::LoseRequest)
        .then(Fault::LoseAnswer)
        .then(Fault::ComeLate(Duration::from_secs(5)));
    fake.plan(plan);
    for (id, may_have_been_seen) in [(1, false), (2, true), (3, true), (4, true)] {
        let error = node.send(add(&[id]), DEADLINE).await.unwrap_err();
        assert_eq!(error.may_have_been_seen(), may_have_been_seen, "{id}");
    }
    assert_eq!(fake.ids("films"), ["3"]);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(fake.ids("films"), ["3", "4"]);
    fake.forget_everything();
    assert_eq!(send(&node, NodeRequest::get("/tasks")).await["results"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_none_and_a_refusal_is_one() {
    let fake = FakeNode::new("a");
    let busy = json!({ "message": "m", "code": "too_many_requests", "type": "system" });
    let plan = FaultPlan::default()
        .then(Fault::Delay(Duration::from_secs(2)))
        .then_on("GET /version", Fault::Refuse(reqwest::StatusCode::TOO_MANY_REQUESTS, busy));
    fake.plan(plan);
    assert!(fake.node().send(NodeRequest::get("/health"), DEADLINE).await.unwrap_err().may_have_been_seen());
    assert!(fake.node().send(NodeRequest::get("/health"), DEADLINE).await.unwrap().status.is_success());
    assert_eq!(fake.node().send(NodeRequest::get("/version"), DEADLINE).await.unwrap().status.as_u16(), 429);
    fake.delete_tasks();
    let listed = send(&fake.node(), NodeRequest::get("/tasks")).await;
    assert_eq!(
        (listed["total"].as_u64(), listed["results"][0]["type"].as_str()),
        (Some(1), Some("taskDeletion"))
    );
}

#[tokio::test(start_paused = true)]
async fn documents_are_found_and_deleted_by_a_field_if_it_is_filterable() {
    let fake = FakeNode::new("a");
    let node = fake.node();
    let lines =
        [json!({ "id": 1, "_miroir_shard_001": null }), json!({ "id": 2, "_miroir_shard_002": null })];
    let body = lines.map(|line| line.to_string()).join("\n");
    send(&node, NodeRequest::post("/indexes/films/documents").body("application/x-ndjson", body)).await;
    let question = json!({ "filter": [["_miroir_shard_001 EXISTS"]] }).to_string();
    let fetch = || NodeRequest::post("/indexes/films/documents/fetch").json(question.clone());
    assert_eq!(send(&node, fetch()).await["code"], "invalid_document_filter");
    let rule = json!({ "attributePatterns": ["_miroir_shard_*"] });
    fake.change_settings(
        "films",
        json!({ "filterableAttributes": [rule], "faceting": { "maxValuesPerFacet": 3 } }),
    );
    assert_eq!(fake.setting("films", "faceting").unwrap()["sortFacetValuesBy"]["*"], "alpha");
    assert_eq!(send(&node, fetch()).await["results"], json!([{ "id": 1, "_miroir_shard_001": null }]));
    let found = send(&node, NodeRequest::post("/indexes/films/search").json("{}")).await;
    assert_eq!(found["estimatedTotalHits"], 2);
    let others = json!({ "filter": ["_miroir_shard_001 NOT EXISTS"] }).to_string();
    send(&node, NodeRequest::post("/indexes/films/documents/delete").json(others)).await;
    assert_eq!(fake.ids("films"), ["1"]);
    let tasks = send(&node, NodeRequest::get("/tasks?limit=1")).await;
    assert_eq!(tasks["results"][0]["details"]["deletedDocuments"], 1);
    fake.hold_setting("stopWords", true);
    fake.change_settings("films", json!({ "stopWords": ["a"] }));
    assert_eq!(fake.setting("films", "stopWords"), Some(json!([])));
    fake.fail_next("settingsUpdate", "internal", "no");
    fake.change_settings("films", json!({ "distinctAttribute": "name" }));
    assert_eq!(fake.tasks().last().unwrap().2, "failed");
}

#[tokio::test(start_paused = true)]
async fn faults_that_stay_wait_for_those_that_were_planned_once() {
    let fake = FakeNode::new("a");
    let plan = FaultPlan::away().then_on("/version", Fault::Delay(Duration::from_millis(1)));
    fake.plan(plan);
    for _ in 0..2 {
        assert!(fake.node().send(NodeRequest::get("/health"), DEADLINE).await.is_err());
    }
    assert!(fake.node().send(NodeRequest::get("/version"), DEADLINE).await.is_ok());
    assert!(fake.node().send(NodeRequest::get("/version"), DEADLINE).await.is_err());
}
