//! A change of settings from its proposal to its version: what clients and the operator see of it, and that neither a node
//! nor Miroir can get lost on the way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Topology, nodes_are_real};
use serde_json::{Value, json};

const VERSION: &str = "x-miroir-settings-version";
const FLOOR: &str = "x-miroir-min-settings-version";
const DEADLINE: Duration = Duration::from_mins(1);

fn film(number: usize) -> Value {
    json!({"id": number, "title": format!("Film number{number}"), "year": 1950 + number % 50})
}

async fn succeed(client: &Client, reply: Reply) {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

async fn add_films(client: &Client, index: &str) {
    let films: Vec<Value> = (0..60).map(film).collect();
    succeed(client, client.post(&format!("/indexes/{index}/documents"), &json!(films)).await.unwrap()).await;
}

/// Changes the stop words, which a node shows as they were set.
async fn change(client: &Client, index: &str, word: &str) {
    let path = format!("/indexes/{index}/settings/stop-words");
    succeed(client, client.put(&path, &json!([word])).await.unwrap()).await;
}

async fn broadcasts(client: &Client, index: &str) -> Value {
    let path = format!("/_miroir/indexes/{index}/settings/broadcast");
    client.get(&path).await.unwrap().success().unwrap()
}

/// Waits until what the operator sees of an index's settings is as wanted.
async fn wait_for(cluster: &Cluster, index: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = broadcasts(cluster.client(), index).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "still {seen}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn versions(nodes: &[(&str, Option<u64>)]) -> Value {
    Value::Object(nodes.iter().map(|(node, version)| ((*node).to_owned(), json!(version))).collect())
}

fn all_at(version: u64) -> Value {
    versions(&[("node-0", Some(version)), ("node-1", Some(version)), ("node-2", Some(version))])
}

/// The value of a metric; nothing if it is not shown.
async fn metric(cluster: &Cluster, name: &str) -> Option<u64> {
    let page = cluster.metrics().get("/metrics").await.unwrap().text;
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end_matches(".0").parse().ok())
}

async fn search_with_floor(client: &Client, index: &str, floor: &str) -> Reply {
    client
        .post_with(&format!("/indexes/{index}/search"), &json!({"q": "film"}), (FLOOR, floor))
        .await
        .unwrap()
}

/// The version on searches of every kind.
async fn versions_on_searches(client: &Client, indexes: &[&str]) -> BTreeSet<Option<String>> {
    let queries: Vec<Value> = indexes.iter().map(|index| json!({"indexUid": index, "q": "film"})).collect();
    let mut searches = vec![("/multi-search".to_owned(), json!({"queries": queries}))];
    // The development node has no federated search.
    if nodes_are_real() {
        searches.push(("/multi-search".to_owned(), json!({"federation": {}, "queries": queries})));
    }
    if let [index] = indexes {
        searches.push((format!("/indexes/{index}/search"), json!({"q": "film"})));
    }
    let mut seen = BTreeSet::new();
    for (path, body) in searches {
        let reply = client.post(&path, &body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        seen.insert(reply.headers.get(VERSION).map(|value| value.to_str().unwrap().to_owned()));
    }
    seen
}

fn only(version: u64) -> BTreeSet<Option<String>> {
    BTreeSet::from([Some(version.to_string())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_gets_the_next_version_on_every_node_and_keeps_it_over_a_restart() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    for index in ["films", "books"] {
        add_films(&client, index).await;
    }
    assert_eq!(
        versions_on_searches(&client, &["films"]).await,
        BTreeSet::from([None]),
        "nothing was committed"
    );
    assert_eq!(search_with_floor(&client, "films", "0").await.status, 200);

    for version in 1..=3 {
        change(&client, "films", &format!("word{version}")).await;
        // The task is over, so this is true now.
        let seen = broadcasts(&client, "films").await;
        assert_eq!((&seen["version"], &seen["current"]), (&json!(version), &Value::Null), "{seen}");
        assert_eq!(seen["node_versions"], all_at(version));
        assert_eq!(seen["history"].as_array().unwrap().len() as u64, version);
        let last = &seen["history"][0];
        assert_eq!((&last["phase"], &last["version"]), (&json!("committed"), &json!(version)), "{last}");
        for (_, node) in last["nodes"].as_object().unwrap() {
            assert_eq!(
                (&node["stage"], &node["verified_hash"]),
                (&json!("verified"), &last["hash"]),
                "{last}"
            );
        }
        assert_eq!(versions_on_searches(&client, &["films"]).await, only(version));
        let gauge = metric(&cluster, "miroir_settings_version{index=\"films\"}").await;
        assert_eq!(gauge, Some(version));
        assert_eq!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await, None);
        for node in cluster.nodes() {
            let words = node.client().get("/indexes/films/settings/stop-words").await.unwrap();
            assert_eq!(words.body, json!([format!("word{version}")]));
        }
    }

    // The counter is one for all indexes, and several searched together tell the highest.
    change(&client, "books", "the").await;
    let check_all = async |client: &Client| {
        assert_eq!(versions_on_searches(client, &["books"]).await, only(4));
        assert_eq!(versions_on_searches(client, &["films"]).await, only(3));
        assert_eq!(versions_on_searches(client, &["films", "books"]).await, only(4));
        // A floor that another index's answer told does not make this one stale.
        for floor in ["0", "1", "3", "4"] {
            let reply = search_with_floor(client, "films", floor).await;
            assert_eq!(reply.status, 200, "{floor}: {}", reply.text);
        }
        for floor in ["5", "18446744073709551615"] {
            let reply = search_with_floor(client, "films", floor).await;
            assert_eq!((reply.status, reply.error_code()), (503, Some("miroir_settings_version_stale")));
        }
        for floor in ["", "soon", "-1", "1.5", "18446744073709551616"] {
            let reply = search_with_floor(client, "films", floor).await;
            assert_eq!(reply.status, 400, "{floor}: {}", reply.text);
            let message = reply.body["message"].as_str().unwrap().to_lowercase();
            assert!(message.contains(FLOOR), "{floor}: {message}");
        }
    };
    check_all(&client).await;
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    check_all(&client).await;
    assert_eq!(broadcasts(&client, "films").await["node_versions"], all_at(3));
    change(&client, "films", "word5").await;
    assert_eq!(versions_on_searches(&client, &["films"]).await, only(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_gets_the_change_and_its_version_when_it_is_back() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    add_films(&client, "films").await;
    change(&client, "films", "before").await;
    cluster.kill_node(2).unwrap();
    change(&client, "films", "meanwhile").await;
    let seen = broadcasts(&client, "films").await;
    assert_eq!(
        seen["node_versions"],
        versions(&[("node-0", Some(2)), ("node-1", Some(2)), ("node-2", Some(1))])
    );
    assert_eq!(versions_on_searches(&client, &["films"]).await, only(2));
    assert_eq!(search_with_floor(&client, "films", "2").await.status, 200, "the other two hold everything");
    // Without one of those no cover is new enough, though the third node comes back with the old settings.
    cluster.restart_node(2).await.unwrap();
    let seen = wait_for(&cluster, "films", |seen| seen["node_versions"]["node-2"] == 2).await;
    assert_eq!(seen["version"], 2);
    let words = cluster.nodes()[2].client().get("/indexes/films/settings/stop-words").await.unwrap();
    assert_eq!(words.body, json!(["meanwhile"]), "a version is given only for what was read back");
    change(&client, "films", "after").await;
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_somebody_changed_gets_its_settings_back() {
    let overrides = json!({"settings_drift_check": {"interval_s": 1}});
    let cluster = Cluster::start_with(Topology::one_group(3, 2), overrides).await.unwrap();
    let client = cluster.client().clone();
    add_films(&client, "films").await;
    change(&client, "films", "the").await;
    let before = client.get("/indexes/films/settings").await.unwrap().body;
    let node = cluster.nodes()[1].client();
    let astray = json!({"stopWords": ["film"], "rankingRules": ["words"], "synonyms": {"a": ["b"]}});
    succeed(node, node.patch("/indexes/films/settings", &astray).await.unwrap()).await;
    let deadline = Instant::now() + DEADLINE;
    while metric(&cluster, "miroir_settings_drift_repair_total").await != Some(1) {
        assert!(Instant::now() < deadline, "nobody noticed\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let repaired = node.get("/indexes/films/settings").await.unwrap().body;
    let other = cluster.nodes()[0].client().get("/indexes/films/settings").await.unwrap().body;
    assert_eq!(repaired, other, "it has what its peers have");
    assert_eq!(client.get("/indexes/films/settings").await.unwrap().body, before);
    assert!(metric(&cluster, "miroir_settings_hash_mismatch_total").await >= Some(1));
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(1)).await;
    assert_eq!(metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap_or(0), 0);
}
