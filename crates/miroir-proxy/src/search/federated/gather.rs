//! Asking the nodes of one index, all at once, and others for the shards of those that do not answer.

use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};
use miroir_core::cover::{CoverPart, plan_cover_of};
use miroir_core::error::ErrorCode;
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::search::IndexPlan;
use miroir_core::view::View;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Node, NodeReply, NodeRequest};
use crate::http::HttpError;
use crate::search::scatter::MAX_ROUNDS;

/// Asks a node as one server of a network asks another: each hit then says by what it compares.
const AS_SERVER: HeaderName = HeaderName::from_static("meili-proxy-search");

/// What came back for one index.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// For each node that answered, the answers to its requests.
    pub(super) replies: Vec<Vec<Map<String, Value>>>,
    /// Shards that nobody answered for.
    pub(super) missing: Vec<ShardId>,
    /// A node refused a request as the client's fault.
    pub(super) refused: Option<NodeReply>,
}

/// What became of the requests to one node.
enum Outcome {
    Answered(Vec<Map<String, Value>>),
    Refused(NodeReply),
    Failed,
}

/// Why a node did not answer one request.
enum NoReply {
    Refused(NodeReply),
    Failed,
    Unreadable(String),
}

/// Executes the plan of one index. A node that fails is asked no more; other replicas take over its shards.
pub(super) async fn run_gather(
    cluster: &Cluster,
    view: &View,
    plan: &IndexPlan,
) -> Result<Gathered, HttpError> {
    let Some(entry) = view.index(&plan.uid) else {
        return Ok(Gathered { missing: plan.shards.shards().collect(), ..Gathered::default() });
    };
    let mut gathered = Gathered { missing: plan.cover.missing.clone(), ..Gathered::default() };
    let mut readable = view.readable.clone();
    let mut parts = plan.cover.parts.clone();
    cluster.metrics.note_fan_out(parts.len());
    for _ in 0..MAX_ROUNDS {
        let unanswered = run_round(cluster, plan, parts, &mut gathered, &mut readable).await?;
        if unanswered.is_empty() || gathered.refused.is_some() {
            return Ok(gathered);
        }
        let cover = plan_cover_of(&entry.placement, unanswered, &readable, 0);
        gathered.missing.extend(cover.missing);
        parts = cover.parts;
        if parts.is_empty() {
            break;
        }
        cluster.metrics.note_retry(parts.len());
    }
    gathered.missing.extend(parts.iter().flat_map(|part| part.shards.iter().copied()));
    gathered.missing.sort_unstable();
    gathered.missing.dedup();
    Ok(gathered)
}

/// Asks all parts at once; returns the shards of those that failed.
async fn run_round(
    cluster: &Cluster,
    plan: &IndexPlan,
    parts: Vec<CoverPart>,
    gathered: &mut Gathered,
    readable: &mut BTreeSet<NodeId>,
) -> Result<Vec<ShardId>, HttpError> {
    let mut unanswered = Vec::new();
    let outcomes = join_all(parts.iter().map(|part| ask_part(cluster, plan, part))).await;
    for (part, outcome) in parts.into_iter().zip(outcomes) {
        match outcome? {
            Outcome::Answered(replies) => gathered.replies.push(replies),
            Outcome::Refused(reply) => gathered.refused = Some(reply),
            Outcome::Failed => {
                readable.remove(&part.node);
                unanswered.extend(part.shards);
            }
        }
    }
    Ok(unanswered)
}

/// All requests to one node; if one of them fails the node's shards are asked for elsewhere, all of them.
async fn ask_part(cluster: &Cluster, plan: &IndexPlan, part: &CoverPart) -> Result<Outcome, HttpError> {
    let Some(node) = cluster.membership.node(&part.node) else { return Ok(Outcome::Failed) };
    let requests = plan.bodies(part).into_iter().map(|body| ask(cluster, node, body.to_string()));
    match try_join_all(requests).await {
        Ok(replies) => Ok(Outcome::Answered(replies)),
        Err(NoReply::Refused(reply)) => Ok(Outcome::Refused(reply)),
        Err(NoReply::Failed) => Ok(Outcome::Failed),
        Err(NoReply::Unreadable(what)) => Err(HttpError::Unreadable(what)),
    }
}

async fn ask(cluster: &Cluster, node: &Node, body: String) -> Result<Map<String, Value>, NoReply> {
    let request =
        NodeRequest::post("/multi-search").json(body).header(AS_SERVER, HeaderValue::from_static("true"));
    let mut reply = read(cluster, node, request.clone()).await?;
    if is_feature_missing(&reply) {
        switch_on(cluster, node).await?;
        reply = read(cluster, node, request).await?;
    }
    if reply.status.is_success() {
        return serde_json::from_slice(&reply.body).map_err(|error| NoReply::Unreadable(error.to_string()));
    }
    if reply.status.is_client_error() && !reply.is_nodes_fault() {
        return Err(NoReply::Refused(reply));
    }
    tracing::warn!(node = %node.id(), status = %reply.status, "node could not search; asking other replicas");
    Err(NoReply::Failed)
}

async fn read(cluster: &Cluster, node: &Node, request: NodeRequest) -> Result<NodeReply, NoReply> {
    cluster.read(node, request).await.map_err(|error| {
        tracing::warn!(node = %node.id(), %error, "node did not answer a search; asking other replicas");
        NoReply::Failed
    })
}

/// Nodes answer other servers only with the feature `network`. It is switched on when it is found off: so a node that
/// is new, or was told of other features meanwhile, needs no bookkeeping.
async fn switch_on(cluster: &Cluster, node: &Node) -> Result<(), NoReply> {
    let request = NodeRequest::new(Method::PATCH, "/experimental-features").json(r#"{"network":true}"#);
    let reply = read(cluster, node, request).await?;
    if reply.status.is_success() { Ok(()) } else { Err(NoReply::Failed) }
}

fn is_feature_missing(reply: &NodeReply) -> bool {
    has_code(reply, ErrorCode::FeatureNotEnabled)
        && String::from_utf8_lossy(&reply.body).contains("`network`")
}

fn has_code(reply: &NodeReply, code: ErrorCode) -> bool {
    reply.status.is_client_error()
        && serde_json::from_slice::<Value>(&reply.body).is_ok_and(|error| error["code"] == code.as_str())
}
