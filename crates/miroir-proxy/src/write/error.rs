//! What can go wrong with writes, for clients and for the operator.

use miroir_core::error::ResponseError;
use miroir_core::ids::{GroupId, IndexUid, NodeId};
use miroir_core::placement::PlacementError;
use miroir_store::StoreError;
use thiserror::Error;

use crate::cluster::AlreadyMember;
use crate::error::RequestError;

/// Why a write was not accepted, or a task not found out about. Never the client's fault; trying again may help.
#[derive(Debug, Clone, Error)]
pub enum WriteError {
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index takes no writes until the operator has done something.
    #[error("{0}")]
    Frozen(ResponseError),
}

impl From<WriteError> for RequestError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => Self::Store(error),
            WriteError::Frozen(error) => Self::Refused(error),
        }
    }
}

/// Why a node can't come to the cluster, or can't leave it.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MemberError {
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This process is about to end.
    #[error("Miroir is being stopped")]
    Ended,
    /// It is there.
    #[error(transparent)]
    AlreadyMember(#[from] AlreadyMember),
    /// It is not there.
    #[error("there is no node `{0}`")]
    NoMember(NodeId),
    /// What it has would have one copy less, or none.
    #[error(
        "node `{node}` can't leave: index `{index}` has shards on it. This version can't move shards to other nodes; delete          the index, or keep the node"
    )]
    HoldsShards {
        /// The node.
        node: NodeId,
        /// An index of which it holds a part, or will.
        index: IndexUid,
    },
    /// New indexes would get no copy in its group.
    #[error(
        "node `{node}` can't leave: group {group} would have fewer nodes than the {factor} copies that it keeps of each shard"
    )]
    GroupTooSmall {
        /// The node.
        node: NodeId,
        /// Its group.
        group: GroupId,
        /// How many copies a group keeps.
        factor: u32,
    },
}

/// Why the write path can't begin. The operator has to change something.
#[derive(Debug, Clone, Error)]
pub enum StartError {
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The nodes can't hold an index at all.
    #[error("no index can be placed on the configured nodes: {0}")]
    Placement(#[from] PlacementError),
    /// A node without data was added to a cluster with data.
    #[error(
        "node `{0}` is new, but there are indexes already. This version can't move shards to new nodes: take the node out \
         of the configuration, or begin with an empty data directory"
    )]
    NewNode(NodeId),
    /// A node that holds data was taken away.
    #[error(
        "index `{index}` has shards on node `{node}`, which is not configured in group {group}. Put it back"
    )]
    MissingNode {
        /// The index.
        index: IndexUid,
        /// The node that holds a part of it.
        node: NodeId,
        /// The group for which it holds it.
        group: GroupId,
    },
    /// A group has no copy of an index.
    #[error(
        "index `{index}` has no copy in group {group}. This version can't fill new groups: take the group out"
    )]
    NewGroup {
        /// The index.
        index: IndexUid,
        /// The group.
        group: GroupId,
    },
    /// The replication factor was changed.
    #[error(
        "index `{index}` keeps {found} copies of each shard in a group, but the configured replication factor is \
         {configured}. This version can't change it for existing indexes"
    )]
    OtherFactor {
        /// The index.
        index: IndexUid,
        /// What it has.
        found: usize,
        /// What is configured.
        configured: u32,
    },
}
