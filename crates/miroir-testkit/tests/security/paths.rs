//! Names in paths that a URL parser could take for steps to somewhere else.

use std::time::{Duration, Instant};

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Value, json};

use crate::raw::{RawReply, exchange, request};

/// What only other callers may see, in every document of the index that the key does not open.
const SECRET: &str = "for-others-only";

const KEY_UID: &str = "0b6fd8a7-7c52-4f8e-8ab6-8f6f2c1ad001";

/// Steps that lead out of where they stand, if somebody takes them for steps.
const LEADS: [&str; 9] = [
    r"..\..\",
    r"..\..\..\",
    r"..\",
    "%2e%2e%2f%2e%2e%2f",
    r"%2e%2e\%2e%2e\",
    "..%5c..%5c",
    "%2e%2e%5c%2e%2e%5c%2e%2e%5c",
    r"x\..\..\..\",
    "%252e%252e%255c",
];

/// Where they could lead to.
const TREASURES: [&str; 10] = [
    "keys",
    r"beta\search?q=secret",
    r"beta\documents?limit=1",
    r"beta\settings?",
    r"indexes\beta",
    r"indexes\beta\documents\1",
    "beta%5cdocuments",
    r"experimental-features",
    "tasks",
    "",
];

/// Names that are steps by themselves.
const STEPS: [&str; 8] = [".", "..", "%2e", "%2E%2e", ".%2e", r"\", "%5c", r"..\"];

/// Where a client's name stands in a path, and with which methods.
const PLACES: [(&str, &[&str]); 13] = [
    ("/indexes/alpha/documents/{}", &["GET", "DELETE"]),
    ("/indexes/pub-~/documents/{}", &["GET", "DELETE"]),
    ("/indexes/alpha/settings/{}", &["GET", "PUT", "DELETE"]),
    ("/indexes/{}", &["GET", "PATCH", "DELETE"]),
    ("/indexes/{}/search", &["GET", "POST"]),
    ("/indexes/{}/documents", &["GET", "POST", "DELETE"]),
    ("/indexes/{}/stats", &["GET"]),
    ("/tasks/{}", &["GET"]),
    ("/batches/{}", &["GET"]),
    ("/keys/{}", &["GET", "PATCH", "DELETE"]),
    ("/webhooks/{}", &["GET", "PATCH", "DELETE"]),
    ("/dynamic-search-rules/{}", &["GET", "PATCH", "DELETE"]),
    ("/chats/{}/settings", &["GET", "PATCH", "DELETE"]),
];

/// Every text in every place.
fn attacks() -> Vec<(&'static str, String)> {
    let treasures = LEADS.iter().flat_map(|lead| TREASURES.iter().map(move |end| format!("{lead}{end}")));
    let names: Vec<String> = treasures.chain(STEPS.iter().map(|step| (*step).to_owned())).collect();
    let mut attacks = Vec::new();
    for (place, methods) in PLACES {
        for name in &names {
            attacks.extend(methods.iter().map(|method| (*method, place.replace("{}", name))));
        }
    }
    attacks
}

/// Two indexes, of which the key that is answered opens one.
async fn fill(client: &Client) -> String {
    for index in ["alpha", "beta"] {
        let documents: Vec<Value> = (1..=20)
            .map(|id| json!({"id": id, "text": if index == "beta" { SECRET } else { "open" }}))
            .collect();
        let reply = client.post(&format!("/indexes/{index}/documents"), &json!(documents)).await.unwrap();
        assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    }
    let key = json!({"uid": KEY_UID, "actions": ["search", "documents.*", "indexes.get", "settings.*", "stats.get",
        "tasks.get"], "indexes": ["alpha", "pub-*"], "expiresAt": null});
    let key = client.post("/keys", &key).await.unwrap().success().unwrap();
    key["key"].as_str().unwrap().to_owned()
}

async fn send(client: &Client, method: &str, path: &str, key: &str) -> RawReply {
    let body = matches!(method, "POST" | "PUT" | "PATCH").then_some("{}");
    let reply = exchange(client.target(), &request(method, path, key, body)).await;
    reply.unwrap_or_else(|| panic!("{method} {path} got no answer"))
}

fn assert_shows_nothing(reply: &RawReply, asked: &str) {
    for secret in [SECRET, "_miroir", "\"actions\":[\"*\"]", "Default Admin", "chatCompletions\":"] {
        assert!(!reply.text.contains(secret), "{asked} shows `{secret}`: {}", reply.text);
    }
}

/// Some of the attacks are writes, though of nothing that is there.
async fn wait_until_all_ended(client: &Client) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let open =
            client.get("/tasks?statuses=enqueued,processing&limit=1").await.unwrap().success().unwrap();
        if open["total"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{open} did not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn indexes_of(nodes: &[Node]) -> Vec<Value> {
    let mut indexes = Vec::new();
    for node in nodes {
        let stats = node.client().get("/stats").await.unwrap().success().unwrap();
        let counts = stats["indexes"].as_object().unwrap().iter();
        indexes.push(counts.map(|(uid, stats)| json!([uid, stats["numberOfDocuments"]])).collect());
    }
    indexes
}

#[tokio::test]
async fn a_name_in_a_path_leads_nowhere_else_and_is_answered_as_by_one_node() {
    let node = Node::start("expected").await.unwrap();
    let cluster = Cluster::start(Topology { shards: 4, ..Topology::one_group(3, 2) }).await.unwrap();
    let one_key = fill(node.client()).await;
    let key = fill(cluster.client()).await;
    let before = indexes_of(cluster.nodes()).await;
    for (method, path) in attacks() {
        let expected = send(node.client(), method, &path, &one_key).await;
        let actual = send(cluster.client(), method, &path, &key).await;
        let asked = format!("{method} {path}");
        assert_shows_nothing(&actual, &asked);
        if nodes_are_real() {
            assert_eq!(actual.status, expected.status, "{asked}: {}\n{}", expected.text, actual.text);
        }
        assert!(actual.status < 500, "{asked}: {}", actual.text);
    }
    wait_until_all_ended(cluster.client()).await;
    assert_eq!(indexes_of(cluster.nodes()).await, before);
}

#[tokio::test]
async fn the_master_key_is_no_way_to_the_nodes_either() {
    let cluster = Cluster::start(Topology { shards: 4, ..Topology::one_group(2, 1) }).await.unwrap();
    fill(cluster.client()).await;
    let key = cluster.target().key.clone();
    let before = indexes_of(cluster.nodes()).await;
    let features = json!({"dynamicSearchRules": true, "chatCompletions": true});
    cluster.client().patch("/experimental-features", &features).await.unwrap().success().unwrap();
    for (method, path) in attacks().into_iter().filter(|(method, _)| *method != "DELETE") {
        let reply = send(cluster.client(), method, &path, &key).await;
        assert_shows_nothing(&reply, &format!("{method} {path}"));
    }
    assert_eq!(indexes_of(cluster.nodes()).await, before);
}

/// A body that is announced and never comes.
fn without_body(method: &str, path: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: miroir\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn nobody_is_listened_to_before_the_key_is_known() {
    let cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let paths = [
        "",
        "/documents",
        "/documents/fetch",
        "/documents/delete",
        "/documents/delete-batch",
        "/documents/edit",
        "/search",
        "/facet-search",
        "/similar",
        "/settings",
        "/settings/stop-words",
        "/fields",
    ];
    let in_index = |index: &str| paths.map(|path| format!("/indexes/{index}{path}"));
    let others = [
        "/indexes",
        "/keys",
        "/multi-search",
        "/swap-indexes",
        "/experimental-features",
        "/webhooks",
        "/network",
        "/network/control",
        "/export",
        "/render-template",
        "/dynamic-search-rules",
        "/logs/stream",
        "/chats/a/settings",
        "/chats/a/chat/completions",
        "/dynamic-search-rules/a",
        "/dynamic-search-rules/~",
        "/tasks/cancel",
        "/keys/a",
        "/webhooks/a",
        "/_miroir/nodes/a/rebuild",
    ]
    .map(str::to_owned);
    let named = in_index("films").into_iter().chain(in_index("~")).chain(in_index("a%2Fb")).chain(others);
    for path in named {
        for method in ["POST", "PUT", "PATCH"] {
            let reply = exchange(cluster.target(), &without_body(method, &path)).await;
            let reply = reply.unwrap_or_else(|| panic!("{method} {path} waits for a body"));
            let known = matches!(reply.status, 401 | 404 | 405);
            assert!(known, "{method} {path}: {}", reply.text);
        }
    }
}
