//! What the store keeps besides writes on their way: what clients have set for the whole cluster, and what is left of writes
//! for those who want to look at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use miroir_core::arrival::ArrivalBook;
use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::network::Network;
use miroir_core::settings::Broadcast;
use miroir_store::{Collection, Kept, RecordChange, Store, until_known};

use super::WriteError;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records(pub(super) Arc<dyn Store>);

impl Records {
    /// Everything in a collection, and its version.
    pub async fn collection(&self, collection: Collection) -> Result<Kept, WriteError> {
        Ok(self.0.records(collection).await?)
    }

    /// Changes one thing in a collection, durably; `false` if the collection has changed since it was read for that.
    pub async fn put(&self, change: RecordChange) -> Result<bool, WriteError> {
        Ok(until_known(|| self.0.put_record(change.clone())).await?)
    }

    /// The experimental features that were ever switched.
    pub async fn features(&self) -> Result<BTreeMap<String, bool>, WriteError> {
        Ok(self.0.features().await?)
    }

    /// Switches experimental features, durably. Nodes are told by whoever calls this.
    pub async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), WriteError> {
        Ok(until_known(|| self.0.set_features(changes.clone())).await?)
    }

    /// The network that clients described.
    pub async fn network(&self) -> Result<Network, WriteError> {
        Ok(self.0.network().await?)
    }

    /// Stores a network that was made from the one of this version; `false` if that is not the current one any more.
    pub async fn replace_network(&self, version: String, next: Network) -> Result<bool, WriteError> {
        Ok(until_known(|| self.0.replace_network(version.clone(), next.clone())).await?)
    }

    /// The order in which an index's documents arrived, if there is a book of it.
    pub async fn arrival_book(&self, index: PhysicalUid) -> Result<Option<ArrivalBook>, WriteError> {
        Ok(self.0.arrival_book(index).await?)
    }

    /// The documents of a write, part by part, as long as somebody may need them.
    pub async fn payload(&self, uid: TaskUid) -> Result<Vec<bytes::Bytes>, WriteError> {
        Ok(self.0.payload(uid).await?)
    }

    /// The numbers that nodes gave to what they received of a task.
    pub async fn node_tasks(&self, task: TaskUid) -> Result<BTreeMap<NodeId, Vec<u64>>, WriteError> {
        let mut numbers: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for received in self.0.node_tasks().await?.into_iter().filter(|received| received.task == task) {
            numbers.entry(received.node).or_default().extend(received.node_task);
        }
        Ok(numbers)
    }

    /// The last changes of an index's settings, newest first.
    pub async fn past_broadcasts(&self, index: PhysicalUid) -> Result<Vec<Broadcast>, WriteError> {
        Ok(self.0.broadcasts(index).await?)
    }

    /// The bytes of documents that the log still keeps for nodes that lack them.
    pub async fn log_bytes(&self) -> Result<u64, WriteError> {
        Ok(self.0.log_bytes().await?)
    }

    /// Makes the store as small as it can be. Its bytes before and after.
    pub async fn compact(&self) -> Result<(u64, u64), WriteError> {
        Ok(self.0.compact().await?)
    }
}
