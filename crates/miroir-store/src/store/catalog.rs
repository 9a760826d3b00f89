//! The catalog. It changes with commits only.

use async_trait::async_trait;
use miroir_core::view::IndexEntry;

use super::Part;
use crate::StoreError;

/// The indexes.
#[async_trait]
pub trait Catalog: Part {
    /// The indexes whose creation has succeeded, by name.
    async fn catalog(&self) -> Result<Vec<IndexEntry>, StoreError>;
}
