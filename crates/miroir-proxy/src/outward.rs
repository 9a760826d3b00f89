//! What holds for every HTTP server that Miroir asks, be it a node, a webhook, the target of an export or a language model:
//! it gets what was meant for it and nobody else does, and it can't fill the memory.

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use thiserror::Error;

/// Why an answer was not read to its end.
#[derive(Debug, Error)]
pub enum UnreadAnswer {
    /// It broke off.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
    /// It went on.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl UnreadAnswer {
    /// Whether asking again can't help.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Broken(error) => error.is_builder(),
            Self::TooLong(_) => true,
        }
    }
}

/// A client that follows no redirect: a body and a key are for the server that was named, not for the one that it names.
pub fn client_builder() -> ClientBuilder {
    Client::builder().redirect(Policy::none())
}

/// A client like that, of which nothing else is wanted.
pub fn client() -> Client {
    client_builder().build().expect("the TLS that is built in can be set up")
}

/// The whole body of an answer of at most `limit` bytes.
///
/// # Errors
/// As soon as it is longer, or when it breaks off.
pub async fn read_at_most(mut response: Response, limit: usize) -> Result<Bytes, UnreadAnswer> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > limit {
            return Err(UnreadAnswer::TooLong(limit));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
