//! Why an attempt to rebuild a node came to nothing, and what can be done about it.

use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_store::StoreError;
use thiserror::Error;

use crate::node_api::NodeError;
use crate::write::ledger::Obstacle;

#[derive(Debug, Error)]
pub(in crate::write) enum RebuildError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no other node has a copy of shard {shard} of index `{index}` that can be read now")]
    NoPeer { index: IndexUid, shard: ShardId },
    #[error("node `{node}` answered HTTP {status} to {request}: {message}")]
    Refused { node: NodeId, request: String, status: u16, message: String },
    #[error("the node does not tell its tasks: {0}")]
    NoAnswer(String),
    #[error("the node failed its task {task} of the copy: {reason}")]
    TaskFailed { task: u64, reason: String },
    #[error("a document of index `{0}` has no id under the index's primary key")]
    NoId(PhysicalUid),
    #[error("an answer can't be read: {0}")]
    Unreadable(String),
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
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Node(_) => "if that node stays away, look at its process and its log",
            Self::Store(_) => "look at the disk of Miroir's state store",
            Self::NoPeer { .. } => "",
            Self::Refused { status: 401 | 403, .. } => "give every node the key `node_master_key`",
            Self::Refused { .. } | Self::TaskFailed { .. } => {
                "look at that node's log and at the room on its disk"
            }
            Self::NoAnswer(_) | Self::Unreadable(_) => "look whether that address is a Meilisearch server",
            Self::NoId(_) => "delete that document on the node that it was read from",
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
