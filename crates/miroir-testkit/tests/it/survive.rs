//! A node dies while searches run: nobody notices.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Topology};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const INDEX: &str = "films";
const DOCUMENTS: usize = 300;
/// Documents written to a second index while a node is down.
const MARKS: u64 = 40;
/// Rounds of all searches that have to pass in a state of the cluster before it is believed.
const ROUNDS: usize = 25;
const DEADLINE: Duration = Duration::from_mins(1);

fn film(number: usize) -> Value {
    const GENRES: [&str; 4] = ["comedy", "drama", "fantasy", "poetry"];
    const WORDS: [&str; 6] = ["river", "night", "garden", "star", "stone", "summer"];
    json!({
        "id": number,
        "title": format!("The {} of the {}", WORDS[number % 6], WORDS[number / 6 % 6]),
        "overview": format!("A {} about a {}", GENRES[number % 4], WORDS[number / 3 % 6]),
        "genre": GENRES[number % 4],
        "year": 1950 + number % 30,
    })
}

/// Searches with many ties, so that a replica with another internal order would show.
fn searches() -> Vec<Value> {
    vec![
        json!({"q": "river"}),
        json!({"q": "nigth gar", "limit": 40, "showRankingScore": true}),
        json!({"q": "", "limit": 50, "offset": 20}),
        json!({"q": "star", "sort": ["year:desc"], "facets": ["genre", "year"]}),
        json!({"q": "stone", "filter": "genre = drama OR year > 1970", "hitsPerPage": 30, "page": 1}),
        json!({"filter": "genre = poetry", "sort": ["year:asc"], "limit": 100}),
    ]
}

async fn films_on(topology: Topology) -> Cluster {
    let cluster = Cluster::start(topology).await.unwrap();
    let client = cluster.client();
    let settings = json!({
        "searchableAttributes": ["title", "overview"],
        "filterableAttributes": ["genre", "year"],
        "sortableAttributes": ["year"],
    });
    let films: Vec<Value> = (0..DOCUMENTS).map(film).collect();
    let path = format!("/indexes/{INDEX}");
    for reply in [
        client.patch(&format!("{path}/settings"), &settings).await.unwrap(),
        client.post(&format!("{path}/documents"), &json!(films)).await.unwrap(),
    ] {
        let task = client.wait_reply(reply).await.unwrap();
        assert_eq!(task["status"], "succeeded", "{task}");
    }
    cluster
}

/// An answer without what changes from one call to the next.
fn stable(mut answer: Value) -> Value {
    let answer = answer.as_object_mut().expect("a search answers with an object");
    answer.remove("processingTimeMs");
    answer.remove("requestUid");
    Value::Object(answer.clone())
}

/// What is wrong with the answer to this search, if anything.
async fn problem(client: &Client, search: &Value, expected: &Value) -> Option<String> {
    let reply = match client.post(&format!("/indexes/{INDEX}/search"), search).await {
        Ok(reply) => reply,
        Err(error) => return Some(format!("{search}: {error:#}")),
    };
    if reply.status != 200 {
        return Some(format!("{search}: status {} {}", reply.status, reply.text));
    }
    if let Some(header) = reply.headers.get("x-miroir-degraded") {
        return Some(format!("{search}: degraded {header:?}"));
    }
    let actual = stable(reply.body);
    (actual != *expected).then(|| format!("{search}:\n  expected {expected}\n  actual   {actual}"))
}

/// Searches that run in the background until they are stopped.
struct Traffic {
    workers: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
}

impl Traffic {
    async fn start(client: &Client) -> Self {
        let mut expected = Vec::new();
        for search in searches() {
            let reply = client.post(&format!("/indexes/{INDEX}/search"), &search).await.unwrap();
            let answer = reply.success().unwrap();
            assert!(!answer["hits"].as_array().unwrap().is_empty(), "{search} finds nothing");
            expected.push((search, stable(answer)));
        }
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut workers = JoinSet::new();
        for _ in 0..2 {
            let (client, expected) = (client.clone(), expected.clone());
            let (stop, rounds) = (stop.clone(), rounds.clone());
            workers.spawn(async move {
                let mut problems = Vec::new();
                while !stop.load(Ordering::Relaxed) && problems.len() < 5 {
                    for (search, expected) in &expected {
                        problems.extend(problem(&client, search, expected).await);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                problems
            });
        }
        Self { workers, stop, rounds }
    }

    /// Waits until the searches have gone round a number of times from now on, or have met problems.
    async fn go_round(&self) {
        let goal = self.rounds.load(Ordering::Relaxed) + ROUNDS;
        let deadline = Instant::now() + DEADLINE;
        // Workers that met too many problems end, and no round is counted any more: the deadline is for them.
        while self.rounds.load(Ordering::Relaxed) < goal && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(Instant::now() < deadline, "the searches stand still");
    }

    async fn stop(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut problems = Vec::new();
        while let Some(found) = self.workers.join_next().await {
            problems.extend(found.unwrap());
        }
        problems
    }
}

/// Waits until the node's own index has this many documents.
async fn wait_for_documents(node: &Client, count: u64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let there = documents_of(node, INDEX).await;
        if there == count {
            return;
        }
        assert!(Instant::now() < deadline, "the node has {there} documents instead of {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Documents of an index on one node; none when the index has not reached it yet.
async fn documents_of(node: &Client, index: &str) -> u64 {
    let stats = node.get(&format!("/indexes/{index}/stats")).await.unwrap();
    stats.body["numberOfDocuments"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_changes_no_answer_and_neither_does_its_return() {
    let mut cluster = films_on(Topology::one_group(3, 2)).await;
    let client = cluster.client().clone();
    let traffic = Traffic::start(&client).await;
    traffic.go_round().await;
    let mut marks = 0;
    for node in [0, 0, 2] {
        cluster.kill_node(node).unwrap();
        traffic.go_round().await;
        // Something to catch up with, in another index so that the answers stay the same.
        let more: Vec<Value> = (marks..marks + MARKS).map(|id| json!({"id": id})).collect();
        marks += MARKS;
        let reply = client.post("/indexes/marks/documents", &json!(more)).await.unwrap();
        client.wait_reply(reply).await.unwrap();
        cluster.restart_node(node).await.unwrap();
        traffic.go_round().await;
        wait_until_caught_up(&cluster, marks).await;
        traffic.go_round().await;
    }
    let problems = traffic.stop().await;
    assert!(problems.is_empty(), "{}\n{}", problems.join("\n"), cluster.proxy_log());
}

/// Waits until the nodes together hold all copies of the marks.
async fn wait_until_caught_up(cluster: &Cluster, marks: u64) {
    let deadline = Instant::now() + DEADLINE;
    let copies = marks * u64::from(cluster.topology().replication_factor);
    loop {
        let mut sum = 0;
        for node in cluster.nodes() {
            sum += documents_of(node.client(), "marks").await;
        }
        if sum == copies {
            return;
        }
        assert!(Instant::now() < deadline, "the nodes hold {sum} instead of {copies} documents");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_made_while_a_node_is_down_succeeds_and_reaches_it_later() {
    let mut cluster = films_on(Topology::one_group(3, 2)).await;
    let client = cluster.client().clone();
    let before = documents_of(cluster.nodes()[1].client(), INDEX).await;
    cluster.kill_node(1).unwrap();
    let more: Vec<Value> = (DOCUMENTS..2 * DOCUMENTS).map(film).collect();
    let reply = client.post(&format!("/indexes/{INDEX}/documents"), &json!(more)).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
    let found = client.post(&format!("/indexes/{INDEX}/search"), &json!({"hitsPerPage": 1})).await.unwrap();
    assert_eq!(found.body["totalHits"], 2 * DOCUMENTS, "{}", found.text);
    assert!(!found.headers.contains_key("x-miroir-degraded"));
    cluster.restart_node(1).await.unwrap();
    let mut others = 0;
    for node in [0, 2] {
        others += documents_of(cluster.nodes()[node].client(), INDEX).await;
    }
    // The task has succeeded, so the nodes that were up hold all they should.
    let missing = u64::try_from(4 * DOCUMENTS).unwrap() - others;
    assert!(missing > before, "{missing} documents belong to the node, it had {before}");
    wait_for_documents(cluster.nodes()[1].client(), missing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_changes_no_answer() {
    let mut cluster = films_on(Topology::one_group(3, 2)).await;
    let client = cluster.client().clone();
    let traffic = Traffic::start(&client).await;
    traffic.go_round().await;
    cluster.pause_node(1).unwrap();
    traffic.go_round().await;
    cluster.resume_node(1).unwrap();
    traffic.go_round().await;
    let problems = traffic.stop().await;
    assert!(problems.is_empty(), "{}\n{}", problems.join("\n"), cluster.proxy_log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_miroir_comes_back_with_its_tasks_and_loses_no_accepted_write() {
    let mut cluster = films_on(Topology::one_group(3, 2)).await;
    let client = cluster.client().clone();
    let more: Vec<Value> = (DOCUMENTS..2 * DOCUMENTS).map(film).collect();
    let mut uids = Vec::new();
    for chunk in more.chunks(50) {
        let reply = client.post(&format!("/indexes/{INDEX}/documents"), &json!(chunk)).await.unwrap();
        assert_eq!(reply.status, 202, "{}", reply.text);
        uids.push(reply.body["taskUid"].as_u64().unwrap());
    }
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    for uid in uids {
        let task = client.wait_task(uid).await.unwrap();
        assert_eq!(task["status"], "succeeded", "{task}");
    }
    let found = client.post(&format!("/indexes/{INDEX}/search"), &json!({"hitsPerPage": 1})).await.unwrap();
    assert_eq!(found.body["totalHits"], 2 * DOCUMENTS, "{}", found.text);
}
