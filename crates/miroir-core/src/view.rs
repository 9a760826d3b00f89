//! One immutable picture of the cluster: which nodes may be read, which indexes exist, where their shards are.
//!
//! A request loads the view once and passes it down, so that everything it decides rests on the same facts, whatever
//! changes meanwhile. Views are replaced, never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ids::{IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::placement::IndexPlacement;
use crate::rules::RuleBook;
use crate::settings::{ClientSettings, NodeContext, SettingsVersions};

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
    /// Nodes that answer and whose lane has applied everything that clients were told has succeeded.
    pub readable: BTreeSet<NodeId>,
    /// Indexes that are to be read from some of these only, by their names on the nodes: from nodes with equal settings.
    pub pools: BTreeMap<PhysicalUid, BTreeSet<NodeId>>,
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
    pub fn readable_for(&self, entry: &IndexEntry) -> &BTreeSet<NodeId> {
        self.pools.get(&entry.physical).unwrap_or(&self.readable)
    }
}
