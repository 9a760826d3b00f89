//! The floor of settings (`X-Miroir-Min-Settings-Version`) with every kind of search, and while a change is on its way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{SETTINGS, all_at, change, changed, succeed, wait_for, wait_for_topology};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const VERSION: &str = "x-miroir-settings-version";
const FLOOR: &str = "x-miroir-min-settings-version";

/// Three nodes with two copies, and films that every kind of search finds.
async fn films() -> Cluster {
    let cluster = Cluster::start_relayed(Topology::one_group(3, 2), json!({})).await.unwrap();
    let client = cluster.client();
    let mut settings = json!({"filterableAttributes": ["genre"], "stopWords": ["first"]});
    if nodes_are_real() {
        settings["embedders"] = json!({"e": {"source": "userProvided", "dimensions": 2}});
    }
    let genre = |number| if number % 2 == 0 { "drama" } else { "comedy" };
    let film = |number: i32| {
        let vector = [f64::from(number), 1.0];
        let mut film = json!({"id": number, "title": format!("Film number{number}"), "genre": genre(number)});
        if nodes_are_real() {
            film["_vectors"] = json!({"e": vector});
        }
        film
    };
    let films: Vec<Value> = (0..60).map(film).collect();
    succeed(client, client.patch(SETTINGS, &settings).await.unwrap()).await.unwrap();
    succeed(client, client.post("/indexes/films/documents", &json!(films)).await.unwrap()).await.unwrap();
    cluster
}

/// What every kind of search answers, each with a name.
async fn searches(client: &Client, floor: &str) -> Vec<(&'static str, Reply)> {
    let query = json!({"indexUid": "films", "q": "film"});
    let mut searches = vec![
        ("search", "/indexes/films/search", json!({"q": "film"})),
        ("facet search", "/indexes/films/facet-search", json!({"facetName": "genre"})),
        ("multi-search", "/multi-search", json!({"queries": [query, query]})),
    ];
    // The development node knows neither.
    if nodes_are_real() {
        let federated = json!({"federation": {}, "queries": [query, query]});
        searches.push(("federated search", "/multi-search", federated));
        let similar = json!({"id": 7, "embedder": "e"});
        searches.push(("similar documents", "/indexes/films/similar", similar));
    }
    let mut replies = Vec::new();
    for (name, path, body) in searches {
        replies.push((name, client.post_with(path, &body, (FLOOR, floor)).await.unwrap()));
    }
    replies
}

async fn assert_answered(client: &Client, floor: &str, version: &str, when: &str) {
    for (name, reply) in searches(client, floor).await {
        assert_eq!(reply.status, 200, "{when}, {name} from {floor} on: {}", reply.text);
        assert_eq!(reply.headers[VERSION], version, "{when}, {name}");
        assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None, "{when}, {name}");
        assert_eq!(reply.headers.get("x-miroir-degraded"), None, "{when}, {name}");
    }
}

async fn assert_stale(client: &Client, floor: &str, when: &str) {
    for (name, reply) in searches(client, floor).await {
        let found = (reply.status, reply.error_code());
        let stale = (503, Some("miroir_settings_version_stale"));
        assert_eq!(found, stale, "{when}, {name} from {floor} on: {}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_holds_for_every_kind_of_search_and_in_every_wave_of_a_change() {
    let cluster = films().await;
    let client = cluster.client();
    assert_answered(client, "1", "1", "before").await;
    for (node, version) in (0..3).zip(2..) {
        let (old, new) = ((version - 1).to_string(), version.to_string());
        cluster.relay(node).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
        let sent = change(client, "films", &format!("word{version}")).await.unwrap();
        cluster.relay(node).wait_for_match().await.unwrap();
        let when = format!("while node {node} changes");
        assert_answered(client, "0", &old, &when).await;
        assert_answered(client, &old, &old, &when).await;
        assert_stale(client, &new, &when).await;
        cluster.relay(node).clear();
        succeed(client, sent).await.unwrap();
        assert_answered(client, &new, &new, "after it").await;
    }
    for floor in ["soon", "-1"] {
        for (name, reply) in searches(client, floor).await {
            assert_eq!(reply.status, 400, "{name}: {}", reply.text);
            assert!(reply.text.to_lowercase().contains(FLOOR), "{name}: {}", reply.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_commit_answers_no_kind_of_search_from_it_on() {
    let mut cluster = films().await;
    let client = cluster.client().clone();
    cluster.kill_node(2).unwrap();
    changed(&client, "films", "second").await.unwrap();
    cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    cluster.restart_node(2).await.unwrap();
    cluster.relay(2).wait_for_match().await.unwrap();
    assert_answered(&client, "2", "2", "while two nodes have it").await;
    cluster.kill_node(0).unwrap();
    let is_dead = |topology: &Value| topology["nodes"][0]["status"] == "unreachable";
    wait_for_topology(&cluster, is_dead).await.unwrap();
    assert_stale(&client, "2", "when one of the two is dead").await;
    for (name, reply) in searches(&client, "1").await {
        // The document that others are to be similar to may be on the nodes that are not read.
        let is_lost = name == "similar documents" && reply.error_code() == Some("miroir_shard_unavailable");
        assert!(reply.status == 200 || is_lost, "{name}: {}", reply.text);
    }
    cluster.relay(2).clear();
    cluster.restart_node(0).await.unwrap();
    wait_for(&cluster, "films", |seen| seen["node_versions"] == all_at(2)).await.unwrap();
    wait_for_topology(&cluster, |topology| topology["degraded_node_count"] == 0).await.unwrap();
    assert_answered(&client, "2", "2", "when all are back").await;
}
