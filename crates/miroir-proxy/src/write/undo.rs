//! Gives documents back what a change of settings made of them that failed on other nodes and was taken back here.
//!
//! A node that gets an embedder moves the vectors that clients brought for it out of its documents; when the embedder goes,
//! they come back in another form, and those of documents that let it make theirs not at all. So the documents are compared
//! with a copy that never had the change, and what differs is copied. Nothing about the index is under way meanwhile: what
//! comes later in the log waits for the end of such a change. Where every copy of a shard took it none is as it was: what
//! the node makes of it by itself has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::IndexEntry;

use super::ledger::{Ledger, LedgerHandle};
use super::retry::Backoff;
use crate::cluster::{Membership, Standing};
use crate::node_api::Node;
use crate::settings::{Broadcasts, Job, Originals};
use crate::transfer::copy_documents;

/// Tries to copy documents, from whichever nodes, before they are given up.
const TRIES: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) broadcasts: Arc<Broadcasts>,
    pub(super) membership: Arc<Membership>,
    pub(super) ledger: LedgerHandle,
    pub(super) timeout: Duration,
}

impl Originals for Undo {
    async fn restore(&self, job: &Job, node: &Node, before: &IndexEntry) -> Result<(), String> {
        let Some(primary_key) = before.primary_key.as_deref().filter(|_| self.rewrites(job, before)) else {
            return Ok(());
        };
        let mut left = self.restorable(job, before);
        let mut backoff = Backoff::new();
        let mut reason = "no node that has its documents as they were can be read".to_owned();
        for _ in 0..TRIES {
            for (id, shards) in self.sources(job, before, &left).await {
                let Some(peer) = self.membership.node(&id) else { continue };
                let of_index = (before, primary_key);
                match copy_documents((node, &peer), of_index, shards.clone(), self.timeout).await {
                    Ok(()) => left.retain(|shard| !shards.contains(shard)),
                    Err(error) => reason = format!("documents can't be copied from node `{id}`: {error}"),
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            backoff.pause().await;
        }
        Err(reason)
    }
}

impl Undo {
    /// Whether the change was taken back, is not over, and may have changed documents.
    fn rewrites(&self, job: &Job, before: &IndexEntry) -> bool {
        let broadcast = self.broadcasts.broadcast(job.task);
        let is_undone = broadcast.is_some_and(|it| it.taken_back.is_some() && !it.phase.is_over());
        let next = self.broadcasts.next(job.task);
        is_undone
            && next.is_some_and(|next| next.settings.get("embedders") != before.settings.get("embedders"))
    }

    /// The nodes that never had the change.
    fn untouched(&self, job: &Job) -> BTreeSet<NodeId> {
        self.broadcasts.broadcast(job.task).map(|broadcast| broadcast.untouched()).unwrap_or_default()
    }

    /// The node's shards of which some copy never had the change.
    fn restorable(&self, job: &Job, index: &IndexEntry) -> BTreeSet<ShardId> {
        let untouched = self.untouched(job);
        let has_original =
            |shard: &ShardId| index.placement.all_replicas(*shard).any(|node| untouched.contains(node));
        let (restorable, lost): (BTreeSet<ShardId>, BTreeSet<ShardId>) =
            index.placement.shards_of(&job.node).into_iter().partition(has_original);
        if !lost.is_empty() {
            tracing::warn!(
                node = %job.node, index = %job.index, task = %job.task, shards = lost.len(),
                "every copy of some shards took a change of settings that failed: vectors that clients brought stay in the \
                 form that nodes give them"
            );
        }
        restorable
    }

    /// Copies that never had the change, have everything before it, and can be read, each with what it is read for.
    async fn sources(
        &self,
        job: &Job,
        index: &IndexEntry,
        shards: &BTreeSet<ShardId>,
    ) -> BTreeMap<NodeId, Vec<ShardId>> {
        let untouched = self.untouched(job);
        let is_readable = |peer: &NodeId| self.membership.standing(peer).is_some_and(Standing::is_readable);
        let readable: BTreeSet<NodeId> = untouched.into_iter().filter(is_readable).collect();
        let (of_index, task) = (job.index.clone(), job.task);
        let has_done = move |ledger: &Ledger, peer: &NodeId| ledger.tasks.has_done_of(&of_index, peer, task);
        let good: BTreeSet<NodeId> = self
            .ledger
            .ask(move |ledger| readable.into_iter().filter(|peer| has_done(ledger, peer)).collect())
            .await;
        let mut sources: BTreeMap<NodeId, Vec<ShardId>> = BTreeMap::new();
        for shard in shards {
            if let Some(peer) = index.placement.all_replicas(*shard).find(|peer| good.contains(*peer)) {
                sources.entry(peer.clone()).or_default().push(*shard);
            }
        }
        sources
    }
}
