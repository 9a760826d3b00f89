//! Asking nodes which paths they have met.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use miroir_core::document::paths::PathsMet;
use miroir_core::ids::NodeId;
use miroir_core::search::{SearchRequest, Shown};
use miroir_core::view::{IndexEntry, View};
use serde_json::json;

use crate::cluster::Cluster;
use crate::node_api::questions;

/// The request with what nodes say of its paths.
pub(crate) async fn meet(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    mut request: SearchRequest,
) -> SearchRequest {
    request.paths = met(cluster, view, entry, &Shown::paths_of(&request, &entry.settings)).await;
    request
}

/// What the nodes of an index say of these paths. A node that does not say it has met them, as far as anybody knows.
pub(crate) async fn met(cluster: &Cluster, view: &View, entry: &IndexEntry, paths: &[String]) -> PathsMet {
    if paths.is_empty() || !entry.placement.is_scattered() {
        return PathsMet::default();
    }
    let pool = view.readable_for(entry);
    let nodes = entry.placement.nodes().filter(|node| pool.contains(node));
    let told = join_all(nodes.map(|node| met_by(cluster, entry, node, paths))).await;
    PathsMet::new(paths, &told.into_iter().flatten().collect::<Vec<_>>())
}

async fn met_by(
    cluster: &Cluster,
    entry: &IndexEntry,
    node: &NodeId,
    paths: &[String],
) -> Option<BTreeSet<String>> {
    let copy = (node.clone(), entry.physical.clone(), entry.created_at);
    let mut met = cluster.paths.of(&copy);
    let unknown: Vec<&String> = paths.iter().filter(|path| !met.contains(*path)).collect();
    if !unknown.is_empty() {
        let new = ask(cluster, entry, node, &unknown).await?;
        cluster.paths.remember(copy, &new);
        met.extend(new);
    }
    Some(met)
}

async fn ask(
    cluster: &Cluster,
    entry: &IndexEntry,
    node: &NodeId,
    paths: &[&String],
) -> Option<BTreeSet<String>> {
    let node = cluster.membership.node(node)?;
    // A name with an asterisk is a pattern here, and finds others than the one that is meant.
    let query = json!({ "limit": u32::MAX, "filter": { "attributePatterns": paths } });
    let told = cluster.ask(&node, questions::fields(&entry.physical, &query)).await.ok()?;
    let names = told.iter().filter_map(|field| field.get("name")?.as_str());
    Some(names.filter(|name| paths.iter().any(|path| path == name)).map(str::to_owned).collect())
}
