//! Connections: how a body's length may be said, and how long a client may take to say anything.

use std::time::Duration;

use miroir_testkit::client::Target;
use miroir_testkit::sandbox::{Cluster, Meddling, Node, Rule, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);

async fn connect(target: &Target) -> TcpStream {
    TcpStream::connect(target.url.trim_start_matches("http://")).await.unwrap()
}

/// Everything that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the connection ends").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the answer to a request written byte by byte; `KEY` stands for the key.
async fn status(target: &Target, request: &str) -> Option<u16> {
    let mut stream = connect(target).await;
    let request = request.replace(
        "KEY",
        &format!(
            "Host: a\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer {}",
            target.key
        ),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn a_length_that_is_said_twice_is_refused_as_on_one_server() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let node = Node::start("expected").await.unwrap();
    // `{"queries":[]}` are fourteen bytes.
    let chunked = "Transfer-Encoding: chunked\r\n\r\ne\r\nBODY\r\n0\r\n\r\n";
    for (head, expected) in [
        ("Content-Length: 14\r\n\r\nBODY".to_owned(), 200),
        (chunked.to_owned(), 200),
        ("Content-Length: 14\r\nContent-Length: 14\r\n\r\nBODY".to_owned(), 400),
        ("content-length: 14\r\nX: y\r\nCONTENT-LENGTH: 14\r\n\r\nBODY".to_owned(), 400),
        ("Content-Length: 14\r\nContent-Length: 15\r\n\r\nBODY".to_owned(), 400),
        (format!("Content-Length: 14\r\n{chunked}"), 400),
        (chunked.replacen("\r\n\r\n", "\r\nContent-Length: 14\r\n\r\n", 1), 400),
        ("Content-Length: fourteen\r\n\r\nBODY".to_owned(), 400),
        ("Content-Length: -14\r\n\r\nBODY".to_owned(), 400),
        ("Content-Length: +14\r\n\r\nBODY".to_owned(), 400),
    ] {
        let request = format!("POST /multi-search HTTP/1.1\r\nKEY\r\n{head}");
        let request = request.replace("BODY", r#"{"queries":[]}"#);
        let actual = status(cluster.target(), &request).await;
        assert_eq!(actual, Some(expected), "{request}");
        if nodes_are_real() {
            assert_eq!(actual, status(node.target(), &request).await, "{request}");
        }
    }
}

#[tokio::test]
async fn who_says_nothing_more_is_not_waited_for() {
    let overrides = json!({"server": {"header_timeout_ms": 300}});
    let cluster = Cluster::start_with(Topology::one_group(1, 1), overrides).await.unwrap();
    let health = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    for beginning in ["", "P", "PRI * HTTP", "GET /health HTTP/1.1\r\nHost: a\r\n", "GET", health] {
        let mut stream = connect(cluster.target()).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), beginning == health, "{beginning:?}: {answer}");
    }
}

#[tokio::test]
async fn no_more_connections_are_held_than_there_are_places() {
    let overrides = json!({"server": {"max_connections": 3, "header_timeout_ms": 2000}});
    let cluster = Cluster::start_with(Topology::one_group(1, 1), overrides).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(connect(cluster.target()).await);
    }
    // Places come free as those who say nothing are not waited for.
    let mut late = connect(cluster.target()).await;
    late.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut late).await.starts_with("HTTP/1.1 200"));
    drop(held);
}

#[tokio::test]
async fn an_open_request_ends_and_a_waiting_connection_does_not_keep_a_stop_waiting() {
    let mut cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let mut waiting = connect(cluster.target()).await;
    let mut kept = connect(cluster.target()).await;
    kept.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let began = std::time::Instant::now();
    cluster.terminate_proxy().unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    rest(&mut waiting).await;
    rest(&mut kept).await;
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let overrides = json!({"server": {"header_timeout_ms": 300}});
    let cluster = Cluster::start_relayed(Topology::one_group(1, 1), overrides).await.unwrap();
    let films = json!([{"id": 1}]);
    let reply = cluster.client().post("/indexes/films/documents", &films).await.unwrap();
    cluster.client().wait_reply(reply).await.unwrap();
    let relay = cluster.relay(0);
    relay.set(Rule::always(Method::POST, "/search", Meddling::HoldRequest));
    let body = json!({});
    let held = async {
        relay.wait_for_match().await.unwrap();
        // Longer than a head may take.
        tokio::time::sleep(Duration::from_millis(900)).await;
        relay.clear();
    };
    let (reply, ()) = tokio::join!(cluster.client().post("/indexes/films/search", &body), held);
    let reply = reply.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
}
