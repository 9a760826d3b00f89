//! What is decided about a write: what the nodes have to do and what is true afterwards. Stored like the mutation, so that
//! what an older Miroir decided can still be delivered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Swap, WriteMethod};
use crate::error::ResponseError;
use crate::ids::{IndexUid, NodeId, PhysicalUid, ShardCount, ShardId};
use crate::placement::{IndexPlacement, Members, PlacementError, ReplicationFactor, assign};
use crate::rules::{RuleChange, RuleUpdate};
use crate::settings::ClientSettings;
use crate::view::IndexEntry;

/// What was decided about one entry of the log, when its turn came. It is stored before any node hears of it, and never
/// changed: whoever delivers after a restart delivers the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the write is taken.
    pub verdict: Verdict,
    /// Where its index lies; none where there is no index and none is made.
    pub target: Option<Target>,
    /// What the nodes have to do, in order.
    pub steps: Vec<Step>,
    /// What is true afterwards, in order.
    pub effects: Vec<Effect>,
    /// How many different documents are written.
    pub indexed_documents: u64,
}

/// Whether a write is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is.
    Accepted,
    /// It is not, as a whole. It may still create its index, as it would on one Meilisearch.
    Refused(ResponseError),
}

/// An index as the nodes know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name on the nodes.
    pub physical: PhysicalUid,
    /// Who holds which shard.
    pub placement: IndexPlacement,
}

/// One thing to do on the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Make the index, on all its nodes.
    CreateIndex {
        /// Only if the client chose one: a key that documents bring is sent with them.
        primary_key: Option<String>,
    },
    /// Give the index another primary key, on all its nodes.
    UpdateIndex {
        /// The new key.
        primary_key: String,
    },
    /// Drop the index, on all its nodes.
    DeleteIndex,
    /// Change settings on all its nodes.
    Settings {
        /// The change, translated for nodes.
        patch: Map<String, Value>,
    },
    /// Send each node the documents of its shards, from one part of the payload.
    AddDocuments {
        /// Which part. Decisions of older versions are about payloads that are one part.
        #[serde(default)]
        part: usize,
        /// What happens to a document that is there.
        method: WriteMethod,
        /// The index's primary key.
        primary_key: String,
        /// Leave out documents that are not there yet.
        skip_creation: bool,
        /// The shards of the part's documents.
        shards: BTreeSet<ShardId>,
        /// Documents of the part, by their place in it, that a later part replaces. No node gets them: what one server
        /// never looks at may be faulty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<usize>,
    },
    /// Delete the documents with the mutation's ids.
    DeleteByIds {
        /// The one replica of each shard whose count of deleted documents counts. Shards without an id are not here.
        counting: BTreeMap<ShardId, NodeId>,
    },
    /// Delete the documents that match.
    DeleteByFilter {
        /// The client's filter.
        filter: Value,
        /// The one replica of each shard whose count of deleted documents counts.
        counting: BTreeMap<ShardId, NodeId>,
        /// What goes into one request.
        #[serde(default)]
        grouping: Grouping,
    },
    /// Change the documents that match by a function.
    EditDocuments {
        /// The client's filter.
        filter: Option<Value>,
        /// What the function may read.
        context: Option<Value>,
        /// The function.
        function: String,
        /// The one replica of each shard whose count of changed documents counts.
        counting: BTreeMap<ShardId, NodeId>,
        /// What goes into one request.
        #[serde(default)]
        grouping: Grouping,
    },
    /// Delete all documents.
    Clear,
    /// Make or change a dynamic search rule.
    PutRule {
        /// Which.
        uid: String,
        /// The change, with the names that nodes have for indexes.
        update: RuleUpdate,
    },
    /// Delete a dynamic search rule.
    DeleteRule {
        /// Which.
        uid: String,
    },
    /// Delete all dynamic search rules.
    ClearRules,
}

/// Which of a node's shards are in one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Grouping {
    /// Those that the node counts, and the others. Decisions of older versions.
    #[default]
    ByCounter,
    /// Those that lie on the same nodes. All of these get the same requests, so a request that fails does so on all of
    /// them, and any of them can say how many documents it found.
    ByCopies,
}

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// The index is there. True also when the rest of the write is refused.
    Create {
        /// The index, as it is before the rest of the write.
        entry: Box<IndexEntry>,
    },
    /// The client's settings have changed.
    Settings {
        /// The client's change.
        patch: Map<String, Value>,
    },
    /// The primary key is known.
    PrimaryKey {
        /// The key.
        primary_key: String,
    },
    /// Documents have changed.
    Touch,
    /// The index has another name.
    Rename {
        /// The new one.
        uid: IndexUid,
    },
    /// Indexes have exchanged their names. This is about the whole catalog, not about one index.
    Swap {
        /// The pairs.
        swaps: Vec<Swap>,
    },
    /// The index is gone.
    Remove,
    /// Dynamic search rules have changed. This is about no index.
    Rules {
        /// The change.
        change: RuleChange,
    },
    /// Nothing has changed, but the task has more to say.
    Report {
        /// Goes into the task's details.
        details: Map<String, Value>,
    },
}

impl Effect {
    /// Whether it changes the entry of the index that its task is about.
    pub const fn is_about_index(&self) -> bool {
        !matches!(self, Self::Swap { .. } | Self::Report { .. } | Self::Rules { .. })
    }

    /// Whether it holds even if the write it belongs to was refused.
    pub const fn survives_refusal(&self) -> bool {
        matches!(self, Self::Create { .. })
    }
}

/// The index after an effect that became true at `now`.
pub fn apply_effect(index: Option<IndexEntry>, effect: &Effect, now: OffsetDateTime) -> Option<IndexEntry> {
    match effect {
        Effect::Create { entry } => {
            return Some(IndexEntry { created_at: now, updated_at: now, ..IndexEntry::clone(entry) });
        }
        Effect::Remove => return None,
        Effect::Rename { uid } => return index.map(|index| IndexEntry { uid: uid.clone(), ..index }),
        Effect::Swap { .. } | Effect::Report { .. } | Effect::Rules { .. } => return index,
        Effect::Settings { .. } | Effect::PrimaryKey { .. } | Effect::Touch => {}
    }
    let mut index = index?;
    index.updated_at = now;
    match effect {
        Effect::Settings { patch } => index.settings.apply(patch),
        Effect::PrimaryKey { primary_key } => index.primary_key = Some(primary_key.clone()),
        Effect::Touch
        | Effect::Create { .. }
        | Effect::Remove
        | Effect::Rename { .. }
        | Effect::Swap { .. }
        | Effect::Rules { .. }
        | Effect::Report { .. } => {}
    }
    Some(index)
}

/// How many shards a new index gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRules {
    /// Where no pattern matches.
    pub default: ShardCount,
    /// By name: a whole name, or its beginning followed by `*`. The first match decides.
    pub patterns: Vec<(String, ShardCount)>,
}

impl ShardRules {
    /// The number of shards of a new index of this name.
    pub fn shards_for(&self, index: &IndexUid) -> ShardCount {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => index.as_str().starts_with(beginning),
            None => index.as_str() == pattern,
        };
        let found = self.patterns.iter().find(|(pattern, _)| matches(pattern));
        found.map_or(self.default, |(_, shards)| *shards)
    }
}

/// What a new index is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIndexPolicy {
    /// How many shards it has.
    pub shards: ShardRules,
    /// How many copies of each shard a group keeps.
    pub factor: ReplicationFactor,
    /// The nodes to place it on.
    pub members: Members,
}

impl NewIndexPolicy {
    /// A new index of this name.
    pub fn entry(
        &self,
        uid: &IndexUid,
        primary_key: Option<String>,
        now: OffsetDateTime,
    ) -> Result<IndexEntry, PlacementError> {
        let physical = PhysicalUid::new(uid.as_str());
        let shards = self.shards.shards_for(uid);
        let placement = assign(&physical, shards, self.factor, &self.members)?;
        Ok(IndexEntry {
            uid: uid.clone(),
            physical,
            primary_key,
            shards,
            placement,
            settings: ClientSettings::default(),
            created_at: now,
            updated_at: now,
        })
    }
}
