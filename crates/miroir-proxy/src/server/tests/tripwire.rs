//! Stops a process at one of its steps: it takes no further one, and neither ends nor goes on.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::Method;
use tokio::sync::watch;

use crate::node_api::fake::FakeNode;
use crate::node_api::{NodeError, NodeReply, NodeRequest, Transport};

/// Where a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Right before it takes the step of this number, from 0.
    Before(u64),
    /// Right after it, when it does not know yet that the step was taken.
    After(u64),
    Never,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// Changes of the store.
    OfStore,
    /// Requests to nodes that change something, and those that read settings back.
    OfNodes,
}

/// See the module. One for each process.
#[derive(Debug)]
pub(super) struct Tripwire {
    stop: Stop,
    steps: Steps,
    taken: AtomicU64,
    is_cut: watch::Sender<bool>,
}

impl Tripwire {
    pub(super) fn new(steps: Steps, stop: Stop) -> Self {
        Self { stop, steps, taken: AtomicU64::new(0), is_cut: watch::channel(false).0 }
    }

    pub(super) fn none() -> Self {
        Self::new(Steps::OfStore, Stop::Never)
    }

    /// Returns when the process has stopped.
    pub(super) async fn cut(&self) {
        let _ = self.is_cut.subscribe().wait_for(|is_cut| *is_cut).await;
    }

    /// Takes a step, if it is the process's to take.
    pub(super) async fn step<T>(&self, steps: Steps, step: impl Future<Output = T>) -> T {
        if *self.is_cut.borrow() {
            return std::future::pending().await;
        }
        if steps != self.steps {
            return step.await;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if self.stop == Stop::Before(number) {
            return self.cut_here().await;
        }
        let done = step.await;
        if self.stop == Stop::After(number) {
            return self.cut_here().await;
        }
        done
    }

    /// What is no step, and is not done either by a process that has stopped.
    pub(super) async fn pass<T>(&self, other: impl Future<Output = T>) -> T {
        if *self.is_cut.borrow() { std::future::pending().await } else { other.await }
    }

    async fn cut_here<T>(&self) -> T {
        self.is_cut.send_replace(true);
        std::future::pending().await
    }
}

/// The way of a process to a node.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) fake: FakeNode,
    pub(super) tripwire: std::sync::Arc<Tripwire>,
}

impl Transport for Wire {
    fn exchange(
        &self,
        request: NodeRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<NodeReply, NodeError>> {
        let counts = request.method != Method::GET || request.path.path().ends_with("/settings");
        let exchange = self.fake.exchange(request, deadline);
        async move {
            if counts {
                self.tripwire.step(Steps::OfNodes, exchange).await
            } else {
                self.tripwire.pass(exchange).await
            }
        }
        .boxed()
    }
}
