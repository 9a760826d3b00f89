//! Changes of settings on their way, and which node has which.

use async_trait::async_trait;
use miroir_core::ids::{Epoch, PhysicalUid};
use miroir_core::settings::{Broadcast, SettingsVersions};

use super::Part;
use crate::StoreError;

/// Changes of one index's settings that are kept after they are over.
pub const KEPT_BROADCASTS: usize = 20;

/// Changes of settings. They end with [commits](super::Log::commit).
#[async_trait]
pub trait Settings: Part {
    /// Keeps where a change of settings stands. Of those that are over the last [`KEPT_BROADCASTS`] of each index stay.
    async fn save_broadcast(&self, epoch: Epoch, broadcast: Broadcast) -> Result<(), StoreError>;

    /// The changes of settings that are not over, and those of entries not forgotten, oldest first.
    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StoreError>;

    /// The last changes of an index's settings, newest first.
    async fn broadcasts(&self, index: PhysicalUid) -> Result<Vec<Broadcast>, StoreError>;

    /// Which commit of settings each index and each node has. Nothing is on its way in it.
    async fn settings_versions(&self) -> Result<SettingsVersions, StoreError>;
}
