//! What a node answers, and whether that speaks of the node or of the request.

use bytes::Bytes;
use miroir_core::error::ErrorCode;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

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
