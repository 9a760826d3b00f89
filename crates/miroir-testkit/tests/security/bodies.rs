//! Bodies that are small on the wire and large in memory, deep, wide, packed, in chunks: each is answered as by one server,
//! and none takes more memory than it may, alone or with others.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::future::join_all;
use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

/// What Miroir may take for twenty of the worst bodies at once.
const MAX_MEMORY: u64 = 500 << 20;

const AT_ONCE: usize = 20;

/// Stands in front of JSON in a text, which is then read as JSON.
const RAW: &str = "$serde_json::private::RawValue";

/// More values than any body may have.
const TOO_MANY: usize = 2_500_000;

/// More than one may have that is no list, and few enough for a server to print all of them.
const MANY: usize = 300_000;

fn zeros(count: usize) -> String {
    format!("[{}0]", "0,".repeat(count - 1))
}

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut writer = GzEncoder::new(Vec::new(), Compression::best());
            writer.write_all(body).unwrap();
            writer.finish().unwrap()
        }
        "deflate" => {
            let mut writer = ZlibEncoder::new(Vec::new(), Compression::best());
            writer.write_all(body).unwrap();
            writer.finish().unwrap()
        }
        "br" => {
            let mut packed = Vec::new();
            let mut writer = brotli::CompressorWriter::new(&mut packed, 1 << 16, 5, 22);
            writer.write_all(body).unwrap();
            drop(writer);
            packed
        }
        _ => body.to_vec(),
    }
}

/// Status and code of the answer to a body as it is.
async fn send(client: &Client, path: &str, encoding: &str, body: Vec<u8>) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}{path}", client.target().url)).bearer_auth(&client.target().key);
    let request = request.header("content-type", "application/json").header("content-encoding", encoding);
    let response = request.body(body).send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

async fn with_films(client: &Client) {
    let settings = json!({"filterableAttributes": ["n"], "sortableAttributes": ["n"]});
    client.wait_reply(client.patch("/indexes/films/settings", &settings).await.unwrap()).await.unwrap();
    let films: Vec<Value> = (0..50).map(|id| json!({"id": id, "title": "tea", "n": id % 5})).collect();
    client.wait_reply(client.post("/indexes/films/documents", &json!(films)).await.unwrap()).await.unwrap();
}

async fn pair() -> (Node, Cluster) {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let node = Node::start("expected").await.unwrap();
    with_films(node.client()).await;
    with_films(cluster.client()).await;
    (node, cluster)
}

#[tokio::test]
async fn small_packed_bodies_take_bounded_memory_alone_and_together() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    with_films(cluster.client()).await;
    let body = format!("{{\"q\":{}}}", zeros(TOO_MANY));
    let unknown = format!("{{\"zzz\":{{\"a\":{}}}}}", zeros(TOO_MANY));
    for (path, encoding, body) in [
        ("/indexes/films/search", "gzip", &body),
        ("/indexes/films/documents/fetch", "br", &unknown),
        ("/keys", "deflate", &unknown),
    ] {
        let small = packed(encoding, body.as_bytes());
        assert!(small.len() < 100_000, "{} bytes of {encoding}", small.len());
        let all = join_all((0..AT_ONCE).map(|_| send(cluster.client(), path, encoding, small.clone()))).await;
        for (status, code) in all {
            assert!([400, 413].contains(&status), "{path}: {status} {code}");
        }
        let peak = cluster.proxy_peak_memory().unwrap();
        assert!(peak < MAX_MEMORY, "{path}: {} MB", peak >> 20);
    }
}

#[tokio::test]
async fn large_plain_bodies_wait_for_each_other() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    with_films(cluster.client()).await;
    let wide = format!("{{\"attributesToRetrieve\":[{}\"title\"]}}", "\"title\",".repeat(200_000));
    let long = format!("{{\"limit\":\"{}\"}}", "x".repeat(10_000_000));
    for (body, expected) in [(wide, 200), (long, 400)] {
        let all = (0..AT_ONCE)
            .map(|_| send(cluster.client(), "/indexes/films/search", "identity", body.clone().into_bytes()));
        for (status, code) in join_all(all).await {
            assert_eq!(status, expected, "{code}");
        }
        let peak = cluster.proxy_peak_memory().unwrap();
        assert!(peak < MAX_MEMORY, "{} MB", peak >> 20);
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_for_its_form_as_on_one_server() {
    let (node, cluster) = pair().await;
    if !nodes_are_real() {
        // The development node reads forms in an order of its own.
        let body = format!("{{\"q\":{}}}", zeros(MANY)).into_bytes();
        let (status, _) = send(cluster.client(), "/indexes/films/search", "identity", body).await;
        assert!([400, 413].contains(&status), "{status}");
        return;
    }
    let many = zeros(MANY);
    for (path, body) in [
        ("/indexes/films/search", format!("{{\"q\":{many}}}")),
        ("/indexes/films/search", format!("{{\"limit\":3,\"zzz\":{many}}}")),
        ("/indexes/films/search", format!("{{\"facets\":{many}}}")),
        ("/indexes/films/search", many.clone()),
        ("/indexes/films/facet-search", format!("{{\"facetName\":{many}}}")),
        ("/indexes/films/similar", format!("{{\"id\":{{\"a\":{many}}}}}")),
        ("/indexes/nobody/search", format!("{{\"q\":{many}}}")),
        ("/indexes/films/search", format!("{{\"q\":{many}")),
    ] {
        let expected = send(node.client(), path, "identity", body.clone().into_bytes()).await;
        let actual = send(cluster.client(), path, "identity", body.into_bytes()).await;
        assert_eq!(actual, expected, "{path}");
    }
}

#[tokio::test]
async fn depth_ends_where_it_ends_on_one_server() {
    let (node, cluster) = pair().await;
    for depth in [1, 100, 126, 127, 128, 129, 10_000, 200_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let middle = if open == "[" { "" } else { "1" };
            for prefix in ["{\"q\":", "{\"filter\":", ""] {
                let end = if prefix.is_empty() { "" } else { "}" };
                let body = format!("{prefix}{}{middle}{}{end}", open.repeat(depth), close.repeat(depth));
                let send = async |client: &Client| {
                    let path = "/indexes/films/search";
                    let kind = Some("application/json");
                    client.send_raw(Method::POST, path, kind, body.clone().into_bytes()).await.unwrap()
                };
                let (expected, actual) = (send(node.client()).await, send(cluster.client()).await);
                let told =
                    |reply: &Reply| (reply.status, reply.body["code"].clone(), reply.body["message"].clone());
                if nodes_are_real() {
                    assert_eq!(told(&actual), told(&expected), "{depth} {open} {prefix}");
                }
                // A filter of nothing but lists is one.
                let is_refused = actual.status == 400 || prefix.contains("filter") && depth < 127;
                assert!(is_refused, "{depth} {open} {prefix}: {}", actual.text);
            }
        }
    }
    assert_eq!(cluster.client().get("/health").await.unwrap().status, 200);
}

#[tokio::test]
async fn json_in_a_text_that_stands_for_json_is_no_way_around() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    with_films(cluster.client()).await;
    let mut nested = json!({"q": [0]}).to_string();
    for _ in 0..12 {
        nested = format!(
            "{{{}:{}}}",
            json!(RAW),
            json!(format!("{}{nested}{}", "[".repeat(100), "]".repeat(100)))
        );
    }
    let hidden = format!("{{{}:{}}}", json!(RAW), json!(zeros(TOO_MANY)));
    for body in [nested, hidden] {
        let (status, code) =
            send(cluster.client(), "/indexes/films/search", "identity", body.into_bytes()).await;
        assert!([400, 413].contains(&status), "{status} {code}");
    }
    assert!(cluster.proxy_peak_memory().unwrap() < MAX_MEMORY);
}

#[tokio::test]
async fn lists_of_ids_may_be_long() {
    let (node, cluster) = pair().await;
    let ids: Vec<u32> = (0..200_000).rev().collect();
    let body = json!({"ids": ids, "limit": 1000});
    let documents = async |client: &Client| {
        let reply = client.post("/indexes/films/documents/fetch", &body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body
    };
    let (expected, actual) = (documents(node.client()).await, documents(cluster.client()).await);
    assert_eq!(actual["total"], expected["total"]);
    assert_eq!(actual["results"].as_array().map(Vec::len), Some(50));
}
