//! What Miroir says about an answer besides the answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use miroir_core::ids::ShardId;

use super::error::list;

/// `shards=3,7`: the documents of these shards are missing from the answer.
const DEGRADED: HeaderName = HeaderName::from_static("x-miroir-degraded");

/// Asks for the names of the indexes that were searched, and more, in the answer.
const METADATA: HeaderName = HeaderName::from_static("meili-include-metadata");

/// Whether the client asks for metadata about its queries.
pub(super) fn wants_metadata(headers: &HeaderMap) -> bool {
    headers.get(METADATA).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true") || value == "1")
}

/// Says which shards are missing; nothing when none are.
pub(super) fn degraded(missing: &[ShardId]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !missing.is_empty()
        && let Ok(value) = HeaderValue::from_str(&format!("shards={}", list(missing)))
    {
        headers.insert(DEGRADED, value);
    }
    headers
}
