//! Small indexes are listed like on one node, in the order in which their documents arrived, whatever was written before.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use miroir_testkit::client::Client;
use miroir_testkit::oracle::{Dice, seed_from_env};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

/// Writes drawn at random, each with listings after it.
const WRITES: usize = 40;

/// Different ids of documents: few, so that most writes find some of theirs.
const IDS: usize = 40;

/// A request that both get.
#[derive(Debug, Clone)]
struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, body: impl Into<Option<Value>>) -> Self {
        Self { method, path: path.into(), body: body.into() }
    }

    /// A write, done when this returns.
    async fn write(&self, client: &Client) {
        let reply = client.send(self.method.clone(), &self.path, self.body.as_ref()).await.unwrap();
        let task = client.wait_reply(reply).await.unwrap();
        assert_eq!(task["status"], "succeeded", "{self:?}: {task}");
    }

    async fn read(&self, client: &Client) -> Value {
        client.send(self.method.clone(), &self.path, self.body.as_ref()).await.unwrap().success().unwrap()
    }
}

/// One node, and Miroir over three that keep two copies.
struct Pair {
    node: Node,
    cluster: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let node = Node::start("expected").await.unwrap();
        let cluster = Cluster::start(Topology { shards: 6, ..Topology::one_group(3, 2) }).await.unwrap();
        let pair = Self { node, cluster };
        let settings = json!({ "filterableAttributes": ["group"], "sortableAttributes": ["rank", "id"] });
        pair.write(&Call::new(Method::PATCH, "/indexes/films/settings", settings)).await;
        pair
    }

    async fn write(&self, call: &Call) {
        tokio::join!(call.write(self.node.client()), call.write(self.cluster.client()));
    }

    /// What both list, if it is the same.
    async fn list(&self, call: &Call, history: &str) -> Value {
        let expected = call.read(self.node.client()).await;
        let actual = call.read(self.cluster.client()).await;
        assert_eq!(actual, expected, "{call:?} after {history}");
        actual
    }

    async fn list_all(&self, history: &str) -> Vec<String> {
        let call = Call::new(Method::GET, "/indexes/films/documents?limit=1000", None);
        let listing = self.list(&call, history).await;
        listing["results"].as_array().unwrap().iter().map(|it| it["id"].to_string()).collect()
    }
}

fn document(dice: &mut Dice) -> Value {
    let id = dice.between(0, IDS - 1);
    let id = if id.is_multiple_of(3) { json!(format!("doc-{id}")) } else { json!(id) };
    json!({ "id": id, "group": dice.between(0, 4), "rank": dice.between(0, 2), "title": dice.between(0, 99) })
}

fn some_ids(dice: &mut Dice, most: usize) -> Vec<Value> {
    (0..dice.between(1, most)).map(|_| document(dice)["id"].take()).collect()
}

fn draw_write(dice: &mut Dice, edits: bool) -> Call {
    let documents = "/indexes/films/documents";
    let added = |dice: &mut Dice| -> Value { (0..dice.between(1, 12)).map(|_| document(dice)).collect() };
    match dice.between(0, 20) {
        0..=6 => Call::new(Method::POST, documents, added(dice)),
        7..=10 => Call::new(Method::PUT, documents, added(dice)),
        11 => Call::new(Method::PUT, format!("{documents}?skipCreation=true"), added(dice)),
        12..=14 => {
            Call::new(Method::POST, format!("{documents}/delete-batch"), Value::Array(some_ids(dice, 8)))
        }
        15 => {
            let id = some_ids(dice, 1).remove(0);
            let id = id.as_str().map_or(id.to_string(), str::to_owned);
            Call::new(Method::DELETE, format!("{documents}/{id}"), None)
        }
        16 | 17 => {
            let filter = format!("group = {}", dice.between(0, 4));
            Call::new(Method::POST, format!("{documents}/delete"), json!({ "filter": filter }))
        }
        18 if edits => {
            let function =
                format!("if doc.group == {} {{ doc = () }} else {{ doc.rank = 1 }}", dice.between(0, 4));
            Call::new(Method::POST, format!("{documents}/edit"), json!({ "function": function }))
        }
        18 | 19 => Call::new(Method::PATCH, "/indexes/films/settings", json!({ "stopWords": ["the"] })),
        _ => Call::new(Method::DELETE, documents, None),
    }
}

fn draw_listing(dice: &mut Dice) -> Call {
    let mut body = json!({});
    if dice.chance(60) {
        body["offset"] = json!(dice.between(0, 12));
    }
    if dice.chance(60) {
        body["limit"] = json!(dice.between(0, 15));
    }
    if dice.chance(30) {
        body["ids"] = Value::Array(some_ids(dice, 20));
    }
    if dice.chance(30) {
        body["filter"] = json!(format!("group != {}", dice.between(0, 4)));
    }
    if dice.chance(30) {
        body["sort"] = json!([*dice.pick(&["rank:asc", "rank:desc"])]);
    }
    if dice.chance(30) {
        body["fields"] = json!(dice.some(&["title", "group", "nothing"], 0, 2));
    }
    Call::new(Method::POST, "/indexes/films/documents/fetch", body)
}

#[tokio::test]
async fn random_writes_leave_the_order_that_one_node_has() {
    let seed = seed_from_env().unwrap();
    let mut dice = Dice::new(seed);
    let mut pair = Pair::start().await;
    let edits = nodes_are_real();
    if edits {
        for client in [pair.node.client(), pair.cluster.client()] {
            let features = json!({ "editDocumentsByFunction": true });
            client.patch("/experimental-features", &features).await.unwrap().success().unwrap();
        }
    }
    let mut history = format!("seed {seed}");
    let mut longest = 0;
    for number in 0..WRITES {
        let write = draw_write(&mut dice, edits);
        write!(history, "\n  {} {} {:?}", write.method, write.path, write.body).unwrap();
        pair.write(&write).await;
        longest = pair.list_all(&history).await.len().max(longest);
        for _ in 0..6 {
            pair.list(&draw_listing(&mut dice), &history).await;
        }
        if number == WRITES / 2 {
            pair.cluster.kill_proxy().unwrap();
            pair.cluster.restart_proxy().await.unwrap();
        }
    }
    assert!(longest > 20, "indexes of {longest} documents only");
    pair.cluster.kill_node(1).unwrap();
    pair.list_all("the loss of a node").await;
}

#[tokio::test]
async fn a_renamed_or_swapped_index_keeps_its_order() {
    let pair = Pair::start().await;
    let add = |index: &str, ids: [u32; 8]| {
        let documents: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
        Call::new(Method::POST, format!("/indexes/{index}/documents"), json!(documents))
    };
    pair.write(&add("films", [8, 7, 6, 5, 4, 3, 2, 1])).await;
    pair.write(&add("books", [1, 3, 5, 7, 2, 4, 6, 8])).await;
    let swap = json!([{ "indexes": ["films", "books"] }]);
    pair.write(&Call::new(Method::POST, "/swap-indexes", swap)).await;
    assert_eq!(pair.list_all("a swap").await, ["1", "3", "5", "7", "2", "4", "6", "8"]);
    pair.write(&Call::new(Method::DELETE, "/indexes/films/documents/3", None)).await;
    pair.write(&add("films", [9, 5, 5, 9, 1, 1, 1, 10])).await;
    assert_eq!(pair.list_all("a swap").await, ["1", "9", "5", "7", "2", "4", "6", "8", "10"]);
    pair.write(&Call::new(Method::DELETE, "/indexes/films", None)).await;
    pair.write(&add("films", [3, 1, 2, 5, 4, 8, 6, 7])).await;
    assert_eq!(pair.list_all("a new beginning").await, ["3", "1", "2", "5", "4", "8", "6", "7"]);
}

#[tokio::test]
async fn an_index_that_has_grown_is_listed_whole_and_in_order_of_arrival_again_once_it_was_emptied() {
    let pair = Pair::start().await;
    let client = pair.cluster.client();
    let add = |ids: std::ops::Range<u32>| {
        let documents: Vec<_> = ids.rev().map(|id| json!({ "id": id })).collect();
        Call::new(Method::POST, "/indexes/films/documents", json!(documents))
    };
    let ids = async |path: String| -> Vec<u64> {
        let listing = Call::new(Method::GET, path, None).read(client).await;
        listing["results"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()).collect()
    };
    pair.write(&add(0..1000)).await;
    assert_eq!(pair.list_all("a thousand documents").await.first().unwrap(), "999");
    pair.list(&Call::new(Method::GET, "/indexes/films/documents?offset=500", None), "a thousand documents")
        .await;
    add(1000..1001).write(client).await;
    let mut seen = BTreeSet::new();
    for page in 0..7 {
        seen.extend(ids(format!("/indexes/films/documents?limit=150&offset={}", 150 * page)).await);
    }
    assert_eq!(seen, (0..1001).collect());
    pair.write(&Call::new(Method::DELETE, "/indexes/films/documents", None)).await;
    pair.write(&add(0..30)).await;
    assert_eq!(pair.list_all("a new beginning").await.first().unwrap(), "29");
}
