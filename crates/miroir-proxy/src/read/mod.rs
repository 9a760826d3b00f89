//! Reading documents: one by its id, or a listing in one stable order over all shards.

mod arranged;
mod ask;
mod counts;
mod fields;
#[cfg(test)]
mod fixture;
mod listing;
mod one;
mod paths;
mod reader;
mod related;
mod settings;
mod stats;
mod window;

use std::sync::Arc;

use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::node_api::NodeReply;

pub(crate) use ask::ask_replica;
pub use fields::list_fields;
pub use listing::{ListingRequest, list_documents};
pub use one::get_document;
pub(crate) use paths::{meet, met};
pub use reader::Reader;
pub(crate) use related::{documents_by_id, ids_by_filter};
pub use settings::{read_setting, read_settings};
pub use stats::{InternalSizes, index_stats, instance_stats};

/// The object in a node's successful answer.
fn object(reply: &NodeReply) -> Result<Map<String, Value>, RequestError> {
    serde_json::from_slice(&reply.body).map_err(|error| RequestError::Unreadable(error.to_string()))
}

/// The index of this name.
pub fn existing<'a>(view: &'a View, uid: &IndexUid) -> Result<&'a Arc<IndexEntry>, RequestError> {
    view.index(uid)
        .ok_or_else(|| RequestError::new(ErrorCode::IndexNotFound, format!("Index `{uid}` not found.")))
}
