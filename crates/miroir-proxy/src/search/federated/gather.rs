//! Asking the nodes of one index, all at once, and others for the shards of those that do not answer.

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use miroir_core::cover::{CoverPart, Shortfall};
use miroir_core::error::ErrorCode;
use miroir_core::search::{Batch, IndexPlan, read_reply};
use miroir_core::view::View;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Gathered, Outcome};
use crate::node_api::{Node, NodeReply, NodeRequest, questions};

/// Asks a node as one server of a network asks another: each hit then says by what it compares.
const AS_SERVER: HeaderName = HeaderName::from_static("meili-proxy-search");

/// So many requests of one search are made to a node at once: there can be one for each query.
const REQUESTS_AT_ONCE: usize = 32;

/// The answers to a batch: for each node the answers to all of its requests.
pub(super) type Answers = Gathered<Vec<Map<String, Value>>>;

/// Why a node did not answer one request.
enum NoReply {
    Refused(NodeReply),
    Failed,
}

/// Makes a batch of the requests of one index; see [`FanOut::run`](crate::cluster::FanOut::run).
pub(super) async fn run_gather(cluster: &Cluster, view: &View, plan: &IndexPlan, batch: &Batch) -> Answers {
    let Some(entry) = view.index(&plan.uid) else {
        let shortfall = Shortfall { missing: plan.shards.shards().collect(), ..Shortfall::default() };
        return Gathered { replies: Vec::new(), shortfall, refusal: None };
    };
    let parts = (plan.cover.parts.clone(), plan.cover.missing.clone());
    let send = |part| ask_part(cluster, plan, batch, part).boxed();
    cluster.search_over(view, entry).run(parts, |cover| cover.parts, send).await
}

/// All requests to one node; if one of them fails the node's shards are asked for elsewhere, all of them.
async fn ask_part(
    cluster: &Cluster,
    plan: &IndexPlan,
    batch: &Batch,
    part: CoverPart,
) -> Outcome<Vec<Map<String, Value>>> {
    let Some(node) = cluster.membership.node(&part.node) else { return Outcome::Failed };
    let requests = plan.bodies(&part, batch).into_iter().map(|body| ask(cluster, &node, body.to_string()));
    let requests: Vec<_> = requests.collect();
    match stream::iter(requests).buffered(REQUESTS_AT_ONCE).try_collect().await {
        Ok(replies) => Outcome::Answered(replies),
        Err(NoReply::Refused(reply)) => Outcome::Refused(reply),
        Err(NoReply::Failed) => Outcome::Failed,
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
        return match read_reply(&reply.body) {
            Ok(answer) if says_by_what_hits_compare(&answer) => Ok(answer),
            Ok(_) | Err(_) => {
                cluster.complaints.note(node.id(), &"it answered out of form");
                Err(NoReply::Failed)
            }
        };
    }
    if reply.status.is_client_error() && !reply.is_nodes_fault() {
        return Err(NoReply::Refused(reply));
    }
    cluster.complaints.note(node.id(), &reply.status);
    Err(NoReply::Failed)
}

/// Whether every hit says of which query it is and by what it is merged.
fn says_by_what_hits_compare(answer: &Map<String, Value>) -> bool {
    let is_scored = |hit: &Value| {
        let about = &hit["_federation"];
        about["queriesPosition"].is_u64() && about["weightedScoreValues"].is_array()
    };
    answer.get("hits").and_then(Value::as_array).is_some_and(|hits| hits.iter().all(is_scored))
}

async fn read(cluster: &Cluster, node: &Node, request: NodeRequest) -> Result<NodeReply, NoReply> {
    cluster.read(node, request).await.map_err(|error| {
        cluster.complaints.note(node.id(), &error);
        NoReply::Failed
    })
}

/// Nodes answer other servers only with the feature `network`. It is switched on when it is found off: so a node that
/// is new, or was told of other features meanwhile, needs no bookkeeping.
async fn switch_on(cluster: &Cluster, node: &Node) -> Result<(), NoReply> {
    let on = Map::from_iter([("network".to_owned(), Value::Bool(true))]);
    cluster.ask(node, questions::change_features(&on)).await.map_err(|error| {
        cluster.complaints.note(node.id(), &error);
        NoReply::Failed
    })
}

fn is_feature_missing(reply: &NodeReply) -> bool {
    reply.status.is_client_error()
        && reply.has_code(ErrorCode::FeatureNotEnabled)
        && String::from_utf8_lossy(&reply.body).contains("`network`")
}
