//! One node as Miroir talks to it: its address, its key, a pool of kept-alive connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::error::ErrorCode;
use miroir_core::ids::NodeId;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use reqwest::{Method, StatusCode};
use thiserror::Error;

use super::access::{Access, bearer};
use super::alarm::Alarm;
use super::form::Form;
use super::metrics::NodeMetrics;
use super::operation::operation;
use crate::outward::{AnswerRoom, UnreadAnswer, client_builder};
use miroir_core::path::{NodePath, Unaddressable};

/// Idle connections kept to one node: enough for a burst, few enough to hold open for nothing.
const IDLE_CONNECTIONS: usize = 64;

/// How long an idle connection is kept. Below Meilisearch's own keep-alive, so that we close first.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// A request to a node.
#[derive(Debug, Clone)]
pub struct NodeRequest {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: NodePath,
    /// Headers besides the node's key.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// The largest answer that is read.
    pub answer: AnswerSize,
    /// What a successful answer has to look like.
    pub form: Form,
}

/// How large a good answer can be. What is longer is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerSize {
    /// An answer that speaks of one thing: a health, a version, a task.
    Word,
    /// Documents, settings, lists: as much as one Meilisearch may have to say.
    Page,
}

impl AnswerSize {
    /// The most bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Word => 1 << 20,
            Self::Page => 256 << 20,
        }
    }
}

impl NodeRequest {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<NodePath>) -> Self {
        let path = path.into();
        let form = Form::of(&method, &path);
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { method, path, headers, body, answer: AnswerSize::Page, form }
    }

    /// A `GET`.
    pub fn get(path: impl Into<NodePath>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A `POST`.
    pub fn post(path: impl Into<NodePath>) -> Self {
        Self::new(Method::POST, path)
    }

    /// The same request with a JSON body.
    #[must_use]
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.body("application/json", body)
    }

    /// The same request with a body of this content type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// The same request, of which a short answer is expected.
    #[must_use]
    pub fn briefly(self) -> Self {
        Self { answer: AnswerSize::Word, ..self }
    }

    /// The same request, whose answer is checked by whoever asks.
    #[must_use]
    pub fn unchecked(self) -> Self {
        Self { form: Form::Any, ..self }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What a node answered.
#[derive(Debug, Clone)]
pub struct NodeReply {
    /// HTTP status.
    pub status: StatusCode,
    /// `Content-Type`, to pass an answer on as it is.
    pub content_type: Option<HeaderValue>,
    /// The whole body.
    pub body: Bytes,
}

impl NodeReply {
    /// Whether this says something about the node and nothing about the request: it is broken, busy, has another key, or
    /// does not know an index that the cluster has. Another replica may answer.
    pub fn is_nodes_fault(&self) -> bool {
        match self.status.as_u16() {
            // Multi-searches say it with a 400.
            400 | 404 => self.is_about_missing_index(),
            _ => self.is_unfit(),
        }
    }

    /// Whether the node can't answer at all now, whatever it is asked: it is broken, busy or has another key.
    pub fn is_unfit(&self) -> bool {
        match self.status.as_u16() {
            401 | 403 | 408 | 429 => true,
            _ => !self.status.is_success() && !self.status.is_client_error(),
        }
    }

    /// Whether the node does not let the key in that it was shown, or lets nobody in without one.
    pub fn refuses_key(&self) -> bool {
        matches!(self.status.as_u16(), 401 | 403)
    }

    fn is_about_missing_index(&self) -> bool {
        let error = serde_json::from_slice::<serde_json::Value>(&self.body);
        error.is_ok_and(|error| error["code"] == ErrorCode::IndexNotFound.as_str())
    }
}

/// Why a node can't be talked to at all.
#[derive(Debug, Error)]
pub enum UnusableNode {
    /// Its key has characters that no header can have.
    #[error("its key can't stand in an HTTP header: {0}")]
    Key(#[from] InvalidHeaderValue),
    /// There is no HTTP client.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why there is no answer from a node.
#[derive(Debug, Clone, Error)]
pub enum NodeError {
    /// No connection: the request was certainly not seen.
    #[error("node `{node}` can't be reached: {reason}")]
    Unreachable {
        /// Who was asked.
        node: NodeId,
        /// The error's text.
        reason: String,
    },
    /// The connection broke or the deadline passed after the request may have been seen.
    #[error("node `{node}` did not answer: {reason}")]
    NoAnswer {
        /// Who was asked.
        node: NodeId,
        /// The error's text.
        reason: String,
    },
    /// The answer was longer than any good one: the node is broken, or is no Meilisearch.
    #[error("node `{node}` answered with more than {limit} bytes, and the rest was not read")]
    TooLong {
        /// Who was asked.
        node: NodeId,
        /// How many bytes are read.
        limit: usize,
    },
    /// The answer claims success and is none: the node is broken, or is no Meilisearch.
    #[error("node `{node}` answered out of form: {reason}")]
    OutOfForm {
        /// Who was asked.
        node: NodeId,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The request has a path that would reach the node as another one.
    #[error("the request was not sent to node `{node}`: {reason}")]
    NotSent {
        /// Who was to be asked.
        node: NodeId,
        /// Why not.
        reason: Unaddressable,
    },
}

impl NodeError {
    /// Whether the node may have acted on the request.
    pub fn may_have_been_seen(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::TooLong { .. } | Self::OutOfForm { .. })
    }
}

/// The connection to one node. Cheap to clone; all clones share the pool.
#[derive(Debug, Clone)]
pub struct Node {
    id: NodeId,
    address: String,
    access: Arc<Access>,
    client: reqwest::Client,
    metrics: NodeMetrics,
    answers: Arc<AnswerRoom>,
    alarm: Arc<Alarm>,
}

impl Node {
    /// A node at `address` (`http://host:port`), with its key.
    ///
    /// # Errors
    /// When the key can't stand in a header or the TLS backend can't be loaded.
    pub fn new(id: NodeId, address: &str, key: Option<&str>) -> Result<Self, UnusableNode> {
        let access = Arc::new(Access::new(key)?);
        let client = client_builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIME)
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(2))
            .no_proxy()
            .build()?;
        Ok(Self {
            id,
            address: address.trim_end_matches('/').to_owned(),
            access,
            client,
            metrics: NodeMetrics::default(),
            answers: Arc::default(),
            alarm: Arc::default(),
        })
    }

    /// The same node, whose requests are counted there.
    #[must_use]
    pub fn with_metrics(self, metrics: NodeMetrics) -> Self {
        metrics.begin(&self.id);
        Self { metrics, ..self }
    }

    /// The node's id.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The node's address, without a final slash.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What wakes its health check.
    pub(super) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Waits until the node answers again after it did not.
    pub async fn returned(&self) {
        self.alarm.returned().await;
    }

    /// Sends one request and reads the whole answer within `deadline`. Dropping the future gives the request up; the
    /// node may still act on it. Nothing is sent to a node that is not used. Without an answer the node is looked at.
    pub async fn send(&self, request: NodeRequest, deadline: Duration) -> Result<NodeReply, NodeError> {
        if let Some(reason) = self.access.closed() {
            let (node, reason) = (self.id.clone(), reason.to_string());
            return Err(NodeError::Unreachable { node, reason });
        }
        let key = if takes_every_right(&request) { self.access.configured() } else { self.access.everyday() };
        let answer = self.measure(request, deadline, key).await;
        self.access.note(&answer);
        if let Err(NodeError::Unreachable { .. } | NodeError::NoAnswer { .. }) = &answer {
            self.alarm.raise();
        }
        answer
    }

    /// Sends also to a node that is not used, for those who find out whether it may be.
    pub async fn probe(&self, request: NodeRequest, deadline: Duration) -> Result<NodeReply, NodeError> {
        self.measure(request, deadline, self.access.everyday()).await
    }

    /// Like [`Self::probe`], with the key of the configuration, which may be the node's master key.
    pub async fn probe_as_master(
        &self,
        request: NodeRequest,
        deadline: Duration,
    ) -> Result<NodeReply, NodeError> {
        self.measure(request, deadline, self.access.configured()).await
    }

    /// From now on nothing is sent to the node, for this reason.
    pub fn close(&self, reason: impl Into<String>) {
        self.access.close(reason.into());
    }

    /// From now on the node is used.
    pub fn open(&self) {
        self.access.open();
    }

    /// From now on requests show this key; none is for that of the configuration.
    ///
    /// # Errors
    /// When the key can't stand in a header.
    pub fn use_key(&self, key: Option<&str>) -> Result<(), InvalidHeaderValue> {
        self.access.set_own(key.map(bearer).transpose()?);
        Ok(())
    }

    /// Returns when another server may be at the node's address, or the node may have been emptied.
    pub async fn doubted(&self) {
        self.access.doubted().await;
    }

    async fn measure(
        &self,
        request: NodeRequest,
        deadline: Duration,
        key: Option<HeaderValue>,
    ) -> Result<NodeReply, NodeError> {
        let operation = operation(request.path.path());
        let began = Instant::now();
        let answer = self.exchange(request, deadline, key).await;
        self.metrics.note(&self.id, operation, began.elapsed(), &answer);
        answer
    }

    async fn exchange(
        &self,
        request: NodeRequest,
        deadline: Duration,
        key: Option<HeaderValue>,
    ) -> Result<NodeReply, NodeError> {
        let mut headers = request.headers;
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, key);
        }
        let url = request.path.at(&self.address);
        let url = url.map_err(|reason| NodeError::NotSent { node: self.id.clone(), reason })?;
        let response = self
            .client
            .request(request.method, url)
            .headers(headers)
            .timeout(deadline)
            .body(request.body)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let read = tokio::time::timeout(deadline, self.answers.read(response, request.answer.bytes()));
        let body = read.await.map_err(|_| self.late())?.map_err(|unread| match unread {
            UnreadAnswer::Broken(error) => self.failed(&error),
            UnreadAnswer::TooLong(limit) => NodeError::TooLong { node: self.id.clone(), limit },
        })?;
        if status.is_success()
            && let Err(error) = request.form.check(&body)
        {
            return Err(NodeError::OutOfForm { node: self.id.clone(), reason: error.to_string() });
        }
        Ok(NodeReply { status, content_type, body })
    }

    fn late(&self) -> NodeError {
        NodeError::NoAnswer { node: self.id.clone(), reason: "its answer did not end in time".to_owned() }
    }

    fn failed(&self, error: &reqwest::Error) -> NodeError {
        let reason = innermost(error);
        if error.is_connect() {
            NodeError::Unreachable { node: self.id.clone(), reason }
        } else {
            NodeError::NoAnswer { node: self.id.clone(), reason }
        }
    }
}

/// Whether nodes let only those do it who may do everything: no other key, not even one for all that concerns documents, may
/// edit by function (Meilisearch 1.50).
fn takes_every_right(request: &NodeRequest) -> bool {
    request.method == Method::POST && request.path.path().ends_with("/documents/edit")
}

/// The text of the cause at the bottom, which says more than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
