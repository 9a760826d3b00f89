//! Documents on their way in and out: what a client sent is checked once ([`payload`]), judged as a whole when its turn
//! in the log comes ([`judge`]), cut into one body per node ([`splice`]) with the field that says a document's shard
//! ([`marker`]), and freed of that field, and of fields nobody asked for ([`fields`], [`paths`]), on the way out.
//!
//! Documents stay bytes throughout: no step builds a tree of one, except to print it in an error.

pub mod edit;
pub mod fields;
pub mod id;
pub mod judge;
pub mod marker;
pub mod paths;
pub mod payload;
pub mod reserved;
pub mod splice;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;

pub use id::{canonical_id, find_document_id, is_valid_id};
pub use judge::{
    Batch, BatchError, Demands, DocumentIds, Existing, InWay, Inspection, Judged, JudgedBatch, judge_batch,
    partition, replaced_later, shards_of_part,
};
pub use payload::{
    Part, Payload, PayloadError, PayloadFormat, Unclear, WINDOW_BYTES, Windows, check_payload,
};
pub use splice::splice;

/// The name of a field, borrowed from the document's bytes unless it is written with escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);
