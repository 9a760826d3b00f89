//! What Miroir tells those who run it: topology, readiness, metrics, request ids.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{film, relayed_films, succeed};
use miroir_testkit::sandbox::{Cluster, MASTER_KEY, Meddling, Rule, Topology};
use reqwest::Method;
use serde_json::{Value, json};

const ADMIN_KEY: &str = "admin-key-of-the-sandbox";
const DEADLINE: Duration = Duration::from_secs(30);

async fn cluster(replication_factor: u32) -> Cluster {
    let overrides = json!({"admin": {"api_key": ADMIN_KEY}});
    let cluster = Cluster::start_with(Topology::one_group(2, replication_factor), overrides).await.unwrap();
    let client = cluster.client();
    let films: Vec<Value> = (0..40).map(|id| json!({"id": id, "title": format!("film {id}")})).collect();
    let reply = client.post("/indexes/films/documents", &json!(films)).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    cluster
}

/// Asks until the answer is as wanted.
async fn wait_for(client: &Client, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let reply = client.get(path).await.unwrap();
        if wanted(&reply) {
            return reply;
        }
        assert!(Instant::now() < deadline, "{path} still answers {}", reply.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_topology_shows_a_dead_node_and_readiness_the_shards_that_are_lost_with_it() {
    let mut cluster = cluster(1).await;
    let admin = cluster.client().with_key(ADMIN_KEY);
    let whole = |reply: &Reply| reply.body["degraded_node_count"] == 0;
    let before = wait_for(&admin, "/_miroir/topology", whole).await.body;
    assert_eq!((&before["fully_covered"], &before["rebalance_in_progress"]), (&json!(true), &json!(false)));
    assert_eq!((&before["shards"], &before["replication_factor"]), (&json!(16), &json!(1)));
    assert_eq!(before["groups"], json!([{"id": 0, "nodes": ["node-0", "node-1"]}]));
    for (node, number) in before["nodes"].as_array().unwrap().iter().zip(0..) {
        assert_eq!(node["id"], format!("node-{number}"));
        assert_eq!(node["address"], json!(cluster.nodes()[number].target().url));
        assert_eq!((&node["status"], &node["shard_count"]), (&json!("healthy"), &json!(8)), "{node}");
        assert_eq!((&node["lag"], &node["error"]), (&json!(0), &Value::Null), "{node}");
        assert!(node["last_seen_ms"].is_u64(), "{node}");
    }
    assert_eq!(admin.with_key("").get("/_miroir/ready").await.unwrap().status, 200);

    cluster.kill_node(1).unwrap();
    let lost = |reply: &Reply| reply.body["nodes"][1]["status"] == "unreachable";
    let after = wait_for(&admin, "/_miroir/topology", lost).await.body;
    assert_eq!((&after["degraded_node_count"], &after["fully_covered"]), (&json!(1), &json!(false)));
    assert!(after["nodes"][1]["error"].as_str().unwrap().contains("node-1"), "{after}");
    let ready = admin.with_key("").get("/_miroir/ready").await.unwrap();
    assert_eq!((ready.status, &ready.body["missing_shard_count"]), (503, &json!(8)), "{}", ready.text);

    cluster.restart_node(1).await.unwrap();
    wait_for(&admin.with_key(""), "/_miroir/ready", |reply| reply.status == 200).await;
}

#[tokio::test]
async fn every_shard_is_listed_with_its_nodes() {
    let cluster = cluster(2).await;
    let admin = cluster.client().with_key(ADMIN_KEY);
    let shards = admin.get("/_miroir/shards").await.unwrap().success().unwrap();
    let index = &shards["indexes"][0];
    assert_eq!((&index["uid"], &index["shard_count"]), (&json!("films"), &json!(16)));
    let rows = index["shards"].as_array().unwrap();
    assert_eq!(rows.len(), 16);
    for row in rows {
        assert_eq!(row["readable"], true, "{row}");
        assert_eq!(row["groups"][0]["nodes"].as_array().unwrap().len(), 2, "{row}");
    }
}

#[tokio::test]
async fn administration_takes_its_own_key_only_in_either_header() {
    let cluster = cluster(1).await;
    let client = cluster.client();
    for path in ["/_miroir/topology", "/_miroir/shards", "/_miroir/metrics"] {
        assert_eq!(client.with_key("").get(path).await.unwrap().status, 401, "{path}");
        assert_eq!(client.with_key(MASTER_KEY).get(path).await.unwrap().status, 403, "{path}");
        assert_eq!(client.with_key(ADMIN_KEY).get(path).await.unwrap().status, 200, "{path}");
    }
    let url = format!("{}/_miroir/topology", cluster.target().url);
    let request = reqwest::Client::new().get(url).header("X-Admin-Key", ADMIN_KEY);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    // Without a key of its own, administration takes the master key.
    let plain = Cluster::start(Topology::SINGLE).await.unwrap();
    assert_eq!(plain.client().get("/_miroir/topology").await.unwrap().status, 200);
}

#[tokio::test]
async fn all_metrics_are_served_on_their_own_address_and_follow_what_happens() {
    let mut cluster = cluster(1).await;
    let client = cluster.client().clone();
    client.get("/no/such/path").await.unwrap();
    cluster.kill_node(1).unwrap();
    let partial = |reply: &Reply| reply.headers.contains_key("x-miroir-degraded");
    wait_for(&client, "/indexes/films/search?q=film", partial).await;
    let seen = |reply: &Reply| reply.text.contains("miroir_node_healthy{node_id=\"node-1\"} 0");
    let text = wait_for(cluster.metrics(), "/metrics", seen).await.text;
    for line in [
        "miroir_request_duration_seconds_count{method=\"GET\",path_template=\"/indexes/{index}/search\",status=\"200\"}",
        "miroir_requests_total{method=\"GET\",path_template=\"unmatched\",status=\"404\"} 1",
        "miroir_requests_in_flight 0",
        "miroir_node_healthy{node_id=\"node-0\"} 1",
        "miroir_node_request_duration_seconds_count{node_id=\"node-0\",operation=\"search\"}",
        "miroir_node_errors_total{node_id=\"node-1\",error_type=\"unreachable\"}",
        "miroir_shard_coverage 0.5",
        "miroir_degraded_shards_total 8",
        "miroir_shard_distribution{node_id=\"node-1\"} 8",
        "miroir_task_processing_age_seconds 0",
        "miroir_tasks_total{status=\"succeeded\"} 1",
        "miroir_task_registry_size 1",
        "miroir_scatter_fan_out_size_count",
        "miroir_scatter_partial_responses_total",
        "miroir_scatter_retries_total",
        "miroir_lane_lag_entries{node_id=\"node-0\"} 0",
        "miroir_lane_lag_seconds{node_id=\"node-0\"} 0",
        "miroir_log_bytes 0",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    // `/metrics` of the API is Meilisearch's own route, which its feature has to open.
    let closed = cluster.client().get("/metrics").await.unwrap();
    assert_eq!((closed.status, closed.error_code()), (400, Some("feature_not_enabled")));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_clients_own_is_kept() {
    let cluster = Cluster::start(Topology::SINGLE).await.unwrap();
    let ask = async |path: &str, id: Option<&str>| {
        let mut request = reqwest::Client::new().get(format!("{}{path}", cluster.target().url));
        if let Some(id) = id {
            request = request.header("X-Request-Id", id);
        }
        let response = request.send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(ask("/health", Some("order-7")).await, "order-7");
    assert_ne!(ask("/health", Some("not plain")).await, "not plain");
    let made = [ask("/indexes", None).await, ask("/no/such/path", None).await];
    assert!(made[0] != made[1] && made.iter().all(|id| id.len() == 36), "{made:?}");
}

#[tokio::test]
async fn a_node_that_has_no_room_for_writes_is_not_waited_for_and_says_why() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    let full = json!({"message": "No space left on device (os error 28).", "code": "internal", "type": "internal", "link": ""});
    cluster.relay(1).set(Rule::always(Method::POST, "/indexes/films/documents", Meddling::Answer(500, full)));
    let reply =
        client.post("/indexes/films/documents", &json!([{"id": 1000}, {"id": 1001}, {"id": 1002}])).await;
    assert_eq!(client.wait_reply(reply.unwrap()).await.unwrap()["status"], "succeeded");
    let topology = client.get("/_miroir/topology").await.unwrap().body;
    let node = &topology["nodes"][1];
    assert_eq!(
        (&node["status"], &topology["fully_covered"]),
        (&json!("catching_up"), &json!(true)),
        "{topology}"
    );
    let error = node["error"].as_str().unwrap();
    assert!(error.starts_with("it takes no writes: ") && error.contains("No space left on device"), "{node}");

    cluster.relay(1).clear();
    let whole = |reply: &Reply| reply.body["degraded_node_count"] == 0;
    let after = wait_for(client, "/_miroir/topology", whole).await.body;
    assert_eq!(after["nodes"][1]["error"], Value::Null, "{after}");
    let stats = client.get("/indexes/films/stats").await.unwrap().body;
    assert_eq!(stats["numberOfDocuments"], 63);
}

#[tokio::test]
async fn a_node_that_refuses_the_key_is_not_read_and_says_why() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    let refusal = json!({"message": "The provided API key is invalid.", "code": "invalid_api_key",
        "type": "auth", "link": "https://docs.meilisearch.com/errors#invalid_api_key"});
    cluster.relay(1).set(Rule::always(Method::GET, "/version", Meddling::Answer(403, refusal)));
    let out = |reply: &Reply| reply.body["nodes"][1]["status"] == "unreachable";
    let topology = wait_for(client, "/_miroir/topology", out).await.body;
    let error = topology["nodes"][1]["error"].as_str().unwrap();
    assert!(error.contains("refuses Miroir's key") && error.contains("node_master_key"), "{error}");
    assert_eq!(topology["fully_covered"], true, "{topology}");

    cluster.relay(1).clear();
    wait_for(client, "/_miroir/topology", |reply| reply.body["degraded_node_count"] == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_tasks_were_deleted_before_their_end_was_seen_is_compared_with_its_peers() {
    let cluster = relayed_films(json!({})).await.unwrap();
    let client = cluster.client();
    cluster.relay(1).set(Rule::always(Method::GET, "/tasks", Meddling::HoldRequest));
    let reply =
        client.post("/indexes/films/documents", &json!([film(1000), film(1001), film(1002)])).await.unwrap();
    let node = cluster.nodes()[1].client();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let tasks = node.get("/tasks?limit=1").await.unwrap().body;
        if tasks["results"][0]["type"] == "documentAdditionOrUpdate"
            && tasks["results"][0]["status"] == "succeeded"
        {
            break;
        }
        assert!(Instant::now() < deadline, "{tasks}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let deletion = node.send(Method::DELETE, "/tasks?statuses=succeeded", None).await.unwrap();
    node.wait_reply(deletion).await.unwrap();
    cluster.relay(1).clear();
    succeed(client, reply).await.unwrap();
    wait_for(client, "/_miroir/topology", |reply| reply.body["degraded_node_count"] == 0).await;
    let stats = client.get("/indexes/films/stats").await.unwrap().body;
    assert_eq!(stats["numberOfDocuments"], 63);
}
