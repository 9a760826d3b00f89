//! Changes of settings over nodes that answer health checks and hang otherwise: none waits for ever.

use std::time::{Duration, Instant};

use miroir_testkit::films::{
    SETTINGS, broadcasts, change, changed, everywhere, film, metric, relayed_films, succeed, wait_for,
};
use miroir_testkit::sandbox::{Meddling, Rule};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_says_its_settings_freezes_the_index_and_searches_do_not_wait_for_it() {
    let overrides = json!({"settings_broadcast": {"verify_timeout_s": 1, "max_repair_retries": 1}});
    let cluster = relayed_films(overrides).await.unwrap();
    let client = cluster.client();
    cluster.relay(1).set(Rule::always(Method::GET, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    cluster.relay(1).wait_for_match().await.unwrap();
    let began = Instant::now();
    let reply = client.post("/indexes/films/search", &json!({"q": "number7"})).await.unwrap();
    assert_eq!((reply.status, &reply.body["hits"][0]["id"]), (200, &json!(7)), "{}", reply.text);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let frozen = wait_for(&cluster, "films", |seen| seen["current"]["phase"] == "frozen").await.unwrap();
    let differing = &frozen["current"]["nodes"]["node-1"];
    assert_eq!((&differing["stage"], &differing["keys"]), (&json!("differs"), &json!([])), "{frozen}");
    let write = client.post("/indexes/films/documents", &json!([film(1000)])).await.unwrap();
    assert_eq!((write.status, write.error_code()), (503, Some("miroir_index_frozen")), "{}", write.text);
    assert!(write.text.contains("`node-1` does not say its settings"), "{}", write.text);
    cluster.relay(1).clear();
    let retry = client.post("/_miroir/indexes/films/settings/broadcast/retry", &json!({})).await.unwrap();
    assert_eq!(retry.status, 202, "{}", retry.text);
    succeed(client, sent).await.unwrap();
    everywhere(&cluster, "second", 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_takes_the_change_is_left_behind_though_it_is_the_only_one_of_the_first_wave() {
    let cluster = relayed_films(json!({"health": {"max_lag_ms": 1500}})).await.unwrap();
    let client = cluster.client();
    cluster.relay(0).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    let sent = change(client, "films", "second").await.unwrap();
    cluster.relay(0).wait_for_match().await.unwrap();
    succeed(client, sent).await.unwrap();
    let seen = broadcasts(client, "films").await.unwrap();
    let expected = json!({"node-0": 1, "node-1": 2, "node-2": 2});
    assert_eq!((&seen["version"], &seen["node_versions"]), (&json!(2), &expected), "{seen}");
    let reply = client.post("/indexes/films/search", &json!({"q": "number7"})).await.unwrap();
    assert_eq!((reply.status, &reply.body["hits"][0]["id"]), (200, &json!(7)), "{}", reply.text);
    assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None);
    cluster.relay(0).clear();
    everywhere(&cluster, "second", 2).await.unwrap();
}

/// The last step to a version is two steps in the store: the version, and the end of its task. Between them Miroir is made
/// to wait, and killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_seen_is_never_taken_back() {
    let data = tempfile::tempdir().unwrap();
    let store = data.path().join("miroir.db");
    let mut cluster = relayed_films(json!({"task_store": {"path": store}})).await.unwrap();
    let client = cluster.client().clone();
    let in_store = |sql: &str| Connection::open(&store).unwrap().execute_batch(sql).unwrap();
    cluster.kill_proxy().unwrap();
    in_store(
        "CREATE TRIGGER no_end BEFORE UPDATE OF status ON tasks WHEN NEW.status = 'succeeded'
         BEGIN SELECT RAISE(ABORT, 'not now'); END",
    );
    cluster.restart_proxy().await.unwrap();
    let sent = change(&client, "films", "second").await.unwrap();
    wait_for(&cluster, "films", |seen| seen["version"] == 2).await.unwrap();
    let task = client.get(&format!("/tasks/{}", sent.body["taskUid"])).await.unwrap().body;
    assert!(matches!(task["status"].as_str(), Some("enqueued" | "processing")), "{task}");
    cluster.kill_proxy().unwrap();
    in_store("DROP TRIGGER no_end");
    cluster.restart_proxy().await.unwrap();
    let reply = client
        .post_with("/indexes/films/search", &json!({"q": "number7"}), ("X-Miroir-Min-Settings-Version", "2"))
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.headers["x-miroir-settings-version"], "2");
    succeed(&client, sent).await.unwrap();
    everywhere(&cluster, "second", 2).await.unwrap();
    let seen = broadcasts(&client, "films").await.unwrap();
    assert_eq!((&seen["version"], &seen["current"]), (&json!(2), &Value::Null), "{seen}");
    assert_eq!(seen["history"].as_array().unwrap().len(), 2, "{seen}");
    changed(&client, "films", "third").await.unwrap();
    everywhere(&cluster, "third", 3).await.unwrap();
    assert_eq!(metric(&cluster, "miroir_settings_version{index=\"films\"}").await.unwrap(), Some(3));
}
