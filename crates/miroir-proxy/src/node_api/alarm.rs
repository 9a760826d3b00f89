//! What wakes a node's health check before its time: a request that failed, or somebody who wants to know how the node is
//! now. And the health check's word that the node is back, for those who would try again later.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

/// See the module.
#[derive(Debug, Default)]
pub struct Alarm {
    failed: Notify,
    wanted: Notify,
    returned: Notify,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Alarm {
    /// A request to the node failed.
    pub fn raise(&self) {
        self.failed.notify_one();
    }

    /// Waits until a request failed, since this was last waited for.
    pub async fn raised(&self) {
        self.failed.notified().await;
    }

    /// The node answers again.
    pub fn note_return(&self) {
        self.returned.notify_waiters();
    }

    /// Waits until the node answers again after it did not.
    pub async fn returned(&self) {
        self.returned.notified().await;
    }

    /// Waits until somebody wants to know how the node is.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Has the node looked at, and waits until it is known how it is. For ever if nobody looks.
    pub async fn look(&self) {
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(tell);
        self.wanted.notify_one();
        // Nobody looks any more, or it is known.
        let _ = told.await;
    }

    /// Those who wait for a look that begins now.
    pub fn take_waiting(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
