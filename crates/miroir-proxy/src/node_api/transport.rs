//! How a request gets to a node.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{NodeError, NodeReply, NodeRequest};

/// The way to one node: over HTTP, or in tests to one in memory.
pub trait Transport: Debug + Send + Sync {
    /// Sends one request, key and all, and reads the whole answer within `deadline`. Dropping the future gives the request up;
    /// the node may still act on it.
    ///
    /// # Errors
    /// When there is no answer. What a node answers is none, be it a refusal.
    fn exchange(
        &self,
        request: NodeRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<NodeReply, NodeError>>;
}
