//! Nodes that lose what no other node has: the operator is told, and gets on whatever he does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Topology};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(40);
const DOCUMENTS: u64 = 60;

fn films(numbers: std::ops::Range<u64>) -> Value {
    numbers.map(|id| json!({ "id": id, "title": format!("number{id}") })).collect()
}

async fn succeed(client: &Client, reply: Reply) {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

async fn add(client: &Client, numbers: std::ops::Range<u64>) -> Reply {
    client.post("/indexes/films/documents", &films(numbers)).await.unwrap()
}

/// Two nodes with one copy of everything, and films on both.
async fn films_without_copies() -> Cluster {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let client = cluster.client();
    let settings = json!({ "stopWords": ["the"], "filterableAttributes": ["id"] });
    succeed(client, client.patch("/indexes/films/settings", &settings).await.unwrap()).await;
    succeed(client, add(client, 0..DOCUMENTS).await).await;
    cluster
}

/// What the topology says of a node, as soon as it is as it should be.
async fn wait_for_node(cluster: &Cluster, node: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let topology = cluster.client().get("/_miroir/topology").await.unwrap().body;
        let nodes = topology["nodes"].as_array().unwrap();
        let found = nodes.iter().find(|it| it["id"] == node).unwrap();
        if is_right(found) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "{found}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_for_advice(cluster: &Cluster, advice: &str) {
    let said = |node: &Value| {
        node["status"] == "damaged" && node["error"].as_str().is_some_and(|error| error.contains(advice))
    };
    wait_for_node(cluster, "node-1", said).await;
}

async fn wait_until_healthy(cluster: &Cluster) {
    wait_for_node(cluster, "node-1", |node| node["status"] == "healthy").await;
}

async fn search(client: &Client) -> Reply {
    client.post("/indexes/films/search", &json!({ "q": "", "hitsPerPage": 1000 })).await.unwrap()
}

/// The node's own documents.
async fn held(cluster: &Cluster, node: usize) -> u64 {
    let stats = cluster.nodes()[node].client().get("/indexes/films/stats").await.unwrap().body;
    stats["numberOfDocuments"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_without_copies_is_reported_and_when_it_is_accepted_everything_goes_on() {
    let mut cluster = films_without_copies().await;
    let client = cluster.client().clone();
    let left = held(&cluster, 0).await;
    assert!(left > 0 && left < DOCUMENTS, "{left}");
    let early = client.post("/_miroir/nodes/node-1/accept-loss", &json!({})).await.unwrap();
    assert_eq!((early.status, early.error_code()), (409, Some("miroir_node_not_damaged")), "{}", early.text);
    cluster.restart_node_emptied(1).await.unwrap();
    wait_for_advice(&cluster, "put its data directory back").await;
    wait_for_advice(&cluster, "POST /_miroir/nodes/node-1/accept-loss").await;
    let degraded = search(&client).await;
    assert!(degraded.headers.contains_key("x-miroir-degraded"), "{}", degraded.text);
    let waiting = add(&client, 1000..1000 + DOCUMENTS).await;
    let created = client.post("/indexes/late/documents", &films(0..DOCUMENTS)).await.unwrap();
    let unknown = client.post("/_miroir/nodes/node-7/accept-loss", &json!({})).await.unwrap();
    assert_eq!((unknown.status, unknown.error_code()), (404, Some("miroir_node_not_found")));
    let accepted = client.post("/_miroir/nodes/node-1/accept-loss", &json!({})).await.unwrap();
    assert_eq!((accepted.status, &accepted.body["accepted"]), (202, &json!(true)), "{}", accepted.text);
    succeed(&client, waiting).await;
    succeed(&client, created).await;
    wait_until_healthy(&cluster).await;
    let found = search(&client).await;
    assert_eq!(found.body["totalHits"], left + DOCUMENTS, "{}", found.text);
    assert!(!found.headers.contains_key("x-miroir-degraded"));
    let [kept, anew] = [0, 1].map(|node| cluster.nodes()[node].client().clone());
    for index in ["films", "late"] {
        let path = format!("/indexes/{index}/settings");
        let right = kept.get(&path).await.unwrap().success().unwrap();
        assert_eq!(anew.get(&path).await.unwrap().success().unwrap(), right, "{index}");
    }
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    succeed(&client, add(&client, 0..DOCUMENTS).await).await;
    let found = search(&client).await;
    assert_eq!(found.body["totalHits"], 2 * DOCUMENTS, "{}", found.text);
    for index in ["films", "late"] {
        succeed(&client, client.delete(&format!("/indexes/{index}")).await.unwrap()).await;
    }
    let after = anew.get("/indexes").await.unwrap().body;
    assert_eq!(after["total"], 0, "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_data_directory_is_put_back_is_taken_back_by_itself() {
    let mut cluster = films_without_copies().await;
    let client = cluster.client().clone();
    cluster.restart_node_emptied(1).await.unwrap();
    wait_for_advice(&cluster, "put its data directory back").await;
    let waiting = add(&client, 1000..1000 + DOCUMENTS).await;
    cluster.restart_node_put_back(1).await.unwrap();
    succeed(&client, waiting).await;
    wait_until_healthy(&cluster).await;
    let found = search(&client).await;
    assert_eq!(found.body["totalHits"], 2 * DOCUMENTS, "{}", found.text);
    assert!(!found.headers.contains_key("x-miroir-degraded"));
    assert_eq!(held(&cluster, 0).await + held(&cluster, 1).await, 2 * DOCUMENTS);
    succeed(&client, client.delete("/indexes/films").await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_lost_nodes_one_gives_up_what_both_had_and_copies_the_rest() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    succeed(&client, add(&client, 0..DOCUMENTS).await).await;
    let left = held(&cluster, 0).await;
    assert!(left > 0 && left < DOCUMENTS, "{left}");
    for node in [1, 2] {
        cluster.kill_node(node).unwrap();
    }
    let waiting = add(&client, 1000..1000 + DOCUMENTS).await;
    for node in [1, 2] {
        cluster.restart_node_emptied(node).await.unwrap();
    }
    wait_for_advice(&cluster, "POST /_miroir/nodes/node-1/accept-loss").await;
    let accepted = client.post("/_miroir/nodes/node-1/accept-loss", &json!({})).await.unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    succeed(&client, waiting).await;
    for node in ["node-1", "node-2"] {
        wait_for_node(&cluster, node, |node| node["status"] == "healthy").await;
    }
    let found = search(&client).await;
    assert_eq!(found.body["totalHits"], left + DOCUMENTS, "{}", found.text);
    let copies = held(&cluster, 0).await + held(&cluster, 1).await + held(&cluster, 2).await;
    assert_eq!(copies, 2 * (left + DOCUMENTS), "every document is there twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_somebody_dropped_where_it_has_no_copy_is_made_anew_when_its_loss_is_accepted() {
    let cluster = films_without_copies().await;
    let client = cluster.client().clone();
    let left = held(&cluster, 0).await;
    cluster.nodes()[1].client().delete("/indexes/films").await.unwrap().success().unwrap();
    wait_for_advice(&cluster, "POST /_miroir/nodes/node-1/accept-loss").await;
    let accepted = client.post("/_miroir/nodes/node-1/accept-loss", &json!({})).await.unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    wait_until_healthy(&cluster).await;
    let found = search(&client).await;
    assert_eq!(found.body["totalHits"], left, "{}", found.text);
    succeed(&client, add(&client, 0..DOCUMENTS).await).await;
    assert_eq!(search(&client).await.body["totalHits"], DOCUMENTS);
}

/// Whoever empties one node after the other goes by what the topology says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_node_is_not_healthy_for_a_moment_before_it_is_rebuilt() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    succeed(&client, add(&client, 0..DOCUMENTS).await).await;
    let watching = tokio::spawn({
        let client = client.clone();
        async move {
            let (mut seen, deadline) = (vec!["healthy".to_owned()], Instant::now() + DEADLINE);
            while Instant::now() < deadline {
                let topology = client.get("/_miroir/topology").await.unwrap().body;
                let nodes = topology["nodes"].as_array().unwrap();
                let found = nodes.iter().find(|it| it["id"] == "node-1").unwrap();
                let status = found["status"].as_str().unwrap().to_owned();
                if seen.last() != Some(&status) {
                    seen.push(status);
                }
                let is_back = seen.contains(&"damaged".to_owned()) && seen.last().unwrap() == "healthy";
                if is_back {
                    break;
                }
            }
            seen
        }
    });
    cluster.restart_node_emptied(1).await.unwrap();
    let seen = watching.await.unwrap();
    let damaged = seen.iter().position(|status| status == "damaged").unwrap_or_else(|| panic!("{seen:?}"));
    assert!(!seen[1..damaged].contains(&"healthy".to_owned()), "{seen:?}");
    assert_eq!(seen.last().unwrap(), "healthy", "{seen:?}");
    assert_eq!(search(&client).await.body["totalHits"], DOCUMENTS);
}
