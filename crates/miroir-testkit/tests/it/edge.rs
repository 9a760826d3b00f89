//! Requests that have to be refused are refused as one node refuses them, and leave nothing behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const JSON: Option<&str> = Some("application/json");
const MAX_BODY: usize = 20_000;

/// One node and Miroir over two nodes, with one index each.
struct Pair {
    node: Node,
    cluster: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let overrides = json!({"server": {"max_body_bytes": MAX_BODY}});
        let cluster = Cluster::start_with(Topology::one_group(2, 1), overrides).await.unwrap();
        let pair = Self { node: Node::start("expected").await.unwrap(), cluster };
        for client in pair.sides() {
            let settings = json!({"filterableAttributes": ["genre"]});
            let reply = client.patch("/indexes/films/settings", &settings).await.unwrap();
            client.wait_reply(reply).await.unwrap();
            let films = json!([{"id": 1, "genre": "drama"}, {"id": 2, "genre": "comedy"}]);
            let reply = client.post("/indexes/films/documents", &films).await.unwrap();
            client.wait_reply(reply).await.unwrap();
        }
        pair
    }

    fn sides(&self) -> [&Client; 2] {
        [self.node.client(), self.cluster.client()]
    }

    /// The same request to both, each with the key that `key` makes of its own.
    async fn send(&self, request: &Request<'_>, key: impl Fn(&str) -> String) -> [Reply; 2] {
        let mut replies = Vec::new();
        for client in self.sides() {
            let client = client.with_key(&key(&client.target().key));
            let body = request.body.to_vec();
            let reply =
                client.send_raw(request.method.clone(), request.path, request.content_type, body).await;
            replies.push(reply.unwrap());
        }
        replies.try_into().unwrap()
    }

    /// How many tasks Miroir has accepted.
    async fn tasks(&self) -> Value {
        self.cluster.client().get("/tasks?limit=1").await.unwrap().success().unwrap()["total"].clone()
    }

    async fn assert_refused_alike(&self, request: &Request<'_>, key: impl Fn(&str) -> String) {
        let before = self.tasks().await;
        let [expected, actual] = self.send(request, key).await;
        assert!(expected.status >= 400, "{request:?} is no error on one node: {}", expected.text);
        assert_eq!(error_of(&actual), error_of(&expected), "{request:?}");
        assert_eq!(self.tasks().await, before, "{request:?} left a task");
    }
}

#[derive(Debug)]
struct Request<'a> {
    method: Method,
    path: &'a str,
    content_type: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn post(path: &'a str, content_type: Option<&'a str>, body: &'a str) -> Self {
        Self { method: Method::POST, path, content_type, body: body.as_bytes() }
    }

    fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content_type: None, body: &[] }
    }
}

/// Status and error body; the message only where both come from real servers' words.
fn error_of(reply: &Reply) -> Value {
    let mut error = json!({"status": reply.status});
    for name in ["code", "type", "link", "message"] {
        if name != "message" || nodes_are_real() {
            error[name] = reply.body[name].clone();
        }
    }
    error
}

fn own_key(key: &str) -> String {
    key.to_owned()
}

#[tokio::test]
async fn malformed_requests_are_refused_like_on_one_node() {
    let pair = Pair::start().await;
    let documents = "/indexes/films/documents";
    let search = "/indexes/films/search";
    for request in [
        Request::post(documents, JSON, "[{\"id\": 3,"),
        Request::post(documents, JSON, ""),
        Request::post(documents, JSON, "7"),
        Request::post(documents, None, "[{\"id\": 3}]"),
        Request::post(documents, Some("text/plain"), "[{\"id\": 3}]"),
        Request::post("/indexes/not%20an%20uid/documents", JSON, "[{\"id\": 3}]"),
        Request::post(search, JSON, "{\"q\": "),
        Request::post(search, JSON, ""),
        Request::post(search, None, "{}"),
        Request::post(search, Some("text/csv"), "{}"),
        Request::post(search, JSON, "{\"q\": 1}"),
        Request::post(search, JSON, "{\"limt\": 1}"),
        Request::post(search, JSON, "{\"filter\": \"genre = \"}"),
        Request::post(search, JSON, "{\"filter\": \"year > 3\"}"),
        Request::post(search, JSON, "{\"sort\": [\"year:asc\"]}"),
        Request::post("/indexes/films/documents/delete-batch", JSON, "{}"),
        Request::post("/indexes", JSON, "{\"primaryKey\": \"id\"}"),
        Request::get("/indexes/films/search?limit=many"),
        Request::get("/tasks/abc"),
    ] {
        pair.assert_refused_alike(&request, own_key).await;
    }
}

#[tokio::test]
async fn unknown_things_are_missing_like_on_one_node() {
    let pair = Pair::start().await;
    for request in [
        Request::get("/indexes/nothing"),
        Request::get("/indexes/nothing/settings"),
        Request::get("/indexes/nothing/stats"),
        Request::get("/indexes/nothing/documents"),
        Request::get("/indexes/nothing/search?q=a"),
        Request::get("/indexes/films/documents/99"),
        Request::get("/tasks/99999"),
        Request::get("/no/such/path"),
        Request::post("/indexes/nothing/search", JSON, "{}"),
    ] {
        pair.assert_refused_alike(&request, own_key).await;
    }
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused_before_anything_else_is_looked_at() {
    let pair = Pair::start().await;
    for request in [
        Request::post("/indexes/films/documents", JSON, "[{\"id\": 3}]"),
        Request::post("/indexes/films/documents", None, "nonsense"),
        Request::post("/indexes/nothing/search", JSON, "{}"),
        Request::get("/indexes"),
        Request::get("/keys"),
        Request::get("/tasks"),
        Request::get("/stats"),
        Request::get("/version"),
    ] {
        pair.assert_refused_alike(&request, |_| String::new()).await;
        pair.assert_refused_alike(&request, |key| format!("{key}x")).await;
    }
    // The nodes' key opens nothing at Miroir.
    let node_key = pair.node.target().key.clone();
    let reply = pair.cluster.client().with_key(&node_key).get("/indexes").await.unwrap();
    assert_eq!((reply.status, reply.error_code()), (403, Some("invalid_api_key")), "{}", reply.text);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_not_stored() {
    let pair = Pair::start().await;
    let before = pair.tasks().await;
    let client = pair.cluster.client();
    let body = json!([{"id": 3, "text": "x".repeat(MAX_BODY)}]);
    let reply = client.post("/indexes/films/documents", &body).await.unwrap();
    assert_eq!((reply.status, reply.error_code()), (413, Some("payload_too_large")), "{}", reply.text);
    let message = reply.body["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{}", reply.text);
    let body = json!({"q": "x".repeat(MAX_BODY)});
    let reply = client.post("/indexes/films/search", &body).await.unwrap();
    assert!(reply.status >= 400, "{}", reply.text);
    assert_eq!(pair.tasks().await, before);
    let body = json!([{"id": 3, "text": "x".repeat(MAX_BODY / 2)}]);
    assert_eq!(client.post("/indexes/films/documents", &body).await.unwrap().status, 202);
}

#[tokio::test]
async fn content_types_are_read_and_refused_as_one_node_does() {
    let pair = Pair::start().await;
    if !nodes_are_real() {
        let reply = pair.send(&Request::post("/multi-search", Some("text/plain"), "{}"), own_key).await;
        assert_eq!((reply[1].status, reply[1].error_code()), (415, Some("invalid_content_type")));
        return;
    }
    for content_type in
        ["text/csv", "TEXT/CSV; charset=utf-8", "application/+json", "application/json;;", "nonsense", ""]
    {
        pair.assert_refused_alike(&Request::post("/multi-search", Some(content_type), "{}"), own_key).await;
    }
    let types =
        ["application/vnd.api+json", "application/json;;", "text/csv;x=\"", "text/json", "Text/Plain", "a"];
    for content_type in types {
        let request = Request::post("/indexes/films/documents", Some(content_type), "[{\"id\": 3}]");
        pair.assert_refused_alike(&request, own_key).await;
    }
    for content_type in ["text/json", "application/vnd.api+json", "application/json; charset=utf-8"] {
        let replies =
            pair.send(&Request::post("/indexes/films/search", Some(content_type), "{}"), own_key).await;
        assert_eq!(replies.map(|reply| reply.status), [200, 200], "{content_type}");
    }
}
