//! One of three nodes is away in the middle of an import: the client sees no error, and nothing is missing afterwards.
//!
//! `MIROIR_TEST_LARGE=1` makes the first two tests ten times as large: 100,000 documents in batches of 1,000, with the node
//! away for a minute at least.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Topology};
use serde_json::{Value, json};

const INDEX: &str = "books";
const BATCH: usize = 1000;
/// How long the node is away at least in a large test.
const AWAY: Duration = Duration::from_mins(1);
const DEADLINE: Duration = Duration::from_mins(5);

fn is_large() -> bool {
    std::env::var_os("MIROIR_TEST_LARGE").is_some()
}

fn scale() -> usize {
    if is_large() { 10 } else { 1 }
}

fn book(number: usize) -> Value {
    json!({"id": number, "title": format!("Book number{number}"), "shelf": number % 50})
}

async fn add(client: &Client, books: &[Value]) -> u64 {
    let reply =
        client.post(&format!("/indexes/{INDEX}/documents?primaryKey=id"), &json!(books)).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    reply.body["taskUid"].as_u64().unwrap()
}

async fn assert_succeeds(client: &Client, uid: u64) {
    let task = client.wait_task(uid).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

/// The documents of the index on a node, or behind Miroir.
async fn count(client: &Client) -> u64 {
    let stats = client.get(&format!("/indexes/{INDEX}/stats")).await.unwrap();
    stats.body["numberOfDocuments"].as_u64().unwrap_or(0)
}

/// Waits until the nodes, asked one by one and shard by shard, hold every document as often as there are copies.
async fn wait_for_all_copies(cluster: &Cluster, documents: u64) {
    let copies = documents * u64::from(cluster.topology().replication_factor);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut sum = 0;
        for node in cluster.nodes() {
            sum += count(node.client()).await;
        }
        if sum == copies {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the nodes hold {sum} instead of {copies}\n{}",
            cluster.proxy_log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut sum = 0;
    for shard in 0..cluster.topology().shards {
        let filter = json!({"limit": 0, "filter": format!("_miroir_shard_{shard:03} EXISTS")});
        let mut totals = Vec::new();
        for node in cluster.nodes() {
            let page =
                node.client().post(&format!("/indexes/{INDEX}/documents/fetch"), &filter).await.unwrap();
            totals.push(page.body["total"].as_u64().unwrap());
        }
        let held: Vec<u64> = totals.iter().copied().filter(|total| *total > 0).collect();
        assert!(
            held.is_empty() || held.len() == cluster.topology().replication_factor as usize,
            "{totals:?}"
        );
        assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "shard {shard}: {totals:?}");
        sum += held.first().copied().unwrap_or(0);
    }
    assert_eq!(sum, documents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_with_a_node_away_in_its_middle_ends_with_all_documents_everywhere() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    let documents = 10_000 * scale();
    let books: Vec<Value> = (0..documents).map(book).collect();
    let batches: Vec<&[Value]> = books.chunks(BATCH).collect();
    let mut uids = Vec::new();
    let mut killed = Instant::now();
    for (number, batch) in batches.iter().enumerate() {
        if number == batches.len() / 4 {
            cluster.kill_node(1).unwrap();
            killed = Instant::now();
        }
        if number == batches.len() * 3 / 4 {
            if is_large() {
                tokio::time::sleep_until((killed + AWAY).into()).await;
            }
            cluster.restart_node(1).await.unwrap();
        }
        uids.push(add(&client, batch).await);
    }
    for uid in uids {
        assert_succeeds(&client, uid).await;
    }
    assert_eq!(count(&client).await, documents as u64);
    wait_for_all_copies(&cluster, documents as u64).await;
    assert_eq!(count(&client).await, documents as u64);
}

/// Searches that differ, so that different nodes are asked: each must find the book that was just written.
async fn assert_visible(client: &Client, number: usize) {
    let title = format!("number{number}");
    for search in [
        json!({"q": title}),
        json!({"q": format!("book {title}"), "limit": 1}),
        json!({"filter": format!("id = {number}")}),
        json!({"q": title, "hitsPerPage": 3, "facets": ["shelf"]}),
        json!({"q": "book", "filter": format!("id = {number} AND shelf = {}", number % 50), "limit": number % 7 + 1}),
    ] {
        let reply = client.post(&format!("/indexes/{INDEX}/search"), &search).await.unwrap();
        let found =
            reply.body["hits"].as_array().is_some_and(|hits| hits.iter().any(|hit| hit["id"] == number));
        assert!(found, "{search} does not find book {number}: {} {:?}", reply.text, reply.headers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_search_after_a_task_succeeded_sees_its_document_whoever_is_away() {
    let mut cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client().clone();
    let settings = json!({"filterableAttributes": ["id", "shelf"]});
    let reply = client.patch(&format!("/indexes/{INDEX}/settings"), &settings).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let rounds = 100 * scale();
    for number in 0..rounds {
        // Away, catching up under new writes, and back: each for a part of the rounds.
        if number % 50 == 15 {
            cluster.kill_node(number / 50 % 3).unwrap();
        }
        if number % 50 == 35 {
            cluster.restart_node(number / 50 % 3).await.unwrap();
        }
        let uid = add(&client, &[book(number)]).await;
        assert_succeeds(&client, uid).await;
        assert_visible(&client, number).await;
    }
    wait_for_all_copies(&cluster, rounds as u64).await;
}

/// How many searches each node has been asked for.
async fn searches_by_node(cluster: &Cluster) -> Vec<u64> {
    let metrics = cluster.metrics().get("/metrics").await.unwrap().text;
    let count = |node: u32| {
        let name = format!(
            "miroir_node_request_duration_seconds_count{{node_id=\"node-{node}\",operation=\"search\"}} "
        );
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    };
    (0..cluster.topology().nodes()).map(count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_searches_right_after_a_task_succeeded_see_its_document_through_every_cover() {
    const BOOKS: usize = 20;
    const SEARCHES: usize = 50;
    let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let client = cluster.client();
    let settings = json!({"filterableAttributes": ["id", "shelf"]});
    let reply = client.patch(&format!("/indexes/{INDEX}/settings"), &settings).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let before = searches_by_node(&cluster).await;
    for number in 0..BOOKS {
        let uid = add(client, &[book(number)]).await;
        assert_succeeds(client, uid).await;
        // Which nodes answer depends on the query.
        let search = async |salt: usize| {
            let search =
                json!({"q": format!("number{number}"), "filter": format!("id != {}", 1_000_000 + salt)});
            let reply = client.post(&format!("/indexes/{INDEX}/search"), &search).await.unwrap();
            let hits = reply.body["hits"].as_array().cloned().unwrap_or_default();
            assert!(hits.iter().any(|hit| hit["id"] == number), "{search}: {}", reply.text);
        };
        futures_util::future::join_all((0..SEARCHES).map(search)).await;
    }
    let after = searches_by_node(&cluster).await;
    // Two nodes answer each search. Each node had a part in some and none in others: all three pairs were asked.
    let asked: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let searches = (BOOKS * SEARCHES) as u64;
    assert!(asked.iter().all(|count| (1..searches).contains(count)), "{asked:?} of {searches}");
    assert!(asked.iter().sum::<u64>() >= 2 * searches, "{asked:?} of {searches}");
}
