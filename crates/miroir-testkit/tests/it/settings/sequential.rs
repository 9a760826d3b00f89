//! Changes of settings that go from node to node (`strategy: sequential`): one that a node does not come to is taken back
//! from those that have it, and the others never hear of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{
    SETTINGS, all_at, broadcasts, change, changed, everywhere, film, metric, relayed_films, succeed,
    times_sent,
};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule};
use reqwest::Method;
use serde_json::{Value, json};

async fn films() -> Cluster {
    let overrides = json!({"settings_broadcast": {"strategy": "sequential", "max_repair_retries": 1}});
    relayed_films(overrides).await.unwrap()
}

fn refusal() -> Meddling {
    let (code, link) = ("invalid_settings_stop_words", "https://docs.meilisearch.com/errors");
    Meddling::Answer(
        400,
        json!({"message": "not these", "code": code, "type": "invalid_request", "link": link}),
    )
}

async fn fail(client: &Client, reply: Reply) -> Value {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "failed", "{task}");
    task["error"].clone()
}

/// Clients and nodes have what they had, nobody is left out, and the next change and the next write succeed.
async fn assert_as_before(cluster: &Cluster, word: &str, version: u64) {
    let client = cluster.client();
    everywhere(cluster, word, version).await.unwrap();
    let words = client.get(&format!("{SETTINGS}/stop-words")).await.unwrap();
    assert_eq!(words.body, json!([word]));
    let reply = client.post("/indexes/films/search", &json!({"q": "number7"})).await.unwrap();
    assert_eq!(reply.headers.get("x-miroir-settings-version").unwrap(), &version.to_string());
    assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None);
    assert_eq!(metric(cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await.unwrap(), None);
    assert_eq!(metric(cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap().unwrap_or(0), 0);
    for node in client.get("/_miroir/topology").await.unwrap().body["nodes"].as_array().unwrap() {
        assert_eq!((&node["status"], &node["error"]), (&json!("healthy"), &Value::Null), "{node}");
    }
    changed(client, "films", "next").await.unwrap();
    everywhere(cluster, "next", version + 1).await.unwrap();
    succeed(client, client.post("/indexes/films/documents", &json!([film(100)])).await.unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_gets_the_change_when_the_one_before_was_read_back() {
    let cluster = films().await;
    let client = cluster.client();
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    cluster.relay(1).wait_for_match().await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    let current = &seen["current"];
    assert_eq!((&seen["version"], &current["strategy"]), (&json!(1), &json!("sequential")), "{seen}");
    let stage =
        |node: &str| (current["nodes"][node]["wave"].clone(), current["nodes"][node]["stage"].clone());
    assert_eq!(stage("node-0"), (json!(0), json!("verified")));
    assert_eq!(stage("node-1"), (json!(1), json!("applied")));
    assert_eq!(stage("node-2"), (json!(2), json!("waiting")));
    for (node, times) in [1, 1, 0].into_iter().enumerate() {
        assert_eq!(times_sent(&cluster, node, "second").await.unwrap(), times, "node {node}");
    }
    cluster.relay(1).clear();
    succeed(client, sent).await.unwrap();
    assert_eq!(broadcasts(client, "films").await.unwrap()["node_versions"], all_at(2));
    everywhere(&cluster, "second", 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_node_refuses_is_taken_back_and_the_task_says_why() {
    let cluster = films().await;
    let client = cluster.client();
    for ((refusing, sent_to), version) in
        [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 1, 0])].into_iter().zip(1..)
    {
        let (word, before) = (format!("refused{refusing}"), if version == 1 { "first" } else { "next" });
        cluster.relay(refusing).set(Rule::always(Method::PATCH, SETTINGS, refusal()));
        let error = fail(client, change(client, "films", &word).await.unwrap()).await;
        cluster.relay(refusing).clear();
        assert_eq!(error["code"], "invalid_settings_stop_words", "{error}");
        assert_eq!(error["message"], "not these");
        for (node, times) in sent_to.into_iter().enumerate() {
            assert_eq!(times_sent(&cluster, node, &word).await.unwrap(), times, "node {node}");
        }
        let seen = broadcasts(client, "films").await.unwrap();
        let last = &seen["history"][0];
        assert_eq!((&last["phase"], &last["taken_back"]), (&json!("failed"), &json!("not these")), "{seen}");
        assert_eq!(last["nodes"][format!("node-{refusing}")]["stage"], "refused", "{seen}");
        assert_as_before(&cluster, before, version).await;
    }
}

/// One of its documents is none that the new settings allow, which only this node knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_node_fails_while_it_works_on_it_is_taken_back_too() {
    let cluster = films().await;
    let client = cluster.client();
    let node = cluster.nodes()[2].client();
    let astray = json!([{"id": 900, "_geo": {"lat": "north", "lng": "west"}}]);
    succeed(node, node.post("/indexes/films/documents", &astray).await.unwrap()).await.unwrap();
    let sent = client.patch(SETTINGS, &json!({"sortableAttributes": ["_geo", "year"]})).await.unwrap();
    let error = fail(client, sent).await;
    assert_eq!(error["code"], "invalid_document_geo_field", "{error}");
    for node in cluster.nodes() {
        let sortable = node.client().get(&format!("{SETTINGS}/sortable-attributes")).await.unwrap();
        assert_eq!(sortable.body, json!([]));
    }
    // With this document no change of settings succeeds on the node.
    succeed(node, node.delete("/indexes/films/documents/900").await.unwrap()).await.unwrap();
    assert_as_before(&cluster, "first", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_can_not_be_brought_to_is_taken_back_and_the_task_names_it() {
    let cluster = films().await;
    let client = cluster.client();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(1).set(Rule { times: 2, ..Rule::always(Method::GET, SETTINGS, lie) });
    let error = fail(client, change(client, "films", "second").await.unwrap()).await;
    assert_eq!(error["code"], "internal");
    for part in ["node-1", "stopWords", "taken back"] {
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    assert_eq!(times_sent(&cluster, 2, "second").await.unwrap(), 0);
    assert_as_before(&cluster, "first", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_being_taken_back_when_miroir_is_killed_is_taken_back_to_the_end() {
    let mut cluster = films().await;
    let client = cluster.client().clone();
    cluster.relay(1).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    let sent = change(&client, "films", "second").await.unwrap();
    cluster.relay(1).wait_for_match().await.unwrap();
    // The first node has it. What it is sent from now on takes it back.
    cluster.relay(0).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, refusal()));
    cluster.relay(1).clear();
    cluster.relay(0).wait_for_match().await.unwrap();
    let seen = broadcasts(&client, "films").await.unwrap();
    assert_eq!(seen["current"]["taken_back"], "not these", "{seen}");
    cluster.kill_proxy().unwrap();
    cluster.relay(0).clear();
    cluster.relay(2).clear();
    cluster.restart_proxy().await.unwrap();
    let error = fail(&client, sent).await;
    assert_eq!(error["message"], "not these", "{error}");
    assert_as_before(&cluster, "first", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_meanwhile_does_not_keep_what_was_taken_back() {
    let mut cluster = films().await;
    let client = cluster.client().clone();
    cluster.kill_node(0).unwrap();
    cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, refusal()));
    let error = fail(&client, change(&client, "films", "second").await.unwrap()).await;
    assert_eq!(error["message"], "not these", "{error}");
    cluster.relay(2).clear();
    cluster.restart_node(0).await.unwrap();
    succeed(&client, client.post("/indexes/films/documents", &json!([film(99)])).await.unwrap())
        .await
        .unwrap();
    wait_for_healthy(&cluster).await;
    assert_as_before(&cluster, "first", 1).await;
}

async fn wait_for_healthy(cluster: &Cluster) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let topology = cluster.client().get("/_miroir/topology").await.unwrap().body;
        if topology["degraded_node_count"] == 0 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{topology}\n{}", cluster.proxy_log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
