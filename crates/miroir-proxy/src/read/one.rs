//! One document by its id: only its own shard is asked.

use axum::http::StatusCode;
use miroir_core::document::{is_valid_id, marker};
use miroir_core::error::ErrorCode;
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use serde_json::{Map, Value};

use super::{Reader, ask_replica, object};
use crate::cluster::{NodePath, NodeRequest};
use crate::http::HttpError;
use crate::search::scrub_reply;

/// Asked for in place of what can't be an id: whatever else is wrong with the request is found first.
const NO_ID: &str = "miroir-has-no-such-document";

/// `id` is decoded, `query` as it stood in the client's address. No node is asked for what can't be the id of a document.
pub async fn get_document(of: &Reader<'_>, id: &str, query: &str) -> Result<Map<String, Value>, HttpError> {
    let entry = of.entry;
    let (asked, shard) = if is_valid_id(id) { (id, shard_of(id, entry.shards)) } else { (NO_ID, ShardId(0)) };
    let path = NodePath::from(["indexes", entry.physical.as_str(), "documents", asked]).with_query(query);
    let request = NodeRequest::get(path);
    let (_, reply) = ask_replica(of, shard, &request).await?;
    if reply.status == StatusCode::NOT_FOUND || (reply.status == StatusCode::OK && asked != id) {
        let message = format!("Document `{id}` not found.");
        return Err(HttpError::new(ErrorCode::DocumentNotFound, message));
    }
    if reply.status != StatusCode::OK {
        return Err(HttpError::Node(scrub_reply(reply, entry)));
    }
    let mut document = object(&reply)?;
    marker::strip_document(&mut document);
    Ok(document)
}
