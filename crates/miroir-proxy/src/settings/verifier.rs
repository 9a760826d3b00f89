//! Reads nodes back after they have applied a change, sends them their settings again where they differ, and says what
//! came of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use miroir_core::ids::{NodeId, PhysicalUid};
use miroir_core::settings::SettingsHash;
use miroir_core::view::IndexEntry;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::node::{ReadBack, read_back, wait_for};
use super::repair::send_repair;
use super::{Broadcasts, Job};
use crate::cluster::Membership;
use crate::node_api::Node;

/// Before the first repair; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Between two tries to read a node that does not answer.
const AWAY: Duration = Duration::from_millis(200);

/// What came of reading a node back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has what it should.
    Verified,
    /// It differs in these settings, whatever was sent; in none that are known if it did not answer. The hash is of what
    /// it has.
    GivenUp(Vec<String>, Option<SettingsHash>),
    /// Nobody wants to know any more: a later change stands in its place.
    Obsolete,
    /// It has the settings that it had, but its documents could not be given back what the change had made of them.
    Spoiled,
}

/// What nodes should have. Whoever knows the log knows it.
pub trait Targets: Send + Sync {
    /// The forms that the index may have on a node that has applied this change; none if that no longer matters.
    fn targets(&self, job: &Job) -> impl Future<Output = Vec<IndexEntry>> + Send;

    /// The forms that an index may have on a node that is up to date; none while something is on its way.
    fn catalog_targets(
        &self,
        index: &PhysicalUid,
        node: &NodeId,
    ) -> impl Future<Output = Vec<IndexEntry>> + Send;
}

/// Documents as they were before a change of settings.
pub trait Originals: Send + Sync {
    /// Gives a node that has back its settings what a change which was taken back has made of its documents.
    ///
    /// # Errors
    /// Why that can't be done.
    fn restore(
        &self,
        job: &Job,
        node: &Node,
        before: &IndexEntry,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// See the module.
pub struct Verifier<T, O> {
    /// The board of changes.
    pub broadcasts: Arc<Broadcasts>,
    /// The nodes.
    pub membership: Arc<Membership>,
    /// What nodes should have.
    pub targets: T,
    /// Where documents are as they were.
    pub originals: O,
}

impl<T, O> std::fmt::Debug for Verifier<T, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl<T: Targets, O: Originals> Verifier<T, O> {
    /// Works on jobs, all at once, until the future is dropped.
    pub async fn run(self, mut jobs: mpsc::Receiver<Job>, said: impl AsyncFn(Job, Verdict)) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => running.push(self.verify(job)),
                    None => return,
                },
                Some((job, verdict)) = running.next() => said(job, verdict).await,
            }
        }
    }

    async fn verify(&self, job: Job) -> (Job, Verdict) {
        let verdict = match self.membership.node(&job.node) {
            Some(node) => self.settle(&node, &job).await,
            None => Verdict::Obsolete,
        };
        (job, verdict)
    }

    async fn settle(&self, node: &Node, job: &Job) -> Verdict {
        let timeout = self.broadcasts.config.verify_timeout;
        let mut repairs = 0;
        let mut deadline = Instant::now() + timeout;
        loop {
            let targets = self.targets.targets(job).await;
            if targets.is_empty() {
                return Verdict::Obsolete;
            }
            if !self.membership.standing(node.id()).is_some_and(|standing| standing.reachable) {
                // Nobody waits for a node that is away, and its time does not pass.
                deadline = Instant::now() + timeout;
                sleep(AWAY).await;
                continue;
            }
            let (keys, hash) = match read_back(node, &targets, timeout).await {
                // What it should have may have changed meanwhile.
                Ok(_) if self.targets.targets(job).await != targets => continue,
                Ok(ReadBack::Same) => return self.restore(node, job, &targets[0]).await,
                Ok(ReadBack::Other { read_back, keys, hash }) => {
                    self.broadcasts.metrics.note_mismatch();
                    tracing::warn!(node = %job.node, index = %job.index, ?keys, repairs, "node reports other settings than it was given");
                    if repairs < self.broadcasts.config.max_repair_retries {
                        sleep(FIRST_PAUSE * 2_u32.saturating_pow(repairs)).await;
                        repairs += 1;
                        if repairs > 1 {
                            self.give_back(node, job, &targets[0]).await;
                        }
                        self.repair(node, job, (&keys, &read_back)).await;
                        deadline = Instant::now() + timeout;
                        continue;
                    }
                    (keys, Some(hash))
                }
                Err(error) if Instant::now() < deadline => {
                    tracing::debug!(node = %job.node, index = %job.index, %error, "node is not read back yet");
                    sleep(AWAY).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(node = %job.node, index = %job.index, %error, "node does not say which settings it has, and is given up for now");
                    (Vec::new(), None)
                }
            };
            return Verdict::GivenUp(keys, hash);
        }
    }

    /// What was taken back is undone when the documents are as they were, too.
    async fn restore(&self, node: &Node, job: &Job, before: &IndexEntry) -> Verdict {
        match self.originals.restore(job, node, before).await {
            Ok(()) => Verdict::Verified,
            Err(reason) => {
                tracing::error!(
                    node = %job.node, index = %job.index, task = %job.task, reason,
                    "node took a change of settings that failed, and its documents can't be given back as they were; it is \
                     not read until all its data are copied anew"
                );
                Verdict::Spoiled
            }
        }
    }

    /// A node that was rid of an embedder may have lost vectors without which it does not take the embedder again.
    async fn give_back(&self, node: &Node, job: &Job, before: &IndexEntry) {
        if let Err(reason) = self.originals.restore(job, node, before).await {
            tracing::debug!(node = %job.node, index = %job.index, reason, "documents are not given back yet");
        }
    }

    async fn repair(
        &self,
        node: &Node,
        job: &Job,
        found: (&[String], &serde_json::Map<String, serde_json::Value>),
    ) {
        let timeout = self.broadcasts.config.verify_timeout;
        let sent = {
            let _turn = self.broadcasts.sending.lock(node.id()).await;
            // What came after it in the log goes first.
            let Some(target) = self.targets.targets(job).await.into_iter().next() else { return };
            self.broadcasts.note(job.task, node.id(), miroir_core::settings::NodeEvent::Repair);
            send_repair(&self.broadcasts, node, &target, found).await
        };
        let done = match sent {
            Ok(task) => wait_for(node, task, timeout).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(node = %job.node, index = %job.index, %error, "node did not take its settings when they were sent again");
        }
    }
}
