//! Why there is no answer of a node, and whether the node may have seen the request.

use miroir_core::ids::NodeId;
use miroir_core::path::Unaddressable;
use reqwest::header::InvalidHeaderValue;
use thiserror::Error;

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
