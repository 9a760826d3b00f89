//! An index's settings as a node has them.

use miroir_core::ids::ShardId;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::Reader;
use super::replica::ask_replica;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::questions;

/// Every node has the same settings, so one readable node that knows the index tells them.
pub async fn read_settings(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
) -> Result<Map<String, Value>, RequestError> {
    ask_replica(&Reader::new(cluster, view, entry), ShardId(0), questions::settings(&entry.physical)).await
}

/// One setting, by the name of its own route. Some are shown there whatever features are on.
pub async fn read_setting(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    route: &str,
) -> Result<Value, RequestError> {
    let question = questions::setting(&entry.physical, route);
    ask_replica(&Reader::new(cluster, view, entry), ShardId(0), question).await
}
