//! JSON of clients, looked at before a tree is built of it. A byte of JSON can become forty in memory (`0,` is a value), so
//! what a body takes is known only when its values were counted.

mod abridge;
mod measure;

use std::mem::size_of;

use serde_json::Value;

pub use abridge::abridge;
pub use measure::{Unmeasured, measure};

/// What a value takes in memory besides its text.
const VALUE_BYTES: usize = size_of::<Value>();

/// The first key of an object that stands for the JSON in its value: `serde_json` marks raw values with it when it hands
/// them on, and takes a client's for its own. Meilisearch, which reads with the same library, does so too.
const RAW: &str = "$serde_json::private::RawValue";

/// The memory that `bytes` bytes of JSON with `values` values take, together with the tree that is built of them.
pub fn tree_bytes(bytes: usize, values: usize) -> usize {
    bytes.saturating_mul(2).saturating_add(values.saturating_mul(VALUE_BYTES))
}
