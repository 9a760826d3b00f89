//! What a cluster relies on in each of its nodes. The tests also pass on a real server, which is how we know that the
//! development node stands in for one.

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::Node;
use serde_json::{Value, json};

/// Sends a write and waits for its task, which must succeed.
async fn succeed(client: &Client, path: &str, body: Value) {
    let sent = if path.contains("/settings") {
        client.patch(path, &body).await
    } else {
        client.post(path, &body).await
    };
    let reply = sent.expect("the node answers");
    let task = client.wait_reply(reply).await.expect("the task ends");
    assert_eq!(task["status"], "succeeded", "{task}");
}

#[tokio::test]
async fn writes_accepted_before_a_kill_are_all_applied_in_order() {
    let mut node = Node::start("node").await.unwrap();
    let client = node.client().clone();
    let mut last = 0;
    for round in 0..40 {
        let documents: Vec<Value> = (0..50).map(|id| json!({ "id": id, "round": round })).collect();
        let reply = client.post("/indexes/films/documents", &Value::Array(documents)).await.unwrap();
        last = reply.success().unwrap()["taskUid"].as_u64().unwrap();
    }
    node.process().kill().unwrap();
    node.restart().await.unwrap();
    assert_eq!(client.wait_task(last).await.unwrap()["status"], "succeeded");
    let tasks = client.get("/tasks?statuses=succeeded&limit=100").await.unwrap();
    assert_eq!(tasks.body["total"], 40, "{}", tasks.text);
    let documents = client.get("/indexes/films/documents?limit=100").await.unwrap();
    let documents = documents.body["results"].as_array().unwrap();
    assert_eq!(documents.len(), 50);
    assert!(documents.iter().all(|document| document["round"] == 39), "an older write came last");
}

#[tokio::test]
async fn a_null_field_selects_a_shard_and_is_never_found() {
    let node = Node::start("node").await.unwrap();
    let client = node.client();
    let rule = json!({
        "attributePatterns": ["_miroir_shard_*"],
        "features": { "facetSearch": false, "filter": { "equality": true, "comparison": false } },
    });
    succeed(client, "/indexes/films/settings", json!({ "filterableAttributes": [rule, "genre"] })).await;
    let documents: Vec<Value> = (0..30)
        .map(|id| {
            let marker = format!("_miroir_shard_{:03}", id % 3);
            json!({ "id": id, "title": "lantern", "genre": "noir", marker: null })
        })
        .collect();
    succeed(client, "/indexes/films/documents", Value::Array(documents)).await;
    let total = async |body: Value| {
        let answer = client.post("/indexes/films/search", &body).await.unwrap();
        answer.success().unwrap()["estimatedTotalHits"].as_u64().unwrap()
    };
    assert_eq!(total(json!({ "q": "lantern" })).await, 30);
    assert_eq!(total(json!({ "filter": "_miroir_shard_001 EXISTS" })).await, 10);
    let two = [["_miroir_shard_000 EXISTS", "_miroir_shard_002 EXISTS"]];
    assert_eq!(total(json!({ "q": "lantern", "filter": two })).await, 20);
    assert_eq!(total(json!({ "q": "miroir" })).await, 0);
    assert_eq!(total(json!({ "q": "001" })).await, 0);
}

#[tokio::test]
async fn a_refused_import_leaves_its_neighbours_alone() {
    let node = Node::start("node").await.unwrap();
    let client = node.client();
    let path = "/indexes/films/documents?primaryKey=id&customMetadata=mine";
    let mut replies = Vec::new();
    for documents in [json!([{ "id": 1 }]), json!([{ "id": 2 }, { "id": "not an id" }]), json!([{ "id": 3 }])]
    {
        replies.push(client.post(path, &documents).await.unwrap());
    }
    let mut tasks = Vec::new();
    for reply in replies {
        tasks.push(client.wait_reply(reply).await.unwrap());
    }
    let statuses: Vec<&Value> = tasks.iter().map(|task| &task["status"]).collect();
    assert_eq!(statuses, ["succeeded", "failed", "succeeded"]);
    assert_eq!(tasks[1]["error"]["code"], "invalid_document_id");
    assert_eq!(tasks[1]["details"], json!({ "receivedDocuments": 2, "indexedDocuments": 0 }));
    assert!(tasks.iter().all(|task| task["customMetadata"] == "mine"));
    let documents = client.get("/indexes/films/documents").await.unwrap();
    assert_eq!(documents.body["results"], json!([{ "id": 1 }, { "id": 3 }]));
}

#[tokio::test]
async fn settings_are_read_back_as_they_were_written() {
    let node = Node::start("node").await.unwrap();
    let client = node.client();
    let default = client.get("/indexes/films/settings/ranking-rules").await.unwrap();
    assert_eq!(default.error_code(), Some("index_not_found"));
    let rules = json!(["words", "wordPosition", "attributeRank", "price:asc"]);
    let sent =
        json!({ "rankingRules": rules, "pagination": { "maxTotalHits": 5 }, "stopWords": ["of", "a"] });
    succeed(client, "/indexes/films/settings", sent).await;
    let settings = client.get("/indexes/films/settings").await.unwrap().success().unwrap();
    assert_eq!(settings["rankingRules"], rules);
    assert_eq!(settings["pagination"], json!({ "maxTotalHits": 5 }));
    assert_eq!(settings["stopWords"], json!(["a", "of"]));
    assert_eq!(settings["faceting"]["maxValuesPerFacet"], 100);
    let refused = client.patch("/indexes/films/settings", &json!({ "colour": 1 })).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (400, Some("bad_request")));
}

#[tokio::test]
async fn hits_stop_at_the_hit_limit_while_totals_do_not() {
    let node = Node::start("node").await.unwrap();
    let client = node.client();
    succeed(client, "/indexes/films/settings", json!({ "pagination": { "maxTotalHits": 4 } })).await;
    let documents: Vec<Value> = (0..6).map(|id| json!({ "id": id, "title": "lantern" })).collect();
    succeed(client, "/indexes/films/documents", Value::Array(documents)).await;
    let answer =
        client.post("/indexes/films/search", &json!({ "q": "lantern", "facets": [] })).await.unwrap();
    let answer = answer.success().unwrap();
    assert_eq!(answer["hits"].as_array().map(Vec::len), Some(4));
    assert_eq!(answer["estimatedTotalHits"], 6);
    assert_eq!(answer.get("facetDistribution"), None);
    let page = json!({ "q": "lantern", "page": 2, "hitsPerPage": 3 });
    let page = client.post("/indexes/films/search", &page).await.unwrap().success().unwrap();
    assert_eq!((page["hits"].as_array().map(Vec::len), &page["totalPages"]), (Some(1), &json!(2)));
}
