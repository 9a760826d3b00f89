//! Looks whether nodes keep the settings they were given: somebody may have changed a node directly. A node that differs is
//! kept out of uniform covers and gets its settings back.
//!
//! Each look is complete in itself and repairs to what the catalog says at that moment, so it does not matter how often it
//! is done, or whether it was cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use miroir_core::ids::{NodeId, PhysicalUid};
use miroir_core::settings::SettingsUnknown;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::node::{Failure, ReadBack, read_back, wait_for};
use super::put_off::PutOff;
use super::repair::send_repair;
use super::{Broadcasts, Targets};
use crate::cluster::{Membership, ViewCell, for_each_member};
use crate::node_api::Node;

/// How often to look for nodes that are known to differ.
const KNOWN_DRIFT_INTERVAL: Duration = Duration::from_millis(200);

/// Indexes of one node that are looked at side by side: all of them are doubtful after it was rebuilt.
const LOOKS_AT_ONCE: usize = 8;

/// An index on a node.
pub type Pair = (PhysicalUid, NodeId);

/// What a look at an index on a node has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It had what the catalog says.
    AsItShould {
        /// The index.
        index: PhysicalUid,
        /// The node.
        node: NodeId,
        /// In this turn of the node.
        generation: u64,
    },
    /// Somebody else has changed it.
    Changed {
        /// The index.
        index: PhysicalUid,
        /// The node.
        node: NodeId,
    },
}

/// See the module.
pub struct Drift<T> {
    /// The board of changes.
    pub broadcasts: Arc<Broadcasts>,
    /// The nodes.
    pub membership: Arc<Membership>,
    /// What there is to look at.
    pub view: Arc<ViewCell>,
    /// What nodes should have.
    pub targets: T,
    /// What is being looked at.
    pub busy: Mutex<BTreeSet<Pair>>,
}

/// The right to look at a pair. Two looks at once would both repair, and count, the same drift.
struct PairGuard<'a> {
    busy: &'a Mutex<BTreeSet<Pair>>,
    pair: &'a Pair,
}

impl<'a> PairGuard<'a> {
    fn begin(busy: &'a Mutex<BTreeSet<Pair>>, pair: &'a Pair) -> Option<Self> {
        let is_free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(pair.clone());
        is_free.then_some(Self { busy, pair })
    }
}

impl Drop for PairGuard<'_> {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(self.pair);
    }
}

impl<T> std::fmt::Debug for Drift<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drift").finish_non_exhaustive()
    }
}

impl<T: Targets> Drift<T> {
    /// Looks at one pair after the other, each once in the configured interval. `seen` hears what there was.
    pub async fn watch(&self, seen: &mpsc::Sender<Seen>) {
        let mut last = None;
        loop {
            let pairs = self.pairs();
            let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX).max(1);
            sleep(self.broadcasts.config.drift.interval / count).await;
            let after = |pair: &&Pair| last.as_ref().is_none_or(|last| *pair > last);
            let Some(pair) = pairs.iter().find(after).or(pairs.first()).cloned() else { continue };
            self.look(&pair, seen).await;
            last = Some(pair);
        }
    }

    /// Brings back members that are known to differ, soon and again and again. None of them waits for another.
    pub async fn recover(&self, seen: &mpsc::Sender<Seen>) {
        for_each_member(self.membership.feed(), |member| {
            let node = member.node.id().clone();
            async move { self.recover_node(&node, seen).await }
        })
        .await;
    }

    async fn recover_node(&self, node: &NodeId, seen: &mpsc::Sender<Seen>) {
        let mut waiting: BTreeMap<PhysicalUid, PutOff> = BTreeMap::new();
        loop {
            sleep(KNOWN_DRIFT_INTERVAL).await;
            let doubtful = self.doubtful(node);
            waiting.retain(|index, _| doubtful.contains(index));
            let now = Instant::now();
            let due = doubtful.into_iter().filter(|index| waiting.get(index).is_none_or(|it| !it.waits(now)));
            let due: Vec<Pair> = due.map(|index| (index, node.clone())).collect();
            let looks = due.into_iter().map(async |pair| (self.look(&pair, seen).await, pair.0));
            let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
            while let Some((is_settled, index)) = looks.next().await {
                if !is_settled {
                    let again = PutOff::again(waiting.get(&index), Instant::now());
                    waiting.insert(index, again);
                }
            }
        }
    }

    /// In order, so that a look can go on where the last one was.
    fn pairs(&self) -> Vec<Pair> {
        let view = self.view.load();
        let of_index = |entry: &Arc<miroir_core::view::IndexEntry>| {
            let pair = |node: &NodeId| (entry.physical.clone(), node.clone());
            entry.placement.nodes().map(pair).collect::<Vec<_>>()
        };
        let mut pairs: Vec<Pair> = view.indexes.values().flat_map(of_index).collect();
        pairs.sort_unstable();
        pairs
    }

    fn doubtful(&self, node: &NodeId) -> Vec<PhysicalUid> {
        let view = self.view.load();
        let of_node =
            view.settings.indexes.iter().filter(|(_, versions)| versions.doubtful.contains_key(node));
        of_node.map(|(index, _)| index.clone()).collect()
    }

    /// Whether the node has what it should, now.
    async fn look(&self, pair: &Pair, seen: &mpsc::Sender<Seen>) -> bool {
        let Some(_turn) = PairGuard::begin(&self.busy, pair) else { return false };
        let (index, node) = pair;
        if !self.view.load().in_sync_for(index).contains(node) {
            return false;
        }
        let Some(connection) = self.membership.node(node) else { return false };
        match self.settle(&connection, index, seen).await {
            Ok(Some(generation)) => {
                let as_it_should = Seen::AsItShould { index: index.clone(), node: node.clone(), generation };
                // Whoever listens ends only together with this.
                let _ = seen.send(as_it_should).await;
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%node, %index, %error, "node does not say which settings an index has, or does not take them; trying again");
                false
            }
        }
    }

    /// The turn of the node in which it had what it should; none if that is not known.
    async fn settle(
        &self,
        node: &Node,
        index: &PhysicalUid,
        seen: &mpsc::Sender<Seen>,
    ) -> Result<Option<u64>, Failure> {
        let timeout = self.broadcasts.config.verify_timeout;
        let targets = self.targets.catalog_targets(index, node.id()).await;
        if targets.is_empty() {
            return Ok(None);
        }
        let generation = self.broadcasts.generation(index, node.id());
        let found = read_back(node, &targets, timeout).await?;
        // What was decided meanwhile may have reached the node: then nothing is known about it.
        if self.targets.catalog_targets(index, node.id()).await != targets {
            return Ok(None);
        }
        let ReadBack::Other { read_back: settings, keys, .. } = found else { return Ok(Some(generation)) };
        self.broadcasts.metrics.note_mismatch();
        let is_ours = self.broadcasts.doubt_of(index, node.id()) == Some(SettingsUnknown::Astray);
        if !is_ours {
            self.broadcasts.doubt(index, node.id(), SettingsUnknown::Changed);
            let changed = Seen::Changed { index: index.clone(), node: node.id().clone() };
            // Whoever listens ends only together with this.
            let _ = seen.send(changed).await;
            tracing::warn!(node = %node.id(), %index, ?keys, "somebody changed the settings of an index on the node itself");
        }
        // What we have left behind ourselves is ours to mend.
        if !is_ours && !self.broadcasts.config.drift.auto_repair {
            return Ok(None);
        }
        let generation = self.broadcasts.generation(index, node.id());
        let task = {
            let _right = self.broadcasts.sending.lock(node.id()).await;
            if self.targets.catalog_targets(index, node.id()).await != targets {
                return Ok(None);
            }
            let (broadcasts, found) = (&self.broadcasts, (&*keys, &settings));
            send_repair(broadcasts, node, &targets[0], found).await?
        };
        wait_for(node, task, timeout).await?;
        if read_back(node, &targets, timeout).await? != ReadBack::Same {
            return Ok(None);
        }
        if !is_ours {
            self.broadcasts.metrics.note_drift_repair();
        }
        tracing::info!(node = %node.id(), %index, "node has its settings back");
        Ok(Some(generation))
    }
}
