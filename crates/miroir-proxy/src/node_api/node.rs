//! One node as Miroir talks to it: who it is, which key it is shown, whether anything is sent to it at all. How a request gets
//! there is the business of a [`Transport`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use miroir_core::ids::NodeId;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};

use super::access::{Access, bearer};
use super::alarm::Alarm;
use super::form::{Form, check_refusal};
use super::http::HttpTransport;
use super::metrics::NodeMetrics;
use super::operation::operation;
use super::{NodeError, NodeReply, NodeRequest, Transport, UnusableNode};

/// The connection to one node. Cheap to clone; all clones share the pool.
#[derive(Debug, Clone)]
pub struct Node {
    id: NodeId,
    address: Arc<str>,
    access: Arc<Access>,
    transport: Arc<dyn Transport>,
    metrics: NodeMetrics,
    alarm: Arc<Alarm>,
}

impl Node {
    /// A node at `address` (`http://host:port`), with its key.
    ///
    /// # Errors
    /// When the key can't stand in a header or the TLS backend can't be loaded.
    pub fn new(id: NodeId, address: &str, key: Option<&str>) -> Result<Self, UnusableNode> {
        let address = address.trim_end_matches('/');
        let transport = Arc::new(HttpTransport::new(id.clone(), address.to_owned())?);
        Ok(Self {
            id,
            address: address.into(),
            access: Arc::new(Access::new(key)?),
            transport,
            metrics: NodeMetrics::default(),
            alarm: Arc::default(),
        })
    }

    /// A node that is reached in another way than over a network.
    #[cfg(test)]
    pub fn over(id: NodeId, transport: Arc<dyn Transport>) -> Self {
        Self {
            id,
            address: "http://in-memory".into(),
            access: Arc::default(),
            transport,
            metrics: NodeMetrics::default(),
            alarm: Arc::default(),
        }
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
    pub fn alarm(&self) -> &Alarm {
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
        mut request: NodeRequest,
        deadline: Duration,
        key: Option<HeaderValue>,
    ) -> Result<NodeReply, NodeError> {
        if let Some(key) = key {
            request.headers.insert(AUTHORIZATION, key);
        }
        let (operation, form) = (operation(request.path.path()), request.form);
        let began = Instant::now();
        let answer = self.transport.exchange(request, deadline).await;
        let answer = answer.and_then(|reply| self.check(form, reply));
        self.metrics.note(&self.id, operation, began.elapsed(), &answer);
        answer
    }

    fn check(&self, form: Form, reply: NodeReply) -> Result<NodeReply, NodeError> {
        let checked = if reply.status.is_success() { form.check(&reply.body) } else { check_refusal(&reply) };
        match checked {
            Ok(()) => Ok(reply),
            Err(error) => Err(NodeError::OutOfForm { node: self.id.clone(), reason: error.to_string() }),
        }
    }
}

/// Whether nodes let only those do it who may do everything: no other key, not even one for all that concerns documents, may
/// edit by function (Meilisearch 1.50).
fn takes_every_right(request: &NodeRequest) -> bool {
    request.method == Method::POST && request.path.path().ends_with("/documents/edit")
}
