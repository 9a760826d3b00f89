//! An index's settings as a node has them.

use axum::http::StatusCode;
use miroir_core::ids::ShardId;
use miroir_core::path::NodePath;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::{Reader, ask_replica, object};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest, scrub_reply};

/// Every node has the same settings, so one readable node that knows the index tells them.
pub async fn read_settings(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
) -> Result<Map<String, Value>, RequestError> {
    object(&ask(cluster, view, entry, None).await?)
}

/// One setting, by the name of its own route. Some are shown there whatever features are on.
pub async fn read_setting(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    route: &str,
) -> Result<Value, RequestError> {
    let reply = ask(cluster, view, entry, Some(route)).await?;
    serde_json::from_slice(&reply.body).map_err(|error| RequestError::Unreadable(error.to_string()))
}

async fn ask(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    route: Option<&str>,
) -> Result<NodeReply, RequestError> {
    let path = NodePath::of(["indexes", entry.physical.as_str(), "settings"].into_iter().chain(route));
    let request = NodeRequest::get(path);
    let (_, reply) = ask_replica(&Reader::new(cluster, view, entry), ShardId(0), &request).await?;
    if reply.status != StatusCode::OK {
        return Err(RequestError::Node(scrub_reply(reply, entry)));
    }
    Ok(reply)
}
