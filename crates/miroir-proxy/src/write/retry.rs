//! Waiting between tries.

use std::future::Future;

use miroir_core::task::lane;
use miroir_store::StoreError;

/// Pauses that double from one to the next, up to a bound.
#[derive(Debug)]
pub(super) struct Backoff(lane::Backoff);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(lane::Backoff::default())
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.0.pause()).await;
    }
}

/// Repeats a step on the store until it is done: the work in the background has nobody to give an error to, and can't go
/// on without. A step that is refused for good, because another process works with the store, has ended the write path
/// (see [`FencedStore`](super::fenced::FencedStore)): then this does not return, and its caller is about to be stopped.
pub(super) async fn until_stored<T, F>(what: &str, mut step: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::new();
    loop {
        match step().await {
            Ok(done) => return done,
            Err(error) if !error.may_pass() => {
                tracing::error!(%error, what, "the task store refuses a step for good; it is not taken again");
                return std::future::pending().await;
            }
            Err(error) => {
                tracing::error!(%error, what, "the task store can't be read or written, and writes wait for that; trying again");
            }
        }
        backoff.pause().await;
    }
}
