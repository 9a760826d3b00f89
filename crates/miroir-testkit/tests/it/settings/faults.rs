//! Changes of settings when a node refuses them, says something else than it was given, or hangs, and when Miroir is
//! killed in the middle: each change ends once, on every node.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::Instant;

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{
    SETTINGS, add_films, all_at, broadcasts, change, changed, everywhere, film, metric, relayed_films,
    succeed, times_sent, wait_for,
};
use miroir_testkit::sandbox::{Meddling, Rule};
use reqwest::Method;
use serde_json::{Value, json};

async fn search(client: &Client) -> Reply {
    let reply = client.post("/indexes/films/search", &json!({"q": "number7"})).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["hits"][0]["id"], 7, "{}", reply.text);
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_a_change_gets_no_version_before_it_was_rebuilt_and_verified() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    let refusal = json!({"message": "no", "code": "invalid_settings_stop_words", "type": "invalid_request", "link": ""});
    let once = Rule { times: 1, ..Rule::always(Method::PATCH, SETTINGS, Meddling::Answer(400, refusal)) };
    cluster.relay(1).set(once);
    changed(client, "films", "second").await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    assert_eq!(seen["version"], 2, "{seen}");
    assert_eq!(seen["node_versions"]["node-0"], 2, "{seen}");
    search(client).await;
    everywhere(&cluster, "second", 2).await.unwrap();
    search(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reads_back_otherwise_is_sent_its_settings_again() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(1).set(Rule { times: 2, ..Rule::always(Method::GET, SETTINGS, lie) });
    changed(client, "films", "second").await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    assert_eq!((&seen["version"], &seen["node_versions"]), (&json!(2), &all_at(2)));
    assert_eq!(metric(&cluster, "miroir_settings_hash_mismatch_total").await.unwrap(), Some(2));
    let tasks = cluster.nodes()[1].client().get("/tasks?types=settingsUpdate&limit=2").await.unwrap().body;
    for task in tasks["results"].as_array().unwrap() {
        assert_eq!(task["details"]["stopWords"], json!(["second"]), "each repair is a task: {tasks}");
    }
    everywhere(&cluster, "second", 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_can_not_be_brought_to_its_settings_takes_no_writes_until_the_operator_tries_again() {
    let mut cluster = relayed_films(json!({"settings_broadcast": {"max_repair_retries": 1}})).await.unwrap();
    let client = cluster.client().clone();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"], "synonyms": {"a": ["b"]}}));
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, lie));
    let sent = change(&client, "films", "second").await.unwrap();
    let frozen = wait_for(&cluster, "films", |seen| seen["current"]["phase"] == "frozen").await.unwrap();
    assert_eq!(frozen["version"], 1);
    let differing = &frozen["current"]["nodes"]["node-1"];
    assert_eq!(differing["stage"], "differs", "{frozen}");
    assert_eq!(differing["keys"], json!(["stopWords", "synonyms"]), "{frozen}");
    assert!(differing["found_hash"].is_string(), "{frozen}");
    assert_ne!(differing["found_hash"], frozen["current"]["hash"]);
    for restarted in [false, true] {
        if restarted {
            cluster.kill_proxy().unwrap();
            cluster.restart_proxy().await.unwrap();
        }
        for write in [
            client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap(),
            client.patch(SETTINGS, &json!({"stopWords": null})).await.unwrap(),
            client.delete("/indexes/films").await.unwrap(),
        ] {
            assert_eq!(
                (write.status, write.error_code()),
                (503, Some("miroir_index_frozen")),
                "{}",
                write.text
            );
            for part in ["node-1", "stopWords", "synonyms"] {
                assert!(write.text.contains(part), "{}", write.text);
            }
        }
        assert_eq!(metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap(), Some(1));
        search(&client).await;
    }
    let other = client.post("/indexes/books/documents", &json!([film(1)])).await.unwrap();
    succeed(&client, other).await.unwrap();

    cluster.relay(1).clear();
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!(retry.status, 202, "{}", retry.text);
    succeed(&client, sent).await.unwrap();
    everywhere(&cluster, "second", 2).await.unwrap();
    assert_eq!(
        metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap().unwrap_or(0),
        0
    );
    succeed(&client, client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_writes_are_not_to_be_frozen_a_node_that_differs_is_left_out_until_it_has_the_change() {
    let overrides =
        json!({"settings_broadcast": {"max_repair_retries": 1, "freeze_writes_on_unrepairable": false}});
    let cluster = relayed_films(overrides).await.unwrap();
    let client = cluster.client();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, lie));
    changed(client, "films", "second").await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    let expected = json!({"node-0": 2, "node-1": 1, "node-2": 2});
    assert_eq!((&seen["version"], &seen["node_versions"]), (&json!(2), &expected), "{seen}");
    assert_eq!(metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap(), Some(1));
    let reply = client
        .post_with("/indexes/films/search", &json!({"q": "number7"}), ("X-Miroir-Min-Settings-Version", "2"))
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.body["hits"][0]["id"]), (200, &json!(7)), "{}", reply.text);
    assert_eq!(search(client).await.headers.get("x-miroir-settings-inconsistent"), None);
    succeed(client, client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap())
        .await
        .unwrap();
    cluster.relay(1).clear();
    everywhere(&cluster, "second", 2).await.unwrap();
    let divergence = metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap();
    assert_eq!(divergence.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_deleted_when_the_change_of_its_settings_is_verified() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    cluster.relay(1).wait_for_match().await.unwrap();
    let deletion = client.delete("/indexes/films").await.unwrap();
    let found = cluster.nodes()[0].client().get("/indexes/films").await.unwrap();
    assert_eq!(found.status, 200, "the index is gone before its settings were read back: {}", found.text);
    cluster.relay(1).clear();
    succeed(client, sent).await.unwrap();
    succeed(client, deletion).await.unwrap();
    assert_eq!(client.get("/indexes/films").await.unwrap().status, 404);
    assert_eq!(client.get("/_miroir/indexes/films/settings/broadcast").await.unwrap().status, 404);
    for name in ["version", "broadcast_phase", "divergence"] {
        let name = format!("miroir_settings_{name}{{index=\"films\"}}");
        assert_eq!(metric(&cluster, &name).await.unwrap(), None, "{name}");
    }
    // What has the name now is another index.
    add_films(client, "films").await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    assert_eq!((&seen["version"], &seen["history"]), (&Value::Null, &json!([])), "{seen}");
    changed(client, "films", "third").await.unwrap();
    everywhere(&cluster, "third", 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_change_that_freezes_fails_with_it_and_other_indexes_go_on() {
    let cluster = relayed_films(json!({"settings_broadcast": {"max_repair_retries": 1}})).await.unwrap();
    let client = cluster.client();
    cluster.relay(1).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    // Documents are judged by what is geo, so they wait for this change; so does the next change.
    let risky = json!({"stopWords": ["second"], "filterableAttributes": ["_geo"]});
    let sent = client.patch(SETTINGS, &risky).await.unwrap();
    cluster.relay(1).wait_for_match().await.unwrap();
    let waiting = [
        client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap(),
        change(client, "films", "third").await.unwrap(),
    ];
    let behind = client.post("/indexes/books/documents", &json!([film(1)])).await.unwrap();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, lie));
    wait_for(&cluster, "films", |seen| seen["current"]["phase"] == "frozen").await.unwrap();
    succeed(client, behind).await.unwrap();
    cluster.relay(1).clear();
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!(retry.status, 202, "{}", retry.text);
    succeed(client, sent).await.unwrap();
    // They end after the change, as they were accepted after it.
    for reply in waiting {
        let task = client.wait_reply(reply).await.unwrap();
        assert_eq!(
            (&task["status"], &task["error"]["code"]),
            (&json!("failed"), &json!("miroir_index_frozen")),
            "{task}"
        );
    }
    everywhere(&cluster, "second", 2).await.unwrap();
}

/// The request to the node of a wave at which Miroir is killed; each wave is one node.
const MOMENTS: [(&str, Method, Meddling); 4] = [
    ("before it is sent", Method::PATCH, Meddling::HoldRequest),
    ("when the node has it", Method::PATCH, Meddling::HoldAnswer),
    ("before it is read back", Method::GET, Meddling::HoldRequest),
    ("when it was read back", Method::GET, Meddling::HoldAnswer),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_ends_once_and_everywhere_wherever_miroir_is_killed() {
    let mut cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client().clone();
    let moments =
        (0..3).flat_map(|wave| MOMENTS.map(|(when, method, meddling)| (wave, when, method, meddling)));
    for ((node, when, method, meddling), version) in moments.zip(2..) {
        let (moment, word) = (format!("wave {node}, {when}"), format!("word{version}"));
        cluster.relay(node).set(Rule::always(method, SETTINGS, meddling));
        let sent = change(&client, "films", &word).await.unwrap();
        cluster.relay(node).wait_for_match().await.unwrap_or_else(|error| panic!("{moment}: {error:#}"));
        let seen = broadcasts(&client, "films").await.unwrap();
        assert_eq!(seen["version"], version - 1, "{moment}: {seen}");
        assert_ne!(seen["current"], Value::Null, "{moment}: {seen}");
        cluster.kill_proxy().unwrap();
        cluster.relay(node).clear();
        cluster.restart_proxy().await.unwrap();
        let task = succeed(&client, sent).await.unwrap();
        assert_eq!(task["details"], json!({"stopWords": [word]}), "{moment}");
        everywhere(&cluster, &word, version).await.unwrap();
        assert_eq!(broadcasts(&client, "films").await.unwrap()["version"], version, "{moment}");
        for node in 0..3 {
            let times = times_sent(&cluster, node, &word).await.unwrap();
            assert!((1..=2).contains(&times), "{moment}, node {node}: {times}");
        }
        search(&client).await;
    }
}

/// What it finds in a node's queue is then no answer: it looks like a repair that was sent before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_somebody_else_sent_is_not_taken_for_one_that_miroir_had_to_send_when_it_was_killed() {
    let mut cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client().clone();
    let full = Meddling::Answer(503, json!({"message": "not now"}));
    cluster.relay(0).set(Rule::always(Method::PATCH, SETTINGS, full));
    let sent = change(&client, "films", "second").await.unwrap();
    cluster.relay(0).wait_for_match().await.unwrap();
    let node = cluster.nodes()[0].client().clone();
    let astray = json!({"stopWords": ["astray"]});
    succeed(&node, node.patch(SETTINGS, &astray).await.unwrap()).await.unwrap();
    cluster.kill_proxy().unwrap();
    cluster.relay(0).clear();
    cluster.restart_proxy().await.unwrap();
    succeed(&client, sent).await.unwrap();
    everywhere(&cluster, "second", 2).await.unwrap();
    assert_eq!(times_sent(&cluster, 0, "second").await.unwrap(), 1);
    assert_eq!(metric(&cluster, "miroir_settings_hash_mismatch_total").await.unwrap(), Some(0));
}

/// Between those requests, too: before it is decided, between two steps in the store, around the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_ends_once_and_everywhere_however_long_after_it_miroir_is_killed() {
    const KILLS: u32 = 8;
    let mut cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client().clone();
    let began = Instant::now();
    changed(&client, "films", "word2").await.unwrap();
    let takes = began.elapsed();
    for (number, version) in (0..KILLS).zip(3..) {
        let word = format!("word{version}");
        let sent = change(&client, "films", &word).await.unwrap();
        let moment = takes * number / (KILLS - 2);
        tokio::time::sleep(moment).await;
        cluster.kill_proxy().unwrap();
        cluster.restart_proxy().await.unwrap();
        succeed(&client, sent).await.unwrap();
        everywhere(&cluster, &word, version).await.unwrap();
        let seen = broadcasts(&client, "films").await.unwrap();
        assert_eq!((&seen["version"], &seen["current"]), (&json!(version), &Value::Null), "after {moment:?}");
        for node in 0..3 {
            let times = times_sent(&cluster, node, &word).await.unwrap();
            assert!((1..=2).contains(&times), "after {moment:?}, node {node}: {times}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_written_during_a_change_arrive_behind_it() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    cluster.relay(0).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    cluster.relay(0).wait_for_match().await.unwrap();
    let mut writes = Vec::new();
    for number in 60..80 {
        let reply = client.post("/indexes/films/documents", &json!([film(number)])).await.unwrap();
        assert_eq!(reply.status, 202, "{}", reply.text);
        writes.push(reply);
    }
    let uid = sent.body["taskUid"].as_u64().unwrap();
    let task = client.get(&format!("/tasks/{uid}")).await.unwrap().body;
    assert!(matches!(task["status"].as_str(), Some("enqueued" | "processing")), "{task}");
    let seen = broadcasts(client, "films").await.unwrap();
    assert_eq!((&seen["version"], &seen["current"]["task_uid"]), (&json!(1), &json!(uid)), "{seen}");
    assert!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await.unwrap().is_some());
    search(client).await;
    cluster.relay(0).clear();
    succeed(client, sent).await.unwrap();
    for write in writes {
        succeed(client, write).await.unwrap();
    }
    let stats = client.get("/indexes/films/stats").await.unwrap().body;
    assert_eq!(stats["numberOfDocuments"], 80, "{stats}");
    everywhere(&cluster, "second", 2).await.unwrap();
    assert_eq!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await.unwrap(), None);
}
