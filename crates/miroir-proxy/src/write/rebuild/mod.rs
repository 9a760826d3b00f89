//! A node that lost its data, or a write, gets them anew from its peers:
//!
//! ```text
//!  damaged --> compare with peers and copy what differs, while writes go on
//!                 |                                                ^
//!                 v                                                | something in the way: pause
//!              hold the lanes, let the peers finish --- in vain ---+
//!                 |
//!                 v
//!              compare and copy what differs by now --> the lane goes on from here: behind, and soon in sync
//! ```
//!
//! The first pass does most of the work and disturbs nobody. While lanes are held, writes are accepted and wait; the
//! second pass only reads, and copies the few documents that changed during the first. Each attempt begins from
//! nothing and trusts nothing but the peers, so it may be cut anywhere.

mod copy;
mod error;
mod peers;
mod rules;
mod shard;
mod target;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, TaskUid};
use miroir_core::task::SyncState;
use miroir_store::{Rebuilt, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use self::copy::{Pass, copy_indexes};
use self::error::RebuildError;
use self::peers::{Peers, plan_peers};
use self::rules::copy_rules;
use self::target::Target;
use super::committer::Event;
use super::gate::{Gates, Hold};
use super::ledger::{Ledger, name_on_nodes};
use super::recall::ask_next_task;
use super::retry::Backoff;
use crate::cluster::{Membership, Node};

/// How long lanes are held at most. After that writes go on, and the attempt counts for nothing.
const LONGEST_HOLD: Duration = Duration::from_mins(2);

/// Between looks at what is being waited for.
const LOOK: Duration = Duration::from_millis(20);

/// What it takes to rebuild nodes; shared by all of them.
#[derive(Debug)]
pub(super) struct Rebuilder {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) membership: Arc<Membership>,
    pub(super) gates: Arc<Gates>,
    pub(super) timeout: Duration,
    pub(super) events: mpsc::Sender<Event>,
    /// One node at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Rebuilder {
    /// Returns when the node's data are those of the log and its lane may go on; tries again for ever. Nothing is held
    /// or lost if the future is dropped.
    pub(super) async fn run_rebuild(&self, node: &Node, sync: &mut watch::Receiver<SyncState>) {
        let mut backoff = Backoff::new();
        loop {
            let attempt = {
                let _turn = self.turn.lock().await;
                self.rebuild(node, sync).await
            };
            match attempt {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(node = %node.id(), %error, "node can't be rebuilt now; trying again");
                    self.membership.note_damage(node.id(), Some(error.to_string()));
                }
            }
            backoff.pause().await;
        }
    }

    async fn rebuild(&self, node: &Node, sync: &mut watch::Receiver<SyncState>) -> Result<(), RebuildError> {
        let target = Target::new(node.clone(), self.timeout);
        target.wait_until_idle().await?;
        target.switch_features(&self.store.features().await?).await?;
        copy_indexes(&target, &self.peers(node)?, Pass::First).await?;
        self.copy_rules(&target).await?;
        let hold = self.gates.close();
        let cursor = timeout(LONGEST_HOLD, self.finish(&target, &hold))
            .await
            .map_err(|_| RebuildError::TooLong(LONGEST_HOLD))??;
        let next_node_task = ask_next_task(node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        let rebuilt = Rebuilt { node: node.id().clone(), cursor, next_node_task };
        // The committer ends only together with this, and so does the sender of the state.
        let _ = self.events.send(Event::Rebuilt(rebuilt)).await;
        let _ = sync.wait_for(|sync| *sync != SyncState::Damaged).await;
        self.membership.note_damage(node.id(), None);
        Ok(())
    }

    /// The second pass, with all lanes at one place of the log. Answers that place.
    async fn finish(&self, target: &Target, hold: &Hold) -> Result<TaskUid, RebuildError> {
        let sources = self.peers(target.node())?.sources();
        let line = hold.line_up(&sources).await;
        while !self.stands_still(&sources, line) {
            sleep(LOOK).await;
        }
        copy_indexes(target, &self.peers(target.node())?, Pass::Second).await?;
        self.copy_rules(target).await?;
        Ok(line)
    }

    async fn copy_rules(&self, target: &Target) -> Result<(), RebuildError> {
        let features = self.store.features().await?;
        let (book, catalog) = {
            let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            (ledger.rules().clone(), ledger.catalog().clone())
        };
        let name = |uid: &str| name_on_nodes(&catalog, uid, catalog.get(&IndexUid::new(uid)));
        copy_rules(target, &book, &features, name).await
    }

    fn stands_still(&self, sources: &BTreeSet<NodeId>, line: TaskUid) -> bool {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.is_over_before(line) && sources.iter().all(|source| ledger.has_done_before(source, line))
    }

    /// Whom to copy from, as things are now.
    fn peers(&self, node: &Node) -> Result<Peers, RebuildError> {
        let catalog = {
            let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.catalog().values().cloned().collect::<Vec<_>>()
        };
        plan_peers(node.id(), catalog, &self.membership)
    }
}
