//! The way to a node over HTTP: a pool of kept-alive connections, bounds on answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use miroir_core::ids::NodeId;
use reqwest::header::CONTENT_TYPE;

use super::{NodeError, NodeReply, NodeRequest, Transport, UnusableNode};
use crate::outward::{AnswerRoom, UnreadAnswer, client_builder};

/// Idle connections kept to one node: enough for a burst, few enough to hold open for nothing.
const IDLE_CONNECTIONS: usize = 64;

/// How long an idle connection is kept. Below Meilisearch's own keep-alive, so that we close first.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct HttpTransport {
    id: NodeId,
    address: String,
    client: reqwest::Client,
    answers: Arc<AnswerRoom>,
}

impl HttpTransport {
    /// To the node at this address, which has no final slash.
    pub(super) fn new(id: NodeId, address: String) -> Result<Self, UnusableNode> {
        let client = client_builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIME)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self { id, address, client, answers: Arc::default() })
    }

    async fn send(&self, request: NodeRequest, deadline: Duration) -> Result<NodeReply, NodeError> {
        let url = request.path.at(&self.address);
        let url = url.map_err(|reason| NodeError::NotSent { node: self.id.clone(), reason })?;
        let response = self
            .client
            .request(request.method, url)
            .headers(request.headers)
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

impl Transport for HttpTransport {
    fn exchange(
        &self,
        request: NodeRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<NodeReply, NodeError>> {
        self.send(request, deadline).boxed()
    }
}

/// The text of the cause at the bottom, which says more than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
