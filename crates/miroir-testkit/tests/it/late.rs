//! Nodes that answer and are behind: what they are asked for, who waits for them, and what is said of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology};
use reqwest::Method;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
/// How much longer than its peers a node may take.
const MAX_LAG: Duration = Duration::from_secs(8);
const DEGRADED: &str = "x-miroir-degraded";
const FLOOR: &str = "x-miroir-min-settings-version";

fn films(ids: std::ops::Range<usize>) -> Value {
    ids.map(|id| json!({"id": id, "title": format!("film {id}"), "year": 1900 + id % 100})).collect()
}

/// Three nodes with two copies, and two indexes with sixty films each.
async fn cluster(policy: &str) -> Cluster {
    let overrides = json!({
        "health": {"max_lag_ms": MAX_LAG.as_millis()},
        "scatter": {"unavailable_shard_policy": policy},
    });
    let cluster = Cluster::start_relayed(Topology::one_group(3, 2), overrides).await.unwrap();
    for index in ["busy", "quiet"] {
        let settings = json!({"filterableAttributes": ["year"], "sortableAttributes": ["year"]});
        let reply = cluster.client().patch(&format!("/indexes/{index}/settings"), &settings).await.unwrap();
        assert_eq!(cluster.client().wait_reply(reply).await.unwrap()["status"], "succeeded");
        add(cluster.client(), index, 0..60).await;
    }
    cluster
}

/// Adds films and waits for the end of the task; how long that took.
async fn add(client: &Client, index: &str, ids: std::ops::Range<usize>) -> Duration {
    let began = Instant::now();
    let reply = client.post(&format!("/indexes/{index}/documents"), &films(ids)).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    began.elapsed()
}

/// From now on the node answers, and ends nothing that anybody sees.
fn hang(cluster: &Cluster, node: usize) {
    cluster.relay(node).set(Rule::always(Method::GET, "/tasks", Meddling::NothingEnds));
}

async fn topology(cluster: &Cluster) -> Value {
    cluster.client().get("/_miroir/topology").await.unwrap().success().unwrap()
}

async fn wait_for_topology(cluster: &Cluster, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let topology = topology(cluster).await;
        if wanted(&topology) {
            return topology;
        }
        assert!(Instant::now() < deadline, "{what}: {topology}\n{}", cluster.proxy_log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn lacks(reply: &Reply) -> &str {
    reply.headers.get(DEGRADED).map_or("", |lacks| lacks.to_str().unwrap())
}

/// Everything by which an index is read.
async fn reads(client: &Client, index: &str) -> Vec<Reply> {
    let of = |route: &str| format!("/indexes/{index}/{route}");
    let query = json!({"queries": [{"indexUid": index, "q": "film", "limit": 200}]});
    let mut replies = vec![
        client.post(&of("search"), &json!({"q": "film", "limit": 200, "facets": ["year"]})).await.unwrap(),
        client.post(&of("search"), &json!({"sort": ["year:asc"], "hitsPerPage": 200})).await.unwrap(),
        client.post(&of("documents/fetch"), &json!({"limit": 200})).await.unwrap(),
        client.post(&of("documents/fetch"), &json!({"limit": 200, "filter": "year > 0"})).await.unwrap(),
        client.get(&of("documents?limit=30&sort=year:asc")).await.unwrap(),
        client.post("/multi-search", &query).await.unwrap(),
    ];
    if miroir_testkit::sandbox::nodes_are_real() {
        let body = json!({"facetName": "year"});
        replies.push(client.post(&of("facet-search"), &body).await.unwrap());
        let federated = json!({"federation": {}, "queries": [{"indexUid": index, "q": "film"}]});
        replies.push(client.post("/multi-search", &federated).await.unwrap());
    }
    replies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_holds_up_one_write_and_the_task_says_whom_it_waits_for() {
    let cluster = cluster("stale").await;
    let client = cluster.client();
    let before = add(client, "busy", 0..60).await;
    hang(&cluster, 0);
    let reply = client.post("/indexes/busy/documents", &films(0..60)).await.unwrap().success().unwrap();
    let uid = reply["taskUid"].as_u64().unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let said = client.get(&format!("/_miroir/tasks/{uid}")).await.unwrap().success().unwrap();
        let of = |node: &str| said["nodes"].as_array().unwrap().iter().find(|it| it["node"] == node).cloned();
        if let (Some(late), Some(done)) = (of("node-0"), of("node-1"))
            && late["reason"] == "in_sync"
            && done["state"] == "done"
        {
            assert_eq!((&late["state"], &late["waited_for"]), (&json!("open"), &json!(true)), "{said}");
            assert!(late["waited_for_until"].is_string() && late["since"].is_string(), "{said}");
            assert_eq!(late["node_tasks"].as_array().unwrap().len(), 1, "{said}");
            assert_eq!((&done["waited_for"], &done["reason"]), (&json!(false), &json!("over")), "{said}");
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.wait_task(uid).await.unwrap()["status"], "succeeded");
    for index in ["busy", "quiet", "busy", "other"] {
        let took = add(client, index, 0..60).await;
        assert!(took < MAX_LAG, "{took:?} for a write to {index}, and {before:?} before");
    }
    let said = client.get(&format!("/_miroir/tasks/{uid}")).await.unwrap().success().unwrap();
    let late = &said["nodes"][0];
    assert_eq!((&late["node"], &late["reason"]), (&json!("node-0"), &json!("task_ended")), "{said}");
    let stuck = wait_for_topology(&cluster, "the node is said to be stuck", |topology| {
        topology["nodes"][0]["error"].is_string()
    });
    let stuck = stuck.await["nodes"][0].clone();
    let error = stuck["error"].as_str().unwrap();
    assert!(error.contains("nothing has ended there for") && error.contains("`processing`"), "{stuck}");
    assert!(stuck["quiet_seconds"].as_f64().unwrap() > 9.0, "{stuck}");
    cluster.relay(0).clear();
    let back = wait_for_topology(&cluster, "it catches up", |it| it["degraded_node_count"] == 0).await;
    assert_eq!((&back["nodes"][0]["error"], &back["nodes"][0]["quiet_seconds"]), (&Value::Null, &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_behind_is_asked_where_no_other_is_left_and_other_indexes_are_not_concerned() {
    let mut cluster = cluster("stale").await;
    let client = cluster.client().clone();
    hang(&cluster, 0);
    add(&client, "busy", 60..120).await;
    let late = topology(&cluster).await;
    assert_eq!(late["nodes"][0]["status"], "catching_up", "{late}");
    assert_eq!(late["nodes"][0]["late_indexes"], json!(["busy"]), "{late}");
    for index in ["busy", "quiet"] {
        for reply in reads(&client, index).await {
            assert_eq!((reply.status, lacks(&reply)), (200, ""), "{index}: {}", reply.text);
        }
    }
    cluster.kill_node(1).unwrap();
    let cut = topology(&cluster).await;
    assert_eq!(cut["degraded_node_count"], 2, "a look finds at once that it is gone: {cut}");
    assert_eq!((&cut["missing_shard_count"], &cut["fully_covered"]), (&json!(0), &json!(true)), "{cut}");
    let stale = cut["stale_shard_count"].as_u64().unwrap();
    assert!(stale > 0, "{cut}");
    for reply in reads(&client, "quiet").await {
        assert_eq!((reply.status, lacks(&reply)), (200, ""), "{}", reply.text);
    }
    for reply in reads(&client, "busy").await {
        let lacks = lacks(&reply);
        assert!(reply.status == 200 && lacks.starts_with("stale="), "{lacks}: {}", reply.text);
        assert!(!lacks.contains("shards="), "{lacks}: {}", reply.text);
    }
    let shards = client.get("/_miroir/shards").await.unwrap().success().unwrap();
    let shards = shards["indexes"].as_array().unwrap();
    let states = |uid: &str| {
        let index = shards.iter().find(|index| index["uid"] == uid).unwrap();
        let shards = index["shards"].as_array().unwrap();
        shards.iter().filter(|shard| shard["state"] == "stale").count() as u64
    };
    assert_eq!((states("busy"), states("quiet")), (stale, 0));
    let ready = client.get("/_miroir/ready").await.unwrap();
    assert_eq!((ready.status, &ready.body["stale_shard_count"]), (200, &json!(stale)), "{}", ready.text);
    let metrics = cluster.metrics().get("/metrics").await.unwrap().text;
    for line in [format!("miroir_stale_shards {stale}"), "miroir_missing_shards 0".to_owned()] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in {metrics}");
    }
    assert!(!metrics.contains("miroir_scatter_stale_responses_total 0"), "{metrics}");
    // A stale copy has the settings that a client may insist on.
    let body = json!({"q": "film"});
    let search = client.post("/indexes/busy/search", &body).await.unwrap();
    let version = search.headers.get("x-miroir-settings-version").unwrap().to_str().unwrap().to_owned();
    let floored = client.post_with("/indexes/busy/search", &body, (FLOOR, &version)).await.unwrap();
    assert!(floored.status == 200 && lacks(&floored).starts_with("stale="), "{}", floored.text);
    cluster.relay(0).clear();
    wait_for_topology(&cluster, "it catches up", |it| it["nodes"][0]["status"] == "healthy").await;
    for reply in reads(&client, "busy").await {
        assert_eq!((reply.status, lacks(&reply)), (200, ""), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_behind_is_not_asked_unless_the_operator_wants_it() {
    let mut cluster = cluster("partial").await;
    let client = cluster.client().clone();
    hang(&cluster, 0);
    add(&client, "busy", 60..120).await;
    cluster.kill_node(1).unwrap();
    let cut = topology(&cluster).await;
    assert!(cut["missing_shard_count"].as_u64().unwrap() > 0, "{cut}");
    assert_eq!((&cut["stale_shard_count"], &cut["fully_covered"]), (&json!(0), &json!(false)), "{cut}");
    let search = client.post("/indexes/busy/search", &json!({"q": "film"})).await.unwrap();
    assert!(search.status == 200 && lacks(&search).starts_with("shards="), "{}", lacks(&search));
    let quiet = client.post("/indexes/quiet/search", &json!({"q": "film"})).await.unwrap();
    assert_eq!((quiet.status, lacks(&quiet)), (200, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_all_away_cover_nothing_though_there_is_no_index_and_the_log_names_them() {
    let mut cluster = Cluster::start(Topology::one_group(2, 2)).await.unwrap();
    for node in 0..2 {
        cluster.kill_node(node).unwrap();
    }
    let away = topology(&cluster).await;
    assert_eq!((&away["degraded_node_count"], &away["fully_covered"]), (&json!(2), &json!(false)), "{away}");
    let ready = cluster.client().get("/_miroir/ready").await.unwrap();
    assert_eq!((ready.status, &ready.body["readable_node_count"]), (503, &json!(0)), "{}", ready.text);
    assert_eq!(ready.body["reason"], "no node can be read", "{}", ready.text);
    let metrics = cluster.metrics().get("/metrics").await.unwrap().text;
    assert!(metrics.lines().any(|line| line == "miroir_shard_coverage 0.0"), "{metrics}");
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    let log = cluster.proxy_log();
    for node in ["node-0", "node-1"] {
        let is_named = |line: &str| line.contains("can't be used at the start") && line.contains(node);
        assert!(log.lines().any(is_named), "{log}");
    }
}
