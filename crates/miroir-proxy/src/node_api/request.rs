//! A request to a node.

use bytes::Bytes;
use miroir_core::path::NodePath;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::form::Form;

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
