//! Finds out whose the nodes are before anything else is sent to them, and leaves this cluster's mark on its own.
//!
//! On a node with a master key the mark is the description of the API key with which Miroir works there: it takes no place
//! in the node's task queue, is in its dumps and snapshots, and a node of another cluster does not let the key in, so that
//! even a server that appears at a node's address between two looks is neither read nor written. On a node without a
//! master key, which is for development, and where the configured key may make no keys, the mark is in a task of the
//! node's queue.
//!
//! What is decided from what is found is in [`miroir_core::identity`].

mod clear;
mod error;
mod key;
mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::identity::{Belonging, Mark, judge_mark, judge_traces};
use miroir_core::ids::{ClusterId, NodeId, PhysicalUid, TaskUid};
use miroir_store::{Store, StoreError};

pub use self::error::Unusable;
pub use self::key::Keys;
use self::look::SeenTask;
pub(super) use self::look::told_version;
pub use self::look::{ask_keys, ask_shown_mark, ask_traces, ask_version, expect_meilisearch};
use crate::node_api::Node;

/// Between two looks at a node that is known.
const MARK_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long a node may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long it is told that another Miroir wrote to a node.
const TOLD: Duration = Duration::from_mins(1);

/// The newest tasks of a node among which those of another Miroir are looked for.
const NEWEST: u64 = 100;

/// Entries of the log that are read at a time.
const PAGE: usize = 256;

/// When a node has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It is not known whose it is.
    Now,
    /// It is known, but has not been looked at for some time.
    Again,
    /// It was looked at.
    Later,
}

/// What was found out of a node that is this cluster's.
#[derive(Debug)]
pub(super) struct Identified {
    /// What is worth saying of it, though it may be used.
    pub(super) warning: Option<String>,
    /// Its queue ends before a number that the store has of it: whatever it had is gone.
    pub(super) has_lost_history: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Identities {
    cluster: ClusterId,
    log_id: String,
    store: Arc<dyn Store>,
    /// One node at a time gets a mark: two addresses may reach one server.
    claiming: tokio::sync::Mutex<()>,
    seen: Mutex<BTreeMap<NodeId, Seen>>,
}

/// What is known of a node.
#[derive(Debug, Default)]
struct Seen {
    /// When it was last found to be this cluster's; none if that has to be found out.
    settled: Option<Instant>,
    /// The newest number in its queue that was looked at.
    newest_task: Option<u64>,
    /// When tasks of another Miroir were last found to have come, and of which log.
    intruder: Option<(Instant, String)>,
    /// What the log was told of it last.
    told: Option<String>,
}

impl Identities {
    /// The identity that the store has.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        Ok(Self {
            cluster: store.cluster_id().await?,
            log_id: store.log_id().await?,
            store,
            claiming: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
        })
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Another server may be at the node's address now.
    pub(super) fn doubt(&self, node: &NodeId) {
        self.seen().entry(node.clone()).or_default().settled = None;
    }

    /// The node is not the cluster's any more, as far as Miroir knows.
    pub(super) fn forget(&self, node: &NodeId) {
        self.seen().remove(node);
    }

    pub(super) fn due(&self, node: &NodeId) -> Due {
        match self.seen().get(node).and_then(|seen| seen.settled) {
            None => Due::Now,
            Some(settled) if settled.elapsed() >= MARK_CHECK_INTERVAL => Due::Again,
            Some(_) => Due::Later,
        }
    }

    /// Finds out whose the node is. If it is this cluster's, it has the mark then, and may be used; if not, nothing goes
    /// there any more. Answers what is worth saying of a node that may be used all the same. Nothing is decided if the
    /// future is dropped.
    pub(super) async fn identify(&self, node: &Node) -> Result<Identified, Unusable> {
        let found = self.find_out(node).await;
        match &found {
            Ok(Identified { warning, .. }) => {
                self.settle(node);
                if self.is_news(node.id(), warning.as_ref())
                    && let Some(reason) = warning
                {
                    tracing::warn!(node = %node.id(), %reason, "something is wrong with a node that is used");
                }
            }
            Err(error) if error.is_about_whose() => {
                self.doubt(node.id());
                let reason = error.to_string();
                if self.is_news(node.id(), Some(&reason)) {
                    tracing::error!(node = %node.id(), %reason, "node is not used");
                }
                node.close(reason);
            }
            Err(_) => {}
        }
        found
    }

    /// Deletes all that the node has, and puts this cluster's mark in the place of any other.
    pub async fn adopt(&self, node: &Node) -> Result<(), Unusable> {
        let _turn = self.claiming.lock().await;
        expect_meilisearch(node, TIMEOUT).await?;
        let own = self.mark_of(node);
        let keys = ask_keys(node, TIMEOUT).await?;
        clear::delete_everything(node, TIMEOUT).await?;
        for key in keys.marked().filter(|key| key.mark != own) {
            key::delete(node, &key.uid, TIMEOUT).await?;
        }
        self.claim(node, &own, &keys).await?;
        self.settle(node);
        tracing::warn!(node = %node.id(), "node was taken over");
        Ok(())
    }

    async fn find_out(&self, node: &Node) -> Result<Identified, Unusable> {
        expect_meilisearch(node, TIMEOUT).await?;
        ask_version(node, TIMEOUT).await?;
        let own = self.mark_of(node);
        let keys = ask_keys(node, TIMEOUT).await?;
        let warning = match self.judge(node, &own, &keys).await? {
            Belonging::Foreign(stranger) => return Err(Unusable::Foreign { node: own.node, stranger }),
            Belonging::Own => key::ensure(node, &own, &keys, TIMEOUT).await?,
            Belonging::Unclaimed => {
                let _turn = self.claiming.lock().await;
                // The same server may have got a mark under another address.
                let keys = ask_keys(node, TIMEOUT).await?;
                match self.judge(node, &own, &keys).await? {
                    Belonging::Foreign(stranger) => {
                        return Err(Unusable::Foreign { node: own.node, stranger });
                    }
                    Belonging::Own => key::ensure(node, &own, &keys, TIMEOUT).await?,
                    Belonging::Unclaimed => self.claim(node, &own, &keys).await?,
                }
            }
        };
        // What is known grows while the node answers, since lanes go on; and it shrinks when a rebuild ends meanwhile.
        let known_before = self.known_next_task(node.id()).await?;
        let tasks = look::ask_newest_tasks(node, NEWEST, TIMEOUT).await?;
        let known = known_before.min(self.known_next_task(node.id()).await?);
        let has_lost_history = tasks.first().map_or(0, |task| task.number + 1) < known;
        Ok(Identified { warning: self.look_for_intruders(node, &tasks).or(warning), has_lost_history })
    }

    /// The number that the node's next task had at least when the store was last told; 0 for a node that is new.
    async fn known_next_task(&self, node: &NodeId) -> Result<u64, StoreError> {
        let record = self.store.node(node.clone()).await?;
        Ok(record.and_then(|record| record.next_node_task).unwrap_or(0))
    }

    async fn judge(&self, node: &Node, own: &Mark, keys: &Keys) -> Result<Belonging, Unusable> {
        if let Some(shown) = ask_shown_mark(node, keys, TIMEOUT).await? {
            return Ok(judge_mark(own, &shown));
        }
        let traces = ask_traces(node, TIMEOUT).await?;
        Ok(judge_traces(&traces, &self.log_id, &self.known_indexes().await?))
    }

    /// What is in the catalog, and what entries of the log are about: nodes may have made it, or may not have deleted it.
    async fn known_indexes(&self) -> Result<BTreeSet<PhysicalUid>, StoreError> {
        let catalog = self.store.catalog().await?;
        let mut known: BTreeSet<PhysicalUid> = catalog.into_iter().map(|index| index.physical).collect();
        let mut from = TaskUid(0);
        loop {
            let works = self.store.work(from, PAGE).await?;
            let Some(last) = works.last() else { return Ok(known) };
            from = TaskUid(last.entry.uid.0 + 1);
            known.extend(works.into_iter().filter_map(|work| Some(work.decision.target?.physical)));
        }
    }

    /// Leaves the mark. What went wrong with the key is answered: then the mark is in a task.
    async fn claim(&self, node: &Node, own: &Mark, keys: &Keys) -> Result<Option<String>, Unusable> {
        let warning = key::ensure(node, own, keys, TIMEOUT).await?;
        if warning.is_some() || matches!(keys, Keys::Hidden) {
            look::leave_mark_in_task(node, own, TIMEOUT).await?;
        }
        tracing::info!(node = %node.id(), cluster = %self.cluster, "node was marked as this cluster's");
        Ok(warning)
    }

    /// What to say if tasks of another Miroir, of which these are the newest, came into the node's queue lately.
    fn look_for_intruders(&self, node: &Node, tasks: &[SeenTask]) -> Option<String> {
        let mut all = self.seen();
        let seen = all.entry(node.id().clone()).or_default();
        let newest = tasks.first().map(|task| task.number);
        if let Some(known) = seen.newest_task {
            let is_intruder = |log: &&String| **log != self.log_id;
            let came = tasks.iter().filter(|task| task.number > known);
            if let Some(log) = came.filter_map(|task| task.log.as_ref()).find(is_intruder) {
                seen.intruder = Some((Instant::now(), log.clone()));
            }
        }
        seen.newest_task = newest.or(seen.newest_task);
        seen.intruder.take_if(|(at, _)| at.elapsed() >= TOLD);
        seen.intruder.as_ref().map(|(_, log)| {
            format!(
                "another Miroir (log `{log}`) writes to it now, and spoils what it has: stop that one, or take the node out \
                 of its `nodes`"
            )
        })
    }

    fn settle(&self, node: &Node) {
        self.seen().entry(node.id().clone()).or_default().settled = Some(Instant::now());
        node.open();
    }

    /// Whether the log was not told this of the node last.
    fn is_news(&self, node: &NodeId, news: Option<&String>) -> bool {
        let mut all = self.seen();
        let told = &mut all.entry(node.clone()).or_default().told;
        let is_news = told.as_ref() != news;
        *told = news.cloned();
        is_news
    }

    fn mark_of(&self, node: &Node) -> Mark {
        Mark { cluster: self.cluster, node: node.id().clone() }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<NodeId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
