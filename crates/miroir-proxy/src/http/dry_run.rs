//! Letting a node check the form of a request without acting on it.
//!
//! Meilisearch reads the query and the body of a request before it looks at the index uid of the path. So the same
//! request for an index that nobody can have ([`IMPOSSIBLE_UID`]) is refused for its form, if that is wrong, in exactly the
//! words that one Meilisearch would use, and otherwise for the uid (seen on 1.50).

use miroir_core::error::ErrorCode;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest};

/// No index can be called this.
pub(super) const IMPOSSIBLE_UID: &str = "~";

/// Any index will do: what is asked of it changes nothing.
pub(super) const ANY_INDEX: &str = "miroir";

/// An index could be called this, and none is.
pub(super) const NO_INDEX: &str = "miroir-has-no-such-index";

/// `Err` if a node finds fault with the request's form. When no node can be asked the form is taken as right: nodes
/// judge the write again when it reaches them.
pub(super) async fn check_form(cluster: &Cluster, request: NodeRequest) -> Result<(), RequestError> {
    match ask_any(cluster, request).await {
        Some(reply) if is_about_uid(&reply) || !reply.status.is_client_error() => Ok(()),
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}

/// The first answer that a node gives.
pub(super) async fn ask_any(cluster: &Cluster, request: NodeRequest) -> Option<NodeReply> {
    let view = cluster.view.load();
    cluster.ask_first(view.usable_first_complete(), &request, NodeReply::is_unfit).await
}

/// What a node says against a request that Miroir can't read; `otherwise` if none finds fault with it. The request must be
/// one that no node acts on, right or wrong.
pub(super) async fn refusal(cluster: &Cluster, request: NodeRequest, otherwise: &str) -> RequestError {
    match ask_any(cluster, request).await {
        Some(reply) if reply.status.is_client_error() => RequestError::Node(reply),
        _ => RequestError::new(ErrorCode::BadRequest, otherwise),
    }
}

/// The uid stands in the path; a wrong one in the body would be named `.uid`. That there is no such index says nothing of the
/// form either.
fn is_about_uid(reply: &NodeReply) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else { return false };
    if body["code"] == ErrorCode::IndexNotFound.as_str() {
        return true;
    }
    let names_field = body["message"].as_str().is_some_and(|message| message.contains("`.uid`"));
    body["code"] == ErrorCode::InvalidIndexUid.as_str() && !names_field
}
