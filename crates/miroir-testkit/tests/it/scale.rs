//! What is asked of nodes does not grow with the indexes, and a node that lost many is soon back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeMap;

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Topology};
use miroir_testkit::scale::{ScaleOptions, scale};
use serde_json::{Value, json};

const INDEXES: usize = 30;

async fn succeed(client: &Client, path: &str, body: &Value) {
    let reply = client.post(path, body).await.unwrap();
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

/// How many requests for statistics each node has had.
async fn asked_for_stats(cluster: &Cluster) -> BTreeMap<String, u64> {
    let text = cluster.metrics().get("/metrics").await.unwrap().text;
    let lines = text.lines().filter(|line| {
        line.starts_with("miroir_node_request_duration_seconds_count") && line.contains("operation=\"stats\"")
    });
    let split = lines.map(|line| line.rsplit_once(' ').unwrap());
    split.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_all_indexes_are_those_of_each_and_take_one_request_to_each_node() {
    let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client();
    for number in 0..INDEXES {
        let documents: Value = (0..number).map(|id| json!({ "id": id, "odd": id % 2 == 1 })).collect();
        succeed(client, &format!("/indexes/index{number}/documents?primaryKey=id"), &documents).await;
    }
    let before = asked_for_stats(&cluster).await;
    let all = client.get("/stats").await.unwrap().success().unwrap();
    let after = asked_for_stats(&cluster).await;
    assert_eq!(after.len(), 3, "{after:?}");
    for (node, count) in &after {
        assert_eq!(count - before.get(node).unwrap_or(&0), 1, "{node}");
    }
    assert_eq!(all["indexes"].as_object().unwrap().len(), INDEXES);
    for number in 0..INDEXES {
        let one = client.get(&format!("/indexes/index{number}/stats")).await.unwrap().success().unwrap();
        assert_eq!(one["numberOfDocuments"], number);
        assert_eq!(all["indexes"][format!("index{number}")], one);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_places_of_shards_come_in_pages() {
    let cluster = Cluster::start(Topology::one_group(2, 2)).await.unwrap();
    let client = cluster.client();
    for number in 0..5 {
        succeed(client, "/indexes", &json!({ "uid": format!("index{number}") })).await;
    }
    let page = client.get("/_miroir/shards?offset=3&limit=10").await.unwrap().success().unwrap();
    let uids: Vec<&Value> = page["indexes"].as_array().unwrap().iter().map(|it| &it["uid"]).collect();
    assert_eq!(uids, ["index3", "index4"]);
    assert_eq!((&page["offset"], &page["limit"], &page["total"]), (&json!(3), &json!(10), &json!(5)));
    for wrong in ["limit=1001", "limit=-1", "offset=a", "page=2"] {
        let reply = client.get(&format!("/_miroir/shards?{wrong}")).await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (400, &json!("bad_request")),
            "{wrong}: {}",
            reply.text
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_node_gets_its_many_indexes_back() {
    let topology = Topology::one_group(3, 2);
    let report = scale(ScaleOptions { seed: 1, documents: 3_000, indexes: 60, clients: 4, topology }).await;
    let report = report.unwrap();
    // How long it takes depends on what else the machine does; this is what it took when it went index by index.
    assert!(report.rebuild() < 20.0, "{report}");
}
