//! The store as one process's write path sees it: with the epoch that the process began. If another process begins one,
//! or something that the write path rests on is found changed, this one's write path has ended: the parts in the background
//! stop, and writes are refused. What was accepted is durable, and whoever has the store goes on with it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use miroir_core::arrival::ArrivalChange;
use miroir_core::ids::{Epoch, NodeId, PhysicalUid, TaskUid};
use miroir_core::settings::Broadcast;
use miroir_core::task::{Decision, SyncState, Task};
use miroir_store::{
    Administration, CaughtUp, Commit, Deciding, Delivery, NewEntry, Store, StoreError, until_known,
};
use time::OffsetDateTime;
use tokio::sync::watch;

/// A store, and the epoch in which the write path takes its steps. What is only read is read from the store itself.
#[derive(Debug)]
pub(super) struct FencedStore {
    store: Arc<dyn Store>,
    epoch: Epoch,
    /// Why the write path has ended, once it has.
    end: watch::Sender<Option<StoreError>>,
}

impl Deref for FencedStore {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl FencedStore {
    /// Begins an epoch. The write path of any other process on this store ends with its next step.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn begin(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let epoch = until_known(|| store.begin_epoch()).await?;
        tracing::info!(%epoch, "the write path begins");
        Ok(Self { store, epoch, end: watch::channel(None).0 })
    }

    /// The store, for those who only read.
    pub(super) fn plain(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Why the write path has ended; `Ok` as long as it has not.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.end.borrow().clone().map_or(Ok(()), Err)
    }

    /// What tells a part of the write path to stop.
    pub(super) fn watch_end(&self) -> WritePathEnd {
        WritePathEnd(self.end.subscribe())
    }

    /// Takes a step unless the write path has ended, and ends it if the step finds that somebody else works on it.
    async fn step<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.check()?;
        step.await.inspect_err(|error| {
            if !error.may_pass() {
                self.stop(error);
            }
        })
    }

    fn stop(&self, error: &StoreError) {
        let is_first = self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert_with(|| error.clone());
            is_first
        });
        if is_first {
            tracing::error!(
                %error,
                epoch = %self.epoch,
                "the write path of this Miroir ends, because another one works with this task store. Stop one of the two: this one \
                 takes no writes any more and does not learn what changes, until it is started again"
            );
        }
    }

    pub(super) async fn append(&self, entry: NewEntry) -> Result<Task, StoreError> {
        self.step(until_known(|| self.store.append(self.epoch, entry.clone()))).await
    }

    pub(super) async fn administer(&self, order: Administration) -> Result<Task, StoreError> {
        self.step(until_known(|| self.store.administer(self.epoch, order.clone()))).await
    }

    pub(super) async fn begin_task(&self, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError> {
        self.step(self.store.begin(self.epoch, task, at)).await
    }

    pub(super) async fn decide(
        &self,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError> {
        self.step(self.store.decide(self.epoch, decisions, arrivals)).await
    }

    pub(super) async fn add_nodes(&self, nodes: Vec<NodeId>, sync: SyncState) -> Result<(), StoreError> {
        self.step(self.store.add_nodes(self.epoch, nodes, sync)).await
    }

    pub(super) async fn meet_node(&self, node: NodeId, next_node_task: u64) -> Result<(), StoreError> {
        self.step(self.store.meet_node(self.epoch, node, next_node_task)).await
    }

    pub(super) async fn deliver(&self, delivery: Delivery) -> Result<(), StoreError> {
        self.step(self.store.deliver(self.epoch, delivery)).await
    }

    pub(super) async fn forget_caught_up(&self, node: NodeId) -> Result<(), StoreError> {
        self.step(until_known(|| self.store.forget_caught_up(self.epoch, node.clone()))).await
    }

    pub(super) async fn save_caught_up(
        &self,
        node: NodeId,
        caught_up: Vec<CaughtUp>,
    ) -> Result<(), StoreError> {
        self.step(until_known(|| self.store.save_caught_up(self.epoch, node.clone(), caught_up.clone())))
            .await
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.step(self.store.commit(self.epoch, commit)).await
    }

    pub(super) async fn save_broadcast(&self, broadcast: Broadcast) -> Result<(), StoreError> {
        self.step(self.store.save_broadcast(self.epoch, broadcast)).await
    }
}

/// Tells that the write path of this process has ended.
#[derive(Debug, Clone)]
pub(super) struct WritePathEnd(watch::Receiver<Option<StoreError>>);

impl WritePathEnd {
    /// Returns when it has; never if it ends in the ordinary way.
    pub(super) async fn wait(mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use miroir_store::SqliteStore;
    use tokio::time::timeout;

    use super::*;
    use crate::error::RequestError;
    use crate::write::retry::until_stored;
    use crate::write::watched::run_watched;

    /// Long enough for what happens, and short enough for what must not.
    const MOMENT: Duration = Duration::from_millis(300);

    async fn fenced(path: &std::path::Path) -> FencedStore {
        FencedStore::begin(Arc::new(SqliteStore::open_unlocked(path).unwrap())).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_that_is_refused_a_step_ends_with_all_others_and_does_not_try_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.db");
        let old = Arc::new(fenced(&path).await);
        let idle = tokio::spawn(run_watched("idle", old.watch_end(), std::future::pending()));
        let new = fenced(&path).await;
        // Nobody has told the old one yet.
        assert_eq!(old.check(), Ok(()));
        let store = Arc::clone(&old);
        let busy = tokio::spawn(run_watched("busy", old.watch_end(), async move {
            until_stored("nothing", || store.commit(Commit::default())).await;
        }));
        timeout(MOMENT, async { (idle.await, busy.await) }).await.unwrap().0.unwrap();
        let (epoch, current) = (old.epoch, new.epoch);
        assert_eq!(old.check(), Err(StoreError::Superseded { epoch, current }));
        assert_eq!(new.commit(Commit::default()).await, Ok(()));
        let told = RequestError::Store(old.check().unwrap_err()).into_response_error().unwrap();
        assert_eq!((told.code.as_str(), told.code.status()), ("miroir_superseded", 503));
        assert!(told.message.contains("Stop one of the two"), "{told:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_found_changed_ends_the_write_path_too_and_nothing_is_stored_after_that() {
        let folder = tempfile::tempdir().unwrap();
        let store = fenced(&folder.path().join("miroir.db")).await;
        let node = NodeId::new("a");
        store.add_nodes(vec![node.clone()], SyncState::InSync).await.unwrap();
        let at = OffsetDateTime::UNIX_EPOCH;
        let delivery = Delivery {
            node: node.clone(),
            from: TaskUid(7),
            cursor: TaskUid(8),
            sent: Vec::new(),
            ahead: None,
            at,
        };
        let refused = store.deliver(delivery).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
        assert_eq!(store.meet_node(node, 3).await, Err(refused.clone()));
        assert_eq!(store.nodes().await.unwrap()[0].next_node_task, None);
        assert_eq!(store.check(), Err(refused));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_part_goes_on_after_the_handle_of_the_store_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = fenced(&folder.path().join("miroir.db")).await;
        let end = store.watch_end();
        drop(store);
        assert!(timeout(MOMENT, end.wait()).await.is_err());
    }
}
