//! Searches that ask for settings of a version at least (`X-Miroir-Min-Settings-Version`): which nodes answer them, and
//! when nobody does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{
    SETTINGS, add_films, all_at, changed, relayed_films, wait_for, wait_for_topology,
};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const VERSION: &str = "x-miroir-settings-version";
const FLOOR: &str = "x-miroir-min-settings-version";
const STALE: Option<&str> = Some("miroir_settings_version_stale");

/// Searches of every kind for all documents of these indexes, with this floor.
async fn search(client: &Client, indexes: &[&str], floor: &str) -> Vec<Reply> {
    let queries: Vec<Value> = indexes.iter().map(|index| json!({"indexUid": index, "limit": 0})).collect();
    let mut searches = vec![("/multi-search".to_owned(), json!({"queries": queries}))];
    // The development node has no federated search.
    if nodes_are_real() {
        let queries: Vec<Value> = indexes.iter().map(|index| json!({"indexUid": index})).collect();
        searches.push(("/multi-search".to_owned(), json!({"federation": {"limit": 0}, "queries": queries})));
    }
    searches.extend(indexes.iter().map(|index| (format!("/indexes/{index}/search"), json!({"limit": 0}))));
    let mut replies = Vec::new();
    for (path, body) in searches {
        replies.push(client.post_with(&path, &body, (FLOOR, floor)).await.unwrap());
    }
    replies
}

/// All answer from nodes that hold everything.
async fn assert_whole(client: &Client, indexes: &[&str], floor: &str) {
    for reply in search(client, indexes, floor).await {
        assert_eq!(reply.status, 200, "{floor}: {}", reply.text);
        let is_degraded = reply.headers.contains_key("x-miroir-degraded");
        assert!(!is_degraded, "{floor}: {:?} {}", reply.headers, reply.text);
        let total = reply.body["results"][0]["estimatedTotalHits"].as_u64();
        let total = total.or_else(|| reply.body["estimatedTotalHits"].as_u64()).unwrap();
        assert_eq!(total % 60, 0, "{floor}: {}", reply.text);
        assert_ne!(total, 0, "{floor}: {}", reply.text);
    }
}

async fn assert_stale(client: &Client, indexes: &[&str], floor: &str) {
    for reply in search(client, indexes, floor).await {
        assert_eq!((reply.status, reply.error_code()), (503, STALE), "{floor}: {}", reply.text);
    }
}

async fn wait_for_status(cluster: &Cluster, node: usize, status: &str) {
    wait_for_topology(cluster, |topology| topology["nodes"][node]["status"] == status).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_commit_is_left_out_and_where_no_other_is_left_the_search_is_stale() {
    let mut cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client().clone();
    cluster.kill_node(2).unwrap();
    changed(&client, "films", "second").await.unwrap();
    cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    cluster.restart_node(2).await.unwrap();
    cluster.relay(2).wait_for_match().await.unwrap();
    for floor in ["0", "1", "2"] {
        assert_whole(&client, &["films"], floor).await;
    }
    cluster.kill_node(0).unwrap();
    wait_for_status(&cluster, 0, "unreachable").await;
    // Some shards are on the dead node and on the one with the old settings only.
    assert_stale(&client, &["films"], "2").await;
    assert_stale(&client, &["films"], "3").await;
    for floor in ["0", "1"] {
        for reply in search(&client, &["films"], floor).await {
            assert_eq!(reply.status, 200, "{floor}: {}", reply.text);
            assert!(reply.headers.contains_key("x-miroir-degraded"), "{floor}: {:?}", reply.headers);
            assert_eq!(reply.headers.get(VERSION).unwrap(), "2");
        }
    }
    cluster.relay(2).clear();
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(2)).await.unwrap();
    wait_for_status(&cluster, 2, "healthy").await;
    assert_whole(&client, &["films"], "2").await;
    assert_stale(&client, &["films"], "3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_of_another_index_asks_for_the_last_commit_before_it() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    for index in ["books", "bare"] {
        add_films(client, index).await.unwrap();
    }
    changed(client, "books", "second").await.unwrap();
    changed(client, "films", "third").await.unwrap();
    changed(client, "books", "fourth").await.unwrap();
    // Films have versions 1 and 3, books 2 and 4, and the third index none.
    for floor in ["0", "1", "2", "3", "4"] {
        assert_whole(client, &["films"], floor).await;
        assert_whole(client, &["books"], floor).await;
        assert_whole(client, &["bare"], floor).await;
        assert_whole(client, &["films", "books", "bare"], floor).await;
    }
    for reply in search(client, &["bare"], "4").await {
        assert_eq!(reply.headers.get(VERSION), None);
    }
    for reply in search(client, &["films", "bare"], "4").await.into_iter().take(1) {
        assert_eq!(reply.headers.get(VERSION).unwrap(), "3");
    }
    for floor in ["5", "18446744073709551615"] {
        assert_stale(client, &["films"], floor).await;
        assert_stale(client, &["bare"], floor).await;
        assert_stale(client, &["films", "books", "bare"], floor).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_that_is_no_number_is_refused_by_its_name() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    for floor in ["", "soon", "-1", "+1", "1.5", "1e3", "0x1", "1 2", "18446744073709551616"] {
        for reply in search(client, &["films"], floor).await {
            assert_eq!(reply.status, 400, "`{floor}`: {}", reply.text);
            assert_eq!(reply.body["type"], "invalid_request", "`{floor}`: {}", reply.text);
            let message = reply.body["message"].as_str().unwrap().to_lowercase();
            assert!(message.contains(FLOOR), "`{floor}`: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_made_anew_right_after_its_deletion_has_no_version() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    for _ in 0..3 {
        client.delete("/indexes/films").await.unwrap();
        let made = client.post("/indexes", &json!({"uid": "films", "primaryKey": "id"})).await.unwrap();
        assert_eq!(client.wait_reply(made).await.unwrap()["status"], "succeeded");
        let reply = client.post_with("/indexes/films/search", &json!({}), (FLOOR, "1")).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.headers.get(VERSION), None);
        changed(client, "films", "again").await.unwrap();
    }
}
