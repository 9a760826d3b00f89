//! A page of a list, as Meilisearch shows it.

use serde::Serialize;
use serde_json::Value;

/// A page of whatever has an offset and a limit.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) results: Vec<Value>,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) total: usize,
}
