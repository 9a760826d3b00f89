//! A node that answers with what is no answer has failed: another replica is asked, and no client notices.

use miroir_testkit::sandbox::{Cluster, Meddling, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

/// Answers that claim success.
fn lies() -> Vec<Value> {
    vec![
        json!({}),
        json!([]),
        json!(null),
        json!("hits"),
        json!({"hits": null}),
        json!({"hits": {}}),
        json!({"hits": [1]}),
        json!({"hits": [], "estimatedTotalHits": "many"}),
        json!({"results": {}}),
        json!({"results": [1], "total": 1}),
        json!({"results": [], "total": null}),
        json!({"facetHits": 1}),
        json!({"facetHits": [{"value": 1}]}),
        json!({"numberOfDocuments": "all", "fieldDistribution": []}),
        json!({"indexes": []}),
    ]
}

/// What clients ask, and at which route of a node that ends.
fn questions() -> Vec<(Method, &'static str, Value, &'static str)> {
    let films = json!({"indexUid": "films", "q": "film"});
    let mut questions = vec![
        (Method::POST, "/indexes/films/search", json!({"q": "film", "facets": ["genre"]}), "/search"),
        (Method::POST, "/indexes/films/search", json!({"q": "", "sort": ["id:desc"], "limit": 3}), "/search"),
        (Method::POST, "/indexes/films/facet-search", json!({"facetName": "genre"}), "/facet-search"),
        (Method::POST, "/indexes/films/documents/fetch", json!({"limit": 30}), "/documents/fetch"),
        (Method::POST, "/indexes/films/documents/fetch", json!({"filter": "id > 3"}), "/documents/fetch"),
        (Method::GET, "/indexes/films/stats", Value::Null, "/stats"),
        (Method::POST, "/multi-search", json!({"queries": [films]}), "/search"),
    ];
    // The development node has no federated search.
    if nodes_are_real() {
        let federated = json!({"federation": {}, "queries": [films]});
        questions.push((Method::POST, "/multi-search", federated, "/multi-search"));
    }
    questions
}

async fn cluster(topology: Topology) -> Cluster {
    let cluster = Cluster::start_relayed(topology, json!({})).await.unwrap();
    let client = cluster.client();
    let settings = json!({"filterableAttributes": ["genre", "id"], "sortableAttributes": ["id"]});
    let reply = client.patch("/indexes/films/settings", &settings).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let films: Vec<Value> = (0..30)
        .map(|id| json!({"id": id, "title": format!("film {id}"), "genre": format!("g{}", id % 4)}))
        .collect();
    let reply = client.post("/indexes/films/documents", &json!(films)).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    cluster
}

async fn ask(cluster: &Cluster, method: &Method, path: &str, body: &Value) -> Value {
    let body = (!body.is_null()).then_some(body);
    let reply = cluster.client().send(method.clone(), path, body).await.unwrap();
    assert!(!reply.headers.contains_key("x-miroir-degraded"), "{path}: {:?}", reply.headers);
    let mut answer = reply.success().unwrap();
    for own in ["processingTimeMs", "requestUid", "rawDocumentDbSize", "avgDocumentSize"] {
        answer.as_object_mut().unwrap().remove(own);
    }
    for result in answer["results"].as_array_mut().into_iter().flatten() {
        let result = result.as_object_mut().unwrap();
        result.remove("processingTimeMs");
        result.remove("requestUid");
    }
    answer
}

async fn assert_lies_change_nothing(topology: Topology) {
    let cluster = cluster(topology).await;
    for (method, path, body, route) in questions() {
        let truth = ask(&cluster, &method, path, &body).await;
        for lie in lies() {
            let meddling = Meddling::Answer(200, lie.clone());
            cluster.relay(0).set(Rule::always(method.clone(), route, meddling));
            assert_eq!(
                ask(&cluster, &method, path, &body).await,
                truth,
                "{path} {body} where a node says {lie}"
            );
        }
        cluster.relay(0).clear();
    }
}

#[tokio::test]
async fn an_answer_without_its_heart_is_asked_of_another_replica_of_a_scattered_index() {
    assert_lies_change_nothing(Topology { shards: 6, ..Topology::one_group(3, 2) }).await;
}

#[tokio::test]
async fn an_answer_without_its_heart_is_asked_of_another_replica_of_a_whole_index() {
    assert_lies_change_nothing(Topology { shards: 1, ..Topology::one_group(2, 2) }).await;
}

#[tokio::test]
async fn a_node_that_answers_without_end_neither_fills_the_memory_nor_is_waited_for() {
    let cluster = cluster(Topology { shards: 1, ..Topology::one_group(2, 2) }).await;
    for node in 0..2 {
        cluster
            .relay(node)
            .set(Rule { times: 12, ..Rule::always(Method::POST, "/search", Meddling::Endless) });
    }
    let query = json!({"q": "film"});
    let asked = (0..24).map(|_| cluster.client().post("/indexes/films/search", &query));
    for reply in futures_util::future::join_all(asked).await {
        let status = reply.unwrap().status;
        assert!(matches!(status, 200 | 503), "{status}");
    }
    let peak = cluster.proxy_peak_memory().unwrap();
    assert!(peak < 1 << 30, "{} MB", peak >> 20);
    for node in 0..2 {
        cluster.relay(node).clear();
    }
    assert_eq!(ask(&cluster, &Method::POST, "/indexes/films/search", &query).await["estimatedTotalHits"], 30);
}

#[tokio::test]
async fn a_redirect_of_a_node_is_followed_nowhere() {
    let cluster = cluster(Topology { shards: 1, ..Topology::one_group(2, 2) }).await;
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/search", elsewhere.local_addr().unwrap());
    let visitor = tokio::spawn(async move {
        let (mut socket, _) = elsewhere.accept().await.unwrap();
        let mut said = vec![0; 4096];
        let length = socket.read(&mut said).await.unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    });
    for node in 0..2 {
        cluster.relay(node).set(Rule::always(Method::POST, "/search", Meddling::Redirect(address.clone())));
    }
    let reply = cluster.client().post("/indexes/films/search", &json!({"q": "secret"})).await.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(!visitor.is_finished(), "somebody came: {}", visitor.await.unwrap());
    visitor.abort();
}
