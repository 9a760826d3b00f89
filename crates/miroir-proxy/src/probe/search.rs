//! A search, in whatever form it was asked.
//!
//! A node's complaint about the request that Miroir made of the client's would speak of things that the client never
//! wrote: the shard filter, its column, a longer list of attributes. So a node is asked once more, with exactly what
//! the client sent, and its answer goes back, freed of Miroir's names.

use miroir_core::path::NodePath;
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};

use super::{no_node, refused_by_miroir};
use crate::cluster::{Cluster, Refusal};
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest, scrub_reply};

/// What the client asked of one of the search routes, to be repeated word for word; only what a tenant token adds is
/// added. The route is ours, so that no node is ever asked for a path that a client wrote.
#[derive(Debug, Clone)]
pub struct Original {
    /// Which route of an index it was.
    pub route: &'static str,
    /// What it said.
    pub said: Said,
}

/// What a client said to a search route.
#[derive(Debug, Clone)]
pub enum Said {
    /// With a `GET`: the query of its address.
    Query(String),
    /// With a `POST`: a JSON body.
    Body(bytes::Bytes),
}

impl Original {
    /// A search with this body.
    pub fn search(body: &Map<String, Value>) -> Self {
        Self { route: "search", said: Said::Body(json_bytes(body)) }
    }

    /// The same with a body that a token has confined, and that a `GET` could not carry.
    pub fn confined(self, body: &Map<String, Value>) -> Self {
        Self { said: Said::Body(json_bytes(body)), ..self }
    }

    /// The same request to a node, about this index.
    pub fn to_request(&self, entry: &IndexEntry) -> NodeRequest {
        self.to_request_for(entry.physical.as_str())
    }

    /// The same request about the index of this name.
    pub fn to_request_for(&self, index: &str) -> NodeRequest {
        let path = NodePath::from(["indexes", index, self.route]);
        match &self.said {
            Said::Query(query) => NodeRequest::get(path.with_query(query)),
            Said::Body(body) => NodeRequest::post(path).json(body.clone()),
        }
    }
}

fn json_bytes(body: &Map<String, Value>) -> bytes::Bytes {
    serde_json::to_vec(body).expect("a map of values is JSON").into()
}

/// The error that one Meilisearch would have given. Falls back to the refusal when the node is gone meanwhile.
pub(crate) async fn explain_refusal(
    cluster: &Cluster,
    entry: &IndexEntry,
    original: &Original,
    refusal: &Refusal,
) -> RequestError {
    let Some(node) = cluster.membership.node(&refusal.node) else { return own_words(refusal) };
    match node.send(original.to_request(entry), cluster.node_timeout).await {
        Ok(reply) if reply.status.is_client_error() && !reply.is_nodes_fault() => {
            RequestError::Node(scrub_reply(reply, entry))
        }
        Ok(_) => {
            tracing::error!(refusal = %String::from_utf8_lossy(&refusal.reply.body), "a node refused Miroir's form of a valid search: a fault of Miroir's, worth a report");
            own_words(refusal)
        }
        Err(error) => RequestError::NodeFailed(error),
    }
}

/// Asks any readable node of the index what is wrong with a request that Miroir could not even read.
pub async fn explain(cluster: &Cluster, entry: &IndexEntry, original: &Original) -> RequestError {
    let view = cluster.view.load();
    let pool = view.readable_for(entry);
    let nodes = entry.placement.nodes().filter(|node| pool.contains(node));
    match cluster.ask_first(nodes, &original.to_request(entry), NodeReply::is_nodes_fault).await {
        Some(reply) if reply.status.is_client_error() => RequestError::Node(scrub_reply(reply, entry)),
        Some(reply) => {
            tracing::warn!(status = %reply.status, "a node takes a search that Miroir refuses: a fault of Miroir's, worth a report");
            refused_by_miroir()
        }
        None => no_node(),
    }
}

fn own_words(refusal: &Refusal) -> RequestError {
    RequestError::Unreadable(format!("node `{}` refused Miroir's form of a valid request", refusal.node))
}
