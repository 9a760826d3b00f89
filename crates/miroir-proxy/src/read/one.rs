//! One document by its id: only its own shard is asked.

use axum::http::StatusCode;
use miroir_core::document::marker;
use miroir_core::hash::shard_of;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::{ask_replica, object};
use crate::cluster::{Cluster, NodeRequest};
use crate::http::HttpError;
use crate::search::scrub_reply;

/// `encoded_id` and `query` are as they stood in the client's path.
pub async fn get_document(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    (id, encoded_id, query): (&str, &str, &str),
) -> Result<Map<String, Value>, HttpError> {
    let shard = shard_of(id, entry.shards);
    let request = NodeRequest::get(format!("/indexes/{}/documents/{encoded_id}?{query}", entry.physical));
    let (_, reply) = ask_replica(cluster, view, entry, shard, &request).await?;
    if reply.status != StatusCode::OK {
        return Err(HttpError::Node(scrub_reply(reply, entry)));
    }
    let mut document = object(&reply)?;
    marker::strip_document(&mut document);
    Ok(document)
}
