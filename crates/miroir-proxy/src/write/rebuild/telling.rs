//! Says what becomes of a damaged node: in the topology at once, in the log now and then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use miroir_core::ids::NodeId;
use tokio::time::sleep;

use crate::cluster::{Membership, Rebuilding};
use crate::transfer::Progress;

/// How often the topology hears of progress.
const TOPOLOGY_INTERVAL: Duration = Duration::from_millis(500);

/// How often the log does.
const LINE: Duration = Duration::from_secs(30);

/// How often the log hears of the same failure again.
const SAME_FAILURE: Duration = Duration::from_mins(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Telling {
    node: NodeId,
    membership: Arc<Membership>,
    /// How the last attempt failed.
    failure: Option<String>,
    logged: Option<Instant>,
}

impl Telling {
    pub(super) const fn new(node: NodeId, membership: Arc<Membership>) -> Self {
        Self { node, membership, failure: None, logged: None }
    }

    /// One node is rebuilt at a time.
    pub(super) fn tell_turn(&self) {
        self.note("it waits until another node is rebuilt", None);
    }

    /// Tells how far the attempt is, as long as it lasts.
    pub(super) async fn run(&self, copied: &Progress) -> Infallible {
        let mut logged = Instant::now();
        loop {
            let progress = copied.look();
            self.note(&format!("its data are being copied anew: {progress}"), Some(progress));
            if logged.elapsed() >= LINE {
                logged = Instant::now();
                tracing::info!(node = %self.node, "node is being rebuilt, {progress}");
            }
            sleep(TOPOLOGY_INTERVAL).await;
        }
    }

    pub(super) fn end(&self, copied: &Progress, is_rebuilt: bool) {
        if is_rebuilt {
            let Rebuilding { seconds, .. } = copied.look();
            tracing::info!(node = %self.node, seconds, "node is rebuilt; it gets what was written meanwhile");
        }
    }

    /// Tells why an attempt came to nothing and what can be done. The log hears it once, and again after a while.
    pub(super) fn tell_failure(&mut self, reason: &str, advice: &str) {
        let failure = if advice.is_empty() { reason.to_owned() } else { format!("{reason}: {advice}") };
        let is_news = self.failure.as_ref() != Some(&failure);
        if is_news || self.logged.is_none_or(|logged| logged.elapsed() >= SAME_FAILURE) {
            self.logged = Some(Instant::now());
            tracing::warn!(node = %self.node, reason, advice, "node can't be rebuilt now; trying again");
        }
        self.membership.note_damage(&self.node, Some(failure.clone()), None);
        self.failure = Some(failure);
    }

    fn note(&self, text: &str, progress: Option<Rebuilding>) {
        let text = match &self.failure {
            Some(failure) => format!("{text}; the attempt before failed: {failure}"),
            None => text.to_owned(),
        };
        self.membership.note_damage(&self.node, Some(text), progress);
    }
}
