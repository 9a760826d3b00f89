//! One node holds every index of the request: it is asked what the client asked, and its answer is the answer.

use miroir_core::cover::Shortfall;
use miroir_core::document::marker;
use miroir_core::ids::NodeId;
use miroir_core::search::{MultiRequest, whole_node};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{ABSENT_SUFFIX, NodeReply, NodeRequest};
use crate::probe::{absent, scrub_for_all};
use crate::search::Answer;

/// The node, if there is one. A query that names a server or a place needs the feature `network` on the node, which
/// the way over several nodes sees to.
pub(super) fn node_to_ask(request: &MultiRequest, view: &View) -> Option<NodeId> {
    let needs_network = request.queries.iter().any(|query| {
        query
            .options
            .as_ref()
            .is_some_and(|options| options.remote.is_some() || options.query_position.is_some())
    });
    if needs_network { None } else { whole_node(request, view, &view.usable) }
}

/// Asks node after node until one answers; nothing if none does. Indexes that do not exist are asked for too, by a name that nobody has: the
/// node knows best which of several faults is named first.
pub(super) async fn run_whole(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    first: NodeId,
) -> Result<Option<Answer>, RequestError> {
    let physical = |uid: &_| view.index(uid).map_or_else(|| absent(uid), |entry| entry.physical.to_string());
    let mut request_without_network = request.clone();
    for query in &mut request_without_network.queries {
        query.body.shift_remove("useNetwork");
    }
    let body = request_without_network.written(physical).to_string();
    let mut usable = view.usable.clone();
    let mut node_id = first;
    loop {
        if let Some(node) = cluster.membership.node(&node_id) {
            let asked = NodeRequest::post("/multi-search").json(body.clone());
            match cluster.read(&node, asked).await {
                Ok(reply) if reply.status.is_success() => {
                    cluster.metrics.note_fan_out(1);
                    let answer: Map<String, Value> = serde_json::from_slice(&reply.body)
                        .map_err(|error| RequestError::Unreadable(error.to_string()))?;
                    return Ok(Some(Answer {
                        body: translate(answer, &entries(request, view)),
                        shortfall: Shortfall::default(),
                    }));
                }
                Ok(reply) if !is_nodes_fault(&reply) => {
                    return Err(RequestError::Node(scrub_for_all(reply, entries(request, view).into_iter())));
                }
                Ok(reply) => cluster.complaints.note(&node_id, &reply.status),
                Err(error) => cluster.complaints.note(&node_id, &error),
            }
        }
        usable.remove(&node_id);
        let Some(next) = whole_node(request, view, &usable) else { return Ok(None) };
        cluster.metrics.note_retry(1);
        node_id = next;
    }
}

/// An index that does not exist is asked for by a name that says so; any other that is missing is the node's fault.
fn is_nodes_fault(reply: &NodeReply) -> bool {
    reply.is_unfit()
        || reply.is_nodes_fault()
            && !String::from_utf8_lossy(&reply.body).contains(&format!("{ABSENT_SUFFIX}`"))
}

/// The indexes that the request names, each once.
fn entries<'a>(request: &MultiRequest, view: &'a View) -> Vec<&'a IndexEntry> {
    let facets = request.federation.iter().flat_map(|federation| federation.facets.keys());
    let uids = request.queries.iter().map(|query| &query.index).chain(facets);
    let mut entries: Vec<&IndexEntry> = uids.filter_map(|uid| view.index(uid).map(AsRef::as_ref)).collect();
    entries.sort_by(|a, b| a.uid.cmp(&b.uid));
    entries.dedup_by(|a, b| a.uid == b.uid);
    entries
}

/// The answer with the client's names and without Miroir's fields.
fn translate(mut body: Map<String, Value>, entries: &[&IndexEntry]) -> Map<String, Value> {
    let uid = |physical: &str| {
        let entry = entries.iter().find(|entry| entry.physical.as_str() == physical);
        entry.map_or_else(|| physical.to_owned(), |entry| entry.uid.to_string())
    };
    for hit in body.get_mut("hits").and_then(Value::as_array_mut).into_iter().flatten() {
        let Value::Object(hit) = hit else { continue };
        marker::strip_document(hit);
        if let Some(Value::String(index)) =
            hit.get_mut("_federation").and_then(|about| about.get_mut("indexUid"))
        {
            *index = uid(index);
        }
    }
    if let Some(Value::Object(by_index)) = body.get_mut("facetsByIndex") {
        let mut renamed: Vec<(String, Value)> = std::mem::take(by_index)
            .into_iter()
            .map(|(index, mut facets)| {
                strip_facets(&mut facets["distribution"]);
                strip_facets(&mut facets["stats"]);
                (uid(&index), facets)
            })
            .collect();
        renamed.sort_by(|(a, _), (b, _)| a.cmp(b));
        *by_index = renamed.into_iter().collect();
    }
    for facets in ["facetDistribution", "facetStats"] {
        body.get_mut(facets).map(strip_facets);
    }
    body
}

fn strip_facets(facets: &mut Value) {
    if let Value::Object(facets) = facets {
        facets.retain(|facet, _| !marker::is_reserved(facet));
    }
}
