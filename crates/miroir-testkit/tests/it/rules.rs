//! Dynamic search rules: made on one server and through Miroir over several, they pin the same documents to the same places.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{Duration, Instant};

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Map, Value, json};

const DEADLINE: Duration = Duration::from_mins(1);

/// One server, and Miroir.
struct Both {
    node: Node,
    cluster: Cluster,
}

impl Both {
    async fn start() -> Self {
        let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
        let both = Self { node: Node::start("expected").await.unwrap(), cluster };
        for client in both.clients() {
            let on = json!({"dynamicSearchRules": true});
            client.patch("/experimental-features", &on).await.unwrap().success().unwrap();
        }
        for (index, count) in [("films", 40), ("books", 17)] {
            let settings = json!({"filterableAttributes": ["genre", "year"], "sortableAttributes": ["year"]});
            both.write("PATCH", &format!("/indexes/{index}/settings"), &settings).await;
            let documents: Vec<Value> = (0..count).map(|number| document(index, number)).collect();
            both.write("POST", &format!("/indexes/{index}/documents?primaryKey=id"), &json!(documents)).await;
        }
        both
    }

    fn clients(&self) -> [&Client; 2] {
        [self.node.client(), self.cluster.client()]
    }

    /// Writes to both; the tasks end alike, which is answered.
    async fn write(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut ends = Vec::new();
        for client in self.clients() {
            let body = Some(body).filter(|body| !body.is_null());
            let reply = client.send(method.parse().unwrap(), path, body).await.unwrap();
            let task = client.wait_reply(reply).await.unwrap();
            let told = ["status", "type", "indexUid", "details", "error", "customMetadata"];
            ends.push(told.iter().map(|key| ((*key).to_owned(), task[key].clone())).collect::<Map<_, _>>());
        }
        assert_eq!(ends[0], ends[1], "{method} {path} {body}");
        Value::Object(ends.remove(0))
    }

    /// Replaces all rules by these.
    async fn set_rules(&self, rules: &[(&str, Value)]) {
        self.write("DELETE", "/dynamic-search-rules", &Value::Null).await;
        for (uid, rule) in rules {
            let path = format!("/dynamic-search-rules/{uid}");
            assert_eq!(self.write("PATCH", &path, rule).await["status"], "succeeded");
        }
    }

    async fn assert_alike(&self, path: &str, body: &Value) {
        let [expected, actual] = self.clients();
        let expected = expected.post(path, body).await.unwrap();
        let actual = actual.post(path, body).await.unwrap();
        assert_eq!(
            (actual.status, without_times(actual.body)),
            (expected.status, without_times(expected.body)),
            "{path} {body}"
        );
    }

    /// Searches of every kind, on several pages.
    async fn assert_searches_alike(&self) {
        let windows = [
            json!({}),
            json!({"limit": 3}),
            json!({"offset": 2, "limit": 5}),
            json!({"page": 1, "hitsPerPage": 4}),
            json!({"page": 3, "hitsPerPage": 3}),
            json!({"offset": 38, "limit": 20}),
        ];
        for window in &windows {
            for search in searches() {
                let body = merged(&search, window);
                self.assert_alike("/indexes/films/search", &body).await;
            }
            for queries in several() {
                self.assert_alike("/multi-search", &json!({"queries": queries, "federation": window})).await;
            }
        }
    }
}

fn document(index: &str, number: usize) -> Value {
    let colour = ["red", "blue"][number % 2];
    let genre = ["drama", "comedy", "crime"][number % 3];
    let id = if index == "films" { number } else { 100 + number };
    json!({
        "id": id,
        "title": format!("{colour} {index} {number}"),
        "year": number * 7 % 40,
        "genre": genre,
    })
}

fn searches() -> Vec<Value> {
    vec![
        json!({"sort": ["year:asc"], "showRankingScore": true, "showRankingScoreDetails": true}),
        json!({"q": "red", "facets": ["genre"]}),
        json!({"q": "blue films 7", "attributesToRetrieve": ["title"], "showRankingScoreDetails": true}),
        json!({"filter": "genre = drama AND year > 5"}),
        json!({"filter": ["genre = drama", ["year = 2", "year = 21", "year = 3", "year = 24"], ["year < 90", "year > 1"]]}),
        json!({"filter": many_ways()}),
        json!({"q": "nothing of that kind"}),
        json!({"filter": "genre = unheard-of"}),
    ]
}

/// A filter that can be satisfied in so many ways that a node which multiplied them with its shards would give up before it
/// comes to the one that a rule is for.
fn many_ways() -> Value {
    let years: Vec<String> = (1..=14).chain([21]).map(|year| format!("year = {year}")).collect();
    json!(["genre = drama", years, ["year < 90", "year > 1"]])
}

fn several() -> Vec<Value> {
    vec![
        json!([{"indexUid": "films", "q": "red"}, {"indexUid": "books", "q": "books", "federationOptions": {"weight": 0.9}}]),
        json!([{"indexUid": "films", "filter": "genre = drama"}, {"indexUid": "films", "q": "blue"}]),
    ]
}

fn merged(search: &Value, window: &Value) -> Value {
    let parts = [search, window].into_iter().filter_map(Value::as_object);
    parts.flatten().map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>().into()
}

fn without_times(mut body: Value) -> Value {
    for key in ["processingTimeMs", "requestUid"] {
        if let Some(body) = body.as_object_mut() {
            body.remove(key);
        }
    }
    for rule in body["results"].as_array_mut().into_iter().flatten() {
        rule.as_object_mut().unwrap().remove("lastUpdatedAt");
    }
    body
}

fn pin(id: u32, position: u32) -> Value {
    json!({"selector": {"id": id.to_string()}, "action": {"type": "pin", "position": position}})
}

fn pin_in(index: &str, id: u32, position: u32) -> Value {
    let mut pin = pin(id, position);
    pin["selector"]["indexUid"] = json!(index);
    pin
}

#[tokio::test]
async fn rules_pin_the_same_documents_to_the_same_places_as_on_one_server() {
    if !nodes_are_real() {
        return refused_by_nodes_without_rules().await;
    }
    let both = Both::start().await;
    // Two nodes with pins for one place, pins that run ahead of others, pins beyond the end.
    both.set_rules(&[
        ("late", json!({"actions": [pin(30, 1), pin(13, 1), pin(31, 90)]})),
        ("early", json!({"precedence": 1, "actions": [pin(12, 1), pin(14, 6), pin(15, 0)]})),
        ("off", json!({"active": false, "actions": [pin(16, 0)]})),
    ])
    .await;
    both.assert_searches_alike().await;
    // Conditions on words, on emptiness, on time and on the filter.
    both.set_rules(&[
        ("words", json!({"conditions": {"query": {"words": "red"}}, "actions": [pin(3, 0)]})),
        ("empty", json!({"conditions": {"query": {"isEmpty": true}}, "actions": [pin(5, 1)]})),
        ("over", json!({"conditions": {"time": {"end": "2020-01-01T00:00:00Z"}}, "actions": [pin(7, 0)]})),
        ("drama", json!({"conditions": {"filter": {"values": {"genre": "drama"}}}, "actions": [pin(9, 2)]})),
        ("both", json!({"conditions": {"filter": {"values": {"genre": "drama", "year": 21}}}, "actions": [pin(3, 1)]})),
    ])
    .await;
    both.assert_searches_alike().await;
}

#[tokio::test]
async fn rules_follow_an_index_that_changes_its_name_and_a_node_that_was_away_or_emptied() {
    if !nodes_are_real() {
        return refused_by_nodes_without_rules().await;
    }
    let mut both = Both::start().await;
    let rules = [
        (
            "films",
            json!({"description": "of films", "actions": [pin_in("films", 5, 1), pin_in("films", 6, 1)]}),
        ),
        ("books", json!({"actions": [pin_in("books", 105, 1)]})),
    ];
    both.set_rules(&rules).await;
    both.write("POST", "/swap-indexes", &json!([{"indexes": ["films", "books"]}])).await;
    both.assert_alike("/dynamic-search-rules", &json!({"filter": {"active": true}})).await;
    both.assert_alike("/dynamic-search-rules", &json!({"filter": {"query": "films"}, "limit": 1})).await;
    for index in ["films", "books"] {
        wait_until_alike(&both, index).await;
    }
    // What it pinned is now in the other index.
    both.write(
        "PATCH",
        "/dynamic-search-rules/films?customMetadata=mine",
        &json!({"actions": [pin_in("films", 103, 2)]}),
    )
    .await;
    wait_until_alike(&both, "films").await;

    both.cluster.kill_node(1).unwrap();
    both.write(
        "PATCH",
        "/dynamic-search-rules/books",
        &json!({"actions": [pin_in("books", 7, 0), pin_in("books", 8, 0)]}),
    )
    .await;
    both.cluster.restart_node(1).await.unwrap();
    both.cluster.restart_node_emptied(2).await.unwrap();
    for node in 0..3 {
        wait_for_rules(&both, node).await;
    }
    wait_until_alike(&both, "books").await;
}

/// The node has the rules as Miroir has them, under the nodes' names of indexes.
async fn wait_for_rules(both: &Both, node: usize) {
    let path = "/dynamic-search-rules/books";
    let deadline = Instant::now() + DEADLINE;
    loop {
        let rule = both.cluster.nodes()[node].client().get(path).await.unwrap();
        if rule.body["actions"] == json!([pin_in("films", 7, 0), pin_in("films", 8, 0)]) {
            return;
        }
        assert!(Instant::now() < deadline, "node {node}: {}", rule.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn wait_until_alike(both: &Both, index: &str) {
    let (path, body) = (format!("/indexes/{index}/search"), json!({"limit": 5}));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let [expected, actual] = both.clients();
        let expected = expected.post(&path, &body).await.unwrap();
        let actual = actual.post(&path, &body).await.unwrap();
        if expected.body["hits"] == actual.body["hits"] {
            return;
        }
        assert!(Instant::now() < deadline, "{path}: {} but {}", expected.text, actual.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Nodes of an older version have no rules, and nothing is accepted that they could not do.
async fn refused_by_nodes_without_rules() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let client = cluster.client();
    client.patch("/experimental-features", &json!({"dynamicSearchRules": true})).await.unwrap();
    let reply = client.patch("/dynamic-search-rules/r", &json!({"actions": [pin(1, 0)]})).await.unwrap();
    assert!((400..500).contains(&reply.status), "{} {}", reply.status, reply.text);
    let tasks = client.get("/tasks").await.unwrap();
    assert_eq!(tasks.body["total"], 0, "{}", tasks.text);
}
