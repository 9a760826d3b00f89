//! Letting a node say what is wrong with a request, in Meilisearch's own words, without its acting on it.
//!
//! A node is asked what the client asked, or a part of it, in a way in which it does nothing whatever it finds: about an index
//! that nobody can have or that is not there, or with a fault of ours that it finds after all others. What it has against
//! that is the client's error, unless the fault is ours. When no node can be asked nothing is found: nodes judge a write
//! again when it reaches them.

mod facets;
mod form;
mod invalid_uid;
mod late;
mod multi_search;
mod search;

use miroir_core::error::ErrorCode;

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{Node, NodeReply, NodeRequest};

pub(crate) use self::facets::{with_named_facets, with_named_facets_in_all};
pub(crate) use self::form::{check_form, refusal};
pub(crate) use self::invalid_uid::{at_impossible_index, form_fault_at};
pub(crate) use self::late::{check_deletion_filter, check_late_settings};
pub(crate) use self::multi_search::{
    absent, check_queries_form, explain_access_fault, explain_form, explain_network_fault, explain_query,
    explain_unused_facets, form_fault, inside, missing_index, scrub_for_all, with_error_message,
};
pub(crate) use self::search::{Original, Said, explain, explain_refusal};

/// No index can be called this.
pub(crate) const IMPOSSIBLE_UID: &str = "~";

/// Any index will do: what is asked of it changes nothing.
pub(crate) const ANY_INDEX: &str = "miroir";

/// An index could be called this, and none is.
pub(crate) const NO_INDEX: &str = "miroir-has-no-such-index";

/// The first answer that a node gives.
pub(crate) async fn ask_any(cluster: &Cluster, request: NodeRequest) -> Option<NodeReply> {
    let view = cluster.view.load();
    cluster.ask_first(view.usable_first_complete(), &request, NodeReply::is_unfit).await
}

/// What a node has against the request. A fault of ours, by which it was kept from acting, is none of the client's.
pub(crate) async fn find_fault(
    cluster: &Cluster,
    request: NodeRequest,
    is_ours: impl FnOnce(&NodeReply) -> bool,
) -> Option<NodeReply> {
    as_fault(ask_any(cluster, request).await?).filter(|reply| !is_ours(reply))
}

/// The same of a request that has to be judged by this node, which holds the index that it is about.
async fn find_fault_on(cluster: &Cluster, node: &Node, request: NodeRequest) -> Option<NodeReply> {
    match node.send(request, cluster.node_timeout).await {
        Ok(reply) => as_fault(reply).filter(|reply| !reply.is_unfit()),
        Err(error) => {
            tracing::warn!(%error, "node did not say what is wrong with a request; the answer is less exact");
            None
        }
    }
}

fn as_fault(reply: NodeReply) -> Option<NodeReply> {
    reply.status.is_client_error().then_some(reply)
}

/// The error when there is no node to ask.
pub(crate) fn no_node() -> RequestError {
    RequestError::new(
        ErrorCode::MiroirNodeUnavailable,
        "No node can be read now. Try again when a node is back.",
    )
}

/// Where no node says what is wrong: the nodes are of another version.
fn refused_by_miroir() -> RequestError {
    let message = "A value in the request is not of the form that Meilisearch 1.50 accepts.";
    RequestError::new(ErrorCode::BadRequest, message)
}
