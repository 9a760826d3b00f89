//! `/_miroir/…`: how the cluster is doing, for those who run it. Field names are in snake case, so that nobody takes an
//! answer for one of Meilisearch's.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_core::task::TaskStatus;
use miroir_core::view::{IndexEntry, ShardState, View, coverage, shard_state};
use miroir_store::KEPT_BROADCASTS;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::tasks::read_uid;
use crate::auth::AdminAuthorized;
use crate::error::RequestError;
use crate::http::App;
use crate::http::path::IndexPath;
use crate::observe::{self, CONTENT_TYPE, Topology, look};
use crate::settings::IndexBroadcasts;
use crate::write::{TaskOnNode, WaitReason};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/_miroir/topology", get(topology))
        .route("/_miroir/shards", get(shards))
        .route("/_miroir/tasks/{uid}", get(task))
        .route("/_miroir/ready", get(ready))
        .route("/_miroir/nodes/{node}/accept-loss", post(accept_loss))
        .route("/_miroir/nodes/{node}/adopt", post(super::adopt::adopt))
        .route("/_miroir/metrics", get(metrics))
        .route("/_miroir/indexes/{index}/settings/broadcast", get(broadcasts))
        .route("/_miroir/indexes/{index}/settings/broadcast/retry", post(retry_broadcast))
}

/// For an address that only those reach who may see metrics.
pub(super) fn open_metrics() -> Router<App> {
    Router::new().route("/metrics", get(scrape))
}

/// For whoever sends requests here: whether every search can be answered in full, by a node that is there. No key, so no
/// names either.
async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let view = app.cluster.view.load();
    let coverage = coverage(&view);
    let stale = coverage.stale;
    if coverage.is_full() && coverage.nodes > 0 {
        return (StatusCode::OK, Json(json!({ "status": "ready", "stale_shard_count": stale })));
    }
    let reason = if coverage.nodes == 0 { "no node can be read" } else { "some shards can't be read" };
    let body = json!({
        "status": "not_ready",
        "reason": reason,
        "readable_node_count": coverage.nodes,
        "missing_shard_count": coverage.missing,
        "stale_shard_count": stale,
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// How long a topology waits for nodes to say how they are. One that hangs longer is as it was last known to be.
const NODES_TIMEOUT: Duration = Duration::from_secs(1);

/// As a look now finds it.
async fn topology(_: AdminAuthorized, State(app): State<App>) -> Json<Topology> {
    app.cluster.membership.look_now(NODES_TIMEOUT).await;
    let view = app.cluster.view.load();
    Json(look(&app.layout, &app.cluster.membership, &view, &app.writer.node_progress().await))
}

/// A task, and what it waits for.
#[derive(Debug, Serialize)]
struct TaskProgress {
    uid: TaskUid,
    index_uid: Option<IndexUid>,
    status: TaskStatus,
    nodes: Vec<NodePart>,
}

#[derive(Debug, Serialize)]
struct NodePart {
    #[serde(flatten)]
    part: TaskOnNode,
    /// What the node calls what it received of it.
    node_tasks: Vec<u64>,
}

/// Which nodes a task waits for, and until when.
async fn task(
    _: AdminAuthorized,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<TaskProgress>, RequestError> {
    let number = read_uid(&uid)?;
    let missing = || RequestError::new(ErrorCode::TaskNotFound, format!("Task `{uid}` not found."));
    let membership = &app.cluster.membership;
    let asked = Arc::clone(membership);
    let is_reachable = move |node: &NodeId| asked.standing(node).is_some_and(|standing| standing.reachable);
    // Before the task is read, so that one that is over has nobody to wait for.
    let parts = app.writer.task_on_nodes(number, is_reachable).await;
    let mut node_tasks = app.records.node_tasks(number).await?;
    let task = app.writer.task(number).await?.ok_or_else(missing)?;
    let part = |mut part: TaskOnNode| {
        if part.reason == WaitReason::Unreachable && membership.sighting(&part.node).foreign.is_some() {
            part.reason = WaitReason::Foreign;
        }
        NodePart { node_tasks: node_tasks.remove(&part.node).unwrap_or_default(), part }
    };
    let nodes = parts.into_iter().map(part).collect();
    Ok(Json(TaskProgress { uid: number, index_uid: task.index_uid, status: task.status, nodes }))
}

/// Gives up what only this node had.
async fn accept_loss(
    _: AdminAuthorized,
    Path(node): Path<String>,
    State(app): State<App>,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let id = NodeId::new(node);
    if app.cluster.membership.node(&id).is_none() {
        return Err(RequestError::new(ErrorCode::MiroirNodeNotFound, format!("There is no node `{id}`.")));
    }
    if !app.writer.accept_loss(&id).await {
        let message = format!("Node `{id}` is not damaged: there is no loss to accept.");
        return Err(RequestError::new(ErrorCode::MiroirNodeNotDamaged, message));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "node": id, "accepted": true }))))
}

async fn metrics(_: AdminAuthorized, state: State<App>) -> ([(HeaderName, &'static str); 1], String) {
    scrape(state).await
}

async fn scrape(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    let text = observe::scrape(&app.metrics, &app.layout, &app.cluster, &app.writer).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

/// How the last changes of an index's settings went, and how the one goes that is on its way.
async fn broadcasts(
    _: AdminAuthorized,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
) -> Result<Json<IndexBroadcasts>, RequestError> {
    let view = app.cluster.view.load();
    let physical = physical_of(&app, &view, &uid)?;
    let mut kept = app.records.past_broadcasts(physical.clone()).await?;
    // The store has a change that is on its way as it was at its last turn.
    let current = app.writer.broadcasts().on_their_way().into_iter().map(|(_, it)| it);
    let current: Vec<_> = current.filter(|broadcast| broadcast.index == physical).collect();
    kept.retain(|kept| kept.phase.is_over() && current.iter().all(|broadcast| broadcast.task != kept.task));
    kept.splice(..0, current);
    kept.truncate(KEPT_BROADCASTS + 1);
    Ok(Json(IndexBroadcasts::new(&view, &uid, &physical, &kept, OffsetDateTime::now_utc())))
}

/// Tries again what nodes did not take. The index takes writes again when they have it.
async fn retry_broadcast(
    _: AdminAuthorized,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let view = app.cluster.view.load();
    let physical = physical_of(&app, &view, &uid)?;
    let retried = app.writer.broadcasts().ask_for_retry(&physical);
    let status = if retried { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(json!({ "index": uid, "retried": retried }))))
}

/// The index's name on the nodes, also of one that its first settings are to create.
fn physical_of(app: &App, view: &View, uid: &IndexUid) -> Result<PhysicalUid, RequestError> {
    let created = || {
        let on_their_way = app.writer.broadcasts().on_their_way();
        on_their_way.into_iter().find(|(index, _)| index == uid).map(|(_, broadcast)| broadcast.index)
    };
    let known = view.index(uid).map(|entry| entry.physical.clone());
    known
        .or_else(created)
        .ok_or_else(|| RequestError::new(ErrorCode::IndexNotFound, format!("Index `{uid}` not found.")))
}

/// Indexes on one page of [`Shards`], if nobody asks for more or fewer, and at most: each may have a thousand shards.
const SHARDS_PAGE: usize = 100;
const LONGEST_SHARDS_PAGE: usize = 1_000;

/// Where the copies of indexes are: a page of the indexes, by name.
#[derive(Debug, Serialize)]
struct Shards {
    indexes: Vec<IndexShards>,
    offset: usize,
    limit: usize,
    total: usize,
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
    state: ShardState,
    groups: Vec<GroupCopies>,
}

#[derive(Debug, Serialize)]
struct GroupCopies {
    group: GroupId,
    nodes: Vec<NodeId>,
}

async fn shards(
    _: AdminAuthorized,
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Shards>, RequestError> {
    let (offset, limit) = read_window(&pairs)?;
    let view = app.cluster.view.load();
    let page = view.indexes.values().skip(offset).take(limit);
    let indexes = page.map(|entry| index_shards(entry, &view)).collect();
    Ok(Json(Shards { indexes, offset, limit, total: view.indexes.len() }))
}

/// The offset and limit that a query asks for.
fn read_window(pairs: &[(String, String)]) -> Result<(usize, usize), RequestError> {
    let (mut offset, mut limit) = (0, SHARDS_PAGE);
    for (name, text) in pairs {
        match (name.as_str(), text.parse::<usize>()) {
            ("offset", Ok(number)) => offset = number,
            ("limit", Ok(number)) if number <= LONGEST_SHARDS_PAGE => limit = number,
            _ => {
                let message = format!(
                    "`{name}={text}` can't be read: `offset` and `limit` are whole numbers, and `limit` is at most \
                     {LONGEST_SHARDS_PAGE}."
                );
                return Err(RequestError::new(ErrorCode::BadRequest, message));
            }
        }
    }
    Ok((offset, limit))
}

fn index_shards(entry: &IndexEntry, view: &View) -> IndexShards {
    let placement = &entry.placement;
    let pool = view.readable_for(entry);
    let copies = |shard: ShardId| {
        let state = shard_state(entry, shard, &pool);
        ShardCopies {
            shard,
            readable: state == ShardState::Readable,
            state,
            groups: placement
                .groups()
                .map(|(group, table)| GroupCopies { group, nodes: table.replicas(shard).to_vec() })
                .collect(),
        }
    };
    IndexShards {
        uid: entry.uid.clone(),
        physical_uid: entry.physical.clone(),
        shard_count: placement.shard_count().get(),
        shards: placement.shard_count().shards().map(copies).collect(),
    }
}
