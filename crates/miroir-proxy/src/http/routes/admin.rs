//! `/_miroir/…`: how the cluster is doing, for those who run it. Field names are in snake case, so that nobody takes an
//! answer for one of Meilisearch's.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardId};
use miroir_core::view::{IndexEntry, View};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::App;
use crate::http::auth::AdminAuthorized;
use crate::observe::{self, CONTENT_TYPE, Topology, coverage, look};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/_miroir/topology", get(topology))
        .route("/_miroir/shards", get(shards))
        .route("/_miroir/ready", get(ready))
        .route("/_miroir/metrics", get(metrics))
}

/// For an address that only those reach who may see metrics.
pub(super) fn open_metrics() -> Router<App> {
    Router::new().route("/metrics", get(scrape))
}

/// For whoever sends requests here: whether every search can be answered in full. No key, so no names either.
async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let missing = coverage(&app.cluster.view.load()).missing;
    match missing {
        0 => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not_ready", "missing_shard_count": missing })),
        ),
    }
}

async fn topology(_: AdminAuthorized, State(app): State<App>) -> Json<Topology> {
    let view = app.cluster.view.load();
    Json(look(&app.layout, &app.cluster.membership, &view, &app.writer.node_progress()))
}

async fn metrics(_: AdminAuthorized, state: State<App>) -> ([(HeaderName, &'static str); 1], String) {
    scrape(state).await
}

async fn scrape(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    let text = observe::scrape(&app.metrics, &app.layout, &app.cluster, &app.writer).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

/// Where the copies of all indexes are.
#[derive(Debug, Serialize)]
struct Shards {
    indexes: Vec<IndexShards>,
}

#[derive(Debug, Serialize)]
struct IndexShards {
    uid: IndexUid,
    physical_uid: PhysicalUid,
    shard_count: u32,
    shards: Vec<ShardCopies>,
}

#[derive(Debug, Serialize)]
struct ShardCopies {
    shard: ShardId,
    readable: bool,
    groups: Vec<GroupCopies>,
}

#[derive(Debug, Serialize)]
struct GroupCopies {
    group: GroupId,
    nodes: Vec<NodeId>,
}

async fn shards(_: AdminAuthorized, State(app): State<App>) -> Json<Shards> {
    let view = app.cluster.view.load();
    Json(Shards { indexes: view.indexes.values().map(|entry| index_shards(entry, &view)).collect() })
}

fn index_shards(entry: &IndexEntry, view: &View) -> IndexShards {
    let placement = &entry.placement;
    let copies = |shard: ShardId| ShardCopies {
        shard,
        readable: placement.all_replicas(shard).any(|node| view.readable.contains(node)),
        groups: placement
            .groups()
            .map(|(group, table)| GroupCopies { group, nodes: table.replicas(shard).to_vec() })
            .collect(),
    };
    IndexShards {
        uid: entry.uid.clone(),
        physical_uid: entry.physical.clone(),
        shard_count: placement.shard_count().get(),
        shards: placement.shard_count().shards().map(copies).collect(),
    }
}
