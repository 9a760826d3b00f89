//! What clients ask for, in the form in which the log keeps it. This form is stored: it may grow, but what was written by
//! an older Miroir must stay readable.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Errand, TaskKind};
use crate::ids::{IndexUid, TaskUid};
use crate::rules::RuleChange;

/// What a client asked for, as the log keeps it. The documents themselves lie beside it, as bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Mutation {
    /// Documents to add, replace or change.
    AddDocuments {
        /// What happens to a document that is there.
        method: WriteMethod,
        /// The key that the client named.
        primary_key: Option<String>,
        /// Leave out documents that are not there yet.
        skip_creation: bool,
        /// How many documents the payload holds.
        received: u64,
        /// What to do when there is no such index.
        missing_index: MissingIndex,
    },
    /// Documents to delete.
    DeleteDocuments {
        /// Which.
        deletion: Deletion,
    },
    /// Settings to change.
    Settings {
        /// The change, in the shape of `PATCH /settings`; `null` resets.
        patch: Map<String, Value>,
        /// Whether the client changes or resets.
        origin: SettingsOrigin,
        /// What to do when there is no such index.
        missing_index: MissingIndex,
    },
    /// An index to create.
    CreateIndex {
        /// Its primary key, if the client chose one.
        primary_key: Option<String>,
    },
    /// An index to change.
    UpdateIndex {
        /// Its new primary key.
        primary_key: Option<String>,
    },
    /// An index to call otherwise, and to change on the way.
    RenameIndex {
        /// Its name so far.
        old_uid: IndexUid,
        /// Its new name.
        new_uid: IndexUid,
        /// Its new primary key.
        primary_key: Option<String>,
    },
    /// Indexes that exchange their names, all or none. The entry is about no single index.
    SwapIndexes {
        /// The pairs; no index is in two of them.
        swaps: Vec<Swap>,
    },
    /// Documents to change by a function.
    EditDocuments {
        /// Which, in the client's own form; all of them without.
        filter: Option<Value>,
        /// What the function may read.
        context: Option<Value>,
        /// The function's text.
        function: String,
    },
    /// An index to delete.
    DeleteIndex,
    /// Dynamic search rules to change.
    Rules {
        /// The change.
        change: RuleChange,
    },
    /// Something that no single write to the nodes does.
    Errand {
        /// What.
        errand: Errand,
    },
}

/// Two indexes that exchange their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The two.
    pub indexes: (IndexUid, IndexUid),
    /// The second one must not exist: the first one gets its name.
    pub rename: bool,
}

/// What happens to a document that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteMethod {
    /// It is replaced (`POST`).
    Replace,
    /// Its top-level fields are replaced one by one (`PUT`).
    Update,
}

/// What a write does that finds no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingIndex {
    /// It creates the index.
    Create,
    /// It fails: the client's key may not create indexes.
    Refuse,
}

/// How a settings change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SettingsOrigin {
    /// `PATCH` or `PUT`.
    Update,
    /// `DELETE`, which never creates an index.
    Reset,
}

/// Which documents to delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Deletion {
    /// Those with these ids, in canonical form.
    ByIds(Vec<String>),
    /// Those that match this filter, in the client's own form.
    ByFilter(Value),
    /// All of them.
    All,
}

impl Mutation {
    /// The type of the task that it makes.
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::AddDocuments { .. } => TaskKind::DocumentAdditionOrUpdate,
            Self::DeleteDocuments { .. } => TaskKind::DocumentDeletion,
            Self::Settings { .. } => TaskKind::SettingsUpdate,
            Self::CreateIndex { .. } => TaskKind::IndexCreation,
            Self::UpdateIndex { .. } | Self::RenameIndex { .. } => TaskKind::IndexUpdate,
            Self::SwapIndexes { .. } => TaskKind::IndexSwap,
            Self::EditDocuments { .. } => TaskKind::DocumentEdition,
            Self::DeleteIndex => TaskKind::IndexDeletion,
            Self::Rules { change: RuleChange::Put { .. } | RuleChange::Delete { .. } } => TaskKind::DsrUpdate,
            Self::Rules { change: RuleChange::Clear } => TaskKind::DsrClear,
            Self::Errand { errand } => errand.kind(),
        }
    }

    /// Whether its task is about no single index.
    pub const fn is_about_several(&self) -> bool {
        match self {
            Self::SwapIndexes { .. } => true,
            Self::Errand { errand } => !errand.is_about_one(),
            _ => false,
        }
    }

    /// Whether it changes what names mean: everything before it must be over when it is decided, and it must be over
    /// when anything after it is.
    pub const fn changes_names(&self) -> bool {
        matches!(self, Self::RenameIndex { .. } | Self::SwapIndexes { .. })
    }

    /// Whether everything before it must be over when its turn comes.
    pub const fn needs_quiet(&self) -> bool {
        self.changes_names() || matches!(self, Self::Errand { .. })
    }

    /// Whether a document that exists before it may be gone, or be another one, afterwards.
    pub const fn may_lose_documents(&self) -> bool {
        match self {
            Self::AddDocuments { .. }
            | Self::Settings { .. }
            | Self::CreateIndex { .. }
            | Self::UpdateIndex { .. }
            | Self::Rules { .. } => false,
            Self::DeleteDocuments { .. }
            | Self::EditDocuments { .. }
            | Self::RenameIndex { .. }
            | Self::SwapIndexes { .. }
            | Self::DeleteIndex
            | Self::Errand { .. } => true,
        }
    }

    /// Whether the log keeps documents beside it.
    pub const fn has_payload(&self) -> bool {
        matches!(self, Self::AddDocuments { .. })
    }

    /// Whether nodes may find something wrong with it that can't be seen before they try: embedders that don't answer,
    /// documents without coordinates where the settings begin to ask for some. A node puts neighbouring settings
    /// changes into one batch that succeeds or fails as one, so such a change must not have neighbours.
    pub fn is_risky_settings(&self) -> bool {
        let Self::Settings { patch, .. } = self else { return false };
        let names_geo = |key: &str| patch.get(key).is_some_and(|value| value.to_string().contains("_geo"));
        ["embedders", "chat", "foreignKeys"].iter().any(|key| patch.contains_key(*key))
            || names_geo("filterableAttributes")
            || names_geo("sortableAttributes")
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its place, and its task's number.
    pub uid: TaskUid,
    /// The index that it is about; an empty name for entries about several.
    pub index_uid: IndexUid,
    /// What was asked for.
    pub mutation: Mutation,
    /// When it was accepted.
    pub enqueued_at: OffsetDateTime,
}
