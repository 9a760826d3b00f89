//! Asking the nodes of a plan, all at once, and asking others for the shards of those that do not answer. Whatever is
//! asked, a search or something like it, is asked like this.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use miroir_core::cover::{Cover, plan_cover_of};
use miroir_core::ids::{NodeId, PhysicalUid, ShardId};
use miroir_core::search::PartPlan;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, NodeReply, NodeRequest};
use crate::http::HttpError;

/// How often the shards of silent nodes are asked for elsewhere. Each round leaves out the nodes that failed, so more
/// rounds than replicas would find nobody left.
pub(super) const MAX_ROUNDS: usize = 4;

/// What came back. Shards that nobody answered for are data: whether that is an error is decided later.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) replies: Vec<Map<String, Value>>,
    pub(super) missing: Vec<ShardId>,
    /// A node refused the request as the client's fault.
    pub(super) refusal: Option<Refusal>,
}

/// Who refused, and what it said.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: NodeId,
    pub(super) reply: NodeReply,
}

/// What became of one part of the plan.
enum Outcome {
    Answered(Map<String, Value>),
    Refused(NodeReply),
    Failed,
}

/// Asks the parts of a plan. A node that fails is asked no more in this request; other replicas take over its shards,
/// with what `plan_parts` says for them. `missing` are the shards that the plan has no node for.
pub(super) async fn run_scatter(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    (parts, missing): (Vec<PartPlan>, Vec<ShardId>),
    plan_parts: impl Fn(Cover) -> Vec<PartPlan>,
) -> Result<Gathered, HttpError> {
    let mut gathered = Gathered { missing, ..Gathered::default() };
    let mut readable = view.readable.clone();
    let mut parts = parts;
    cluster.metrics.note_fan_out(parts.len());
    for _ in 0..MAX_ROUNDS {
        let unanswered = run_round(cluster, &entry.physical, parts, &mut gathered, &mut readable).await?;
        if unanswered.is_empty() || gathered.refusal.is_some() {
            return Ok(gathered);
        }
        let mut cover = plan_cover_of(&entry.placement, unanswered, &readable, 0);
        gathered.missing.append(&mut cover.missing);
        parts = plan_parts(cover);
        if parts.is_empty() {
            break;
        }
        cluster.metrics.note_retry(parts.len());
    }
    gathered.missing.extend(parts.iter().flat_map(|part| part.cover.shards.iter().copied()));
    gathered.missing.sort_unstable();
    gathered.missing.dedup();
    Ok(gathered)
}

/// Asks all parts at once; returns the shards of those that failed.
async fn run_round(
    cluster: &Cluster,
    physical: &PhysicalUid,
    parts: Vec<PartPlan>,
    gathered: &mut Gathered,
    readable: &mut BTreeSet<NodeId>,
) -> Result<Vec<ShardId>, HttpError> {
    let mut unanswered = Vec::new();
    let outcomes = join_all(parts.iter().map(|part| send_part(cluster, physical, part))).await;
    for (part, outcome) in parts.into_iter().zip(outcomes) {
        match outcome? {
            Outcome::Answered(reply) => gathered.replies.push(reply),
            Outcome::Refused(reply) => {
                gathered.refusal = Some(Refusal { node: part.node().clone(), reply });
            }
            Outcome::Failed => {
                readable.remove(part.node());
                unanswered.extend(part.cover.shards);
            }
        }
    }
    Ok(unanswered)
}

async fn send_part(cluster: &Cluster, physical: &PhysicalUid, part: &PartPlan) -> Result<Outcome, HttpError> {
    let Some(node) = cluster.membership.node(part.node()) else { return Ok(Outcome::Failed) };
    let body = serde_json::to_vec(&part.body).map_err(|error| HttpError::Unreadable(error.to_string()))?;
    let request = NodeRequest::post(format!("/indexes/{physical}{}", part.route.suffix())).json(body);
    match cluster.read(node, request).await {
        Ok(reply) if reply.status.is_success() => match serde_json::from_slice(&reply.body) {
            Ok(Value::Object(answer)) => Ok(Outcome::Answered(answer)),
            Ok(other) => Err(HttpError::Unreadable(format!("the answer is {other}"))),
            Err(error) => Err(HttpError::Unreadable(error.to_string())),
        },
        // The index exists for the cluster, so a node that does not know it, like one that is busy, is the one that
        // can't answer.
        Ok(reply) if reply.status.is_client_error() && !reply.is_nodes_fault() => Ok(Outcome::Refused(reply)),
        Ok(reply) => {
            tracing::warn!(node = %node.id(), status = %reply.status, "node could not search; asking other replicas");
            Ok(Outcome::Failed)
        }
        Err(error) => {
            tracing::warn!(node = %node.id(), %error, "node did not answer a search; asking other replicas");
            Ok(Outcome::Failed)
        }
    }
}
