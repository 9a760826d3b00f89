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

use super::node::{Found, read_back, wait_for};
use super::repair::send_repair;
use super::{Broadcasts, Job};
use crate::cluster::{Membership, Node};

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
}

/// What nodes should have. Whoever knows the log knows it.
pub trait Targets: Send + Sync {
    /// The forms that the index may have on a node that has applied this change; none if that no longer matters.
    fn targets(&self, job: &Job) -> Vec<IndexEntry>;

    /// The forms that an index may have on a node that is up to date; none while something is on its way.
    fn catalog_targets(&self, index: &PhysicalUid, node: &NodeId) -> Vec<IndexEntry>;
}

/// See the module.
pub struct Verifier {
    /// The board of changes.
    pub broadcasts: Arc<Broadcasts>,
    /// The nodes.
    pub membership: Arc<Membership>,
    /// What nodes should have.
    pub targets: Arc<dyn Targets>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
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
            Some(node) => self.settle(node, &job).await,
            None => Verdict::Obsolete,
        };
        (job, verdict)
    }

    async fn settle(&self, node: &Node, job: &Job) -> Verdict {
        let timeout = self.broadcasts.config.verify_timeout;
        let mut repairs = 0;
        let mut deadline = Instant::now() + timeout;
        loop {
            let targets = self.targets.targets(job);
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
                Ok(_) if self.targets.targets(job) != targets => continue,
                Ok(Found::Same) => return Verdict::Verified,
                Ok(Found::Other { read_back, keys, hash }) => {
                    self.broadcasts.metrics.note_mismatch();
                    tracing::warn!(node = %job.node, index = %job.index, ?keys, repairs, "node has other settings");
                    if repairs < self.broadcasts.config.max_repair_retries {
                        sleep(FIRST_PAUSE * 2_u32.saturating_pow(repairs)).await;
                        repairs += 1;
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
                    tracing::warn!(node = %job.node, index = %job.index, %error, "node can't be read back");
                    (Vec::new(), None)
                }
            };
            return Verdict::GivenUp(keys, hash);
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
            let _turn = self.broadcasts.lock(node.id()).await;
            // What came after it in the log goes first.
            let Some(target) = self.targets.targets(job).into_iter().next() else { return };
            self.broadcasts.note(job.task, node.id(), miroir_core::settings::NodeEvent::Repair);
            send_repair(&self.broadcasts, node, &target, found).await
        };
        let done = match sent {
            Ok(task) => wait_for(node, task, timeout).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(node = %job.node, index = %job.index, %error, "node did not take its settings");
        }
    }
}
