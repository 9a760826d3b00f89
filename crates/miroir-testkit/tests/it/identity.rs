//! Whose a node is: nodes that are another cluster's, or nobody's, are not used, and whoever runs Miroir is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Alone, Cluster, Node, Relay, Topology, nodes_are_real, proxy_binary};
use reqwest::Method;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(40);

fn films(numbers: std::ops::Range<u64>) -> Value {
    numbers.map(|id| json!({ "id": id, "title": format!("number{id}") })).collect()
}

async fn succeed(client: &Client, reply: Reply) {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

async fn add(client: &Client, index: &str, numbers: std::ops::Range<u64>) {
    let path = format!("/indexes/{index}/documents");
    succeed(client, client.post(&path, &films(numbers)).await.unwrap()).await;
}

async fn count(client: &Client, index: &str) -> u64 {
    let path = format!("/indexes/{index}/documents?limit=0");
    client.get(&path).await.unwrap().success().unwrap()["total"].as_u64().unwrap()
}

async fn topology(client: &Client) -> Value {
    client.get("/_miroir/topology").await.unwrap().success().unwrap()
}

/// What the topology says of a node, as soon as it has this status.
async fn wait_for(client: &Client, node: &str, status: &str) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let topology = topology(client).await;
        let found = topology["nodes"].as_array().unwrap().iter().find(|it| it["id"] == node).unwrap().clone();
        if found["status"] == status {
            return found;
        }
        assert!(Instant::now() < deadline, "{node} is not {status}: {topology}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn error_of(client: &Client, node: &str, status: &str) -> String {
    wait_for(client, node, status).await["error"].as_str().unwrap_or_default().to_owned()
}

/// The keys that Miroirs made on a node.
async fn miroirs_keys(node: &Node) -> Vec<Value> {
    let keys = node.client().get("/keys?limit=100").await.unwrap().success().unwrap();
    let keys = keys["results"].as_array().unwrap().iter().filter(|key| key["name"] == "Miroir").cloned();
    keys.collect()
}

async fn indexes_of(node: &Node) -> BTreeSet<String> {
    let list = node.client().get("/indexes?limit=100").await.unwrap().success().unwrap();
    list["results"].as_array().unwrap().iter().map(|it| it["uid"].as_str().unwrap().to_owned()).collect()
}

async fn check(config: &std::path::Path) -> Output {
    let binary = proxy_binary().await.unwrap();
    let mut command = Command::new(binary);
    command.args(["check", "--online", "--config"]).arg(config);
    // A relay of the test may have to answer meanwhile.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn urls(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.target().url.as_str()).collect()
}

async fn two_nodes() -> [Node; 2] {
    [Node::start("node-0").await.unwrap(), Node::start("node-1").await.unwrap()]
}

#[tokio::test]
async fn each_node_gets_a_key_of_its_own_that_is_its_mark_and_can_do_no_more_than_is_needed() {
    let cluster = Cluster::start(Topology::one_group(2, 2)).await.unwrap();
    let id = topology(cluster.client()).await["cluster_id"].as_str().unwrap().to_owned();
    for (number, node) in cluster.nodes().iter().enumerate() {
        let keys = miroirs_keys(node).await;
        assert_eq!(keys.len(), 1, "{keys:?}");
        let mark = format!("miroir-mark:{id}:node-{number} ");
        assert!(keys[0]["description"].as_str().unwrap().starts_with(&mark), "{keys:?}");
        let miroir = node.client().with_key(keys[0]["key"].as_str().unwrap());
        for path in ["/indexes", "/stats", "/tasks", "/version"] {
            assert_eq!(miroir.get(path).await.unwrap().status, 200, "{path}");
        }
        assert_eq!(miroir.get("/keys").await.unwrap().status, 403);
        assert_eq!(miroir.delete("/tasks?statuses=succeeded").await.unwrap().status, 403);
    }
    add(cluster.client(), "films", 0..20).await;
    assert_eq!(count(cluster.client(), "films").await, 20);
}

/// Every question and order that Miroir has for a node, but edits by function, which only the master key may order.
fn asked_of_nodes() -> Vec<(Method, &'static str, Value)> {
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let form = || json!({ "unheard-of": 1 });
    let orders = [
        (&post, "/multi-search"),
        (&post, "/indexes/~/search"),
        (&post, "/indexes/~/facet-search"),
        (&post, "/indexes/~/similar"),
        (&post, "/indexes/~/documents"),
        (&Method::PUT, "/indexes/~/documents"),
        (&post, "/indexes/~/documents/fetch"),
        (&post, "/indexes/~/documents/delete"),
        (&post, "/indexes/~/documents/delete-batch"),
        (&delete, "/indexes/~/documents"),
        (&post, "/indexes"),
        (&patch, "/indexes/~"),
        (&delete, "/indexes/~"),
        (&post, "/indexes/~/compact"),
        (&post, "/indexes/~/fields"),
        (&patch, "/indexes/~/settings"),
        (&delete, "/indexes/~/settings"),
        (&post, "/swap-indexes"),
        (&patch, "/experimental-features"),
        (&post, "/export"),
        (&patch, "/network"),
        (&post, "/network/control"),
        (&post, "/chats/~/chat/completions"),
        (&delete, "/chats/miroir"),
        (&patch, "/chats/miroir/settings"),
        (&patch, "/webhooks/~"),
        (&post, "/dynamic-search-rules"),
        (&patch, "/dynamic-search-rules/~"),
        (&delete, "/dynamic-search-rules/~"),
        (&post, "/render-template"),
        (&post, "/dumps"),
        (&post, "/snapshots"),
    ];
    let questions = [
        "/health",
        "/version",
        "/stats",
        "/indexes",
        "/indexes/~/stats",
        "/indexes/~/settings",
        "/indexes/~/settings/stop-words",
        "/indexes/~/documents",
        "/indexes/~/documents/1",
        "/tasks",
        "/tasks/0",
        "/tasks/0/documents",
        "/experimental-features",
        "/chats",
        "/chats/miroir",
        "/chats/miroir/settings",
        "/metrics",
    ];
    let orders = orders.map(|(method, path)| (method.clone(), path, form()));
    orders.into_iter().chain(questions.map(|path| (get.clone(), path, Value::Null))).collect()
}

#[tokio::test]
async fn a_nodes_key_opens_everything_that_miroir_asks_of_nodes() {
    let cluster = Cluster::start(Topology::SINGLE).await.unwrap();
    let node = &cluster.nodes()[0];
    let key = miroirs_keys(node).await[0]["key"].as_str().unwrap().to_owned();
    let miroir = node.client().with_key(&key);
    for (method, path, body) in asked_of_nodes() {
        let body = (method != Method::GET).then_some(&body);
        let reply = miroir.send(method.clone(), path, body).await.unwrap();
        assert!(!matches!(reply.status, 401 | 403), "{method} {path}: {}", reply.text);
    }
    if !nodes_are_real() {
        return;
    }
    let client = cluster.client();
    add(client, "films", 0..5).await;
    let on =
        client.patch("/experimental-features", &json!({ "editDocumentsByFunction": true })).await.unwrap();
    assert_eq!(on.status, 200, "{}", on.text);
    let edit = json!({ "function": "doc.title = \"edited\"" });
    succeed(client, client.post("/indexes/films/documents/edit", &edit).await.unwrap()).await;
    let film = client.get("/indexes/films/documents/1").await.unwrap().success().unwrap();
    assert_eq!(film["title"], "edited");
}

#[tokio::test]
async fn a_key_that_somebody_deletes_is_made_again_and_no_write_is_lost() {
    let cluster = Cluster::start(Topology::one_group(2, 2)).await.unwrap();
    add(cluster.client(), "films", 0..20).await;
    for node in cluster.nodes() {
        let uid = miroirs_keys(node).await[0]["uid"].as_str().unwrap().to_owned();
        assert_eq!(node.client().delete(&format!("/keys/{uid}")).await.unwrap().status, 204);
    }
    add(cluster.client(), "films", 20..40).await;
    assert_eq!(count(cluster.client(), "films").await, 40);
    for node in ["node-0", "node-1"] {
        wait_for(cluster.client(), node, "healthy").await;
    }
    for node in cluster.nodes() {
        assert_eq!(miroirs_keys(node).await.len(), 1);
    }
}

#[tokio::test]
async fn an_emptied_node_is_marked_again_and_rebuilt_and_a_restarted_one_goes_on() {
    let mut cluster = Cluster::start(Topology::one_group(2, 2)).await.unwrap();
    add(cluster.client(), "films", 0..50).await;
    cluster.restart_node_emptied(1).await.unwrap();
    add(cluster.client(), "films", 50..60).await;
    wait_for(cluster.client(), "node-1", "healthy").await;
    assert_eq!(miroirs_keys(&cluster.nodes()[1]).await.len(), 1);
    cluster.restart_node(0).await.unwrap();
    cluster.restart_proxy().await.unwrap();
    for (number, node) in ["node-0", "node-1"].into_iter().enumerate() {
        wait_for(cluster.client(), node, "healthy").await;
        assert_eq!(count(cluster.nodes()[number].client(), "films").await, 60, "{node}");
    }
}

#[tokio::test]
async fn a_lost_store_is_told_old_data_are_not_adopted_and_a_node_can_be_taken_over() {
    let nodes = two_nodes().await;
    let mut miroir = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    add(miroir.client(), "films", 0..30).await;
    miroir.restart_without_store().await.unwrap();
    let client = miroir.client().clone();
    for node in ["node-0", "node-1"] {
        let error = error_of(&client, node, "foreign").await;
        assert!(error.contains("`task_store.path`") && error.contains("/adopt"), "{error}");
    }
    assert_eq!(client.get("/_miroir/ready").await.unwrap().status, 503);
    let told = miroir.log_lines("it belongs to another Miroir's cluster");
    assert_eq!(told.len(), 2, "{}", miroir.log());
    // Nothing reaches the old data.
    let created = client.post("/indexes", &json!({ "uid": "films", "primaryKey": "title" })).await.unwrap();
    assert_eq!(created.status, 202, "{}", created.text);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let task = client.get("/tasks/0").await.unwrap().success().unwrap();
    assert!(matches!(task["status"].as_str(), Some("enqueued" | "processing")), "{task}");
    assert_eq!(count(nodes[0].client(), "films").await, 30);
    // To take a node over is to give its data up, which has to be said.
    let adopt = async |node: &str, order: Value| {
        client.post(&format!("/_miroir/nodes/{node}/adopt"), &order).await.unwrap()
    };
    let refused = adopt("node-0", json!({})).await;
    assert_eq!((refused.status, refused.error_code()), (409, Some("miroir_node_has_data")));
    assert!(refused.text.contains("`films`"), "{}", refused.text);
    let unknown = adopt("node-9", json!({})).await;
    assert_eq!((unknown.status, unknown.error_code()), (404, Some("miroir_node_not_found")));
    for node in ["node-0", "node-1"] {
        let adopted = adopt(node, json!({ "give_up_data": true })).await;
        assert_eq!(adopted.status, 202, "{}", adopted.text);
    }
    for node in ["node-0", "node-1"] {
        wait_for(&client, node, "healthy").await;
    }
    let again = adopt("node-0", json!({})).await;
    assert_eq!((again.status, again.error_code()), (409, Some("miroir_node_not_foreign")));
    assert_eq!(client.wait_task(0).await.unwrap()["status"], "succeeded", "{}", miroir.log());
    let fresh = json!([{ "title": "a", "id": 1 }]);
    succeed(&client, client.post("/indexes/films/documents", &fresh).await.unwrap()).await;
    assert_eq!(count(&client, "films").await, 1);
    for node in &nodes {
        assert_eq!(count(node.client(), "films").await, 1);
        assert_eq!(miroirs_keys(node).await.len(), 1);
    }
}

#[tokio::test]
async fn a_second_miroir_before_the_same_nodes_uses_none_of_them_and_the_first_goes_on() {
    let nodes = two_nodes().await;
    let first = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    add(first.client(), "films", 0..20).await;
    let second = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    let id = topology(first.client()).await["cluster_id"].clone();
    for node in ["node-0", "node-1"] {
        let error = error_of(second.client(), node, "foreign").await;
        assert!(error.contains(id.as_str().unwrap()), "{error}");
    }
    let checked = check(&second.config()).await;
    let printed = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(3), "{printed}");
    assert_eq!(printed.matches("it belongs to another Miroir's cluster").count(), 2, "{printed}");
    assert_eq!(check(&first.config()).await.status.code(), Some(0));
    add(first.client(), "films", 20..40).await;
    assert_eq!(count(first.client(), "films").await, 40);
    // Taken over, the first one loses it, and says so.
    let order = json!({ "give_up_data": true });
    let adopted = second.client().post("/_miroir/nodes/node-1/adopt", &order).await.unwrap();
    assert_eq!(adopted.status, 202, "{}", adopted.text);
    wait_for(second.client(), "node-1", "healthy").await;
    wait_for(first.client(), "node-1", "foreign").await;
    wait_for(first.client(), "node-0", "healthy").await;
    assert_eq!(count(first.client(), "films").await, 40);
    assert_eq!(indexes_of(&nodes[1]).await, BTreeSet::new());
}

#[tokio::test]
async fn one_server_under_two_addresses_is_one_node() {
    let node = Node::start("node-0").await.unwrap();
    let other = Relay::start(&node.target().url).await.unwrap();
    let miroir = Alone::start(&[&node.target().url, other.url()], json!({})).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    let (used, unused) = loop {
        let topology = topology(miroir.client()).await;
        let by_status = |status: &str| {
            let nodes = topology["nodes"].as_array().unwrap();
            nodes.iter().find(|node| node["status"] == status).cloned()
        };
        if let (Some(used), Some(unused)) = (by_status("healthy"), by_status("foreign")) {
            break (used, unused);
        }
        assert!(Instant::now() < deadline, "{topology}\n{}", miroir.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let error = unused["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("is node `{}` of this cluster", used["id"].as_str().unwrap())),
        "{error}"
    );
    let path = format!("/_miroir/nodes/{}/adopt", unused["id"].as_str().unwrap());
    let refused = miroir.client().post(&path, &json!({ "give_up_data": true })).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (409, Some("miroir_node_not_foreign")));
    let checked = check(&miroir.config()).await;
    assert_eq!(checked.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(printed.contains("the server at its address is"), "{printed}");
}

#[tokio::test]
async fn indexes_that_nobody_knows_keep_a_node_out_until_they_are_gone() {
    let nodes = two_nodes().await;
    add(nodes[1].client(), "books", 0..5).await;
    let miroir = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    wait_for(miroir.client(), "node-0", "healthy").await;
    let error = error_of(miroir.client(), "node-1", "foreign").await;
    assert!(error.contains("`books`"), "{error}");
    assert_eq!(miroirs_keys(&nodes[1]).await, Vec::<Value>::new());
    succeed(nodes[1].client(), nodes[1].client().delete("/indexes/books").await.unwrap()).await;
    wait_for(miroir.client(), "node-1", "healthy").await;
    add(miroir.client(), "films", 0..5).await;
    assert_eq!(count(nodes[1].client(), "films").await, 5);
}

#[tokio::test]
async fn nodes_of_before_there_were_marks_are_marked_and_go_on() {
    let nodes = two_nodes().await;
    let mut miroir = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    add(miroir.client(), "films", 0..20).await;
    // As an older Miroir has left it: the store and the data, and no key.
    for node in &nodes {
        let uid = miroirs_keys(node).await[0]["uid"].as_str().unwrap().to_owned();
        node.client().delete(&format!("/keys/{uid}")).await.unwrap();
    }
    add(nodes[0].client(), "notes", 0..1).await;
    miroir.restart().await.unwrap();
    for node in ["node-0", "node-1"] {
        wait_for(miroir.client(), node, "healthy").await;
    }
    assert_eq!(count(miroir.client(), "films").await, 20);
    for node in &nodes {
        assert_eq!(miroirs_keys(node).await.len(), 1);
    }
}

#[tokio::test]
async fn nodes_without_a_master_key_are_told_apart_as_well() {
    let nodes = [Node::start_open("node-0").await.unwrap(), Node::start_open("node-1").await.unwrap()];
    let mut miroir = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    add(miroir.client(), "films", 0..20).await;
    let rival = Alone::start(&urls(&nodes), json!({})).await.unwrap();
    for node in ["node-0", "node-1"] {
        let error = error_of(rival.client(), node, "foreign").await;
        assert!(error.contains("it belongs to another Miroir's cluster"), "{error}");
    }
    drop(rival);
    miroir.restart().await.unwrap();
    wait_for(miroir.client(), "node-1", "healthy").await;
    let same = Relay::start(&nodes[0].target().url).await.unwrap();
    let double = Alone::start(&[same.url()], json!({})).await.unwrap();
    wait_for(double.client(), "node-0", "foreign").await;
    let adopted = double.client().post("/_miroir/nodes/node-0/adopt", &json!({ "give_up_data": true })).await;
    assert_eq!(adopted.unwrap().status, 202);
    wait_for(double.client(), "node-0", "healthy").await;
    wait_for(miroir.client(), "node-0", "foreign").await;
    assert_eq!(count(miroir.client(), "films").await, 20);
}

#[tokio::test]
async fn another_miroir_that_writes_to_a_node_is_told() {
    let node = Node::start("node-0").await.unwrap();
    let miroir = Alone::start(&[&node.target().url], json!({})).await.unwrap();
    add(miroir.client(), "films", 0..5).await;
    wait_for(miroir.client(), "node-0", "healthy").await;
    let deadline = Instant::now() + DEADLINE;
    loop {
        // One of before there were marks knows nothing of them.
        let path = "/indexes/films/documents?customMetadata=miroir:0123456789abcdef:7:0";
        node.client().delete(path).await.unwrap();
        let error = wait_for(miroir.client(), "node-0", "healthy").await["error"].clone();
        if error
            .as_str()
            .is_some_and(|error| error.contains("another Miroir (log `0123456789abcdef`) writes to it now"))
        {
            break;
        }
        assert!(Instant::now() < deadline, "{error}\n{}", miroir.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_miroir_in_the_place_of_a_node_is_called_one() {
    let node = Node::start("node-0").await.unwrap();
    let inner = Alone::start(&[&node.target().url], json!({})).await.unwrap();
    let outer = Alone::start(&[&inner.client().target().url], json!({})).await.unwrap();
    let error = error_of(outer.client(), "node-0", "unreachable").await;
    assert!(error.contains("a Miroir answers at its address"), "{error}");
    let checked = check(&outer.config()).await;
    assert_eq!(checked.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(printed.contains("a Miroir answers at its address"), "{printed}");
}

#[tokio::test]
async fn a_key_that_may_make_no_keys_is_used_as_it_is() {
    let node = Node::start("node-0").await.unwrap();
    let order = json!({ "actions": ["search", "documents.*", "indexes.*", "settings.*", "stats.*", "tasks.*", "version",
        "experimental.get", "experimental.update"], "indexes": ["*"], "expiresAt": null });
    let key = node.client().post("/keys", &order).await.unwrap().success().unwrap()["key"].clone();
    let miroir = Alone::start(&[&node.target().url], json!({ "node_master_key": key })).await.unwrap();
    wait_for(miroir.client(), "node-0", "healthy").await;
    add(miroir.client(), "films", 0..5).await;
    assert_eq!(count(miroir.client(), "films").await, 5);
    assert_eq!(miroirs_keys(&node).await, Vec::<Value>::new());
    let rival = Alone::start(&[&node.target().url], json!({})).await.unwrap();
    let error = error_of(rival.client(), "node-0", "foreign").await;
    assert!(error.contains("it belongs to another Miroir's cluster"), "{error}");
}
