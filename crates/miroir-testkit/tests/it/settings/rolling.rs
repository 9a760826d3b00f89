//! Ranking rules change under a steady load of searches: every answer is that of the old or of the new settings, and with
//! copies enough none says that it might be otherwise.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{add_films, broadcasts, change as settings_change, changed, succeed, wait_for};
use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const INDEX: &str = "films";
const DOCUMENTS: usize = 240;
const WORKERS: usize = 2;
/// Changes under load.
const CHANGES: usize = 4;
const DEADLINE: Duration = Duration::from_mins(1);

fn film(number: usize) -> Value {
    const WORDS: [&str; 6] = ["river", "night", "garden", "star", "stone", "summer"];
    json!({
        "id": number,
        "title": format!("The {} of the {}", WORDS[number % 6], WORDS[number / 6 % 6]),
        "overview": format!("A tale of {} and {}", WORDS[number / 3 % 6], WORDS[number / 11 % 6]),
        "year": 1900 + number * 37 % 113,
        "votes": number * 71 % 127,
    })
}

/// Two sets of rules that put nearly every hit in another place.
fn rules(which: usize) -> Value {
    [
        json!(["words", "typo", "proximity", "attribute", "sort", "exactness", "year:asc"]),
        json!(["votes:desc", "year:desc", "words", "typo", "sort"]),
    ][which % 2]
        .clone()
}

/// Paths and bodies, alone, several at once, and merged across queries.
fn searches() -> Vec<(String, Value)> {
    let one = |body| (format!("/indexes/{INDEX}/search"), body);
    let query = |q: &str| json!({"indexUid": INDEX, "q": q});
    let mut searches = vec![
        one(json!({"q": "river", "limit": 60})),
        one(json!({"q": "nigth gar", "limit": 40, "showRankingScore": true})),
        one(json!({"q": "", "hitsPerPage": 30, "page": 2})),
        one(json!({"q": "star of", "limit": 10, "offset": 5})),
        ("/multi-search".to_owned(), json!({"queries": [query("stone"), query("river summer")]})),
    ];
    // The development node has no federated search.
    if nodes_are_real() {
        let body = json!({"federation": {"limit": 40}, "queries": [query("stone"), query("garden")]});
        searches.push(("/multi-search".to_owned(), body));
    }
    searches
}

async fn films_on(topology: Topology) -> Cluster {
    let cluster = Cluster::start(topology).await.unwrap();
    let client = cluster.client();
    let films: Vec<Value> = (0..DOCUMENTS).map(film).collect();
    let settings = json!({"searchableAttributes": ["title", "overview"], "filterableAttributes": ["year"]});
    for reply in [
        client.patch(&format!("/indexes/{INDEX}/settings"), &settings).await.unwrap(),
        client.post(&format!("/indexes/{INDEX}/documents"), &json!(films)).await.unwrap(),
    ] {
        let task = client.wait_reply(reply).await.unwrap();
        assert_eq!(task["status"], "succeeded", "{task}");
    }
    cluster
}

async fn change(client: &Client, which: usize) {
    let path = format!("/indexes/{INDEX}/settings/ranking-rules");
    let reply = client.put(&path, &rules(which)).await.unwrap();
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
}

/// An answer without what changes from one call to the next.
fn stable(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(parts) => {
            for name in ["processingTimeMs", "requestUid"] {
                parts.remove(name);
            }
            *parts = std::mem::take(parts).into_iter().map(|(name, part)| (name, stable(part))).collect();
        }
        Value::Array(items) => *items = std::mem::take(items).into_iter().map(stable).collect(),
        _ => {}
    }
    answer
}

async fn answers(client: &Client) -> Vec<Value> {
    let mut answers = Vec::new();
    for (path, body) in searches() {
        let reply = client.post(&path, &body).await.unwrap();
        assert!(!reply.headers.contains_key("x-miroir-settings-inconsistent"), "{body} in a quiet cluster");
        answers.push(stable(reply.success().unwrap()));
    }
    answers
}

/// What the searches saw.
#[derive(Debug, Default)]
struct Seen {
    problems: Vec<String>,
    /// Which of the two sets of rules answered.
    settings: BTreeSet<usize>,
    warned: usize,
}

impl Seen {
    fn take(&mut self, (search, reply): (&(String, Value), Reply), expected: [&Value; 2], may_warn: bool) {
        let warned = reply.headers.contains_key("x-miroir-settings-inconsistent");
        self.warned += usize::from(warned);
        if reply.status != 200 || reply.headers.contains_key("x-miroir-degraded") {
            self.problems.push(format!("{search:?}: {} {:?} {}", reply.status, reply.headers, reply.text));
            return;
        }
        if !reply.headers.contains_key("x-miroir-settings-version") {
            self.problems.push(format!("{search:?} has no version: {:?}", reply.headers));
        }
        if warned && !may_warn {
            self.problems.push(format!("{search:?} warns of different settings"));
        }
        let answer = stable(reply.body);
        match expected.iter().position(|known| **known == answer) {
            Some(which) => drop(self.settings.insert(which)),
            None if warned && may_warn => {}
            None => self.problems.push(format!(
                "{search:?} is answered with neither settings:\n  old {}\n  new {}\n  got {answer}",
                expected[0], expected[1]
            )),
        }
    }
}

/// Searches without a pause until told to stop.
async fn search_on(
    client: Client,
    known: Arc<[Vec<Value>; 2]>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    may_warn: bool,
) -> Seen {
    let (searches, mut seen) = (searches(), Seen::default());
    while !stop.load(Ordering::Relaxed) && seen.problems.len() < 3 {
        for (number, search) in searches.iter().enumerate() {
            match client.post(&search.0, &search.1).await {
                Ok(reply) => seen.take((search, reply), [&known[0][number], &known[1][number]], may_warn),
                Err(error) => seen.problems.push(format!("{search:?}: {error:#}")),
            }
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

/// Writes without a pause until told to stop: documents as they are already, so that no answer changes, and an index
/// beside them.
async fn write_on(client: Client, stop: Arc<AtomicBool>) -> usize {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let from = written * 40 % DOCUMENTS;
        let films: Vec<Value> = (from..from + 40).map(film).collect();
        for index in [INDEX, "beside"] {
            let reply = client.post(&format!("/indexes/{index}/documents"), &json!(films)).await.unwrap();
            let task = client.wait_reply(reply).await.unwrap();
            assert_eq!(task["status"], "succeeded", "{task}");
        }
        written += 1;
    }
    written
}

/// Changes the rules to and fro under load. Answers how many searches warned.
async fn change_under_load(topology: Topology, may_warn: bool, with_writes: bool) -> usize {
    let cluster = films_on(topology).await;
    let client = cluster.client().clone();
    change(&client, 1).await;
    let new = answers(&client).await;
    change(&client, 0).await;
    let old = answers(&client).await;
    assert!(old.iter().zip(&new).all(|(old, new)| old != new), "the rules make no difference");
    let known = Arc::new([old, new]);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(search_on(client.clone(), known.clone(), stop.clone(), rounds.clone(), may_warn));
    }
    let mut writers = JoinSet::new();
    if with_writes {
        writers.spawn(write_on(client.clone(), stop.clone()));
    }
    for number in 1..=CHANGES {
        change(&client, number).await;
        // What a client was told has succeeded is what every later search sees.
        let now = answers(&client).await;
        assert_eq!(now, known[number % 2], "after change {number} on {topology}");
        let (before, deadline) = (rounds.load(Ordering::Relaxed), Instant::now() + DEADLINE);
        while rounds.load(Ordering::Relaxed) < before + WORKERS && !workers.is_empty() {
            assert!(Instant::now() < deadline, "searches stand still\n{}", cluster.proxy_log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(written) = writers.join_next().await {
        assert!(written.unwrap() > 0, "nothing was written meanwhile");
    }
    let (mut settings, mut warned) = (BTreeSet::new(), 0);
    while let Some(seen) = workers.join_next().await {
        let seen = seen.unwrap();
        assert!(
            seen.problems.is_empty(),
            "{topology}: {}\n{}",
            seen.problems.join("\n"),
            cluster.proxy_log()
        );
        settings.extend(seen.settings);
        warned += seen.warned;
    }
    assert_eq!(settings, BTreeSet::from([0, 1]), "both settings have to have answered");
    warned
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_answer_with_the_old_or_the_new_rules_and_never_warn() {
    assert_eq!(change_under_load(Topology::groups(2, 2, 1), false, false).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_do_so_too_while_documents_are_written() {
    assert_eq!(change_under_load(Topology::groups(2, 2, 1), false, true).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_with_two_copies_answer_with_the_old_or_the_new_rules_and_never_warn() {
    assert_eq!(change_under_load(Topology::one_group(3, 2), false, false).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_answers_with_the_old_or_the_new_rules_or_warns() {
    change_under_load(Topology::one_group(3, 1), true, false).await;
}

/// One index changes on the first node and the other on the second: no node has both in one state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_indexes_that_change_at_once_are_each_read_from_the_nodes_that_suit_it() {
    let cluster = Cluster::start_relayed(Topology::groups(2, 1, 1), json!({})).await.unwrap();
    let client = cluster.client();
    for index in ["films", "books"] {
        add_films(client, index).await.unwrap();
        changed(client, index, "first").await.unwrap();
    }
    let hold = |path: &str| Rule::always(Method::GET, path, Meddling::HoldRequest);
    cluster.relay(0).set(hold("/indexes/films/settings"));
    let films = settings_change(client, "films", "second").await.unwrap();
    cluster.relay(0).wait_for_match().await.unwrap();
    let books = settings_change(client, "books", "second").await.unwrap();
    wait_for(&cluster, "books", |seen| seen["current"]["nodes"]["node-1"]["stage"] == "proposed")
        .await
        .unwrap();
    let queries = json!([{"indexUid": "films", "q": "number7"}, {"indexUid": "books", "q": "number7"}]);
    let mut searches = vec![json!({"queries": queries})];
    // The development node has no federated search.
    if nodes_are_real() {
        searches.push(json!({"federation": {}, "queries": queries}));
    }
    for body in searches {
        let reply = client.post("/multi-search", &body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.headers.get("x-miroir-settings-inconsistent"), None, "{}", reply.text);
        assert_eq!(reply.text.matches("Film number7").count(), 2, "{}", reply.text);
    }
    for index in ["films", "books"] {
        assert_ne!(broadcasts(client, index).await.unwrap()["current"], Value::Null, "{index} is done");
    }
    cluster.relay(0).clear();
    succeed(client, films).await.unwrap();
    succeed(client, books).await.unwrap();
}
