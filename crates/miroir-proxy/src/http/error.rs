//! The one place where anything that went wrong becomes an HTTP answer.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::ShardId;
use miroir_store::StoreError;
use thiserror::Error;

use crate::cluster::{NodeError, NodeReply};
use crate::write::WriteError;

/// How long a client should wait before it asks again, when the cluster can't answer now. Meilisearch says the same.
const RETRY_AFTER_SECONDS: &str = "10";

/// Why a request gets no ordinary answer.
#[derive(Debug, Error)]
pub enum HttpError {
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
    /// The store failed, or the write path is stopping.
    #[error(transparent)]
    Write(#[from] WriteError),
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

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        Self::Write(error.into())
    }
}

/// Shard numbers as a comma list.
pub fn list(shards: &[ShardId]) -> String {
    shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl HttpError {
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

    fn into_response_error(self) -> Result<ResponseError, NodeReply> {
        Ok(match self {
            Self::Refused(error) | Self::BadRequest(error) => error,
            Self::Node(reply) => return Err(reply),
            Self::NodeFailed(error) => ResponseError::new(
                ErrorCode::MiroirNodeUnavailable,
                format!("{error}. Try again, or see which nodes answer."),
            ),
            Self::Write(error) => error.response(),
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

impl IntoResponse for HttpError {
    fn into_response(self) -> Response<Body> {
        if let Self::BadRequest(error) = self {
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
        match self.into_response_error() {
            Ok(error) => respond(&error),
            Err(reply) => pass_on(reply),
        }
    }
}

fn respond(error: &ResponseError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(code = %error.code, message = %error.message, "request failed");
    }
    let mut response = (status, Json(error)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// A node's answer as the client's answer.
pub fn pass_on(reply: NodeReply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    if let Some(content_type) = reply.content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
