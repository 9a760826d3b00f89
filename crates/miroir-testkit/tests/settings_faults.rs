//! Changes of settings when a node refuses them, says something else than it was given, or hangs, and when Miroir is
//! killed in the middle: each change ends once, on every node.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology};
use reqwest::Method;
use serde_json::{Value, json};

const SETTINGS: &str = "/indexes/films/settings";
const DEADLINE: Duration = Duration::from_mins(1);

fn film(number: usize) -> Value {
    json!({"id": number, "title": format!("Film number{number}"), "year": 1950 + number % 50})
}

async fn succeed(client: &Client, reply: Reply) -> Value {
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
    task
}

/// Three nodes with two copies behind relays, with documents and a first version of their settings.
async fn films(overrides: Value) -> Cluster {
    let cluster = Cluster::start_relayed(Topology::one_group(3, 2), overrides).await.unwrap();
    let client = cluster.client();
    let films: Vec<Value> = (0..60).map(film).collect();
    succeed(client, client.post("/indexes/films/documents", &json!(films)).await.unwrap()).await;
    succeed(client, change(client, "first").await).await;
    cluster
}

/// Sends a change of the stop words.
async fn change(client: &Client, word: &str) -> Reply {
    let reply = client.patch(SETTINGS, &json!({"stopWords": [word]})).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    reply
}

async fn broadcasts(client: &Client) -> Value {
    client.get("/_miroir/indexes/films/settings/broadcast").await.unwrap().success().unwrap()
}

async fn wait_for(cluster: &Cluster, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = broadcasts(cluster.client()).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "still {seen}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn all_at(version: u64) -> Value {
    json!({"node-0": version, "node-1": version, "node-2": version})
}

async fn metric(cluster: &Cluster, name: &str) -> Option<u64> {
    let page = cluster.metrics().get("/metrics").await.unwrap().text;
    page.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end_matches(".0").parse().ok())
}

/// All nodes have this stop word and version, and no task of theirs changed settings after the one that did so.
async fn assert_everywhere(cluster: &Cluster, word: &str, version: u64) {
    wait_for(cluster, |seen| seen["node_versions"] == all_at(version)).await;
    for node in cluster.nodes() {
        let words = node.client().get(&format!("{SETTINGS}/stop-words")).await.unwrap();
        assert_eq!(words.body, json!([word]));
    }
}

async fn search(client: &Client) -> Reply {
    let reply = client.post("/indexes/films/search", &json!({"q": "number7"})).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["hits"][0]["id"], 7, "{}", reply.text);
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_a_change_gets_no_version_before_it_was_rebuilt_and_verified() {
    let cluster = films(json!({})).await;
    let client = cluster.client();
    let refusal = json!({"message": "no", "code": "invalid_settings_stop_words", "type": "invalid_request", "link": ""});
    let once = Rule { times: 1, ..Rule::always(Method::PATCH, SETTINGS, Meddling::Answer(400, refusal)) };
    cluster.relay(1).set(once);
    succeed(client, change(client, "second").await).await;
    let seen = broadcasts(client).await;
    assert_eq!(seen["version"], 2, "{seen}");
    assert_eq!(seen["node_versions"]["node-0"], 2, "{seen}");
    search(client).await;
    assert_everywhere(&cluster, "second", 2).await;
    search(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reads_back_otherwise_is_sent_its_settings_again() {
    let cluster = films(json!({})).await;
    let client = cluster.client();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"]}));
    cluster.relay(1).set(Rule { times: 2, ..Rule::always(Method::GET, SETTINGS, lie) });
    succeed(client, change(client, "second").await).await;
    let seen = broadcasts(client).await;
    assert_eq!((&seen["version"], &seen["node_versions"]), (&json!(2), &all_at(2)));
    assert_eq!(metric(&cluster, "miroir_settings_hash_mismatch_total").await, Some(2));
    let tasks = cluster.nodes()[1].client().get("/tasks?types=settingsUpdate&limit=2").await.unwrap().body;
    for task in tasks["results"].as_array().unwrap() {
        assert_eq!(task["details"]["stopWords"], json!(["second"]), "each repair is a task: {tasks}");
    }
    assert_everywhere(&cluster, "second", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_can_not_be_brought_to_its_settings_takes_no_writes_until_the_operator_tries_again() {
    let mut cluster = films(json!({"settings_broadcast": {"max_repair_retries": 1}})).await;
    let client = cluster.client().clone();
    let lie = Meddling::Overlay(json!({"stopWords": ["astray"], "synonyms": {"a": ["b"]}}));
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, lie));
    let sent = change(&client, "second").await;
    let frozen = wait_for(&cluster, |seen| seen["current"]["phase"] == "frozen").await;
    assert_eq!(frozen["version"], 1);
    let differing = &frozen["current"]["nodes"]["node-1"];
    assert_eq!(differing["stage"], "differs", "{frozen}");
    assert_eq!(differing["keys"], json!(["stopWords", "synonyms"]), "{frozen}");
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
        assert_eq!(metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await, Some(1));
        search(&client).await;
    }
    let other = client.post("/indexes/books/documents", &json!([film(1)])).await.unwrap();
    succeed(&client, other).await;

    cluster.relay(1).clear();
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!(retry.status, 202, "{}", retry.text);
    succeed(&client, sent).await;
    assert_everywhere(&cluster, "second", 2).await;
    assert_eq!(metric(&cluster, "miroir_settings_divergence{index=\"films\"}").await.unwrap_or(0), 0);
    succeed(&client, client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap()).await;
}

/// A node and the request to it at which Miroir is killed.
const MOMENTS: [(&str, usize, Method, Meddling); 6] = [
    ("before the first wave", 0, Method::PATCH, Meddling::HoldRequest),
    ("when the first wave has it", 0, Method::PATCH, Meddling::HoldAnswer),
    ("while the first wave is read back", 0, Method::GET, Meddling::HoldRequest),
    ("between two waves", 1, Method::PATCH, Meddling::HoldRequest),
    ("when the last wave has it", 2, Method::PATCH, Meddling::HoldAnswer),
    ("while the last wave is read back", 2, Method::GET, Meddling::HoldAnswer),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_ends_once_and_everywhere_wherever_miroir_is_killed() {
    let mut cluster = films(json!({})).await;
    let client = cluster.client().clone();
    for ((moment, node, method, meddling), version) in MOMENTS.into_iter().zip(2..) {
        let word = format!("word{version}");
        cluster.relay(node).set(Rule::always(method, SETTINGS, meddling));
        let sent = change(&client, &word).await;
        cluster.relay(node).wait_for_match().await.unwrap_or_else(|error| panic!("{moment}: {error:#}"));
        let seen = broadcasts(&client).await;
        assert_eq!(seen["version"], version - 1, "{moment}: {seen}");
        assert_ne!(seen["current"], Value::Null, "{moment}: {seen}");
        cluster.kill_proxy().unwrap();
        cluster.relay(node).clear();
        cluster.restart_proxy().await.unwrap();
        let task = succeed(&client, sent).await;
        assert_eq!(task["details"], json!({"stopWords": [word]}), "{moment}");
        assert_everywhere(&cluster, &word, version).await;
        assert_eq!(broadcasts(&client).await["version"], version, "{moment}");
        for node in cluster.nodes() {
            let tasks = node.client().get("/tasks?types=settingsUpdate&limit=1000").await.unwrap().body;
            let results = tasks["results"].as_array().unwrap();
            let sent = results.iter().filter(|task| task["details"]["stopWords"] == json!([word])).count();
            assert_eq!(sent, 1, "{moment}: {tasks}");
        }
        search(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_written_during_a_change_arrive_behind_it() {
    let cluster = films(json!({})).await;
    let client = cluster.client();
    cluster.relay(0).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "second").await;
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
    let seen = broadcasts(client).await;
    assert_eq!((&seen["version"], &seen["current"]["task_uid"]), (&json!(1), &json!(uid)), "{seen}");
    assert!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await.is_some());
    search(client).await;
    cluster.relay(0).clear();
    succeed(client, sent).await;
    for write in writes {
        succeed(client, write).await;
    }
    let stats = client.get("/indexes/films/stats").await.unwrap().body;
    assert_eq!(stats["numberOfDocuments"], 80, "{stats}");
    assert_everywhere(&cluster, "second", 2).await;
    assert_eq!(metric(&cluster, "miroir_settings_broadcast_phase{index=\"films\"}").await, None);
}
