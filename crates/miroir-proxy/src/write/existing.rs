//! Which documents exist: asked of the nodes where only they can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use miroir_core::document::find_document_id;
use miroir_core::hash::shard_of;
use miroir_core::ids::NodeId;
use miroir_core::view::IndexEntry;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cluster::Membership;
use crate::node_api::NodeRequest;

/// Documents that one request asks for at most.
const ASKED_TOGETHER: usize = 1000;

/// What nodes say of documents.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// Those that exist.
    pub(super) found: BTreeSet<String>,
    /// Those that no replica tells of.
    pub(super) unknown: BTreeSet<String>,
}

impl Existing {
    /// Those that may exist: nodes decide when they get there.
    pub(super) fn possible(mut self) -> BTreeSet<String> {
        self.found.append(&mut self.unknown);
        self.found
    }
}

/// Which of the documents exist on a readable replica of their shard.
pub(super) async fn find_existing(
    membership: &Membership,
    readable: &BTreeSet<NodeId>,
    timeout: Duration,
    index: &IndexEntry,
    ids: &BTreeSet<String>,
) -> Existing {
    let mut readable = readable.clone();
    let mut open: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut existing = Existing::default();
    while !open.is_empty() {
        let mut by_node: BTreeMap<NodeId, Vec<&str>> = BTreeMap::new();
        for id in std::mem::take(&mut open) {
            let mut replicas = index.placement.all_replicas(shard_of(id, index.shards));
            match replicas.find(|node| readable.contains(*node)) {
                Some(node) => by_node.entry(node.clone()).or_default().push(id),
                None => {
                    existing.unknown.insert(id.to_owned());
                }
            }
        }
        let asked = by_node.into_iter().map(async |(node, ids)| {
            let found = ask_node(membership, &node, timeout, index, &ids).await;
            (node, ids, found)
        });
        for (node, ids, found) in join_all(asked).await {
            if let Some(found) = found {
                existing.found.extend(found);
            } else {
                readable.remove(&node);
                open.extend(ids);
            }
        }
    }
    existing
}

/// `None` if the node does not say.
async fn ask_node(
    membership: &Membership,
    node: &NodeId,
    timeout: Duration,
    index: &IndexEntry,
    ids: &[&str],
) -> Option<Vec<String>> {
    let node = membership.node(node)?;
    let primary_key = index.primary_key.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for ids in ids.chunks(ASKED_TOGETHER) {
        let body = json!({ "ids": ids, "fields": [primary_key], "limit": ids.len() }).to_string();
        let request =
            NodeRequest::post(["indexes", index.physical.as_str(), "documents", "fetch"]).json(body);
        match node.send(request, timeout).await {
            // The index is still to be made there.
            Ok(reply) if reply.status == StatusCode::NOT_FOUND => return Some(Vec::new()),
            Ok(reply) if reply.status.is_success() => match read_ids(&reply.body, primary_key) {
                Ok(ids) => found.extend(ids),
                Err(error) => {
                    tracing::warn!(node = %node.id(), %error, "node's list of documents can't be read; asking another copy");
                    return None;
                }
            },
            Ok(reply) => {
                tracing::warn!(node = %node.id(), status = %reply.status, "node can't say which documents exist; asking another copy");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "node does not say which documents exist; asking another copy");
                return None;
            }
        }
    }
    Some(found)
}

#[derive(Deserialize)]
struct Listing<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

fn read_ids(body: &[u8], primary_key: &str) -> Result<Vec<String>, serde_json::Error> {
    let listing: Listing<'_> = serde_json::from_slice(body)?;
    Ok(listing.results.into_iter().filter_map(|document| find_document_id(document, primary_key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_a_listing_whatever_the_primary_key_is() {
        let listing = br#"{"results":[{"id":1},{"id":"b"}],"offset":0,"limit":2,"total":2}"#;
        assert_eq!(read_ids(listing, "id").unwrap(), ["1", "b"]);
        let nested = br#"{"results":[{"a":{"b":7}},{"a.b":"c"}]}"#;
        assert_eq!(read_ids(nested, "a.b").unwrap(), ["7", "c"]);
        assert!(read_ids(br#"{"message":"no"}"#, "id").is_err());
    }
}
