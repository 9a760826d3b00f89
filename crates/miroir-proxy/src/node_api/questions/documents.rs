//! Documents of an index.

use bytes::Bytes;
use miroir_core::document::find_document_id;
use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Question, Unanswered, good, json, number_of_task};
use crate::node_api::NodeRequest;

/// A page of documents, as a node sent it.
#[derive(Debug, Clone)]
pub struct DocumentsPage(Bytes);

/// The documents of a page, not read any further.
#[derive(Debug, Deserialize)]
pub struct DocumentsRead<'a> {
    /// The text of each document.
    #[serde(borrow)]
    pub results: Vec<&'a RawValue>,
    /// How many documents match, on this page and on others.
    pub total: u64,
}

impl DocumentsPage {
    /// Its documents.
    ///
    /// # Errors
    /// When the page is none.
    pub fn read(&self) -> Result<DocumentsRead<'_>, Unanswered> {
        serde_json::from_slice(&self.0).map_err(|_| Unanswered::OutOfForm)
    }

    /// The ids of its documents, in the form that decides about their shards. One that can't be read is left out.
    ///
    /// # Errors
    /// When the page is none.
    pub fn ids(&self, primary_key: &str) -> Result<Vec<String>, Unanswered> {
        Ok(self.read()?.with_ids(primary_key).filter_map(|(id, _)| id).collect())
    }

    /// The answer as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<'a> DocumentsRead<'a> {
    /// Each document with its id, in the form that decides about its shard; none if it has no id that can be read.
    pub fn with_ids(self, primary_key: &str) -> impl Iterator<Item = (Option<String>, &'a RawValue)> {
        self.results.into_iter().map(move |text| (find_document_id(text, primary_key), text))
    }
}

/// Asks for documents; `query` is the body of `POST /indexes/{uid}/documents/fetch`.
pub fn documents(index: &PhysicalUid, query: &Map<String, Value>) -> Question<DocumentsPage> {
    let path = ["indexes", index.as_str(), "documents", "fetch"];
    let body = serde_json::to_vec(query).expect("a map of values is JSON");
    Question::new(NodeRequest::post(path).json(body), |reply| Ok(DocumentsPage(good(reply)?.body)))
}

/// Asks for one document, with a query as it stands in an address.
pub fn document(index: &PhysicalUid, id: &str, query: &str) -> Question<Map<String, Value>> {
    let path = NodePath::from(["indexes", index.as_str(), "documents", id]).with_query(query);
    Question::new(NodeRequest::get(path), json)
}

/// Wants documents added or replaced; `lines` is NDJSON. The answer is the number of the task.
pub fn add_documents(index: &PhysicalUid, primary_key: &str, lines: Vec<u8>) -> Question<u64> {
    let path = NodePath::from(["indexes", index.as_str(), "documents"]).with("primaryKey", primary_key);
    Question::new(NodeRequest::post(path).body("application/x-ndjson", lines), number_of_task)
}

/// Wants documents of these ids deleted; the answer is the number of the task.
pub fn delete_documents(index: &PhysicalUid, ids: &[String]) -> Question<u64> {
    let path = ["indexes", index.as_str(), "documents", "delete-batch"];
    let body = serde_json::to_vec(ids).expect("a list of texts is JSON");
    Question::new(NodeRequest::post(path).json(body), number_of_task)
}

/// Wants the documents deleted that match; the answer is the number of the task.
pub fn delete_documents_by_filter(index: &PhysicalUid, filter: &[String]) -> Question<u64> {
    let path = ["indexes", index.as_str(), "documents", "delete"];
    Question::new(NodeRequest::post(path).json(json!({ "filter": filter }).to_string()), number_of_task)
}
