//! Indexes of a cluster sent to another server: it has the documents, their vectors and the settings, and nothing of
//! Miroir's.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const FILMS: u64 = 700;
const DEADLINE: Duration = Duration::from_mins(1);

fn film(id: u64) -> Value {
    let vector = id.is_multiple_of(3).then(|| json!([id, 1.5]));
    json!({"id": id, "title": format!("film {id}"), "year": 1900 + id % 100, "_vectors": {"look": vector}})
}

async fn run(client: &Client, path: &str, body: &Value) -> Value {
    let reply = client.post(path, body).await.unwrap();
    client.wait_reply(reply).await.unwrap()
}

/// Films, and an index of another name without documents.
async fn fill(client: &Client) {
    let settings = json!({
        "filterableAttributes": ["year"],
        "stopWords": ["the"],
        "rankingRules": ["words", "sort", "typo"],
        "embedders": {"look": {"source": "userProvided", "dimensions": 2}},
    });
    let reply = client.patch("/indexes/films/settings", &settings).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let films: Vec<Value> = (0..FILMS).map(film).collect();
    assert_eq!(run(client, "/indexes/films/documents", &json!(films)).await["status"], "succeeded");
    let empty = run(client, "/indexes", &json!({"uid": "books", "primaryKey": "isbn"})).await;
    assert_eq!(empty["status"], "succeeded");
}

/// The documents by id, with their vectors.
async fn documents(client: &Client, filter: Option<&str>) -> BTreeMap<u64, Value> {
    let body = json!({"limit": FILMS, "retrieveVectors": true, "filter": filter});
    let page = client.post("/indexes/films/documents/fetch", &body).await.unwrap().success().unwrap();
    let documents = page["results"].as_array().unwrap().iter();
    documents.map(|document| (document["id"].as_u64().unwrap(), document.clone())).collect()
}

/// What arrived, once everything that was sent is written.
async fn arrived(client: &Client, count: usize) -> BTreeMap<u64, Value> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let open = client.get("/tasks?statuses=enqueued,processing").await.unwrap();
        let reply = client.get("/indexes/films").await.unwrap();
        if open.body["total"] == 0 && reply.status == 200 {
            let documents = documents(client, None).await;
            assert_eq!(documents.len(), count);
            return documents;
        }
        assert!(Instant::now() < deadline, "{}", open.text);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_export_brings_documents_vectors_and_settings_to_another_server() {
    let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client();
    fill(client).await;
    let other = Node::start("other").await.unwrap();
    let target = other.client().target();
    let body = json!({"url": target.url, "apiKey": target.key, "payloadSize": "8 KiB"});
    let accepted = client.post("/export", &body).await.unwrap();
    assert_eq!((accepted.status, &accepted.body["type"]), (200, &json!("export")), "{}", accepted.text);
    let task = client.wait_reply(accepted).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
    let all = json!({"filter": null, "overrideSettings": false, "matchedDocuments": FILMS});
    assert_eq!(task["details"]["indexes"]["films"], all, "{task}");
    assert_eq!(task["details"]["indexes"]["books"]["matchedDocuments"], 0, "{task}");
    assert!(task["details"]["apiKey"].as_str().unwrap().ends_with("..."), "{task}");
    assert_eq!(arrived(other.client(), usize::try_from(FILMS).unwrap()).await, documents(client, None).await);
    for path in ["/indexes/films/settings", "/indexes/books"] {
        let (mut here, mut there) =
            (client.get(path).await.unwrap().body, other.client().get(path).await.unwrap().body);
        for field in ["createdAt", "updatedAt"] {
            here[field] = Value::Null;
            there[field] = Value::Null;
        }
        assert_eq!(there, here, "{path}");
    }
}

#[tokio::test]
async fn a_part_is_exported_and_settings_of_an_index_that_is_there_are_replaced_only_if_asked_for() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let client = cluster.client();
    fill(client).await;
    let other = Node::start("other").await.unwrap();
    let theirs = json!({"stopWords": ["a"], "filterableAttributes": ["title"]});
    let reply = other.client().patch("/indexes/films/settings", &theirs).await.unwrap();
    other.client().wait_reply(reply).await.unwrap();
    let target = other.client().target();
    let export = async |override_settings: bool| {
        let indexes = json!({"f*": {"filter": "year < 1910", "overrideSettings": override_settings}});
        let body = json!({"url": target.url, "apiKey": target.key, "indexes": indexes});
        let task = run(client, "/export", &body).await;
        assert_eq!(task["status"], "succeeded", "{task}");
        assert_eq!(task["details"]["indexes"]["films"]["matchedDocuments"], FILMS / 10, "{task}");
        assert_eq!(task["details"]["indexes"]["books"], Value::Null, "{task}");
        arrived(other.client(), usize::try_from(FILMS / 10).unwrap()).await
    };
    let stop_words =
        async |client: &Client| client.get("/indexes/films/settings/stop-words").await.unwrap().body;
    export(false).await;
    assert_eq!(stop_words(other.client()).await, json!(["a"]));
    assert_eq!(export(true).await, documents(client, Some("year < 1910")).await);
    assert_eq!(stop_words(other.client()).await, json!(["the"]));
    assert_eq!(other.client().get("/indexes/books").await.unwrap().status, 404);
}

#[tokio::test]
async fn an_export_that_fails_says_why() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let client = cluster.client();
    fill(client).await;
    let other = Node::start("other").await.unwrap();
    let url = &other.client().target().url;
    let task = run(client, "/export", &json!({"url": url, "apiKey": "wrong"})).await;
    let message = task["error"]["message"].as_str().unwrap();
    let beginning = "Failed to export documents to remote server invalid_api_key (auth): ";
    assert!(message.starts_with(beginning), "{task}");
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("internal")), "{task}");

    let filter = json!({"url": url, "apiKey": other.client().target().key, "indexes": {"films": {"filter": "id = 1"}}});
    let task = run(client, "/export", &filter).await;
    assert_eq!(task["error"]["code"], "invalid_document_filter", "{task}");
    assert!(!task["error"]["message"].as_str().unwrap().contains("_miroir_"), "{task}");

    for (body, code) in [
        (json!({"url": 3}), "invalid_export_url"),
        (json!({"url": url, "payloadSize": "much"}), "invalid_export_payload_size"),
        (json!({"url": url, "indexes": {"films": {"filters": "id = 1"}}}), "bad_request"),
    ] {
        let refused = client.post("/export", &body).await.unwrap();
        assert_eq!(refused.status, 400, "{body}: {}", refused.text);
        if nodes_are_real() {
            assert_eq!(refused.error_code(), Some(code), "{body}: {}", refused.text);
        }
    }
}
