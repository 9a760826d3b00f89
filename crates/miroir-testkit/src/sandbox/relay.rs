//! What stands between Miroir and a node, and may get in the way: it passes every request on, except those that a rule
//! holds up, answers itself, or whose answer it changes. So a test can stop a node at one request, or have it say
//! something else than it has, without either program knowing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::merge;

/// Larger than anything that Miroir sends a node.
const MAX_BODY: usize = 256 << 20;

/// How long [`Relay::wait_for_match`] waits.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a rule does with the requests that it matches.
#[derive(Debug, Clone)]
pub enum Meddling {
    /// The node does not get the request before the rule is lifted.
    HoldRequest,
    /// The node gets it, but its answer does not get back before the rule is lifted.
    HoldAnswer,
    /// The node does not get it; this is the answer.
    Answer(u16, Value),
    /// The node gets it, and this is merged, object by object, into what it answers.
    Overlay(Value),
    /// The node does not get it; the answer begins like a good one and never ends.
    Endless,
    /// The node does not get it; the answer points to this address.
    Redirect(String),
    /// The node gets it, and its answer is a list of tasks of which none seems to have ended.
    NothingEnds,
}

/// Which requests are meddled with, and how.
#[derive(Debug, Clone)]
pub struct Rule {
    /// With this method.
    pub method: Method,
    /// And with a path, without its query, that ends like this.
    pub path: String,
    /// So many of them at most.
    pub times: usize,
    /// This is what happens to them.
    pub meddling: Meddling,
}

impl Rule {
    /// A rule for every such request.
    pub fn always(method: Method, path: &str, meddling: Meddling) -> Self {
        Self { method, path: path.to_owned(), times: usize::MAX, meddling }
    }
}

#[derive(Debug, Default)]
struct Situation {
    rule: Option<Rule>,
    /// Moves with every new rule; what an old one holds is let go.
    era: u64,
    /// Requests that the rule has matched.
    matched: usize,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    http: reqwest::Client,
    situation: watch::Sender<Situation>,
}

/// A relay in front of one node. Dropping it closes it.
#[derive(Debug)]
pub struct Relay {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Relay {
    /// A relay to the server at this base URL, with no rule.
    pub async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen as a relay")?;
        let port = listener.local_addr().context("cannot listen as a relay")?.port();
        let http = reqwest::Client::builder().no_proxy().build().context("cannot build the HTTP client")?;
        let situation = watch::Sender::new(Situation::default());
        let shared = Arc::new(Shared { upstream: upstream.to_owned(), http, situation });
        let router = Router::new().fallback(relay).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends only by being aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url: format!("http://127.0.0.1:{port}"), shared, server })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts a rule in the place of the last one, and lets go what that held.
    pub fn set(&self, rule: Rule) {
        self.replace(Some(rule));
    }

    /// Passes everything on from now on, also what was held.
    pub fn clear(&self) {
        self.replace(None);
    }

    fn replace(&self, rule: Option<Rule>) {
        self.shared.situation.send_modify(|now| {
            *now = Situation { rule, era: now.era + 1, matched: 0 };
        });
    }

    /// How many requests the rule has matched so far.
    pub fn matched(&self) -> usize {
        self.shared.situation.borrow().matched
    }

    /// Waits until a request has come that the rule matches.
    pub async fn wait_for_match(&self) -> Result<()> {
        let mut situation = self.shared.situation.subscribe();
        match tokio::time::timeout(DEADLINE, situation.wait_for(|now| now.matched > 0)).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("nothing came that the rule matches: {:?}", self.shared.situation.borrow().rule),
        }
    }
}

impl Shared {
    /// What is to be done with a request, and in which era that was said.
    fn meddling(&self, method: &Method, path: &str) -> Option<(Meddling, u64)> {
        let mut found = None;
        self.situation.send_if_modified(|now| {
            let rule = now.rule.as_ref();
            let rule = rule.filter(|rule| {
                rule.method == *method && path.ends_with(&rule.path) && now.matched < rule.times
            });
            found = rule.map(|rule| (rule.meddling.clone(), now.era));
            now.matched += usize::from(found.is_some());
            found.is_some()
        });
        found
    }

    async fn until_lifted(&self, era: u64) {
        // The sender lives as long as this.
        let _ = self.situation.subscribe().wait_for(|now| now.era != era).await;
    }

    async fn pass_on(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let request = self.http.request(method, format!("{}{path}", self.upstream));
        let reply = request.headers(without_framing(headers)).body(body).send().await?;
        let (status, headers) = (reply.status(), without_framing(reply.headers().clone()));
        Ok((status, headers, reply.bytes().await?))
    }
}

async fn relay(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let meddling = shared.meddling(&parts.method, parts.uri.path());
    match &meddling {
        Some((Meddling::Answer(status, answer), _)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, axum::Json(answer.clone())).into_response();
        }
        Some((Meddling::Endless, _)) => return endless(),
        Some((Meddling::Redirect(to), _)) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.clone())]).into_response();
        }
        Some((Meddling::HoldRequest, era)) => shared.until_lifted(*era).await,
        _ => {}
    }
    let Ok((status, headers, body)) = shared.pass_on(parts.method, path, parts.headers, body).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let body = match meddling {
        Some((Meddling::HoldAnswer, era)) => {
            shared.until_lifted(era).await;
            body
        }
        Some((Meddling::Overlay(overlay), _)) => overlaid(&body, overlay),
        Some((Meddling::NothingEnds, _)) => without_ends(&body, path.contains("statuses=")),
        _ => body,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn endless() -> Response {
    let begin = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(br#"{"hits":[{}"#)) });
    let hit = Bytes::from(r#",{"id":1}"#.repeat(8_000));
    let on_and_on = stream::repeat_with(move || Ok(hit.clone()));
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(begin.chain(on_and_on))).into_response()
}

/// A list of tasks as if the node still worked on all of them. Whoever asks for those in some state asks for ended ones.
fn without_ends(body: &Bytes, asks_for_ended: bool) -> Bytes {
    let Ok(mut list) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    if let Some(tasks) = list["results"].as_array_mut() {
        if asks_for_ended {
            tasks.clear();
        }
        for task in tasks {
            merge(task, json!({"status": "processing", "finishedAt": null, "error": null, "duration": null}));
        }
    }
    Bytes::from(list.to_string())
}

fn overlaid(body: &Bytes, overlay: Value) -> Bytes {
    let Ok(mut value) = serde_json::from_slice(body) else { return body.clone() };
    merge(&mut value, overlay);
    Bytes::from(value.to_string())
}

/// Headers without those that describe one connection or the length of a body.
fn without_framing(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}
