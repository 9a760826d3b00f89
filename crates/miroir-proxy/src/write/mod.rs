//! Writes: accepted into one ordered log, decided in its order, delivered to each node in its order, and reported to
//! clients as tasks.
//!
//! ```text
//!  append --> log --> sequencer --decision--> lane of node a --> node a <-- tracker of node a --\
//!    |                    ^                   lane of node b --> node b <-- tracker of node b ---+--> committer
//!   202                   \---------------------------- what has ended ------------------------------/    |
//!                                                                              tasks, catalog, view, in-sync set
//! ```
//!
//! Each arrow that crosses a process or a disk may be cut at any moment: what stands left of it is durable, and its
//! reader begins again where the store says. The parts:
//! - [`sequencer`] decides about entries, strictly in order, and stores the decision before anybody acts on it;
//! - [`lane`] brings one node its share, in order, and tries again for ever, as [`miroir_core::task::lane`] decides;
//! - [`tracker`] notices what one node has finished;
//! - [`committer`] turns that into ends of tasks, changes of the catalog and of the in-sync set;
//! - [`rollout`] moves changes of settings from wave to wave and to their end, see [`crate::settings`];
//! - [`undo`] gives documents back what a failed change of settings made of them;
//! - [`ledger`] is what is decided and not over, in memory: the sequencer adds to it, the committer ends it, and all others
//!   ask the committer;
//! - [`fenced`] is the store to all of them: it ends them when another process has taken the store over.

mod admission;
mod barrier;
mod caretaker;
mod committer;
mod config;
mod errand;
mod error;
mod existing;
mod fenced;
mod inspect;
mod lane;
mod ledger;
mod listing_order;
mod names;
mod prepared;
mod progress;
mod rebuild;
mod recall;
mod receive;
mod recent_payloads;
mod records;
mod request;
mod retry;
mod rollout;
mod sequencer;
mod shelf;
mod start;
mod stragglers;
mod syncs;
mod tasks;
mod tracker;
mod undo;
mod waiting;
mod watched;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use miroir_core::document::Payload;
use miroir_core::ids::{GroupId, IndexUid, NodeId, TaskUid};
use miroir_core::keys::UidPattern;
use miroir_core::task::{
    Mutation, SyncState, Task, TaskFilter, TaskList, TaskPage, TaskStatus, TaskSummary, details_at_start,
};
pub use miroir_store::TaskAction;
use miroir_store::{Administration, NewEntry, StepId};
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};

use self::admission::Admission;
use self::committer::Event;
use self::fenced::FencedStore;
use self::ledger::LedgerHandle;
use self::rebuild::OperatorRequests;
use self::recent_payloads::RecentPayloads;
use self::tasks::Tasks;
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::node_api::Node;
use crate::settings::Broadcasts;
use crate::webhook::WebhookQueue;

pub use config::WriteConfig;
pub use error::{MemberError, StartError, WriteError};
pub use ledger::{ShareState, TaskOnNode, WaitReason};
pub use progress::NodeProgress;
pub use records::Records;
pub use start::start;

/// Between looks at what the committer is to store.
const STORE_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long that may take.
const STORED: Duration = Duration::from_secs(10);

/// A write that was checked and may be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWrite {
    /// The index that it is about.
    pub index: IndexUid,
    /// What was asked for.
    pub mutation: Mutation,
    /// The checked documents; none for everything but documents.
    pub payload: Payload,
    /// The client's own text.
    pub custom_metadata: Option<String>,
}

/// The way into the log, and to the tasks. Cheap to clone; the work in the background ends with the last clone.
#[derive(Debug, Clone)]
pub struct Writer {
    store: Arc<FencedStore>,
    appended: Arc<Notify>,
    ledger: LedgerHandle,
    payload_budget: MemoryBudget,
    recent_payloads: Arc<RecentPayloads>,
    /// Rung when a cancelation may have let waiting entries go.
    tasks_ended: Arc<Notify>,
    /// Tells webhooks.
    webhooks: WebhookQueue,
    broadcasts: Arc<Broadcasts>,
    /// How much longer than its peers a node may take for a task.
    max_lag: Duration,
    /// What operators want of damaged nodes.
    operator_requests: Arc<OperatorRequests>,
    /// The way to the committer.
    events: mpsc::Sender<Event>,
    admission: Arc<Admission>,
    background: Arc<Tasks>,
    /// The caretakers, which what is in the background begins and ends.
    caretakers: Arc<Tasks>,
}

impl Writer {
    /// Puts a write at the end of the log. It is durable when this returns. If the future is dropped, the write may or
    /// may not have been accepted.
    pub async fn append(&self, write: NewWrite) -> Result<TaskSummary, WriteError> {
        self.store.check()?;
        self.broadcasts.check_writable(&write.index, &write.mutation).map_err(WriteError::Frozen)?;
        let arrival = Some(&write.payload).filter(|payload| RecentPayloads::would_keep(payload)).cloned();
        let entry = NewEntry {
            id: StepId::fresh(),
            details: details_at_start(&write.mutation),
            index_uid: write.index,
            mutation: write.mutation,
            payload: write.payload.parts.into_iter().map(|part| part.bytes).collect(),
            custom_metadata: write.custom_metadata,
            enqueued_at: OffsetDateTime::now_utc(),
        };
        let task = self.store.append(entry).await?;
        if let Some(payload) = arrival {
            self.recent_payloads.put(task.uid, payload);
        }
        self.appended.notify_one();
        Ok(task.summary())
    }

    /// Waits until there is room in memory for a whole payload of so many bytes, which is then to be accepted or refused.
    pub async fn enter_room(&self, bytes: usize) -> MemoryPermit {
        self.payload_budget.enter(bytes).await
    }

    /// Cancels or deletes the tasks that match `filter`, which the client wrote as `query`. It has happened when this
    /// returns; the summary says "enqueued", as clients expect.
    pub async fn administer(
        &self,
        action: TaskAction,
        filter: TaskFilter,
        query: String,
    ) -> Result<TaskSummary, WriteError> {
        let order =
            Administration { id: StepId::fresh(), action, filter, query, at: OffsetDateTime::now_utc() };
        let task = self.store.administer(order).await?;
        self.tasks_ended.notify_one();
        self.tell(task.uid).await;
        Ok(TaskSummary { status: TaskStatus::Enqueued, ..task.summary() })
    }

    /// The task and those that it canceled are over.
    async fn tell(&self, task: TaskUid) {
        let canceled = TaskFilter { canceled_by: Some(vec![task]), ..TaskFilter::default() };
        let page = TaskPage { limit: u32::MAX, ..TaskPage::default() };
        let mut over = vec![task];
        match self.store.tasks(canceled, page).await {
            Ok(found) => over.extend(found.results.into_iter().map(|task| task.uid)),
            Err(error) => {
                tracing::error!(%error, "canceled tasks can't be read; webhooks are not told of them");
            }
        }
        self.webhooks.hand_in(over);
    }

    /// A task by its number.
    pub async fn task(&self, uid: TaskUid) -> Result<Option<Task>, WriteError> {
        Ok(self.store.task(uid).await?)
    }

    /// A task by its number, if it is about an index that the caller may see.
    pub async fn visible_task(
        &self,
        uid: TaskUid,
        visible: Option<Vec<UidPattern>>,
    ) -> Result<Option<Task>, WriteError> {
        if visible.is_none() {
            return self.task(uid).await;
        }
        let filter = TaskFilter { uids: Some(vec![uid]), visible, ..TaskFilter::default() };
        Ok(self.tasks(filter, TaskPage::default()).await?.results.pop())
    }

    /// The tasks that match, a page of them.
    pub async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, WriteError> {
        Ok(self.store.tasks(filter, page).await?)
    }

    /// What the store keeps besides writes.
    pub fn records(&self) -> Records {
        Records(self.store.plain())
    }

    /// The changes of settings.
    pub fn broadcasts(&self) -> &Broadcasts {
        &self.broadcasts
    }

    /// What a damaged node had and no other node has is given up, soon. False if the node is not damaged.
    pub async fn accept_loss(&self, node: &NodeId) -> bool {
        let is_damaged = self.is_damaged(node).await;
        if is_damaged {
            self.operator_requests.accept_loss(node.clone());
        }
        is_damaged
    }

    /// All that the node has will be deleted. A node that had something of the log is made anew from its peers; one that
    /// was never met gets the log from its beginning. False if that is not stored in time.
    pub async fn give_up_data(&self, node: &NodeId) -> Result<bool, WriteError> {
        let record = self.store.node(node.clone()).await?;
        if record.is_some_and(|record| record.next_node_task.is_none()) {
            return Ok(true);
        }
        let _ = self.events.send(Event::Lost { node: node.clone() }).await;
        let stored = async {
            while !self.is_damaged(node).await {
                tokio::time::sleep(STORE_POLL_INTERVAL).await;
            }
        };
        Ok(tokio::time::timeout(STORED, stored).await.is_ok())
    }

    async fn is_damaged(&self, node: &NodeId) -> bool {
        self.node_progress().await.get(node).is_some_and(|progress| progress.sync == SyncState::Damaged)
    }

    /// Makes a node a member of the cluster while it runs. It is made like the others in what every node has, and new
    /// indexes are placed on it after that; indexes that exist stay where they are. Whoever adds it has closed the node
    /// if it is not known yet whose it is. If the future is dropped it is a member, or it can be added again.
    ///
    /// # Errors
    /// When there is a member of this id, or the store fails.
    pub async fn add_node(&self, node: Node, group: GroupId) -> Result<(), MemberError> {
        self.admission.add(node, group).await
    }

    /// Lets a member go while the cluster runs.
    ///
    /// # Errors
    /// When it is no member, when some index has shards on it, or when its group would be too small without it.
    pub async fn remove_node(&self, node: &NodeId) -> Result<(), MemberError> {
        self.admission.remove(node).await
    }

    /// Stops the work in the background wherever it stands, as a crash would, and waits for that.
    pub async fn shutdown(&self) {
        self.background.shutdown().await;
        self.caretakers.shutdown().await;
    }
}
