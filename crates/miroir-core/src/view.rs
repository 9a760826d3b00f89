//! One immutable picture of the cluster: which nodes may be read, which indexes exist, where their shards are.
//!
//! A request loads the view once and passes it down, so that everything it decides rests on the same facts, whatever
//! changes meanwhile. Views are replaced, never changed.

mod coverage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use self::coverage::{Coverage, ShardState, coverage, shard_state};
use crate::cover::Pool;
use crate::ids::{IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::placement::IndexPlacement;
use crate::rules::RuleBook;
use crate::settings::{ClientSettings, NodeContext, SettingsVersions};
use crate::task::{Behind, Lack};

/// Everything that Miroir knows of one index: the catalog's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The name that clients use.
    pub uid: IndexUid,
    /// The name on the nodes.
    pub physical: PhysicalUid,
    /// `None` until the first documents or the client name it.
    pub primary_key: Option<String>,
    /// Fixed when the index was created.
    pub shards: ShardCount,
    /// Which nodes hold which shard, per replica group.
    pub placement: IndexPlacement,
    /// What the client set, without what Miroir adds for the nodes.
    pub settings: ClientSettings,
    /// When the task that created the index was applied.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the last task that touched the index finished.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl IndexEntry {
    /// What the nodes' settings of this index depend on besides the client's.
    pub fn node_context(&self) -> NodeContext<'_> {
        NodeContext { primary_key: self.primary_key.as_deref(), scattered: self.placement.is_scattered() }
    }
}

/// The snapshot that one request works with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The indexes whose creation has succeeded, by the client's name.
    pub indexes: BTreeMap<IndexUid, Arc<IndexEntry>>,
    /// Nodes that answer and whose data are those of the log, as far as they have come.
    pub usable: BTreeSet<NodeId>,
    /// What they have not come to yet.
    pub behind: Arc<Behind>,
    /// Whether a copy that is behind may be asked where no other is left.
    pub asks_stale: bool,
    /// Indexes that are to be read from some of these only, by their names on the nodes: from nodes with equal settings.
    pub pools: BTreeMap<PhysicalUid, Pool>,
    /// Which node has which settings.
    pub settings: SettingsVersions,
    /// Dynamic search rules whose change has succeeded.
    pub rules: Arc<RuleBook>,
}

impl View {
    /// The index of that name, if its creation has succeeded.
    pub fn index(&self, uid: &IndexUid) -> Option<&Arc<IndexEntry>> {
        self.indexes.get(uid)
    }

    /// The nodes that an index may be read from.
    pub fn readable_for(&self, entry: &IndexEntry) -> Pool {
        if let Some(pool) = self.pools.get(&entry.physical) {
            return pool.clone();
        }
        let has_another_form = |node: &&NodeId| self.behind.of(&entry.physical, node) == Some(Lack::Form);
        let stale = entry.placement.nodes().filter(|node| self.asks_stale && self.usable.contains(*node));
        let in_sync = self.in_sync_for(&entry.physical);
        let stale =
            stale.filter(|node| !in_sync.contains(*node) && !has_another_form(node)).cloned().collect();
        Pool { in_sync, stale }
    }

    /// The nodes that answer and have everything of an index of which a client was told that it succeeded.
    pub fn in_sync_for(&self, index: &PhysicalUid) -> BTreeSet<NodeId> {
        self.usable.iter().filter(|node| self.behind.of(index, node).is_none()).cloned().collect()
    }

    /// The nodes that answer, for questions to which all know the answer: those that have everything are not busy.
    pub fn usable_first_complete(&self) -> impl Iterator<Item = &NodeId> {
        let (late, complete): (Vec<_>, Vec<_>) =
            self.usable.iter().partition(|node| self.behind.is_late(node));
        complete.into_iter().chain(late)
    }

    /// The nodes that answer and have everything, of whatever index.
    pub fn complete(&self) -> BTreeSet<NodeId> {
        self.usable.iter().filter(|node| !self.behind.is_late(node)).cloned().collect()
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
