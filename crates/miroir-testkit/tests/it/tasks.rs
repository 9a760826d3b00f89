//! `GET /tasks` and `GET /batches` show the same of the same history as one node does, however they are filtered and cut
//! into pages.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::oracle::Dice;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

/// Filters drawn at random, in all combinations of parameters.
const DRAWS: usize = 400;

/// One node and Miroir over three, with the same history.
struct Pair {
    node: Node,
    cluster: Cluster,
    /// All tasks of each, oldest first.
    tasks: [Vec<Value>; 2],
}

impl Pair {
    async fn start() -> Self {
        let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
        let node = Node::start("expected").await.unwrap();
        let mut tasks = Vec::new();
        for client in [node.client(), cluster.client()] {
            for step in history() {
                step.run(client).await;
            }
            let all = client.get("/tasks?limit=1000&reverse=true").await.unwrap().success().unwrap();
            tasks.push(all["results"].as_array().unwrap().clone());
        }
        Self { node, cluster, tasks: tasks.try_into().unwrap() }
    }

    /// The same question to both. In it, `{enqueued 3}` stands for the time at which task 3 was accepted there.
    async fn ask(&self, path: &str) -> [Reply; 2] {
        let mut replies = Vec::new();
        for (client, tasks) in [self.node.client(), self.cluster.client()].into_iter().zip(&self.tasks) {
            replies.push(client.get(&with_times(path, tasks)).await.unwrap());
        }
        replies.try_into().unwrap()
    }

    /// How many results both showed; an entry of `problems` if they don't agree.
    async fn compare(&self, path: &str, problems: &mut Vec<String>) -> usize {
        // Batches keep the names of before a swap; see the list of differences.
        if path.starts_with("/batches") && path.contains("indexUids") && nodes_are_real() {
            return 0;
        }
        let [expected, actual] = self.ask(path).await;
        let statuses = [expected.status, actual.status];
        let [expected, actual] = [expected.body, actual.body].map(|body| comparable(body, path));
        if statuses[0] != statuses[1] || expected != actual {
            problems.push(format!("{path}: {statuses:?}\n  {expected}\n  {actual}"));
        }
        expected["results"].as_array().map_or(0, Vec::len)
    }
}

/// A request whose task is waited for, so that each is a batch of its own.
struct Step(Method, &'static str, Value);

impl Step {
    async fn run(self, client: &Client) {
        let Self(method, path, body) = self;
        let body = Some(body).filter(|body| !body.is_null());
        let reply = client.send(method, path, body.as_ref()).await.unwrap();
        assert!(reply.status < 300, "{path}: {}", reply.text);
        client.wait_reply(reply).await.unwrap();
    }
}

fn history() -> Vec<Step> {
    let films = json!([{"id": 1, "title": "one", "year": 1999}, {"id": 2, "title": "two", "year": 2007}]);
    let books = json!([{"isbn": "a-1", "title": "first"}, {"isbn": "a-2", "title": "second"}]);
    let mut steps = vec![
        Step(Method::POST, "/indexes", json!({"uid": "films", "primaryKey": "id"})),
        Step(Method::PATCH, "/indexes/films/settings", json!({"filterableAttributes": ["year"]})),
        Step(Method::POST, "/indexes/films/documents?customMetadata=first", films),
        Step(Method::PUT, "/indexes/films/documents", json!([{"id": 2, "title": "two again"}])),
        Step(Method::POST, "/indexes", json!({"uid": "films"})),
        Step(Method::POST, "/indexes/books/documents?primaryKey=isbn", books),
        Step(Method::POST, "/indexes/books/documents", json!([{"isbn": "not valid!"}])),
        Step(Method::POST, "/indexes/plays/documents", json!([{"title": "nothing to tell it by"}])),
        Step(Method::POST, "/indexes/films/documents/delete", json!({"filter": "year > 2000"})),
        Step(Method::POST, "/indexes/films/documents/delete-batch", json!([1, 7])),
        Step(Method::DELETE, "/indexes/films/documents/1", Value::Null),
        Step(Method::DELETE, "/indexes/missing", Value::Null),
        Step(Method::DELETE, "/indexes/missing/documents", Value::Null),
        Step(Method::PATCH, "/indexes/plays", json!({"primaryKey": "key"})),
        Step(Method::PATCH, "/indexes/missing", json!({"primaryKey": "key"})),
        Step(Method::PUT, "/indexes/books/settings/stop-words", json!(["the", "a"])),
        Step(Method::DELETE, "/indexes/books/settings", Value::Null),
        Step(Method::POST, "/tasks/cancel?uids=3,4&indexUids=films", Value::Null),
        Step(Method::DELETE, "/tasks?uids=6&statuses=succeeded", Value::Null),
        Step(Method::DELETE, "/indexes/plays", Value::Null),
        Step(Method::DELETE, "/indexes/films/documents", Value::Null),
    ];
    if nodes_are_real() {
        steps.push(Step(Method::POST, "/swap-indexes", json!([{"indexes": ["films", "books"]}])));
        steps.push(Step(
            Method::POST,
            "/indexes/films/documents?customMetadata=after",
            json!([{"isbn": "a-3"}]),
        ));
    }
    steps
}

/// What stands for times in a path, as this server's tasks have them.
fn with_times(path: &str, tasks: &[Value]) -> String {
    let mut path = path.to_owned();
    while let Some(start) = path.find('{') {
        let end = start + path[start..].find('}').unwrap();
        let (name, uid) = path[start + 1..end].split_once(' ').unwrap();
        let task = tasks.iter().find(|task| task["uid"] == uid.parse::<u64>().unwrap()).unwrap();
        let time = task[format!("{name}At")].as_str().unwrap().to_owned();
        path.replace_range(start..=end, &time);
    }
    path
}

/// An answer without what can't be equal: times, and what the engine tells of a batch.
fn comparable(mut answer: Value, path: &str) -> Value {
    if let Some(results) = answer["results"].as_array_mut() {
        for result in results {
            if path.starts_with("/batches") || !nodes_are_real() {
                *result = result["uid"].clone();
                continue;
            }
            for time in ["duration", "enqueuedAt", "startedAt", "finishedAt"] {
                result.as_object_mut().unwrap().remove(time);
            }
        }
    }
    answer
}

/// The development node has no batches.
fn routes() -> &'static [&'static str] {
    if nodes_are_real() { &["/tasks", "/batches"] } else { &["/tasks"] }
}

/// The parameters of both routes, each with values that differ in what they select.
const PARAMETERS: [(&str, &[&str]); 15] = [
    ("statuses", &["succeeded", "failed", "canceled", "enqueued,processing", "succeeded,failed", "*", ""]),
    (
        "types",
        &[
            "documentAdditionOrUpdate",
            "settingsUpdate,indexCreation",
            "DOCUMENTDELETION",
            "taskCancelation,taskDeletion",
            "indexSwap,indexUpdate,indexDeletion",
            "*",
        ],
    ),
    ("indexUids", &["films", "books", "films,books", "missing,plays", "nobody", "*"]),
    ("uids", &["1,2,3", "0", "7,8,9,10,11,12", "4000000", "*"]),
    ("batchUids", &["0,1,2,3,4,5", "9", "4000", "*"]),
    ("canceledBy", &["17", "3", "*"]),
    ("beforeEnqueuedAt", &["{enqueued 9}", "2000-01-01", "*"]),
    ("afterEnqueuedAt", &["{enqueued 4}", "2000-01-01", "2200-01-01T10:00:00Z"]),
    ("beforeStartedAt", &["{started 12}", "2200-01-01"]),
    ("afterStartedAt", &["{started 2}", "*"]),
    ("beforeFinishedAt", &["{finished 14}", "2000-01-01"]),
    ("afterFinishedAt", &["{finished 5}", "1999-12-31"]),
    ("limit", &["0", "1", "3", "1000"]),
    ("from", &["0", "5", "11", "4000"]),
    ("reverse", &["true", "false"]),
];

/// A question with some of the parameters.
fn question(dice: &mut Dice) -> String {
    let count = dice.between(0, 5);
    let chosen = dice.some(&PARAMETERS, count, count);
    let pairs: Vec<String> =
        chosen.into_iter().map(|(name, values)| format!("{name}={}", dice.pick(values))).collect();
    format!("?{}", pairs.join("&"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_and_every_page_of_tasks_and_batches_shows_what_one_node_shows() {
    let pair = Pair::start().await;
    let (mut found, mut problems) = (0, Vec::new());
    for (name, values) in PARAMETERS {
        for value in values {
            for route in routes() {
                found += pair.compare(&format!("{route}?{name}={value}"), &mut problems).await;
            }
        }
    }
    let seed = std::env::var("MIROIR_TASKS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut dice = Dice::new(seed);
    for _ in 0..DRAWS {
        let question = question(&mut dice);
        for route in routes() {
            found += pair.compare(&format!("{route}{question}"), &mut problems).await;
        }
    }
    assert!(problems.is_empty(), "seed {seed}, {} differences:\n{}", problems.len(), problems.join("\n"));
    assert!(found > DRAWS, "the questions found {found} results");
}

/// The numbers of all tasks, page by page.
async fn walk(client: &Client, query: &str, limit: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!("/tasks?{query}&limit={limit}{from}");
        let page = client.get(&path).await.unwrap().success().unwrap();
        let results = page["results"].as_array().unwrap();
        assert!(results.len() <= limit, "{path}: {page}");
        seen.extend(results.iter().map(|task| task["uid"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn walking_through_pages_shows_what_one_node_shows_in_both_directions() {
    let pair = Pair::start().await;
    let mut walks = 0;
    for query in ["", "statuses=failed", "indexUids=films", "types=documentAdditionOrUpdate"] {
        for limit in [1, 2, 5, 1000] {
            for reverse in [false, true] {
                let query = format!("{query}&reverse={reverse}");
                let expected = walk(pair.node.client(), &query, limit).await;
                let actual = walk(pair.cluster.client(), &query, limit).await;
                assert_eq!(expected, actual, "{query} by {limit}");
                walks += usize::from(!actual.is_empty());
            }
        }
    }
    assert_eq!(walks, 32);
}
