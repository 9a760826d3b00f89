//! The form of a request about an index that nobody can have. Most routes here look at the uid at once, and Meilisearch at
//! query and body before.

use miroir_core::error::ErrorCode;
use miroir_core::path::NodePath;

use super::{IMPOSSIBLE_UID, find_fault};
use crate::cluster::Cluster;
use crate::node_api::{NodeReply, NodeRequest};

/// Stands for whatever else a route has a name for, such as a document.
const ANYTHING: &str = "x";

/// The path of a route, such as `/indexes/{index}/documents/{id}`, where it is about an index that nobody can have. Nothing
/// that a client named is in it.
pub(crate) fn at_impossible_index(route: &str) -> NodePath {
    let segments = route.split('/').filter(|segment| !segment.is_empty());
    NodePath::of(segments.map(|segment| match segment {
        "{index}" => IMPOSSIBLE_UID,
        name if name.starts_with('{') => ANYTHING,
        word => word,
    }))
}

/// What a node has against query and body of a request to such a path, which come before the uid.
pub(crate) async fn form_fault_at(cluster: &Cluster, request: NodeRequest) -> Option<NodeReply> {
    find_fault(cluster, request, |reply| {
        // What no route is for is answered without words.
        reply.content_type.is_none() || reply.has_code(ErrorCode::InvalidIndexUid)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_for_nothing_that_the_client_named() {
        let asked = |route| at_impossible_index(route).to_string();
        assert_eq!(asked("/indexes/{index}/documents/{id}"), "/indexes/~/documents/x");
        assert_eq!(asked("/indexes/{index}/settings/stop-words"), "/indexes/~/settings/stop-words");
    }
}
