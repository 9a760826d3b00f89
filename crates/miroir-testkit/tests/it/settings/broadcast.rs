//! A change of settings from its proposal to its version: what clients and the operator see of it, and that neither a node
//! nor Miroir can get lost on the way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{add_films, all_at, broadcasts, change, changed, metric, succeed, wait_for};
use miroir_testkit::sandbox::{Cluster, Topology, nodes_are_real};
use serde_json::{Value, json};

const VERSION: &str = "x-miroir-settings-version";
const FLOOR: &str = "x-miroir-min-settings-version";
const DEADLINE: Duration = Duration::from_mins(1);

fn versions(nodes: &[(&str, Option<u64>)]) -> Value {
    Value::Object(nodes.iter().map(|(node, version)| ((*node).to_owned(), json!(version))).collect())
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
        add_films(&client, index).await.unwrap();
    }
    assert_eq!(
        versions_on_searches(&client, &["films"]).await,
        BTreeSet::from([None]),
        "nothing was committed"
    );
    assert_eq!(search_with_floor(&client, "films", "0").await.status, 200);

    for version in 1..=3 {
        changed(&client, "films", &format!("word{version}")).await.unwrap();
        // The task is over, so this is true now.
        let seen = broadcasts(&client, "films").await.unwrap();
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
        let gauge = metric(&cluster, "miroir_settings_version{index=\"films\"}").await.unwrap();
        assert_eq!(gauge, Some(version));
        assert_eq!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await.unwrap(), None);
        for node in cluster.nodes() {
            let words = node.client().get("/indexes/films/settings/stop-words").await.unwrap();
            assert_eq!(words.body, json!([format!("word{version}")]));
        }
    }

    // The counter is one for all indexes, and several searched together tell the highest.
    changed(&client, "books", "the").await.unwrap();
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
    assert_eq!(broadcasts(&client, "films").await.unwrap()["node_versions"], all_at(3));
    changed(&client, "films", "word5").await.unwrap();
    assert_eq!(versions_on_searches(&client, &["films"]).await, only(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_gets_the_change_and_its_version_when_it_is_back() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    add_films(&client, "films").await.unwrap();
    changed(&client, "films", "before").await.unwrap();
    cluster.kill_node(2).unwrap();
    changed(&client, "films", "meanwhile").await.unwrap();
    let seen = broadcasts(&client, "films").await.unwrap();
    assert_eq!(
        seen["node_versions"],
        versions(&[("node-0", Some(2)), ("node-1", Some(2)), ("node-2", Some(1))])
    );
    assert_eq!(versions_on_searches(&client, &["films"]).await, only(2));
    assert_eq!(search_with_floor(&client, "films", "2").await.status, 200, "the other two hold everything");
    // Without one of those no cover is new enough, though the third node comes back with the old settings.
    cluster.restart_node(2).await.unwrap();
    let seen = wait_for(&cluster, "films", |seen| seen["node_versions"]["node-2"] == 2).await.unwrap();
    assert_eq!(seen["version"], 2);
    let words = cluster.nodes()[2].client().get("/indexes/films/settings/stop-words").await.unwrap();
    assert_eq!(words.body, json!(["meanwhile"]), "a version is given only for what was read back");
    changed(&client, "films", "after").await.unwrap();
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(3)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_somebody_changed_gets_its_settings_back() {
    let overrides = json!({"settings_drift_check": {"interval_s": 1}});
    let cluster = Cluster::start_with(Topology::one_group(3, 2), overrides).await.unwrap();
    let client = cluster.client().clone();
    add_films(&client, "films").await.unwrap();
    changed(&client, "films", "the").await.unwrap();
    let before = client.get("/indexes/films/settings").await.unwrap().body;
    let node = cluster.nodes()[1].client();
    let astray = json!({"stopWords": ["film"], "rankingRules": ["words"], "synonyms": {"a": ["b"]}});
    succeed(node, node.patch("/indexes/films/settings", &astray).await.unwrap()).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while metric(&cluster, "miroir_settings_drift_repair_total").await.unwrap() != Some(1) {
        assert!(Instant::now() < deadline, "nobody noticed\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let repaired = node.get("/indexes/films/settings").await.unwrap().body;
    let other = cluster.nodes()[0].client().get("/indexes/films/settings").await.unwrap().body;
    assert_eq!(repaired, other, "it has what its peers have");
    assert_eq!(client.get("/indexes/films/settings").await.unwrap().body, before);
    assert!(metric(&cluster, "miroir_settings_hash_mismatch_total").await.unwrap() >= Some(1));
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(1)).await.unwrap();
    assert_eq!(
        metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap().unwrap_or(0),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sees_the_last_twenty_changes_and_that_an_index_is_unknown() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let client = cluster.client();
    let unknown = client.get("/_miroir/indexes/films/settings/broadcast").await.unwrap();
    assert_eq!((unknown.status, unknown.error_code()), (404, Some("index_not_found")), "{}", unknown.text);
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!((retry.status, retry.error_code()), (404, Some("index_not_found")), "{}", retry.text);
    let stranger =
        client.with_key("of-nobody").get("/_miroir/indexes/films/settings/broadcast").await.unwrap();
    assert_eq!(stranger.status, 403, "{}", stranger.text);

    succeed(client, client.post("/indexes", &json!({"uid": "films"})).await.unwrap()).await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    assert_eq!(
        (&seen["version"], &seen["current"], &seen["history"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let mut sent = Vec::new();
    for number in 1..=22 {
        sent.push(change(client, "films", &format!("word{number}")).await.unwrap());
    }
    for reply in sent {
        succeed(client, reply).await.unwrap();
    }
    let seen = broadcasts(client, "films").await.unwrap();
    let versions: Vec<u64> =
        seen["history"].as_array().unwrap().iter().map(|past| past["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (3..=22).rev().collect::<Vec<_>>(), "newest first");
    assert!(seen["history"][0]["elapsed_ms"].is_u64() && seen["history"][0]["hash"].is_string(), "{seen}");
    let nothing = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!((nothing.status, &nothing.body["retried"]), (200, &json!(false)), "{}", nothing.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_somebody_changed_is_left_out_where_it_is_not_to_be_repaired() {
    let overrides = json!({"settings_drift_check": {"interval_s": 1, "auto_repair": false}});
    let cluster = Cluster::start_with(Topology::one_group(3, 2), overrides).await.unwrap();
    let client = cluster.client();
    add_films(client, "films").await.unwrap();
    changed(client, "films", "the").await.unwrap();
    let before =
        client.post("/indexes/films/search", &json!({"q": "film"})).await.unwrap().body["hits"].clone();
    let node = cluster.nodes()[1].client();
    let astray = json!({"searchableAttributes": ["year"]});
    succeed(node, node.patch("/indexes/films/settings", &astray).await.unwrap()).await.unwrap();
    let divergence = "miroir_settings_divergence{index=\"films\"}";
    let deadline = Instant::now() + DEADLINE;
    while metric(&cluster, divergence).await.unwrap() != Some(1) {
        assert!(Instant::now() < deadline, "nobody noticed\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..6 {
        let reply = client.post("/indexes/films/search", &json!({"q": "film"})).await.unwrap();
        assert_eq!(reply.body["hits"], before, "{}", reply.text);
        assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None);
    }
    assert_eq!(metric(&cluster, "miroir_settings_drift_repair_total").await.unwrap(), Some(0));
    let found = node.get("/indexes/films/settings/searchable-attributes").await.unwrap().body;
    assert_eq!(found, json!(["year"]), "nobody repairs it");
    // Whoever changed it puts it back.
    let back = json!({"searchableAttributes": null});
    succeed(node, node.patch("/indexes/films/settings", &back).await.unwrap()).await.unwrap();
    while metric(&cluster, divergence).await.unwrap() != Some(0) {
        assert!(Instant::now() < deadline, "nobody noticed\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_nodes_show_otherwise_than_they_were_set_are_watched_too() {
    let overrides = json!({"settings_drift_check": {"interval_s": 1}});
    let cluster = Cluster::start_with(Topology::one_group(2, 1), overrides).await.unwrap();
    let client = cluster.client();
    let mut settings = json!({
        "localizedAttributes": [{"attributePatterns": ["*_ja"], "locales": ["ja", "eng"]}],
        "typoTolerance": {"disableOnWords": ["Été", "Winter"]},
        "stopWords": ["The", "à", "l'été"],
    });
    let mut changes = vec![
        json!({"localizedAttributes": [{"attributePatterns": ["*_ja"], "locales": ["ko", "eng"]}]}),
        json!({"typoTolerance": {"disableOnWords": ["été", "summer"]}}),
        json!({"typoTolerance": {"disableOnWords": ["autumn"]}}),
        json!({"stopWords": ["à", "l'été"]}),
    ];
    // The development node has fewer sources.
    if nodes_are_real() {
        settings["embedders"] = json!({"e": {
            "source": "rest", "url": "http://127.0.0.1:9/embed", "apiKey": "the-key-of-the-embedder", "dimensions": 3,
            "request": {"input": "{{text}}"}, "response": {"vector": "{{embedding}}"}, "headers": {"X-A": "1"},
            "distribution": {"mean": 0.123_456_789, "sigma": 0.3},
        }});
        changes.extend([
            json!({"embedders": {"e": {"apiKey": "a-key-of-somebody-else-"}}}),
            json!({"embedders": {"e": {"headers": {"X-A": "2"}}}}),
            json!({"embedders": {"e": {"request": {"text": "{{text}}"}}}}),
            json!({"embedders": {"e": {"distribution": {"mean": 0.2, "sigma": 0.3}}}}),
        ]);
    }
    succeed(client, client.patch("/indexes/films/settings", &settings).await.unwrap()).await.unwrap();
    let node = cluster.nodes()[1].client();
    let before = node.get("/indexes/films/settings").await.unwrap().body;
    for (number, astray) in (1..).zip(&changes) {
        succeed(node, node.patch("/indexes/films/settings", astray).await.unwrap()).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        while metric(&cluster, "miroir_settings_drift_repair_total").await.unwrap() != Some(number) {
            assert!(Instant::now() < deadline, "nobody noticed {astray}\n{}", cluster.proxy_log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.get("/indexes/films/settings").await.unwrap().body, before, "{astray}");
    }
    let mismatches = metric(&cluster, "miroir_settings_hash_mismatch_total").await.unwrap();
    assert_eq!(
        mismatches,
        Some(changes.len() as u64),
        "what is as it should be is never taken for something else"
    );
    if nodes_are_real() {
        // What belongs to a source goes with it, on nodes and for Miroir.
        for embedder in [
            json!({"source": "openAi", "apiKey": "another-key-of-the-embedder", "model": "text-embedding-3-small"}),
            json!({"source": "rest", "url": "http://127.0.0.1:9/embed", "dimensions": 3, "request": ["{{text}}"],
                "response": ["{{embedding}}"]}),
        ] {
            let body = json!({"embedders": {"e": embedder}});
            succeed(client, client.patch("/indexes/films/settings", &body).await.unwrap()).await.unwrap();
        }
        assert_eq!(metric(&cluster, "miroir_settings_hash_mismatch_total").await.unwrap(), mismatches);
    }
}
