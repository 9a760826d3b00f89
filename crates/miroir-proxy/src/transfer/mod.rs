//! Copies what a node has to hold of an index from nodes that have it.
//!
//! ```text
//!  Transfer: an index, for each of its shards a node to copy it from, and the node that gets them
//!
//!  pass      compares, and puts what differs into the node's queue; again, over what was written meanwhile
//!  last one  the same while nothing is written to the index: then it is exact, up to a line of the log
//! ```
//!
//! Whoever wants data copied says what comes from where, holds the index for the last pass, and stores how far it is: see
//! the rebuild of nodes in `write`. Nothing here knows the log. A transfer trusts nothing but its sources, so it may be cut
//! anywhere and begun again. Transfers go side by side, a few at a time; what a node has still to do of them waits in its
//! own queue, which is bounded.

mod documents;
mod error;
mod index;
mod pass;
mod progress;
mod stored;
mod survey;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{NodeId, PhysicalUid, ShardId};
use miroir_core::view::IndexEntry;

use crate::node_api::Node;

pub use self::documents::copy_documents;
pub use self::error::TransferError;
pub use self::pass::{Pass, SIDE_BY_SIDE, copy_indexes, copy_one};
pub use self::progress::Progress;
pub use self::stored::{StoredDocument, read_page};
pub use self::target::Target;

/// What a node has to hold of one index, and where it comes from. The node and the index's name on the nodes tell one
/// transfer from another.
#[derive(Debug)]
pub struct Transfer {
    /// The index.
    pub index: IndexEntry,
    /// The shards that are copied, each with a node that has it.
    pub sources: BTreeMap<ShardId, Node>,
    /// Shards that are taken as the node has them.
    pub kept: BTreeSet<ShardId>,
}

impl Transfer {
    /// The index's name on the nodes.
    pub const fn key(&self) -> &PhysicalUid {
        &self.index.physical
    }

    /// Every shard that the node has to hold.
    fn all_shards(&self) -> impl Iterator<Item = &ShardId> {
        self.sources.keys().chain(&self.kept)
    }
}

/// The nodes that are copied from.
pub fn sources_of(transfers: &[Transfer]) -> BTreeSet<NodeId> {
    transfers.iter().flat_map(|transfer| transfer.sources.values()).map(|node| node.id().clone()).collect()
}
