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
/// on without.
pub(super) async fn until_stored<T, F>(what: &str, mut step: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::new();
    loop {
        match step().await {
            Ok(done) => return done,
            Err(error) => {
                tracing::error!(%error, what, "the task store can't be read or written, and writes wait for that; trying again. Look at the disk of `task_store.path`");
            }
        }
        backoff.pause().await;
    }
}
