//! Reading documents: one by its id, or a listing in one stable order over all shards.

mod arranged;
mod counts;
mod fields;
#[cfg(test)]
mod fixture;
mod listing;
mod one;
mod pages;
mod paths;
mod reader;
mod related;
mod replica;
mod settings;
mod stats;
mod window;

use std::sync::Arc;

use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::view::{IndexEntry, View};

use crate::error::RequestError;

pub use fields::list_fields;
pub use listing::{ListingRequest, list_documents};
pub use one::get_document;
pub(crate) use paths::{meet, met};
pub use reader::Reader;
pub(crate) use related::{documents_by_id, ids_by_filter};
pub(crate) use replica::{document_with_vectors, send_to_replica};
pub use settings::{read_setting, read_settings};
pub use stats::{index_stats, instance_stats};

/// The index of this name.
pub fn existing<'a>(view: &'a View, uid: &IndexUid) -> Result<&'a Arc<IndexEntry>, RequestError> {
    view.index(uid)
        .ok_or_else(|| RequestError::new(ErrorCode::IndexNotFound, format!("Index `{uid}` not found.")))
}

/// The client is told that an answer can't be read.
fn unreadable(reason: impl std::fmt::Display) -> RequestError {
    RequestError::Unreadable(reason.to_string())
}
