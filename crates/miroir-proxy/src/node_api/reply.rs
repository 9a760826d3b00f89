//! What a node answers, and whether that speaks of the node or of the request.

use bytes::Bytes;
use miroir_core::error::ErrorCode;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

/// Characters of an answer that are shown where it is no error of Meilisearch.
const LONGEST_WORDS: usize = 300;

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
            400 | 404 => self.has_code(ErrorCode::IndexNotFound),
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

    /// What it says in words: the message of an error, or the beginning of whatever it is.
    pub fn message(&self) -> String {
        let error: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if let Some(message) = error["message"].as_str() {
            return message.to_owned();
        }
        let text = String::from_utf8_lossy(&self.body);
        match text.trim() {
            "" => "the node gave no reason".to_owned(),
            words => words.chars().take(LONGEST_WORDS).collect(),
        }
    }

    /// Whether it is an error with this code.
    pub fn has_code(&self, code: ErrorCode) -> bool {
        let error = serde_json::from_slice::<serde_json::Value>(&self.body);
        error.is_ok_and(|error| error["code"] == code.as_str())
    }
}
