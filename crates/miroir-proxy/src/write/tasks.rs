//! The work of the write path in the background: tasks that end together, and that can be waited for when they do.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// See the module. What still runs when this is dropped is ended.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

/// Ends a task when it is dropped.
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tasks {
    /// Begins some work.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.tasks();
        // What has ended takes no room.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work)
    }

    /// Does some work beside whoever waits for it, and returns when it has ended. It is ended where it stands if this future
    /// is dropped.
    pub(super) async fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (told, ended) = oneshot::channel::<Infallible>();
        let _ended_with_this = EndOnDrop(self.spawn(async move {
            let _told = told;
            work.await;
        }));
        // Nothing is ever sent: it is dropped with the work.
        let _ = ended.await;
    }

    /// Ends everything wherever it stands, and waits for that.
    pub(super) async fn shutdown(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.tasks());
            if tasks.is_empty() {
                return;
            }
            tasks.shutdown().await;
        }
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_on_a_task_of_its_own_ends_with_whoever_waits_for_it_or_by_itself() {
        let tasks = Tasks::default();
        let (told, mut is_gone) = tokio::sync::watch::channel(());
        let held = told.clone();
        let work = async move {
            std::future::pending::<()>().await;
            drop(held);
        };
        assert!(timeout(Duration::from_secs(1), tasks.run(work)).await.is_err());
        drop(told);
        // With the work, which nobody waits for any more.
        assert!(is_gone.changed().await.is_err());
        tasks.run(sleep(Duration::from_secs(1))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_until_everything_has_ended() {
        let (tasks, held) = (Arc::new(Tasks::default()), Arc::new(()));
        for _ in 0..3 {
            let held = Arc::clone(&held);
            tasks.spawn(async move {
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        tokio::task::yield_now().await;
        tasks.shutdown().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
