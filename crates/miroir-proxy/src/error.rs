//! What can go wrong with a request, wherever it is worked on: whose fault it is, and which of Meilisearch's errors says so.
//! How that becomes an HTTP response is the business of `http/`.

use std::io;

use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::ShardId;
use miroir_store::StoreError;
use thiserror::Error;

use crate::node_api::{NodeError, NodeReply};

/// Why a request gets no ordinary answer.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The client's fault, or a state of the cluster that has an error of its own.
    #[error(transparent)]
    Refused(#[from] ResponseError),
    /// The client's fault, where the code's own status would speak of the path: 400 instead.
    #[error(transparent)]
    BadRequest(ResponseError),
    /// A node said what is wrong, better than we could.
    #[error("a node refused the request")]
    Node(NodeReply),
    /// A node that had to answer did not.
    #[error(transparent)]
    NodeFailed(#[from] NodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A body could not be put on disk.
    #[error("can't keep the request's body beside the task store: {0}")]
    Spool(io::Error),
    /// No readable node holds these shards.
    #[error("no readable replica of shards {}", list(.0))]
    ShardsUnavailable(Vec<ShardId>),
    /// A node answered with something that is not an answer.
    #[error("node answered out of form: {0}")]
    Unreadable(String),
    /// The request took longer than `server.request_timeout_ms`.
    #[error("the request took longer than `server.request_timeout_ms` allows; it may still take effect")]
    TimedOut,
}

/// Shard numbers as a comma list.
pub fn list(shards: &[ShardId]) -> String {
    shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl RequestError {
    /// An error of this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(ResponseError::new(code, message))
    }

    /// Meilisearch's error for what needs a feature that is switched off: what it calls the action and the feature, and the
    /// number of its discussion.
    pub fn feature_missing(action: &str, feature: &str, discussion: u32) -> Self {
        let message = format!(
            "{action} requires enabling the `{feature}` experimental feature. See \
             https://github.com/orgs/meilisearch/discussions/{discussion}"
        );
        Self::new(ErrorCode::FeatureNotEnabled, message)
    }

    /// The error as it is told where an answer has begun already.
    pub fn told(self) -> ResponseError {
        self.into_response_error().unwrap_or_else(|reply| {
            serde_json::from_slice(&reply.body).unwrap_or_else(|_| {
                let message = format!("A node answered {}.", reply.status);
                ResponseError::new(ErrorCode::Internal, message)
            })
        })
    }

    /// What the client is told, in Meilisearch's form.
    ///
    /// # Errors
    /// A node's own answer, which the client gets as it is.
    pub fn into_response_error(self) -> Result<ResponseError, NodeReply> {
        Ok(match self {
            Self::Refused(error) | Self::BadRequest(error) => error,
            Self::Node(reply) => return Err(reply),
            Self::NodeFailed(error) => ResponseError::new(
                ErrorCode::MiroirNodeUnavailable,
                format!("{error}. Try again, or see which nodes answer."),
            ),
            Self::Store(ref error) => {
                let code = match error {
                    StoreError::Full => ErrorCode::NoSpaceLeftOnDevice,
                    StoreError::Superseded { .. } | StoreError::Conflict { .. } => {
                        ErrorCode::MiroirSuperseded
                    }
                    StoreError::NewerSchema { .. }
                    | StoreError::InUse { .. }
                    | StoreError::Busy
                    | StoreError::Unknown(_)
                    | StoreError::Engine { .. }
                    | StoreError::Corrupt(_)
                    | StoreError::Closed => ErrorCode::Internal,
                };
                ResponseError::new(code, self.to_string())
            }
            Self::Spool(ref error) => {
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                let code = if full { ErrorCode::NoSpaceLeftOnDevice } else { ErrorCode::IoError };
                ResponseError::new(code, self.to_string())
            }
            Self::ShardsUnavailable(shards) => ResponseError::new(
                ErrorCode::MiroirShardUnavailable,
                format!(
                    "No node that holds shards {} can be read now. Try again when a node is back.",
                    list(&shards)
                ),
            ),
            Self::Unreadable(what) => {
                ResponseError::new(ErrorCode::Internal, format!("A node answered out of form: {what}."))
            }
            error @ Self::TimedOut => ResponseError::new(ErrorCode::MiroirNodeUnavailable, error.to_string()),
        })
    }
}
