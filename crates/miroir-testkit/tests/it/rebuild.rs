//! Nodes are rebuilt though something else in the cluster can't go on.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::wait_for;
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology};
use reqwest::Method;
use serde_json::{Value, json};

/// Much less than lanes may be held for one attempt.
const DEADLINE: Duration = Duration::from_secs(40);
const DOCUMENTS: u64 = 50;
/// Among so many indexes two are on different nodes.
const MOST_INDEXES: usize = 40;
/// Indexes that are made while a node is rebuilt.
const MADE_MEANWHILE: usize = 12;

async fn succeed(client: &Client, reply: Reply) {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

async fn add(client: &Client, index: &str) -> Reply {
    let documents: Value = (0..DOCUMENTS).map(|id| json!({ "id": id })).collect();
    client.post(&format!("/indexes/{index}/documents"), &documents).await.unwrap()
}

/// The nodes of an index.
async fn nodes_of(client: &Client, index: &str) -> BTreeSet<usize> {
    let shards = client.get("/_miroir/shards").await.unwrap().body;
    let found = shards["indexes"].as_array().unwrap().iter().find(|it| it["uid"] == index).unwrap();
    let nodes = found["shards"][0]["groups"][0]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node.as_str().unwrap().strip_prefix("node-").unwrap().parse().unwrap()).collect()
}

/// Two indexes with documents that have no node in common, each with its nodes.
async fn two_apart(client: &Client) -> [(String, BTreeSet<usize>); 2] {
    let mut known: Vec<(String, BTreeSet<usize>)> = Vec::new();
    for number in 0..MOST_INDEXES {
        let index = format!("index{number}");
        succeed(client, add(client, &index).await).await;
        let nodes = nodes_of(client, &index).await;
        if let Some(other) = known.iter().find(|(_, other)| other.is_disjoint(&nodes)) {
            return [other.clone(), (index, nodes)];
        }
        known.push((index, nodes));
    }
    panic!("all indexes are on the same nodes: {known:?}");
}

async fn wait_for_status(cluster: &Cluster, node: usize, status: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let topology = cluster.client().get("/_miroir/topology").await.unwrap().body;
        let found = &topology["nodes"][node];
        if found["status"] == status {
            return;
        }
        assert!(Instant::now() < deadline, "{found}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Empties a node, and waits until it has everything again.
async fn empty_and_wait(cluster: &mut Cluster, node: usize, index: &str) {
    cluster.restart_node_emptied(node).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    let path = format!("/indexes/{index}/stats");
    while cluster.nodes()[node].client().get(&path).await.unwrap().body["numberOfDocuments"] != DOCUMENTS {
        assert!(Instant::now() < deadline, "{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_for_status(cluster, node, "healthy").await;
}

fn one_shard() -> Topology {
    Topology { shards: 1, ..Topology::one_group(4, 2) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_rebuilt_though_a_task_about_another_index_can_not_end() {
    let mut cluster = Cluster::start(one_shard()).await.unwrap();
    let client = cluster.client().clone();
    let [(stuck, away), (index, there)] = two_apart(&client).await;
    for node in &away {
        cluster.kill_node(*node).unwrap();
    }
    let waiting = add(&client, &stuck).await;
    assert_eq!(waiting.status, 202, "{}", waiting.text);
    let node = *there.first().unwrap();
    empty_and_wait(&mut cluster, node, &index).await;
    let task = client.get(&format!("/tasks/{}", waiting.body["taskUid"])).await.unwrap().body;
    assert!(task["finishedAt"].is_null(), "{task}");
    succeed(&client, add(&client, &index).await).await;
    for node in &away {
        cluster.restart_node(*node).await.unwrap();
    }
    succeed(&client, waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_rebuilt_though_another_index_is_frozen_and_its_own_frozen_index_is_named() {
    let settings = json!({ "settings_broadcast": { "max_repair_retries": 1 } });
    let mut cluster = Cluster::start_relayed(one_shard(), settings).await.unwrap();
    let client = cluster.client().clone();
    let [(frozen, lying), (index, there)] = two_apart(&client).await;
    let mut lying = lying.into_iter();
    let (liar, peer) = (lying.next().unwrap(), lying.next().unwrap());
    let path = format!("/indexes/{frozen}/settings");
    let lie = Meddling::Overlay(json!({ "stopWords": ["astray"] }));
    cluster.relay(liar).set(Rule::always(Method::GET, &path, lie));
    let change = client.patch(&path, &json!({ "stopWords": ["the"] })).await.unwrap();
    assert_eq!(change.status, 202, "{}", change.text);
    wait_for(&cluster, &frozen, |seen| seen["current"]["phase"] == "frozen").await.unwrap();
    empty_and_wait(&mut cluster, *there.first().unwrap(), &index).await;
    succeed(&client, add(&client, &index).await).await;
    cluster.restart_node_emptied(peer).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let topology = client.get("/_miroir/topology").await.unwrap().body;
        let error = topology["nodes"][peer]["error"].to_string();
        if error.contains("is frozen") && error.contains(&frozen) {
            break;
        }
        assert!(Instant::now() < deadline, "{topology}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    succeed(&client, add(&client, &index).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_says_how_far_it_is_and_takes_in_what_is_made_meanwhile() {
    let mut cluster = Cluster::start_relayed(Topology::one_group(3, 2), json!({})).await.unwrap();
    let client = cluster.client().clone();
    succeed(&client, add(&client, "films").await).await;
    let peers = [1, 2];
    for peer in peers {
        let held = Rule::always(Method::POST, "/documents/fetch", Meddling::HoldRequest);
        cluster.relay(peer).set(held);
    }
    cluster.restart_node_emptied(0).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    let node = loop {
        let topology = client.get("/_miroir/topology").await.unwrap().body;
        let node = topology["nodes"][0].clone();
        if node["rebuild"]["stage"] == "copying" && node["rebuild"]["documents_left"] != 0 {
            break node;
        }
        assert!(Instant::now() < deadline, "{node}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&node["status"], &node["rebuild"]["indexes_left"]), (&json!("damaged"), &json!(1)), "{node}");
    assert!(node["error"].as_str().unwrap().contains("0 of 1 indexes"), "{node}");
    let metrics = cluster.metrics().get("/metrics").await.unwrap().text;
    assert!(metrics.contains("miroir_rebuild_documents_left{node_id=\"node-0\"}"), "{metrics}");
    for number in 0..MADE_MEANWHILE {
        let index = json!({ "uid": format!("late{number}"), "primaryKey": "id" });
        succeed(&client, client.post("/indexes", &index).await.unwrap()).await;
    }
    for peer in peers {
        cluster.relay(peer).clear();
    }
    wait_for_status(&cluster, 0, "healthy").await;
    let held = cluster.nodes()[0].client().get("/stats").await.unwrap().success().unwrap();
    assert_eq!(held["indexes"].as_object().unwrap().len(), MADE_MEANWHILE + 1, "{held}");
    let peer = cluster.nodes()[1].client();
    for index in ["films", "late0"] {
        let path = format!("/indexes/{index}/settings");
        let right = peer.get(&path).await.unwrap().success().unwrap();
        assert_eq!(cluster.nodes()[0].client().get(&path).await.unwrap().body, right);
    }
    let topology = client.get("/_miroir/topology").await.unwrap().body;
    assert!(topology["nodes"][0]["rebuild"].is_null(), "{topology}");
}
