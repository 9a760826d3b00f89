//! Changes of settings that documents forbid: one server fails them and keeps its documents as they were, and so does
//! Miroir, whichever nodes hold such a document, whatever is written at once, and whoever is killed meanwhile.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::films::{succeed, wait_for_topology};
use miroir_testkit::oracle::{Dice, seed_from_env};
use miroir_testkit::sandbox::{Cluster, Meddling, Node, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Map, Value, json};

const DOCUMENTS: &str = "/indexes/films/documents";
const SETTINGS: &str = "/indexes/films/settings";

/// Worlds that are drawn at random.
const WORLDS: usize = 3;

/// Changes of embedders in each of them.
const CHANGES: usize = 6;

/// One server, and Miroir over three that keep two copies.
struct Pair {
    node: Node,
    cluster: Cluster,
}

impl Pair {
    async fn start(overrides: Value) -> Self {
        let node = Node::start("expected").await.unwrap();
        let cluster = Cluster::start_relayed(Topology::one_group(3, 2), overrides).await.unwrap();
        let pair = Self { node, cluster };
        // Makes the index.
        pair.send(Method::PATCH, SETTINGS, &json!({ "filterableAttributes": ["group"] }))
            .await
            .ends(true)
            .await;
        pair
    }

    /// The same request to both.
    async fn send(&self, method: Method, path: &str, body: &Value) -> Sent {
        let send = async |client: &Client| {
            (client.clone(), client.send(method.clone(), path, Some(body)).await.unwrap())
        };
        Sent {
            what: format!("{method} {path} {body}"),
            expected: send(self.node.client()).await,
            actual: send(self.cluster.client()).await,
        }
    }

    /// Everything that clients can see of the documents.
    async fn assert_alike(&self, history: &str) {
        for (path, body) in [
            (format!("{DOCUMENTS}/fetch"), json!({ "limit": 1000, "retrieveVectors": true })),
            (
                "/indexes/films/search".to_owned(),
                json!({ "q": "film", "limit": 1000, "retrieveVectors": true }),
            ),
        ] {
            let ask = async |client: &Client| {
                let mut answer = client.post(&path, &body).await.unwrap().success().unwrap();
                answer.as_object_mut().unwrap().remove("processingTimeMs");
                answer.as_object_mut().unwrap().remove("requestUid");
                by_id(answer)
            };
            let expected = ask(self.node.client()).await;
            assert_eq!(ask(self.cluster.client()).await, expected, "{path} after {history}");
        }
        let seen = async |client: &Client| {
            let embedders = client.get(&format!("{SETTINGS}/embedders")).await.unwrap().success().unwrap();
            let stats = client.get("/indexes/films/stats").await.unwrap().success().unwrap();
            let counted = ["numberOfDocuments", "numberOfEmbeddings", "numberOfEmbeddedDocuments"];
            (embedders, counted.map(|key| stats[key].clone()), stats["fieldDistribution"].clone())
        };
        let expected = seen(self.node.client()).await;
        assert_eq!(seen(self.cluster.client()).await, expected, "after {history}");
    }

    async fn wait_until_whole(&self) {
        let is_whole = |topology: &Value| topology["degraded_node_count"] == 0;
        wait_for_topology(&self.cluster, is_whole).await.unwrap();
    }
}

/// A request that both accepted.
struct Sent {
    what: String,
    expected: (Client, Reply),
    actual: (Client, Reply),
}

impl Sent {
    /// How the tasks end, which is the same for both.
    async fn end(self) -> Value {
        let Self { what, expected, actual } = self;
        let end = async |(client, reply): (Client, Reply)| client.wait_reply(reply).await.unwrap();
        let (expected, actual) = tokio::join!(end(expected), end(actual));
        let told = |task: &Value| (task["status"].clone(), task["error"]["code"].clone());
        assert_eq!(told(&actual), told(&expected), "{what}:\n{actual}\n{expected}");
        // How many documents a deletion finds depends on what one server takes together with it.
        if expected["type"] == "settingsUpdate" {
            assert_eq!(actual["details"], expected["details"], "{what}");
        }
        if expected["status"] == "failed" { json!([actual["error"], expected["error"]]) } else { Value::Null }
    }

    async fn ends(self, well: bool) -> Value {
        let what = self.what.clone();
        let error = self.end().await;
        assert_eq!(error.is_null(), well, "{what}: {error}");
        error
    }
}

/// Hits and documents by id: ties among hits come in another order.
fn by_id(mut answer: Value) -> Value {
    for list in ["hits", "results"] {
        if let Some(Value::Array(items)) = answer.get_mut(list) {
            items.sort_by_key(|item| item["id"].as_u64());
        }
    }
    answer
}

fn film(id: usize, vectors: Value) -> Value {
    let mut film = json!({ "id": id, "title": format!("film {id}"), "group": id % 3 });
    if !vectors.is_null() {
        film["_vectors"] = vectors;
    }
    film
}

fn user_provided(dimensions: usize) -> Value {
    json!({ "source": "userProvided", "dimensions": dimensions })
}

fn embedder(dimensions: usize) -> Value {
    json!({ "embedders": { "m": user_provided(dimensions) } })
}

/// Nineteen films with vectors of three numbers.
fn films() -> Vec<Value> {
    let vector = |id: u32| json!([f64::from(id) / 7.0, 1, 0.1]);
    (1..=19).map(|id| film(id as usize, json!({ "m": vector(id) }))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_one_document_forbids_fails_and_what_is_written_at_once_succeeds() {
    if !nodes_are_real() {
        return;
    }
    let pair = Pair::start(json!({})).await;
    let bad = film(20, json!({ "m": [1, 2] }));
    pair.send(Method::POST, DOCUMENTS, &json!([films(), vec![bad]].concat())).await.ends(true).await;
    for (id, change) in
        [embedder(3), embedder(2), json!({ "embedders": { "m": user_provided(3), "n": user_provided(1) } })]
            .into_iter()
            .enumerate()
    {
        let change = pair.send(Method::PATCH, SETTINGS, &change).await;
        let written = pair.send(Method::POST, DOCUMENTS, &json!([film(21 + id, Value::Null)])).await;
        let deleted =
            pair.send(Method::POST, &format!("{DOCUMENTS}/delete"), &json!({ "filter": "group = 7" })).await;
        let error = change.ends(false).await;
        if id == 0 {
            assert_eq!(error[0], error[1]);
        }
        written.ends(true).await;
        deleted.ends(true).await;
        pair.assert_alike("a change that was refused").await;
    }
    // No node has heard of it.
    for node in pair.cluster.nodes() {
        let tasks = node.client().get("/tasks?types=settingsUpdate&limit=100").await.unwrap().body;
        assert!(!tasks.to_string().contains("userProvided"), "{tasks}");
    }
    let gone = format!("{DOCUMENTS}/20");
    pair.send(Method::DELETE, &gone, &Value::Null).await.ends(true).await;
    for id in 21..=23 {
        let vectors = json!({ "m": { "regenerate": false, "embeddings": [[1, 2, 3], [4, 5, 6]] } });
        pair.send(Method::POST, DOCUMENTS, &json!([film(id, vectors)])).await.ends(true).await;
    }
    pair.send(Method::PATCH, SETTINGS, &embedder(3)).await.ends(true).await;
    pair.assert_alike("the same change when nothing forbids it").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_that_are_none_and_documents_without_vectors_are_seen_before_any_node_hears_of_it() {
    if !nodes_are_real() {
        return;
    }
    let pair = Pair::start(json!({})).await;
    let mut nowhere = film(20, Value::Null);
    nowhere["_geo"] = json!({ "lat": "north", "lng": 7 });
    nowhere["vectors"] = json!([1]);
    pair.send(Method::POST, DOCUMENTS, &json!([films(), vec![nowhere]].concat())).await.ends(true).await;
    for change in [
        json!({ "sortableAttributes": ["_geo"] }),
        json!({ "filterableAttributes": ["group", "_geo"], "stopWords": ["a"] }),
        embedder(3),
        json!({ "embedders": { "m": user_provided(3) }, "sortableAttributes": ["_geo"] }),
        // With such a document one server refuses every change, and so do the nodes that hold it.
        json!({ "stopWords": ["a"] }),
    ] {
        let error = pair.send(Method::PATCH, SETTINGS, &change).await.ends(false).await;
        assert_eq!(error[0], error[1], "{change}");
        pair.assert_alike("a change that was refused").await;
    }
    pair.send(Method::DELETE, &format!("{DOCUMENTS}/20"), &Value::Null).await.ends(true).await;
    let lacking = film(20, json!({ "n": [1] }));
    pair.send(Method::POST, DOCUMENTS, &json!([lacking, { "id": 22, "vectors": 1 }])).await.ends(true).await;
    let error = pair.send(Method::PATCH, SETTINGS, &embedder(3)).await.ends(false).await;
    assert_eq!(error[0], error[1]);
    pair.assert_alike("an embedder without vectors").await;
}

/// Documents of which only their nodes know forbid the change there.
async fn forbid(cluster: &Cluster, nodes: &[usize]) {
    for node in nodes {
        let client = cluster.nodes()[*node].client();
        let bad = json!([{ "id": 900, "_vectors": { "m": [1, 2], "n": [1, 2] } }]);
        succeed(client, client.post(DOCUMENTS, &bad).await.unwrap()).await.unwrap();
    }
}

async fn allow(cluster: &Cluster, nodes: &[usize]) {
    for node in nodes {
        let client = cluster.nodes()[*node].client();
        succeed(client, client.delete(&format!("{DOCUMENTS}/900")).await.unwrap()).await.unwrap();
    }
}

/// The change that only some nodes refuse, and what is true afterwards: all of Miroir's is as before.
async fn refuse_on(pair: &Pair, nodes: &[usize], change: &Value) {
    forbid(&pair.cluster, nodes).await;
    let client = pair.cluster.client();
    let sent = client.patch(SETTINGS, change).await.unwrap();
    let written = pair.send(Method::POST, DOCUMENTS, &json!([film(21, json!({ "m": [3, 2, 1] }))])).await;
    let task = client.wait_reply(sent).await.unwrap();
    assert_eq!(
        (&task["status"], &task["error"]["code"]),
        (&json!("failed"), &json!("invalid_vector_dimensions"))
    );
    written.ends(true).await;
    allow(&pair.cluster, nodes).await;
    pair.wait_until_whole().await;
    pair.assert_alike(&format!("a change that {nodes:?} refused")).await;
    assert_copies_are_alike(pair).await;
}

/// Every copy of a document is the same, seen on the nodes themselves.
async fn assert_copies_are_alike(pair: &Pair) {
    let mut known: Map<String, Value> = Map::new();
    for node in pair.cluster.nodes() {
        let body = json!({ "limit": 1000, "retrieveVectors": true });
        let listing =
            node.client().post(&format!("{DOCUMENTS}/fetch"), &body).await.unwrap().success().unwrap();
        for document in listing["results"].as_array().unwrap() {
            let earlier = known.insert(document["id"].to_string(), document.clone());
            assert!(
                earlier.is_none_or(|earlier| earlier == *document),
                "{document} on {}",
                node.target().url
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_some_nodes_took_and_others_refused_is_undone_with_its_documents_in_both_strategies() {
    if !nodes_are_real() {
        return;
    }
    for strategy in ["two_phase", "sequential"] {
        let pair = Pair::start(json!({ "settings_broadcast": { "strategy": strategy } })).await;
        pair.send(Method::POST, DOCUMENTS, &json!(films())).await.ends(true).await;
        for nodes in [[1, 2], [0, 2], [0, 1]] {
            refuse_on(&pair, &nodes, &embedder(3)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_being_undone_when_miroir_is_killed_is_undone_to_the_end() {
    if !nodes_are_real() {
        return;
    }
    let mut pair = Pair::start(json!({})).await;
    pair.send(Method::POST, DOCUMENTS, &json!(films())).await.ends(true).await;
    forbid(&pair.cluster, &[1, 2]).await;
    let client = pair.cluster.client().clone();
    // The last node to be asked hears of it when the first one has it.
    pair.cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    let sent = client.patch(SETTINGS, &embedder(3)).await.unwrap();
    pair.cluster.relay(2).wait_for_match().await.unwrap();
    // What it is sent from now on takes it back.
    pair.cluster.relay(0).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    pair.cluster.relay(2).clear();
    pair.cluster.relay(0).wait_for_match().await.unwrap();
    let written = pair.send(Method::POST, DOCUMENTS, &json!([film(21, Value::Null)])).await;
    pair.cluster.kill_proxy().unwrap();
    pair.cluster.relay(0).clear();
    pair.cluster.restart_proxy().await.unwrap();
    let task = client.wait_reply(sent).await.unwrap();
    assert_eq!(task["error"]["code"], "invalid_vector_dimensions", "{task}");
    written.ends(true).await;
    allow(&pair.cluster, &[1, 2]).await;
    pair.wait_until_whole().await;
    pair.assert_alike("a change that was undone").await;
    assert_copies_are_alike(&pair).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_while_a_change_was_undone_has_its_documents_as_they_were_too() {
    if !nodes_are_real() {
        return;
    }
    let mut pair = Pair::start(json!({})).await;
    pair.send(Method::POST, DOCUMENTS, &json!(films())).await.ends(true).await;
    forbid(&pair.cluster, &[1, 2]).await;
    let client = pair.cluster.client().clone();
    pair.cluster.relay(2).set(Rule::always(Method::PATCH, SETTINGS, Meddling::HoldRequest));
    let sent = client.patch(SETTINGS, &embedder(3)).await.unwrap();
    pair.cluster.relay(2).wait_for_match().await.unwrap();
    pair.cluster.kill_node(0).unwrap();
    pair.cluster.relay(2).clear();
    let written = pair.send(Method::POST, DOCUMENTS, &json!([film(21, Value::Null)])).await;
    let task = client.wait_reply(sent).await.unwrap();
    assert_eq!(task["error"]["code"], "invalid_vector_dimensions", "{task}");
    written.ends(true).await;
    pair.cluster.restart_node(0).await.unwrap();
    allow(&pair.cluster, &[1, 2]).await;
    pair.wait_until_whole().await;
    pair.assert_alike("a change that was undone without a node").await;
    assert_copies_are_alike(&pair).await;
}

/// What a document brings for an embedder of so many dimensions, seldom something that forbids it.
fn vectors(dice: &mut Dice, dimensions: usize, bad: bool) -> Value {
    let length = if bad { dimensions + 1 } else { dimensions };
    let vector = |dice: &mut Dice| (0..length).map(|_| json!(dice.real(-1.0, 1.0))).collect::<Vec<_>>();
    let plain = vector(dice);
    match dice.between(0, if bad { 3 } else { 4 }) {
        0 => json!(plain),
        1 => json!([plain, vector(dice)]),
        2 => json!({ "regenerate": false, "embeddings": plain }),
        3 => json!({ "regenerate": dice.chance(50), "embeddings": [plain] }),
        _ => Value::Null,
    }
}

const EMBEDDERS: [(&str, usize); 3] = [("a", 2), ("b", 3), ("c", 4)];

fn drawn_film(dice: &mut Dice, id: usize, faults: u32) -> Value {
    let mut entries = Map::new();
    for (name, dimensions) in EMBEDDERS {
        let (bad, lacks) = (dice.chance(faults), dice.chance(faults));
        let entry = vectors(dice, dimensions, bad);
        if !lacks {
            entries.insert(name.to_owned(), entry);
        }
    }
    film(id, Value::Object(entries))
}

fn drawn_change(dice: &mut Dice) -> Value {
    let mut embedders = Map::new();
    for (name, dimensions) in EMBEDDERS {
        match dice.between(0, 3) {
            0 => drop(embedders.insert(name.to_owned(), Value::Null)),
            1 | 2 => drop(embedders.insert(name.to_owned(), user_provided(dimensions))),
            _ => {}
        }
    }
    json!({ "embedders": embedders })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drawn_changes_of_embedders_among_writes_end_as_on_one_server_and_leave_the_same_documents() {
    if !nodes_are_real() {
        return;
    }
    let seed = seed_from_env().unwrap();
    for world in 0..WORLDS {
        let mut dice = Dice::new(seed + world as u64);
        let mut pair = Pair::start(json!({})).await;
        let mut history = format!("seed {}", seed + world as u64);
        let faults = u32::try_from(dice.between(0, 3)).unwrap();
        let films: Vec<Value> = (0..30).map(|id| drawn_film(&mut dice, id, faults)).collect();
        pair.send(Method::POST, DOCUMENTS, &json!(films)).await.ends(true).await;
        for number in 0..CHANGES {
            let change = drawn_change(&mut dice);
            let ids: Vec<usize> = (0..3).map(|_| dice.between(0, 35)).collect();
            let films: Vec<Value> = ids.iter().map(|id| drawn_film(&mut dice, *id, faults)).collect();
            let gone: Vec<usize> = (0..2).map(|_| dice.between(0, 35)).collect();
            history = format!("{history}\n{change} {}", json!(films));
            let changed = pair.send(Method::PATCH, SETTINGS, &change).await;
            let written = pair.send(Method::POST, DOCUMENTS, &json!(films)).await;
            let deleted = pair.send(Method::POST, &format!("{DOCUMENTS}/delete-batch"), &json!(gone)).await;
            if number == CHANGES / 2 {
                pair.cluster.kill_proxy().unwrap();
                pair.cluster.restart_proxy().await.unwrap();
            }
            for sent in [changed, written, deleted] {
                sent.end().await;
            }
            pair.wait_until_whole().await;
            pair.assert_alike(&history).await;
        }
        assert_copies_are_alike(&pair).await;
    }
}
