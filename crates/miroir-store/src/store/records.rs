//! Small things of the whole instance that clients set.

use std::collections::BTreeMap;

use async_trait::async_trait;
use miroir_core::network::Network;

use super::Part;
use crate::{Collection, Kept, RecordChange, StoreError};

/// Features, the network, webhooks, chat workspaces. Whoever changes them says what the change was made from, so that
/// callers need no epoch.
#[async_trait]
pub trait Records: Part {
    /// The experimental features that were ever switched.
    async fn features(&self) -> Result<BTreeMap<String, bool>, StoreError>;

    /// Switches experimental features.
    async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), StoreError>;

    /// The network that clients described; an empty one at first.
    async fn network(&self) -> Result<Network, StoreError>;

    /// Stores a network that was made from the one of this version; `false` if that is not the current one any more. A
    /// network that is the current one already counts as stored: versions are never used twice.
    async fn replace_network(&self, version: String, next: Network) -> Result<bool, StoreError>;

    /// Everything in a collection, and its version.
    async fn records(&self, collection: Collection) -> Result<Kept, StoreError>;

    /// Changes one thing in a collection, if the collection has the version that the change was made from; `false` if it
    /// has another one. What the last change made of it counts as stored. [`Collection::Rules`] changes with commits only:
    /// here it is a [`StoreError::Conflict`].
    async fn put_record(&self, change: RecordChange) -> Result<bool, StoreError>;
}
