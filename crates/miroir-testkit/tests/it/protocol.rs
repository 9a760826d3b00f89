//! What clients rely on beside documents and searches, as on one node: how paths and bodies may be written, webhooks,
//! dumps and snapshots, chat workspaces, templates, networks.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::Duration;

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// `{"q":"seven"}`.
const GZIP: [u8; 33] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 84, 178, 82, 42, 78, 45, 75, 205, 83, 170, 5, 0, 241, 90,
    151, 230, 13, 0, 0, 0,
];
const BROTLI: [u8; 17] = [11, 6, 128, 123, 34, 113, 34, 58, 34, 115, 101, 118, 101, 110, 34, 125, 3];

/// One node and Miroir over two nodes, with the same films.
struct Pair {
    node: Node,
    cluster: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
        let pair = Self { node: Node::start("expected").await.unwrap(), cluster };
        let films: Vec<Value> =
            (0..30).map(|id| json!({"id": id, "title": format!("film {id}"), "year": 1990 + id})).collect();
        for client in pair.sides() {
            let reply =
                client.patch("/indexes/films/settings", &json!({"sortableAttributes": ["year"]})).await;
            client.wait_reply(reply.unwrap()).await.unwrap();
            let reply = client.post("/indexes/films/documents", &json!(films)).await.unwrap();
            client.wait_reply(reply).await.unwrap();
        }
        pair
    }

    fn sides(&self) -> [&Client; 2] {
        [self.node.client(), self.cluster.client()]
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> [Reply; 2] {
        let [expected, actual] = self.sides();
        [
            expected.send(method.clone(), path, body.as_ref()).await.unwrap(),
            actual.send(method, path, body.as_ref()).await.unwrap(),
        ]
    }

    /// The same request is answered with the same status and body.
    async fn assert_same(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let [expected, actual] = self.send(method.clone(), path, body.clone()).await;
        assert_eq!(
            (actual.status, &actual.body),
            (expected.status, &expected.body),
            "{method} {path} {body:?}"
        );
        actual.body
    }

    /// The tasks of the same request end alike.
    async fn assert_same_task(&self, path: &str, body: Option<Value>) -> Value {
        let [expected, actual] = self.send(Method::POST, path, body).await;
        let expected = self.node.client().wait_reply(expected).await.unwrap();
        let actual = self.cluster.client().wait_reply(actual).await.unwrap();
        // Where the snapshots are is said in details, which the task of one server has none of.
        let fields = |task: &Value| {
            let names = task.as_object().unwrap().keys().filter(|name| *name != "details");
            names.cloned().collect::<Vec<_>>()
        };
        assert_eq!(fields(&actual), fields(&expected), "{actual}");
        for field in ["status", "type", "indexUid"] {
            assert_eq!(actual[field], expected[field], "{path}: {actual}");
        }
        actual
    }
}

#[tokio::test]
async fn paths_and_methods_are_read_like_on_one_node() {
    let pair = Pair::start().await;
    let found = pair.cluster.client().get("/ind%65xes/%66ilms").await.unwrap();
    assert_eq!((found.status, &found.body["uid"]), (200, &json!("films")), "{}", found.text);
    for (method, path, status) in [
        ("GET", "/indexes/films/stats/", 200),
        ("GET", "//indexes///films//", 200),
        ("GET", "/indexes/nob%6Fdy/documents/ab", 404),
        ("GET", "/indexes/caf%C3%A9", 400),
        ("GET", "/indexes/%FF", 400),
        ("GET", "/indexes/films/documents/%37?fields=id", 200),
        ("GET", "/tasks%2F0", 404),
        ("GET", "/HEALTH", 404),
        ("HEAD", "/health", 405),
        ("HEAD", "/indexes/films", 405),
        ("OPTIONS", "/indexes", 405),
        ("PATCH", "/health", 405),
        ("POST", "/indexes/films/search/nothing", 404),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let [expected, actual] = pair.send(method.clone(), path, None).await;
        assert_eq!(actual.status, status, "{method} {path}: {}", actual.text);
        let seen =
            |reply: &Reply| (reply.status, reply.error_code().map(str::to_owned), reply.text.is_empty());
        // The development node takes paths as they are written.
        if nodes_are_real() {
            assert_eq!(seen(&actual), seen(&expected), "{method} {path}: {}", actual.text);
        }
    }
}

#[tokio::test]
async fn bodies_may_be_compressed_like_on_one_node() {
    let pair = Pair::start().await;
    let send = async |client: &Client, encoding: &str, body: &[u8]| {
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}/indexes/films/search", client.target().url));
        let request = request.bearer_auth(&client.target().key).header("content-type", "application/json");
        let response = request.header("content-encoding", encoding).body(body.to_vec()).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (status, body["query"].clone(), body["code"].clone())
    };
    for (encoding, body) in [
        ("gzip", &GZIP[..]),
        ("br", &BROTLI[..]),
        ("identity", br#"{"q":"seven"}"#),
        ("nonsense", br#"{"q":"seven"}"#),
        ("gzip", &GZIP[..20]),
    ] {
        let [expected, actual] = pair.sides();
        let (expected, actual) = (send(expected, encoding, body).await, send(actual, encoding, body).await);
        assert_eq!(actual, expected, "{encoding} of {} bytes", body.len());
    }
    // The development node reads no capitals, and has its own words.
    for (encoding, body, status) in [
        ("GZIP", &GZIP[..], 200),
        ("Br", &BROTLI[..], 200),
        ("gzip", &GZIP[..20], 400),
        ("gzip", br#"{"q":"seven"}"#, 400),
        ("gzip", b"", 400),
        ("deflate", br#"{"q":"seven"}"#, 400),
        ("br", br#"{"q":"seven"}"#, 400),
    ] {
        let headers = [("content-encoding", encoding), ("content-type", "application/json")];
        assert_like_one(&pair, ("POST", "/indexes/films/search"), (&headers, body), status).await;
    }
    for (accepted, status) in [
        ("*", 200),
        ("br;q=0.5, gzip", 200),
        ("gzip;q=0.5, *", 200),
        ("gzip;q=0", 200),
        ("*;q=0", 406),
        ("identity;q=0", 406),
    ] {
        let headers = [("accept-encoding", accepted)];
        assert_like_one(&pair, ("GET", "/indexes/films/documents/7"), (&headers, b""), status).await;
    }
}

/// Sends a request as it is to both and compares what comes back, but for what is fresh in it.
async fn assert_like_one(
    pair: &Pair,
    (method, path): (&str, &str),
    (headers, body): (&Headers, &[u8]),
    status: u16,
) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answers = Vec::new();
    for client in pair.sides() {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = http.request(method, format!("{}{path}", client.target().url));
        let mut request = request.bearer_auth(&client.target().key).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let packed = response.headers().get("content-encoding").cloned();
        let (status, bytes) = (response.status().as_u16(), response.bytes().await.unwrap());
        let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = if packed.is_none() && told.is_null() { bytes } else { Vec::new().into() };
        answers.push((status, packed, text, told["message"].clone(), told["query"].clone()));
    }
    assert_eq!(answers[1].0, status, "{headers:?}: {:?}", answers[1]);
    if nodes_are_real() {
        assert_eq!(answers[1], answers[0], "{headers:?}");
    }
}

#[tokio::test]
async fn a_webhook_is_told_of_finished_tasks() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told", receiver.local_addr().unwrap());
    let client = cluster.client();
    let hook = json!({"url": url, "headers": {"authorization": "Bearer open-sesame"}});
    let hook = client.post("/webhooks", &hook).await.unwrap().success().unwrap();
    assert!(!hook.to_string().contains("open-sesame"), "{hook}");
    let reply = client.post("/indexes", &json!({"uid": "films"})).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let (mut stream, _) = timeout(DEADLINE, receiver.accept()).await.unwrap().unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let length = timeout(DEADLINE, stream.read(&mut part)).await.unwrap().unwrap();
        assert_ne!(length, 0, "the request broke off");
        head.extend_from_slice(&part[..length]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("post /told http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer open-sesame\r\n"), "{head}");
}

/// The development node has no such routes.
#[tokio::test]
async fn dumps_snapshots_and_compaction_end_like_on_one_node() {
    let pair = Pair::start().await;
    if !nodes_are_real() {
        let reply = pair.cluster.client().send(Method::POST, "/dumps", None).await.unwrap();
        let task = pair.cluster.client().wait_reply(reply).await.unwrap();
        assert_eq!((&task["status"], &task["type"]), (&json!("failed"), &json!("dumpCreation")), "{task}");
        return;
    }
    let dump = pair.assert_same_task("/dumps", None).await;
    let uid = dump["details"]["dumpUid"].as_str().unwrap();
    assert!(uid.contains("node-0:") && uid.contains("node-1:"), "{uid}");
    pair.assert_same_task("/snapshots", None).await;
    let compaction = pair.assert_same_task("/indexes/films/compact", None).await;
    assert_eq!(compaction["status"], "succeeded", "{compaction}");
    let found = pair.cluster.client().post("/indexes/films/search", &json!({"q": "film"})).await.unwrap();
    assert_eq!(found.body["estimatedTotalHits"], 30);
}

#[tokio::test]
async fn chat_workspaces_and_templates_are_answered_like_on_one_node() {
    let pair = Pair::start().await;
    if !nodes_are_real() {
        let reply = pair.cluster.client().get("/chats").await.unwrap();
        assert_eq!(reply.error_code(), Some("feature_not_enabled"), "{}", reply.text);
        return;
    }
    pair.assert_same(Method::GET, "/chats", None).await;
    let features = json!({"chatCompletions": true, "renderRoute": true});
    pair.send(Method::PATCH, "/experimental-features", Some(features)).await;
    let [get, patch, delete, post] = [Method::GET, Method::PATCH, Method::DELETE, Method::POST];
    for (method, path, body) in [
        (&get, "/chats", None),
        (&get, "/chats/mine/settings", None),
        (
            &patch,
            "/chats/mine/settings",
            Some(json!({"source": "openAi", "apiKey": "sk-abcdefghijkl", "orgId": "o"})),
        ),
        (&patch, "/chats/mine/settings", Some(json!({"prompts": {"system": "Be short."}, "orgId": null}))),
        (&patch, "/chats/mine/settings", Some(json!({"source": "none"}))),
        (&patch, "/chats/mine/settings", Some(json!([]))),
        (&patch, "/chats/mine/settings", Some(json!({"speed": 1}))),
        (&patch, "/chats/other/settings", Some(json!({}))),
        (&get, "/chats/mine/settings", None),
        (&get, "/chats?limit=1", None),
        (&get, "/chats?limit=x", None),
        (&get, "/chats/mine", None),
        (&get, "/chats/nobody", None),
        (&delete, "/chats/mine/settings", None),
        (&delete, "/chats/nobody/settings", None),
        (&delete, "/chats/mine", None),
        (&delete, "/chats/mine", None),
        (&get, "/indexes/films/settings/chat", None),
        (&post, "/render-template", Some(rendering("{{doc.title}} of {{doc.year}}", "films", "7"))),
        (&post, "/render-template", Some(rendering("{{doc.title", "films", "7"))),
        (&post, "/render-template", Some(rendering("x", "films", "700"))),
        (&post, "/render-template", Some(rendering("x", "nobody", "7"))),
        (&post, "/render-template", Some(json!({"template": {"kind": "nonsense"}}))),
    ] {
        let answer = pair.assert_same(method.clone(), path, body).await;
        assert!(!answer.to_string().contains("_miroir_"), "{answer}");
    }
    let all_fields = rendering("{% for field in doc %}{{field[0]}} {% endfor %}", "films", "8");
    for reply in pair.send(post, "/render-template", Some(all_fields)).await {
        let mut fields: Vec<_> = reply.body["rendered"].as_str().unwrap().split_whitespace().collect();
        fields.sort_unstable();
        assert_eq!(fields, ["id", "title", "year"], "{}", reply.text);
    }
}

fn rendering(template: &str, index: &str, id: &str) -> Value {
    json!({
        "template": {"kind": "inlineDocumentTemplate", "inline": template},
        "input": {"kind": "indexDocument", "indexUid": index, "id": id},
    })
}

#[tokio::test]
async fn a_federated_query_may_name_this_server_and_its_place() {
    let pair = Pair::start().await;
    if !nodes_are_real() {
        let reply = pair.cluster.client().get("/network").await.unwrap();
        assert_eq!(reply.error_code(), Some("feature_not_enabled"), "{}", reply.text);
        return;
    }
    pair.send(Method::PATCH, "/experimental-features", Some(json!({"network": true}))).await;
    let network = json!({"self": "here", "remotes": {"here": {"url": "http://127.0.0.1:9"}}});
    for reply in pair.send(Method::PATCH, "/network", Some(network)).await {
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let query = |position: u32, remote: &str| {
        json!({"indexUid": "films", "q": "film", "sort": ["year:desc"],
            "federationOptions": {"remote": remote, "queryPosition": position}})
    };
    for (positions, remote) in [([0, 1], "here"), ([5, 3], "here"), ([0, 1], "nowhere")] {
        let queries: Vec<_> = positions.into_iter().map(|position| query(position, remote)).collect();
        let body = json!({"federation": {"limit": 4}, "queries": queries});
        let [expected, actual] = pair.send(Method::POST, "/multi-search", Some(body)).await;
        assert_eq!(actual.status, expected.status, "{}", actual.text);
        assert_eq!(actual.error_code(), expected.error_code(), "{}", actual.text);
        let hits = |reply: &Reply| {
            let hits = reply.body["hits"].as_array().cloned().unwrap_or_default();
            hits.iter()
                .map(|hit| (hit["id"].clone(), hit["_federation"]["queriesPosition"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(hits(&actual), hits(&expected));
    }
}

#[tokio::test]
async fn a_network_of_this_server_alone_or_of_nobody_is_searched_like_on_one_node() {
    if !nodes_are_real() {
        return; // The development node knows of no networks; the test above says what it answers then.
    }
    let pair = Pair::start().await;
    pair.send(Method::PATCH, "/experimental-features", Some(json!({"network": true}))).await;
    let alone = json!({"self": "here", "remotes": {"here": {"url": "http://127.0.0.1:9"}}});
    let films = json!({"indexUid": "films", "q": "film", "sort": ["year:desc"], "useNetwork": true});
    let here = json!({"indexUid": "films", "q": "film", "sort": ["year:desc"]});
    let elsewhere = json!({"indexUid": "films", "useNetwork": true, "federationOptions": {"remote": "here"}});
    for network in [json!({"self": "here"}), alone] {
        for reply in pair.send(Method::PATCH, "/network", Some(network)).await {
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        for body in [
            json!({"sort": ["year:desc"], "limit": 3, "useNetwork": true}),
            json!({"q": "film", "page": 2, "hitsPerPage": 4, "useNetwork": true, "showRankingScore": true}),
            json!({"q": "film", "filter": "title = 3", "useNetwork": true}),
            json!({"q": "film", "facets": ["title"], "useNetwork": true}),
            json!({"q": "film", "limit": 1, "useNetwork": false}),
        ] {
            let [expected, actual] =
                pair.send(Method::POST, "/indexes/films/search", Some(body.clone())).await;
            assert_eq!(answer(&actual), answer(&expected), "{body}");
        }
        for body in [
            json!({"queries": [films, {"indexUid": "films", "limit": 1, "sort": ["year:asc"]}]}),
            json!({"federation": {"limit": 3}, "queries": [films]}),
            json!({"federation": {"limit": 3}, "queries": [films, here]}),
            json!({"federation": {}, "queries": [elsewhere]}),
        ] {
            let [expected, actual] = pair.send(Method::POST, "/multi-search", Some(body.clone())).await;
            let answers = [actual, expected].map(|reply| {
                let (status, mut body) = answer(&reply);
                for result in body["results"].as_array_mut().into_iter().flatten() {
                    *result = without_times(result.clone());
                }
                (status, body)
            });
            assert_eq!(answers[0], answers[1], "{body}");
        }
        let facets = json!({"facetName": "title", "useNetwork": true});
        let [expected, actual] = pair.send(Method::POST, "/indexes/films/facet-search", Some(facets)).await;
        assert_eq!(answer(&actual), answer(&expected));
    }
}

/// One Meilisearch speaks HTTP/1.1 only.
#[tokio::test]
async fn clients_may_speak_http_2_without_encryption() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let target = cluster.client().target();
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (path, status) in [("/health", 200), ("/indexes/nothing", 404)] {
        let request = client.get(format!("{}{path}", target.url)).bearer_auth(&target.key);
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.version(), response.status().as_u16()),
            (reqwest::Version::HTTP_2, status),
            "{path}"
        );
    }
}

fn without_times(mut body: Value) -> Value {
    for field in ["processingTimeMs", "requestUid"] {
        body.as_object_mut().map(|body| body.remove(field));
    }
    body
}

/// Everything but what differs from one request to the next.
fn answer(reply: &Reply) -> (u16, Value) {
    let mut body = without_times(reply.body.clone());
    if body["results"].is_array() {
        // Listings have an order of their own.
        let key = |document: &Value| document["id"].as_u64();
        body["results"].as_array_mut().unwrap().sort_by_key(key);
    }
    (reply.status, body)
}

#[tokio::test]
async fn odd_parameters_and_values_are_taken_or_refused_like_on_one_node() {
    let pair = Pair::start().await;
    for path in [
        "/indexes/films/search?facets=",
        "/indexes/films/search?attributesToRetrieve=id,,&sort=year:desc",
        "/indexes/films/search?filter=null",
        "/indexes/films/search?vector=1,%202",
        "/indexes/films/documents?fields=*&limit=40",
        "/indexes/films/documents?fields=id,*&limit=40",
        "/indexes/films/documents?filter=null",
        "/indexes/films/documents?ids=a%20b",
        "/indexes/nothing/documents?sort=year",
        "/indexes/nothing/documents?sort=year:asc",
        "/indexes/films/documents?sort=%22year:desc%22&limit=3",
        "/tasks?from=4294967296",
        "/tasks?limit=4294967295&uids=77",
        "/tasks?uids=4294967296",
        "/tasks?uids=0,%201",
        "/tasks?statuses=succeeded,%20failed",
        "/tasks?indexUids=%20a",
        "/tasks?uids=,&limit=1",
        "/tasks?statuses=nothing,*",
        "/batches?uids=%200",
    ] {
        let [expected, actual] = pair.send(Method::GET, path, None).await;
        assert!(actual.status < 500, "{path}: {}", actual.text);
        if nodes_are_real() {
            assert_eq!(answer(&actual), answer(&expected), "{path}");
        }
    }
    for (method, path, body) in [
        (Method::POST, "/indexes/films/search", json!({"limit": null})),
        (Method::POST, "/indexes/films/search", json!({"offset": null})),
        (Method::POST, "/indexes/films/search", json!({"showRankingScoreDetails": null})),
        (Method::POST, "/indexes/films/search", json!({"useNetwork": "a"})),
        (Method::POST, "/indexes/films/search", json!({"facets": ["*"]})),
        (Method::POST, "/indexes/films/search", json!({"facets": ["_*", "title"]})),
        (Method::POST, "/indexes/films/search", json!({"hitsPerPage": u64::MAX, "sort": ["year:asc"]})),
        (
            Method::POST,
            "/multi-search",
            json!({"federation": {"facetsByIndex": {"films": ["*"]}}, "queries": [{"indexUid": "films"}]}),
        ),
        (Method::POST, "/indexes/films/search", json!({"filter": "_geoRadius(0, 0, 3)"})),
        (Method::POST, "/indexes/films/documents/fetch", json!({"ids": [null]})),
        (Method::POST, "/indexes/films/documents/fetch", json!({"fields": ["*"]})),
        (
            Method::POST,
            "/indexes/films/documents/fetch",
            json!({"fields": ["*", "id"], "sort": ["year:desc"]}),
        ),
        (Method::POST, "/indexes/films/documents/fetch", json!({"useNetwork": false})),
        (Method::POST, "/indexes/films/documents/fetch", json!({"ids": ["*"]})),
        (Method::POST, "/multi-search", json!({"federation": {"facetsByIndex": null}, "queries": []})),
        (Method::POST, "/multi-search", json!({"federation": {"limit": null}, "queries": []})),
        (Method::PATCH, "/indexes/films", json!({"uid": 1})),
        (Method::POST, "/indexes/nothing/fields", json!({"limit": "x"})),
        (Method::POST, "/swap-indexes", json!([{"indexes": ["m", "m"]}, {"indexes": ["m2", "m2"]}])),
    ] {
        let [expected, actual] = pair.send(method, path, Some(body.clone())).await;
        assert!(actual.status < 500, "{path} {body}: {}", actual.text);
        if nodes_are_real() {
            assert_eq!(answer(&actual), answer(&expected), "{path} {body}");
        }
    }
    let renamed = json!({"uid": "films"});
    let [expected, actual] = pair.send(Method::PATCH, "/indexes/films", Some(renamed)).await;
    let actual = pair.cluster.client().wait_reply(actual).await.unwrap();
    if nodes_are_real() {
        let expected = pair.node.client().wait_reply(expected).await.unwrap();
        assert_eq!((&actual["status"], &actual["error"]), (&expected["status"], &expected["error"]));
    }
}

type Headers = [(&'static str, &'static str)];

#[tokio::test]
async fn methods_and_origins_are_answered_like_by_one_node() {
    let pair = Pair::start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let origin = ("origin", "http://a.example");
    let preflight = [
        origin,
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "x-a, authorization"),
    ];
    let requests: [(&str, &str, &Headers); 4] = [
        ("PUT", "/indexes/films", &[]),
        ("GET", "/health", &[]),
        ("GET", "/health", &[origin]),
        ("OPTIONS", "/indexes/films", &preflight),
    ];
    for (method, path, headers) in requests {
        let mut answers = Vec::new();
        for client in pair.sides() {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let mut request = http.request(method, format!("{}{path}", client.target().url));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.unwrap();
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let names = [
                "allow",
                "access-control-allow-origin",
                "access-control-allow-headers",
                "access-control-max-age",
            ];
            answers.push((response.status(), names.map(header)));
        }
        assert!(answers[1].0.as_u16() < 500);
        if nodes_are_real() {
            assert_eq!(answers[1], answers[0], "{method} {path}");
        }
    }
}
