//! What can be wrong with a placement: the nodes that are asked for it, the stored table, or a move that no longer fits.

use crate::ids::{GroupId, NodeId, ShardId};

/// Why there is no placement, or why one was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Nothing can be placed on no node.
    #[error("there is no node to place shards on")]
    NoNodes,
    /// The copies of a shard must be on different nodes.
    #[error("group {group} has {nodes} node(s), too few for {copies} copies of every shard")]
    TooFewNodes {
        /// The group that is too small.
        group: GroupId,
        /// How many nodes it has.
        nodes: usize,
        /// The replication factor.
        copies: u32,
    },
    /// A stored table has not one row for each shard.
    #[error("the placement of group {group} has {found} shard(s) instead of {expected}")]
    WrongShardCount {
        /// The group in whose table rows are missing or too many.
        group: GroupId,
        /// The index's shard count.
        expected: usize,
        /// How many rows there are.
        found: usize,
    },
    /// A stored table counts one copy twice.
    #[error("the placement of group {group} names node `{node}` twice for shard {shard}")]
    RepeatedNode {
        /// The group in whose table it stands.
        group: GroupId,
        /// The shard in whose row it stands.
        shard: ShardId,
        /// The node that is named twice.
        node: NodeId,
    },
    /// A move is about a shard that the index has not.
    #[error("the index has no shard {shard}")]
    UnknownShard {
        /// The shard in question.
        shard: ShardId,
    },
    /// A move replaces a copy that is no longer there; it was planned for another table.
    #[error("node `{from}` holds no copy of shard {shard} that could be replaced")]
    OutdatedMove {
        /// The shard in question.
        shard: ShardId,
        /// The node that should have held it.
        from: NodeId,
    },
    /// A move would leave a shard on no node at all.
    #[error("node `{from}` holds the last copy of shard {shard}")]
    LastCopy {
        /// The shard in question.
        shard: ShardId,
        /// The node that holds it.
        from: NodeId,
    },
}
