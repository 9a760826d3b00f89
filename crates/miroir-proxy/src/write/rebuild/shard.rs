//! One shard of one index: what the target has of it against what a peer has.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use miroir_core::document::id::find_id;
use miroir_core::ids::PhysicalUid;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use xxhash_rust::xxh64::Xxh64;

use super::error::RebuildError;
use super::target::Target;
use crate::cluster::{Node, NodeRequest};

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
        let path = format!("/indexes/{index}/documents/delete-batch");
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
        let path = format!("/indexes/{}/documents/fetch", self.index);
        target.fetch(node, NodeRequest::post(path).json(question.to_string())).await
    }

    /// The documents of a page with their ids.
    fn documents<'a>(&self, page: &'a [u8]) -> Result<Vec<(String, Document<'a>)>, RebuildError> {
        let page: Page<'a> = parse(page)?;
        let documents = page.results.into_iter().map(|document| {
            let document = Document::read(document)?;
            let fields = document.0.iter().map(|(name, value)| (&**name, *value));
            let id = find_id(fields, self.primary_key);
            let id = id.ok_or_else(|| RebuildError::NoId(self.index.clone()))?;
            Ok((id, document))
        });
        documents.collect()
    }

    async fn send(&self, target: &Target, body: Vec<u8>) -> Result<u64, RebuildError> {
        let path = format!("/indexes/{}/documents?primaryKey={}", self.index, self.primary_key);
        target.enqueue(NodeRequest::post(path).body("application/x-ndjson", body)).await
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// A document's fields by name: nodes print them in the order in which they met them.
struct Document<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Document<'a> {
    fn read(text: &'a RawValue) -> Result<Self, RebuildError> {
        let mut fields: BTreeMap<Cow<'a, str>, &'a RawValue> = parse(text.get().as_bytes())?;
        // So nodes show a document without vectors, which must not get a field for that.
        if fields.get("_vectors").is_some_and(|vectors| vectors.get() == "{}") {
            fields.remove("_vectors");
        }
        Ok(Self(fields))
    }

    fn hash(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        for (name, value) in &self.0 {
            for part in [name.as_bytes(), value.get().as_bytes()] {
                hash.update(&part.len().to_le_bytes());
                hash.update(part);
            }
        }
        hash.digest()
    }

    /// One line of NDJSON.
    fn write(&self, body: &mut Vec<u8>) {
        body.push(b'{');
        for (place, (name, value)) in self.0.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend(json!(name).to_string().into_bytes());
            body.push(b':');
            body.extend(value.get().as_bytes());
        }
        body.extend(b"}\n");
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, RebuildError> {
    serde_json::from_slice(text).map_err(|error| RebuildError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> (u64, String) {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let document = Document::read(&raw).unwrap();
        let mut body = Vec::new();
        document.write(&mut body);
        (document.hash(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_order_of_fields_and_an_empty_list_of_vectors_make_no_difference() {
        let (hash, line) = document(r#"{"id": 1, "a\"b": [1, 2.50]}"#);
        assert_eq!(line, "{\"a\\\"b\":[1, 2.50],\"id\":1}\n");
        assert_eq!(document(r#"{"a\"b": [1, 2.50], "_vectors": {}, "id": 1}"#).0, hash);
        assert_ne!(document(r#"{"a\"b": [1, 2.5], "id": 1}"#).0, hash);
        assert_ne!(document(r#"{"a\"b": [1, 2.50], "_vectors": {"e": null}, "id": 1}"#).0, hash);
    }
}
