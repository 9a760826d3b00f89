//! The form of a request.
//!
//! Meilisearch reads the query and the body of a request before it looks at the index uid of the path. So the same
//! request for an index that nobody can have ([`IMPOSSIBLE_UID`](super::IMPOSSIBLE_UID)) is refused for its form, if that is
//! wrong, in exactly the words that one Meilisearch would use, and otherwise for the uid (seen on 1.50).

use miroir_core::error::ErrorCode;
use serde_json::Value;

use super::find_fault;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest};

/// `Err` if a node finds fault with the form of a request about an index that nobody can have, or that is not there.
pub(crate) async fn check_form(cluster: &Cluster, request: NodeRequest) -> Result<(), RequestError> {
    match find_fault(cluster, request, is_about_uid).await {
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}

/// What a node says against a request that Miroir can't read; `otherwise` if none finds fault with it. The request must be
/// one that no node acts on, right or wrong.
pub(crate) async fn refusal(cluster: &Cluster, request: NodeRequest, otherwise: &str) -> RequestError {
    match find_fault(cluster, request, |_| false).await {
        Some(reply) => RequestError::Node(reply),
        None => RequestError::new(ErrorCode::BadRequest, otherwise),
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
