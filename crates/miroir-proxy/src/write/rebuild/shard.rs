//! One shard of one index: what the target has of it against what a peer has.

use std::collections::HashMap;

use bytes::Bytes;
use miroir_core::ids::PhysicalUid;
use serde_json::json;

use super::error::RebuildError;
use super::target::Target;
use crate::cluster::{Node, NodePath, NodeRequest};
use crate::write::stored::{StoredDocument, read_page};

/// Documents that are read at a time.
const PAGE: usize = 1_000;

/// Bytes of documents that are sent at a time, about.
const BODY: usize = 8 << 20;

/// The hashes of documents by id. A shard has some 30 bytes a document here, whatever the documents' size.
type Hashes = HashMap<String, u64>;

/// Makes the target's documents with this marker those of the peer.
pub(super) async fn copy_shard(
    target: &Target,
    peer: &Node,
    index: &PhysicalUid,
    primary_key: &str,
    marker: &str,
) -> Result<(), RebuildError> {
    let shard = Shard { index, primary_key, marker };
    let mut known = Hashes::new();
    for offset in (0..).step_by(PAGE) {
        let page = shard.page(target, target.node(), offset).await?;
        let documents = shard.documents(&page)?;
        known.extend(documents.iter().map(|(id, document)| (id.clone(), document.hash())));
        if documents.len() < PAGE {
            break;
        }
    }
    let mut tasks = Vec::new();
    let mut body = Vec::new();
    for offset in (0..).step_by(PAGE) {
        let page = shard.page(target, peer, offset).await?;
        let count = {
            let documents = shard.documents(&page)?;
            for (id, document) in &documents {
                if known.remove(id) != Some(document.hash()) {
                    document.write(&mut body);
                }
            }
            documents.len()
        };
        if body.len() >= BODY {
            tasks.push(shard.send(target, std::mem::take(&mut body)).await?);
        }
        if count < PAGE {
            break;
        }
    }
    if !body.is_empty() {
        tasks.push(shard.send(target, body).await?);
    }
    if !known.is_empty() {
        let gone: Vec<String> = known.into_keys().collect();
        let path = ["indexes", index.as_str(), "documents", "delete-batch"];
        tasks.push(target.enqueue(NodeRequest::post(path).json(json!(gone).to_string())).await?);
    }
    for task in tasks {
        target.wait_for(task).await?;
    }
    Ok(())
}

/// Which documents are meant.
#[derive(Debug, Clone, Copy)]
struct Shard<'a> {
    index: &'a PhysicalUid,
    primary_key: &'a str,
    marker: &'a str,
}

impl Shard<'_> {
    /// The bytes of one page of a node's documents.
    async fn page(&self, target: &Target, node: &Node, offset: usize) -> Result<Bytes, RebuildError> {
        let filter = format!("{} EXISTS", self.marker);
        let question = json!({ "filter": filter, "offset": offset, "limit": PAGE, "retrieveVectors": true });
        let path = ["indexes", self.index.as_str(), "documents", "fetch"];
        target.fetch(node, NodeRequest::post(path).json(question.to_string())).await
    }

    /// The documents of a page with their ids.
    fn documents<'a>(&self, page: &'a [u8]) -> Result<Vec<(String, StoredDocument<'a>)>, RebuildError> {
        let page = read_page(page).map_err(|error| RebuildError::Unreadable(error.to_string()))?;
        let documents = page.into_iter().map(|document| {
            let id = document.id(self.primary_key);
            let id = id.ok_or_else(|| RebuildError::NoId(self.index.clone()))?;
            Ok((id, document))
        });
        documents.collect()
    }

    async fn send(&self, target: &Target, body: Vec<u8>) -> Result<u64, RebuildError> {
        let path = NodePath::from(["indexes", self.index.as_str(), "documents"]);
        let path = path.with("primaryKey", self.primary_key);
        target.enqueue(NodeRequest::post(path).body("application/x-ndjson", body)).await
    }
}
