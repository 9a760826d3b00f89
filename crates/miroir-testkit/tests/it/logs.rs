//! What a client may do with the log of a running Miroir, and with its list of tasks, as on one node.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::Duration;

use miroir_testkit::client::Client;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(20);

/// How long a Miroir that is asked to end waits for requests.
const GRACE: Duration = Duration::from_secs(10);

async fn switch_on(client: &Client, feature: &str) {
    let reply = client.patch("/experimental-features", &json!({ feature: true })).await.unwrap();
    assert_eq!(reply.body[feature], true, "{}", reply.text);
}

/// Begins to listen; lines come as long as the answer is kept.
async fn listen(client: &Client, body: &Value) -> Response {
    let target = client.target();
    let request = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = request.post(format!("{}/logs/stream", target.url)).bearer_auth(&target.key);
    timeout(DEADLINE, request.json(body).send()).await.unwrap().unwrap()
}

async fn next(stream: &mut Response) -> Option<String> {
    let lines = timeout(DEADLINE, stream.chunk()).await.unwrap().unwrap();
    lines.map(|lines| String::from_utf8(lines.to_vec()).unwrap())
}

#[tokio::test]
async fn one_client_at_a_time_may_listen_to_the_log() {
    let cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let client = cluster.client();
    switch_on(client, "logsRoute").await;
    let asked = json!({"target": "miroir_proxy=debug", "mode": "json"});
    let mut first = listen(client, &asked).await;
    assert_eq!(first.status(), 200);
    client.get("/indexes/nothing").await.unwrap();
    let lines = next(&mut first).await.unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(line["level"].is_string() && line["target"].is_string(), "{line}");

    let second = listen(client, &asked).await;
    assert_eq!(second.status(), 400);
    assert!(second.text().await.unwrap().contains("currently in use by someone else"));
    let stopped = client.send(Method::DELETE, "/logs/stream", None).await.unwrap();
    assert_eq!((stopped.status, stopped.text.as_str()), (204, ""));
    while next(&mut first).await.is_some() {}

    let mut third = listen(client, &json!({"target": "miroir_proxy=debug"})).await;
    assert_eq!(third.status(), 200);
    // The first one is let go only now, which is no matter to the third.
    drop(first);
    client.get("/indexes/nothing").await.unwrap();
    assert!(next(&mut third).await.unwrap().contains("DEBUG"));
}

#[tokio::test]
async fn a_listener_that_goes_away_makes_room_and_stops_nobody_from_stopping() {
    let mut cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let client = cluster.client();
    switch_on(client, "logsRoute").await;
    let everything = json!({"target": "trace"});
    drop(listen(client, &everything).await);
    let deadline = Instant::now() + DEADLINE;
    let listening = loop {
        let answer = listen(client, &everything).await;
        if answer.status() == 200 {
            break answer;
        }
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    };
    let began = Instant::now();
    cluster.terminate_proxy().unwrap();
    assert!(began.elapsed() < GRACE, "the listener held Miroir up for {:?}", began.elapsed());
    drop(listening);
}

#[tokio::test]
async fn what_is_logged_on_standard_error_can_be_changed() {
    let cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let client = cluster.client();
    switch_on(client, "logsRoute").await;
    for (target, is_heard) in [("off", false), ("miroir_proxy=debug", true)] {
        let reply = client.post("/logs/stderr", &json!({ "target": target })).await.unwrap();
        assert_eq!(reply.status, 204, "{}", reply.text);
        let path = format!("/indexes/{}", if is_heard { "heard" } else { "unheard" });
        client.get(&path).await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        while is_heard && !cluster.proxy_log().contains(&path) {
            assert!(Instant::now() < deadline, "{}", cluster.proxy_log());
            sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(!cluster.proxy_log().contains("/indexes/unheard"), "{}", cluster.proxy_log());
}

/// The development node has no such routes.
#[tokio::test]
async fn requests_about_logs_are_refused_in_the_words_of_one_node() {
    let cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let node = Node::start("expected").await.unwrap();
    if !nodes_are_real() {
        let reply = cluster.client().post("/logs/stderr", &json!({"target": "info"})).await.unwrap();
        assert_eq!(reply.error_code(), Some("feature_not_enabled"), "{}", reply.text);
        return;
    }
    let bodies = [
        json!({"target": 3}),
        json!({"target": ""}),
        json!({"target": "a=b=c"}),
        json!({"target": "info=loud"}),
        json!({"target": null}),
        json!({"target": "info", "mode": "x"}),
        json!({"mode": 1}),
        json!({"mode": "json", "profileMemory": true}),
        json!({"mode": "json", "profileMemory": 1}),
        json!({"targets": "info"}),
        json!([]),
    ];
    for is_on in [false, true] {
        if is_on {
            for client in [node.client(), cluster.client()] {
                switch_on(client, "logsRoute").await;
            }
        }
        for path in ["/logs/stream", "/logs/stderr"] {
            for body in &bodies {
                let expected = node.client().post(path, body).await.unwrap();
                let actual = cluster.client().post(path, body).await.unwrap();
                assert_eq!((actual.status, actual.body), (expected.status, expected.body), "{path} {body}");
            }
        }
    }
}

#[tokio::test]
async fn the_list_of_tasks_is_compacted_and_goes_on() {
    let cluster = Cluster::start(Topology::one_group(1, 1)).await.unwrap();
    let client = cluster.client();
    let refused = client.send(Method::POST, "/tasks/compact", None).await.unwrap();
    assert_eq!(refused.error_code(), Some("feature_not_enabled"), "{}", refused.text);
    switch_on(client, "taskQueueCompactionRoute").await;
    let reply = client.post("/indexes", &json!({"uid": "films"})).await.unwrap();
    client.wait_reply(reply).await.unwrap();
    let compacted = client.send(Method::POST, "/tasks/compact", None).await.unwrap();
    assert_eq!(
        (compacted.status, &compacted.body["status"]),
        (200, &json!("succeeded")),
        "{}",
        compacted.text
    );
    assert!(compacted.body["preSize"].is_string() && compacted.body["postSize"].is_string());
    let reply = client.post("/indexes", &json!({"uid": "books"})).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["uid"], 1);
}
