//! Why an attempt to rebuild a node came to nothing.

use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_store::StoreError;
use thiserror::Error;

use crate::cluster::NodeError;
use crate::write::ledger::Obstacle;

#[derive(Debug, Error)]
pub(super) enum RebuildError {
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
    #[error("the node failed a task of the copy: {0}")]
    TaskFailed(String),
    #[error("a document of index `{0}` has no id under the index's primary key")]
    NoId(PhysicalUid),
    #[error("an answer can't be read: {0}")]
    Unreadable(String),
    #[error(
        "task {0} waits for this node and can't be done twice, and other shards of the node have to be copied: bring the \
         nodes back that have the missing copies"
    )]
    Unrepeatable(TaskUid),
    #[error(
        "a change of the settings of index `{0}` is frozen: try it again, or undo it, by the route for its broadcasts"
    )]
    Frozen(IndexUid),
    #[error(
        "task {task} about index `{index}` can't end: no node that answers and takes writes has a copy of shard {shard}"
    )]
    NoReplica { task: TaskUid, index: IndexUid, shard: ShardId },
    #[error("its peers did not stand still within {} s", .0.as_secs())]
    TooLong(Duration),
}

impl From<Obstacle> for RebuildError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Frozen { index } => Self::Frozen(index),
            Obstacle::NoReplica { task, index, shard } => Self::NoReplica { task, index, shard },
        }
    }
}
