//! Nodes of which nobody knows which settings they have: what searches say of answers that such a node has a part in, that
//! this outlives Miroir, and that the node is brought back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{
    SETTINGS, add_films, all_at, broadcasts, change, changed, everywhere, metric, relayed_films, succeed,
    wait_for,
};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const DIVERGENCE: &str = "miroir_settings_divergence{index=\"films\"}";
const DEADLINE: Duration = Duration::from_mins(1);

/// Three nodes with one copy each, so that nobody can be left out, and films.
async fn films_once(overrides: Value) -> Cluster {
    let cluster = Cluster::start_relayed(Topology::one_group(3, 1), overrides).await.unwrap();
    add_films(cluster.client(), "films").await.unwrap();
    let settings = json!({"filterableAttributes": ["title"], "stopWords": ["first"]});
    let reply = cluster.client().patch(SETTINGS, &settings).await.unwrap();
    succeed(cluster.client(), reply).await.unwrap();
    cluster
}

/// Every kind of search for films.
async fn searches(client: &Client) -> Vec<Reply> {
    let query = json!({"indexUid": "films", "q": "film"});
    let mut searches = vec![
        ("/indexes/films/search", json!({"q": "film"})),
        ("/indexes/films/facet-search", json!({"facetName": "title"})),
        ("/multi-search", json!({"queries": [query]})),
    ];
    // The development node has no federated search.
    if nodes_are_real() {
        searches.push(("/multi-search", json!({"federation": {}, "queries": [query]})));
    }
    let mut replies = Vec::new();
    for (path, body) in searches {
        let reply = client.post(path, &body).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        replies.push(reply);
    }
    replies
}

async fn assert_warned(client: &Client, when: &str) {
    for reply in searches(client).await {
        let warning = reply.headers.get("x-miroir-settings-inconsistent");
        assert_eq!(warning.map(|value| value.to_str().unwrap()), Some("true"), "{when}: {}", reply.text);
    }
}

async fn assert_uniform(client: &Client, when: &str) {
    for reply in searches(client).await {
        assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None, "{when}: {}", reply.text);
    }
}

async fn wait_for_metric(cluster: &Cluster, name: &str, wanted: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !wanted(metric(cluster, name).await.unwrap().unwrap_or(0)) {
        assert!(Instant::now() < deadline, "{name} is not as wanted\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_search_says_so_when_only_nodes_with_different_settings_hold_everything() {
    let cluster = films_once(json!({})).await;
    let client = cluster.client();
    assert_uniform(client, "before").await;
    cluster.relay(0).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    wait_for(&cluster, "films", |seen| {
        let stage = |node: &str| seen["current"]["nodes"][node]["stage"] == "verified";
        stage("node-1") && stage("node-2")
    })
    .await
    .unwrap();
    assert_warned(client, "two nodes have the change and one has not").await;
    cluster.relay(0).clear();
    succeed(client, sent).await.unwrap();
    assert_uniform(client, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_change_left_astray_is_known_after_a_restart_and_brought_back_whoever_is_to_mend_drift()
{
    let overrides = json!({
        "settings_broadcast": {"max_repair_retries": 1, "freeze_writes_on_unrepairable": false},
        "settings_drift_check": {"auto_repair": false},
    });
    let mut cluster = films_once(overrides).await;
    let client = cluster.client().clone();
    let refusal = json!({"message": "no", "code": "invalid_settings_stop_words", "type": "invalid_request", "link": ""});
    cluster.relay(1).set(Rule::always(Method::PATCH, SETTINGS, Meddling::Answer(400, refusal)));
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(0).set(Rule::always(Method::GET, SETTINGS, lie));
    let sent = change(&client, "films", "second").await.unwrap();
    let task = client.wait_reply(sent).await.unwrap();
    assert_eq!(task["status"], "failed", "{task}");
    // The third node is brought back at once.
    wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 1).await;
    assert_warned(&client, "one node is astray").await;
    for restart in 0..2 {
        cluster.kill_proxy().unwrap();
        cluster.restart_proxy().await.unwrap();
        assert_warned(&client, &format!("after restart {restart}")).await;
        assert_eq!(metric(&cluster, DIVERGENCE).await.unwrap(), Some(1));
    }
    cluster.relay(0).clear();
    cluster.relay(1).clear();
    wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 0).await;
    everywhere(&cluster, "first", 1).await.unwrap();
    assert_uniform(&client, "when it is back").await;
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    assert_uniform(&client, "and restarted").await;
    changed(&client, "films", "third").await.unwrap();
    everywhere(&cluster, "third", 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_keeps_no_other_from_being_brought_back() {
    let overrides = json!({"settings_broadcast": {
        "max_repair_retries": 1, "freeze_writes_on_unrepairable": false, "verify_timeout_s": 8,
    }});
    let cluster = films_once(overrides).await;
    let refusal = json!({"message": "no", "code": "invalid_settings_stop_words", "type": "invalid_request", "link": ""});
    cluster.relay(1).set(Rule::always(Method::PATCH, SETTINGS, Meddling::Answer(400, refusal)));
    cluster.relay(0).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(cluster.client(), "films", "second").await.unwrap();
    let task = cluster.client().wait_reply(sent).await.unwrap();
    assert_eq!(task["status"], "failed", "{task}");
    let failed = Instant::now();
    wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 1).await;
    assert!(failed.elapsed() < Duration::from_secs(6), "{:?}", failed.elapsed());
    cluster.relay(0).clear();
    cluster.relay(1).clear();
    wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 0).await;
    everywhere(&cluster, "first", 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_late_and_differs_is_tried_again_ever_more_seldom_and_not_read() {
    let mut cluster = relayed_films(json!({"settings_broadcast": {"max_repair_retries": 1}})).await.unwrap();
    let client = cluster.client().clone();
    cluster.kill_node(2).unwrap();
    changed(&client, "films", "second").await.unwrap();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(2).set(Rule::always(Method::GET, SETTINGS, lie));
    let began = Instant::now();
    cluster.restart_node(2).await.unwrap();
    // Two for each try, and half a second before the second one, a whole one before the third.
    wait_for_metric(&cluster, "miroir_settings_hash_mismatch_total", |count| count >= 6).await;
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
    for restarted in [false, true] {
        if restarted {
            cluster.kill_proxy().unwrap();
            cluster.restart_proxy().await.unwrap();
        }
        let differs = |seen: &Value| seen["history"][0]["nodes"]["node-2"]["stage"] == "differs";
        let seen = wait_for(&cluster, "films", differs).await.unwrap();
        assert_eq!(seen["history"][0]["nodes"]["node-2"]["keys"], json!(["stopWords"]), "{seen}");
        assert_eq!(seen["version"], 2, "{seen}");
        assert_ne!(seen["node_versions"]["node-2"], 2, "{seen}");
        wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 1).await;
        assert_uniform_without(&client).await;
    }
    cluster.relay(2).clear();
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!((retry.status, &retry.body["retried"]), (202, &json!(true)), "{}", retry.text);
    everywhere(&cluster, "second", 2).await.unwrap();
    wait_for_metric(&cluster, DIVERGENCE, |nodes| nodes == 0).await;
    let seen = wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(2)).await.unwrap();
    assert_eq!(seen["history"][0]["nodes"]["node-2"]["stage"], "verified", "{seen}");
}

/// Answers come from the other two, which hold everything.
async fn assert_uniform_without(client: &Client) {
    let topology = client.get("/_miroir/topology").await.unwrap().body;
    assert_eq!(topology["nodes"][2]["status"], "catching_up", "{topology}");
    let reply = client
        .post_with("/indexes/films/search", &json!({"q": "film"}), ("X-Miroir-Min-Settings-Version", "2"))
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.body["estimatedTotalHits"]), (200, &json!(60)), "{}", reply.text);
    assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None, "{}", reply.text);
    let version = broadcasts(client, "films").await.unwrap()["version"].clone();
    assert_eq!(reply.headers["x-miroir-settings-version"].to_str().unwrap(), version.to_string());
}
