//! Asking the nodes of a plan: a search or something like it, one request for each node.

use futures_util::FutureExt;
use miroir_core::cover::Cover;
use miroir_core::ids::{PhysicalUid, ShardId};
use miroir_core::search::{PartPlan, is_answer, read_reply};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::rounds::{Gathered, Outcome, run_rounds};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::NodeRequest;

/// The answers to a plan, each the object that a node sent.
pub(super) type Answers = Gathered<Map<String, Value>>;

/// Asks the parts of a plan; see [`run_rounds`].
pub(super) async fn run_scatter(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    plan: (Vec<PartPlan>, Vec<ShardId>),
    plan_parts: impl Fn(Cover) -> Vec<PartPlan>,
) -> Result<Answers, RequestError> {
    let send = |part| send_part(cluster, &entry.physical, part).boxed();
    let mut answers = run_rounds(cluster, view, entry, plan, plan_parts, send).await?;
    // Every node repeats the query, which can be long, and one is enough.
    for answer in answers.replies.iter_mut().skip(1) {
        answer.shift_remove("query");
    }
    Ok(answers)
}

async fn send_part(
    cluster: &Cluster,
    physical: &PhysicalUid,
    mut part: PartPlan,
) -> Result<Outcome<Map<String, Value>>, RequestError> {
    let Some(node) = cluster.membership.node(part.node()) else { return Ok(Outcome::Failed) };
    let body = serde_json::to_vec(&part.body).map_err(|error| RequestError::Unreadable(error.to_string()))?;
    // They can be long, and are on their way.
    for sent in ["q", "filter", "vector"] {
        part.body.shift_remove(sent);
    }
    let request =
        NodeRequest::post(["indexes", physical.as_str(), part.route.segment()]).json(body).unchecked();
    match cluster.read(&node, request).await {
        Ok(reply) if reply.status.is_success() => match read_reply(&reply.body) {
            Ok(answer) if is_answer(&part, &answer) => Ok(Outcome::Answered(answer)),
            Ok(_) | Err(_) => {
                cluster.complaints.note(node.id(), &"it answered out of form");
                Ok(Outcome::Failed)
            }
        },
        // The index exists for the cluster, so a node that does not know it, like one that is busy, is the one that
        // can't answer.
        Ok(reply) if reply.status.is_client_error() && !reply.is_nodes_fault() => Ok(Outcome::Refused(reply)),
        Ok(reply) => {
            cluster.complaints.note(node.id(), &reply.status);
            Ok(Outcome::Failed)
        }
        Err(error) => {
            cluster.complaints.note(node.id(), &error);
            Ok(Outcome::Failed)
        }
    }
}
