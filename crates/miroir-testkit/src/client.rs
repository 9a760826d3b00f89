//! A small asynchronous HTTP client for one Meilisearch-like server.
//!
//! It hides nothing: an answer is its status, its headers and its body, whatever the status says. Only a request that
//! got no answer at all is an error, so that tests can look at refusals as they look at successes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// How long one request may take before the test counts it as lost.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// How long an idle connection is kept. Below the five seconds after which Meilisearch closes one: what is sent on a
/// connection that is just being closed gets no answer.
const IDLE_TIME: Duration = Duration::from_secs(4);
/// How long [`Client::wait_task`] waits for a task to end.
const TASK_DEADLINE: Duration = Duration::from_mins(2);
/// First and longest pause between two looks at a task.
const TASK_POLL: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(64));

/// A server to talk to: base URL without a final slash, and the key sent as bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Base URL, such as `http://127.0.0.1:7700`.
    pub url: String,
    /// Key for the `Authorization` header; an empty one sends no header.
    pub key: String,
}

impl Target {
    /// A target from its parts; a final slash of the URL is dropped.
    pub fn new(url: &str, key: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }
}

/// One answer, with nothing interpreted but the JSON of the body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is empty or not JSON.
    pub body: Value,
}

impl Reply {
    /// The `code` of an error body, if there is one.
    pub fn error_code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    /// The body, or an error that names the status when it is not a success.
    pub fn success(self) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        bail!("status {}: {}", self.status, self.text)
    }
}

/// A client for one [`Target`]; cloning shares the connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
}

impl Client {
    /// A client with its own connection pool.
    pub fn new(target: Target) -> Result<Self> {
        Self::with_deadline(target, REQUEST_DEADLINE)
    }

    /// [`Client::new`] with another deadline for each request.
    pub fn with_deadline(target: Target, deadline: Duration) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(deadline)
            .pool_idle_timeout(IDLE_TIME)
            .build()
            .context("cannot build the HTTP client")?;
        Ok(Self { http, target })
    }

    /// The server this client talks to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same server seen with another key; an empty key sends no `Authorization` header.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { http: self.http.clone(), target: Target { url: self.target.url.clone(), key: key.to_owned() } }
    }

    /// GET `path` (which may carry a query string).
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, None).await
    }

    /// GET `path` with query parameters, encoded here.
    pub async fn get_query(&self, path: &str, query: &[(String, String)]) -> Result<Reply> {
        let request = self.http.get(self.url(path)).query(query);
        self.read(request, &format!("GET {path}")).await
    }

    /// POST a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// POST a JSON body with one more header.
    pub async fn post_with(&self, path: &str, body: &Value, (name, value): (&str, &str)) -> Result<Reply> {
        let request = self.http.post(self.url(path)).header(name, value).json(body);
        self.read(request, &format!("POST {path}")).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// PUT a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// DELETE without a body.
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        self.send(Method::DELETE, path, None).await
    }

    /// Any method, JSON body or none.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, self.url(path));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.read(request, &what).await
    }

    /// A body sent byte by byte as given, with the content type given or none: for malformed requests.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Reply> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, self.url(path)).body(body);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        self.read(request, &what).await
    }

    /// [`Client::send_raw`] with an `Authorization` header of any form, in place of the client's own key.
    pub async fn send_any(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        authorization: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Reply> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, self.url(path)).body(body);
        for (name, value) in [(CONTENT_TYPE, content_type), (AUTHORIZATION, authorization)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        self.read(request, &what).await
    }

    /// Waits until task `uid` is `succeeded`, `failed` or `canceled` and returns it. Errors when the deadline passes.
    pub async fn wait_task(&self, uid: u64) -> Result<Value> {
        self.wait_task_within(uid, TASK_DEADLINE).await
    }

    /// [`Client::wait_task`] with another deadline.
    pub async fn wait_task_within(&self, uid: u64, patience: Duration) -> Result<Value> {
        let deadline = Instant::now() + patience;
        let mut pause = TASK_POLL.0;
        loop {
            let task = self.get(&format!("/tasks/{uid}")).await?.success().context("cannot read a task")?;
            if matches!(task["status"].as_str(), Some("succeeded" | "failed" | "canceled")) {
                return Ok(task);
            }
            if Instant::now() > deadline {
                bail!("task {uid} did not end in {patience:?}: {task}");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(TASK_POLL.1);
        }
    }

    /// Waits for the task that `reply` announces; an answer that announces none is an error.
    pub async fn wait_reply(&self, reply: Reply) -> Result<Value> {
        let body = reply.success()?;
        let uid = body["taskUid"].as_u64().with_context(|| format!("no taskUid in {body}"))?;
        self.wait_task(uid).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.target.url)
    }

    async fn read(&self, mut request: reqwest::RequestBuilder, what: &str) -> Result<Reply> {
        if !self.target.key.is_empty() {
            request = request.bearer_auth(&self.target.key);
        }
        let response = request.send().await.with_context(|| format!("no answer to {what}"))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.with_context(|| format!("the answer to {what} broke off"))?;
        // An empty body or a page that is not JSON is a legitimate answer; the text keeps it for the caller.
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, headers, text, body })
    }
}
