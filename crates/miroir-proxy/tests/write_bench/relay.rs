//! Stands between Miroir and a node, and answers for it that its disk is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};

/// More than any body of these tests.
const MAX_BODY: usize = 64 << 20;

/// Whether the disk is full.
pub type Full = Arc<AtomicBool>;

#[derive(Clone)]
struct Relay {
    node: String,
    full: Full,
    client: reqwest::Client,
}

/// Starts a relay to the node at this address; answers its own address.
pub async fn relay_to(node: String, full: Full) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let relay = Relay { node, full, client: reqwest::Client::new() };
    let routes = Router::new().fallback(pass).with_state(relay);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn pass(State(relay): State<Relay>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let is_write = parts.method != Method::GET && !parts.uri.path().ends_with("/fetch");
    if is_write && relay.full.load(Ordering::Relaxed) {
        let error = serde_json::json!({
            "message": "No space left on device (os error 28)",
            "code": "no_space_left_on_device",
            "type": "system",
            "link": "https://docs.meilisearch.com/errors#no_space_left_on_device",
        });
        let answer = Response::builder().status(StatusCode::UNPROCESSABLE_ENTITY);
        return answer.body(Body::from(error.to_string())).unwrap();
    }
    let url = format!("{}{}", relay.node, parts.uri);
    let body = to_bytes(body, MAX_BODY).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = relay.client.request(parts.method, url).headers(headers).body(body).send().await;
    let Ok(reply) = sent else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let answer = Response::builder().status(reply.status());
    answer.body(Body::from(reply.bytes().await.unwrap())).unwrap()
}
