//! The types of tasks.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! task_kinds {
    ($($variant:ident $name:literal,)+) => {
        /// What a task does: the `type` of the tasks API (Meilisearch 1.50's own list, in its order).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum TaskKind {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )+
        }

        impl TaskKind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name that clients see.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

task_kinds! {
    DocumentAdditionOrUpdate "documentAdditionOrUpdate",
    DocumentEdition "documentEdition",
    DocumentDeletion "documentDeletion",
    SettingsUpdate "settingsUpdate",
    IndexCreation "indexCreation",
    IndexDeletion "indexDeletion",
    IndexUpdate "indexUpdate",
    IndexSwap "indexSwap",
    TaskCancelation "taskCancelation",
    TaskDeletion "taskDeletion",
    DumpCreation "dumpCreation",
    SnapshotCreation "snapshotCreation",
    Export "export",
    UpgradeDatabase "upgradeDatabase",
    IndexCompaction "indexCompaction",
    NetworkTopologyChange "networkTopologyChange",
    DsrUpdate "dsrUpdate",
    DsrClear "dsrClear",
}

impl TaskKind {
    /// The kind of this name, in whatever case, as Meilisearch reads it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TaskKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| de::Error::custom(format_args!("unknown task type `{name}`")))
    }
}
