//! What the write path tells those who watch it: how far each node is, and how much is waiting. Nothing here changes
//! anything.

use std::collections::BTreeMap;
use std::time::Instant;

use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::SyncState;
use time::OffsetDateTime;

use super::Writer;
use super::ledger::{Ledger, Now, TaskOnNode};

/// How far a node is with the writes that concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeProgress {
    /// What its data are worth.
    pub sync: SyncState,
    /// Decided entries of the log of which it has not done its share.
    pub entries: usize,
    /// When the oldest of them was accepted.
    pub oldest: Option<OffsetDateTime>,
    /// Since when nothing has ended there although it had something to do, as far as this process knows.
    pub quiet_since: Option<OffsetDateTime>,
}

impl Writer {
    /// How far each node is. Nothing of any if the write path has ended.
    pub async fn node_progress(&self) -> BTreeMap<NodeId, NodeProgress> {
        self.ledger.try_order(|ledger| ledger.progress()).await.unwrap_or_default()
    }

    /// The nodes that have a part in a task, each with what the task knows of it; none if it is not decided, or over on all.
    pub async fn task_on_nodes(
        &self,
        task: TaskUid,
        is_reachable: impl Fn(&NodeId) -> bool + Send + 'static,
    ) -> Vec<TaskOnNode> {
        let max_lag = self.max_lag;
        let look = move |ledger: &mut Ledger| {
            let (date, instant) = (OffsetDateTime::now_utc(), Instant::now());
            ledger.task_on_nodes(task, &Now { is_reachable: &is_reachable, date, instant, max_lag })
        };
        self.ledger.try_order(look).await.unwrap_or_default()
    }
}
