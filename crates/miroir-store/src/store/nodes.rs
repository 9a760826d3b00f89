//! What the store knows of nodes: what their data are worth, and how far the log has come to them.

use async_trait::async_trait;
use miroir_core::ids::{Epoch, NodeId};
use miroir_core::task::SyncState;

use super::Part;
use crate::{CaughtUp, Delivery, NodeRecord, NodeTask, StoreError};

/// Nodes and their lanes. That a node's data were copied anew, or are taken as they are, and its lane begins somewhere else,
/// comes with [commits](super::Log::commit): by nothing else a cursor goes back.
#[async_trait]
pub trait Nodes: Part {
    /// All nodes ever added, by name.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// One node; none if it was never added.
    async fn node(&self, id: NodeId) -> Result<Option<NodeRecord>, StoreError>;

    /// Adds nodes whose data are worth `sync`, with a lane that begins at the end of the log. Nodes that are known stay as they
    /// are.
    async fn add_nodes(&self, epoch: Epoch, nodes: Vec<NodeId>, sync: SyncState) -> Result<(), StoreError>;

    /// Stores where a node's own queue ended before the first request to it. A node that was met before stays as it is.
    async fn meet_node(&self, epoch: Epoch, node: NodeId, next_node_task: u64) -> Result<(), StoreError>;

    /// Forgets which indexes of a damaged node are up to a place of the log.
    async fn forget_caught_up(&self, epoch: Epoch, node: NodeId) -> Result<(), StoreError>;

    /// Stores which indexes of a damaged node are up to a place of the log, instead of what was known of them. All of it is
    /// forgotten when the node begins anew, is taken as it is, or is found damaged.
    async fn save_caught_up(
        &self,
        epoch: Epoch,
        node: NodeId,
        caught_up: Vec<CaughtUp>,
    ) -> Result<(), StoreError>;

    /// The indexes of a damaged node that are up to a place of the log, by name.
    async fn caught_up(&self, node: NodeId) -> Result<Vec<CaughtUp>, StoreError>;

    /// Stores the progress of a lane, and that the tasks concerned have begun. Refused if the lane's cursor is not where
    /// the delivery says that it begins, or would go back. A delivery that is stored already changes nothing.
    async fn deliver(&self, epoch: Epoch, delivery: Delivery) -> Result<(), StoreError>;

    /// Every request that was received for an entry not forgotten.
    async fn node_tasks(&self) -> Result<Vec<NodeTask>, StoreError>;
}
