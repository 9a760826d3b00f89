//! Asking the nodes of a plan: a search or something like it, one request for each node.

use futures_util::FutureExt;
use miroir_core::cover::Cover;
use miroir_core::ids::{PhysicalUid, ShardId};
use miroir_core::search::{PartPlan, is_answer, read_reply};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Gathered, Outcome};
use crate::node_api::NodeRequest;

/// The answers to a plan, each the object that a node sent.
pub(super) type Answers = Gathered<Map<String, Value>>;

/// Asks the parts of a plan; see [`FanOut::run`](crate::cluster::FanOut::run).
pub(super) async fn run_scatter(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    plan: (Vec<PartPlan>, Vec<ShardId>),
    plan_parts: impl Fn(Cover) -> Vec<PartPlan>,
) -> Answers {
    let send = |part| send_part(cluster, &entry.physical, part).boxed();
    let mut answers = cluster.search_over(view, entry).run(plan, plan_parts, send).await;
    // Every node repeats the query, which can be long, and one is enough.
    for answer in answers.replies.iter_mut().skip(1) {
        answer.shift_remove("query");
    }
    answers
}

async fn send_part(
    cluster: &Cluster,
    physical: &PhysicalUid,
    mut part: PartPlan,
) -> Outcome<Map<String, Value>> {
    let Some(node) = cluster.membership.node(part.node()) else { return Outcome::Failed };
    let body = serde_json::to_vec(&part.body).expect("a map of values is JSON");
    // They can be long, and are on their way.
    for sent in ["q", "filter", "vector"] {
        part.body.shift_remove(sent);
    }
    let request =
        NodeRequest::post(["indexes", physical.as_str(), part.route.segment()]).json(body).unchecked();
    match cluster.read(&node, request).await {
        Ok(reply) if reply.status.is_success() => match read_reply(&reply.body) {
            Ok(answer) if is_answer(&part, &answer) => Outcome::Answered(answer),
            Ok(_) | Err(_) => {
                cluster.complaints.note(node.id(), &"it answered out of form");
                Outcome::Failed
            }
        },
        // The index exists for the cluster, so a node that does not know it, like one that is busy, is the one that
        // can't answer.
        Ok(reply) if reply.status.is_client_error() && !reply.is_nodes_fault() => Outcome::Refused(reply),
        Ok(reply) => {
            cluster.complaints.note(node.id(), &reply.status);
            Outcome::Failed
        }
        Err(error) => {
            cluster.complaints.note(node.id(), &error);
            Outcome::Failed
        }
    }
}
