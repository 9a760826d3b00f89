//! API keys.

use async_trait::async_trait;
use miroir_core::ids::KeyUid;
use miroir_core::keys::{ApiKey, KeyPatch};
use time::OffsetDateTime;

use super::Part;
use crate::{Adding, StoreError};

/// The keys of clients. Each step is about one key and says the whole change, so that callers need no epoch.
#[async_trait]
pub trait Keys: Part {
    /// All API keys, in no order.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Stores these keys if there is none at all.
    async fn begin_api_keys(&self, keys: Vec<ApiKey>) -> Result<(), StoreError>;

    /// Stores a key unless another one has its uid. A key that is stored already as it is counts as added.
    async fn add_api_key(&self, key: ApiKey) -> Result<Adding, StoreError>;

    /// Changes what people call a key and say of it; the key as it is then, if there is one.
    async fn patch_api_key(
        &self,
        uid: KeyUid,
        patch: KeyPatch,
        at: OffsetDateTime,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Forgets a key; the key as it was, if there was one. Repeated, it answers none.
    async fn delete_api_key(&self, uid: KeyUid) -> Result<Option<ApiKey>, StoreError>;
}
