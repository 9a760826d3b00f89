//! What holds for every HTTP server that Miroir asks, be it a node, a webhook, the target of an export or a language model:
//! it gets what was meant for it and nobody else does, and it can't fill the memory.

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use thiserror::Error;
use tokio::sync::Semaphore;

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

/// Answers up to this length are read as they come.
const SMALL: usize = 4 << 20;

/// So many longer answers of one server are read at once; others wait.
const LARGE_AT_ONCE: usize = 1;

/// What answers of one server may take of the memory, however many there are at once and whatever it sends.
#[derive(Debug)]
pub struct AnswerRoom {
    large: Semaphore,
}

impl Default for AnswerRoom {
    fn default() -> Self {
        Self { large: Semaphore::new(LARGE_AT_ONCE) }
    }
}

impl AnswerRoom {
    /// The whole body of an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// As soon as it is longer, or when it breaks off.
    pub async fn read(&self, mut response: Response, limit: usize) -> Result<Bytes, UnreadAnswer> {
        // Put together at the end, so that what goes on and on is never copied.
        let mut pieces = Vec::new();
        let mut length = 0;
        let mut turn = None;
        while let Some(piece) = response.chunk().await? {
            length += piece.len();
            if length > limit {
                return Err(UnreadAnswer::TooLong(limit));
            }
            if length > SMALL && turn.is_none() {
                turn = Some(self.large.acquire().await.expect("the room is never closed"));
            }
            pieces.push(piece);
        }
        Ok(match <[Bytes; 1]>::try_from(pieces) {
            Ok([whole]) => whole,
            Err(pieces) => pieces.concat().into(),
        })
    }
}
