//! Why an attempt to rebuild a node came to nothing, and what can be done about it.

use std::time::Duration;

use miroir_core::ids::{IndexUid, PhysicalUid, ShardId, TaskUid};
use miroir_store::StoreError;
use thiserror::Error;

use crate::transfer::TransferError;
use crate::write::ledger::Obstacle;

#[derive(Debug, Error)]
pub(in crate::write) enum RebuildError {
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no other node has a copy of shard {shard} of index `{index}` that can be read now")]
    NoPeer { index: IndexUid, shard: ShardId },
    #[error("somebody else wrote to the node, or emptied it, while it was copied")]
    Disturbed,
    #[error(
        "task {0} waits for this node and can't be done twice, and other shards of the node have to be copied"
    )]
    Unrepeatable(TaskUid),
    #[error("a change of the settings of index `{0}` is frozen")]
    Frozen(IndexUid),
    #[error(
        "task {task} about index `{index}` can't end: no node that answers and takes writes has a copy of shard {shard}"
    )]
    NoReplica { task: TaskUid, index: IndexUid, shard: ShardId },
    #[error(
        "while writes to index `{index}` waited, its peers did not come to an end within {} s: {waits_for}",
        .after.as_secs()
    )]
    Moving { index: PhysicalUid, after: Duration, waits_for: String },
    #[error(
        "what was written to index `{index}` during the copy could not be copied too within {} s, in which writes to it wait",
        .after.as_secs()
    )]
    TooLong { index: PhysicalUid, after: Duration },
}

impl RebuildError {
    /// What whoever runs the cluster can do. What says it itself has none.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Transfer(error) => error.advice(),
            Self::Store(_) => "look at the disk of Miroir's task store",
            Self::NoPeer { .. } => "",
            Self::Disturbed => {
                "nothing has to be done if it happens once; else find out who writes to the node besides Miroir"
            }
            Self::Unrepeatable(_) => "bring the nodes back that have the missing copies",
            Self::Frozen(_) => "try it again, or undo it, by the route for its broadcasts",
            Self::NoReplica { .. } => "bring a node back that has a copy, or cancel the task",
            Self::Moving { .. } => {
                "nothing has to be done if it is large and goes on; else look at that node"
            }
            Self::TooLong { .. } => {
                "nothing has to be done: the next attempt finds less to copy and may take twice as long; fewer writes \
                 meanwhile help"
            }
        }
    }

    /// Whether the next attempt may hold an index longer.
    pub(super) const fn needs_more_time(&self) -> bool {
        matches!(self, Self::Moving { .. } | Self::TooLong { .. })
    }
}

impl From<Obstacle> for RebuildError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Frozen { index } => Self::Frozen(index),
            Obstacle::NoReplica { task, index, shard } => Self::NoReplica { task, index, shard },
        }
    }
}
