//! What Miroir does with the nodes itself while the log stands still: work that has to happen at one place in the log on
//! all nodes, or that no single node can do. One Meilisearch does nothing else meanwhile either.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Export, TaskKind};

/// Work for Miroir.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Errand {
    /// Give the disk back what an index no longer uses, on all its nodes.
    CompactIndex,
    /// Write a dump on every node.
    Dump,
    /// Write a snapshot on every node.
    Snapshot,
    /// Send indexes to another server.
    Export(Export),
}

impl Errand {
    /// The type of its task.
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::CompactIndex => TaskKind::IndexCompaction,
            Self::Dump => TaskKind::DumpCreation,
            Self::Snapshot => TaskKind::SnapshotCreation,
            Self::Export(_) => TaskKind::Export,
        }
    }

    /// Whether it is about one index.
    pub const fn is_about_one(&self) -> bool {
        matches!(self, Self::CompactIndex)
    }

    /// The task's details before it is done.
    pub fn details(&self) -> Map<String, Value> {
        match self {
            Self::Dump => Map::from_iter([("dumpUid".to_owned(), json!(null))]),
            Self::Export(export) => export.details(),
            Self::CompactIndex | Self::Snapshot => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_compaction_is_about_an_index_and_only_a_dump_has_details_before_its_end() {
        let all = [Errand::CompactIndex, Errand::Dump, Errand::Snapshot];
        assert_eq!(all.each_ref().map(Errand::is_about_one), [true, false, false]);
        assert_eq!(all.each_ref().map(|errand| errand.details().len()), [0, 1, 0]);
        assert_eq!(Errand::Dump.kind().as_str(), "dumpCreation");
    }
}
