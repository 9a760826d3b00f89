//! Sending indexes to another Meilisearch: settings as clients set them, documents without markers, vectors included.
//!
//! The log stands still, so a node's order of documents does too: a shard is read page by page from one of its nodes. If
//! that fails another node begins the shard anew; documents that arrive twice are the same.

use miroir_core::document::marker;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::{NodeId, ShardId, TaskUid};
use miroir_core::relation;
use miroir_core::search::confine;
use miroir_core::task::{DEFAULT_PAYLOAD_SIZE, Export, ExportedIndexes, LogEntry, TaskStatus};
use miroir_core::view::IndexEntry;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Errands;
use super::remote::{Remote, Watch};
use crate::node_api::{DocumentsPage, NodeReply, Unanswered, questions, scrub_reply};
use crate::transfer::read_page;

/// Documents that are read from a node at a time.
const PAGE: usize = 500;

impl Errands {
    /// The task says what was sent of each index.
    pub(super) async fn export(
        &self,
        entry: &LogEntry,
        export: &Export,
    ) -> Result<Map<String, Value>, ResponseError> {
        let remote = Remote::new(export);
        let limit = export.payload_size.unwrap_or(DEFAULT_PAYLOAD_SIZE);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let features = self.store.features().await;
        let features =
            features.map_err(|error| ResponseError::new(ErrorCode::Internal, error.to_string()))?;
        let related = features.get(relation::SETTING) == Some(&true);
        let mut sent = Map::new();
        for index in self.view.load().indexes.values() {
            let Some(choice) = export.choice(index.uid.as_str()) else { continue };
            if let Some(fault) = choice.filter.as_ref().filter(|_| related).and_then(relation::unsupported) {
                let message = format!("Index `{}`: {fault}", index.uid);
                return Err(ResponseError::new(ErrorCode::InvalidDocumentFilter, message));
            }
            let transfer = Transfer { errands: self, task: entry.uid, remote: &remote, index, choice, limit };
            transfer.prepare().await?;
            let count = transfer.send_documents().await?;
            sent.insert(index.uid.to_string(), choice.details(Some(count)));
        }
        Ok(Map::from_iter([("indexes".to_owned(), Value::Object(sent))]))
    }
}

/// One index on its way.
struct Transfer<'a> {
    errands: &'a Errands,
    task: TaskUid,
    remote: &'a Remote<'a>,
    index: &'a IndexEntry,
    choice: &'a ExportedIndexes,
    /// Bytes of documents in one request, unless one document has more.
    limit: usize,
}

/// Why a shard was not read from a node.
enum Broken {
    /// Another node may do better.
    Node(String),
    /// It would be the same everywhere.
    Task(ResponseError),
}

impl From<ResponseError> for Broken {
    fn from(error: ResponseError) -> Self {
        Self::Task(error)
    }
}

impl Watch for Transfer<'_> {
    async fn check(&self) -> Result<(), ResponseError> {
        match self.errands.store.task(self.task).await {
            Ok(Some(task)) if task.status == TaskStatus::Canceled => {
                Err(ResponseError::new(ErrorCode::Internal, "The export was canceled."))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(ResponseError::new(ErrorCode::Internal, error.to_string())),
        }
    }
}

impl Transfer<'_> {
    /// Makes the index on the other server. One that is there already keeps its settings unless the client wants otherwise.
    async fn prepare(&self) -> Result<(), ResponseError> {
        let uid = &self.index.uid;
        let primary_key = &self.index.primary_key;
        let path = format!("indexes/{uid}");
        let is_there = self.remote.has_index(uid.as_str(), self).await?;
        if !is_there {
            let body = json!({ "uid": uid, "primaryKey": primary_key });
            self.remote.change(Method::POST, "indexes", &body, self).await?;
        } else if self.choice.override_settings {
            self.remote.change(Method::PATCH, &path, &json!({ "primaryKey": primary_key }), self).await?;
        }
        if !is_there || self.choice.override_settings {
            let settings = Value::Object(self.index.settings.as_whole());
            self.remote.change(Method::PATCH, &format!("{path}/settings"), &settings, self).await?;
        }
        Ok(())
    }

    async fn send_documents(&self) -> Result<u64, ResponseError> {
        let mut count = 0;
        for shard in self.index.shards.shards() {
            count += self.send_shard(shard).await?;
        }
        Ok(count)
    }

    async fn send_shard(&self, shard: ShardId) -> Result<u64, ResponseError> {
        let mut reason = "no node that holds them can be read".to_owned();
        for node in self.index.placement.all_replicas(shard) {
            if !self.errands.view.load().in_sync_for(&self.index.physical).contains(node) {
                continue;
            }
            match self.send_from(node, shard).await {
                Ok(count) => return Ok(count),
                Err(Broken::Task(error)) => return Err(error),
                Err(Broken::Node(why)) => {
                    tracing::warn!(%node, %shard, why, "export: asking another node");
                    reason = format!("node `{node}`: {why}");
                }
            }
        }
        let message =
            format!("Failed to read the documents of shard {shard} of index `{}`: {reason}.", self.index.uid);
        Err(ResponseError::new(ErrorCode::MiroirShardUnavailable, message))
    }

    async fn send_from(&self, node: &NodeId, shard: ShardId) -> Result<u64, Broken> {
        let mut sent = 0;
        let mut lines = Vec::new();
        for offset in (0..).step_by(PAGE) {
            let page = self.page(node, shard, offset).await?;
            let documents = read_page(page.bytes()).map_err(|error| Broken::Node(error.to_string()))?;
            let count = documents.len();
            let mut full = Vec::new();
            for document in documents {
                let mut line = Vec::new();
                document.without_markers().write(&mut line);
                if !lines.is_empty() && lines.len() + line.len() > self.limit {
                    full.push(std::mem::take(&mut lines));
                }
                lines.append(&mut line);
            }
            for lines in full {
                self.remote.add_documents(self.index.uid.as_str(), lines, self).await?;
            }
            sent += count as u64;
            if count < PAGE {
                break;
            }
        }
        if !lines.is_empty() {
            self.remote.add_documents(self.index.uid.as_str(), lines, self).await?;
        }
        Ok(sent)
    }

    async fn page(&self, node: &NodeId, shard: ShardId, offset: usize) -> Result<DocumentsPage, Broken> {
        let mut body = Map::new();
        body.insert("filter".to_owned(), json!(self.choice.filter));
        body.insert("offset".to_owned(), json!(offset));
        body.insert("limit".to_owned(), json!(PAGE));
        body.insert("retrieveVectors".to_owned(), json!(true));
        if let Some(shard) = marker::selection_filter([shard], self.index.shards) {
            confine(&mut body, shard);
        }
        let node = self
            .errands
            .membership
            .node(node)
            .ok_or_else(|| Broken::Node("it is not configured".to_owned()))?;
        let page = node.ask(questions::documents(&self.index.physical, &body), self.errands.timeout);
        page.await.map_err(|error| match error {
            Unanswered::Refused(reply) if !reply.is_nodes_fault() => {
                Broken::Task(refusal(&scrub_reply(reply, self.index)))
            }
            error => Broken::Node(error.to_string()),
        })
    }
}

/// What a node has against the filter.
fn refusal(reply: &NodeReply) -> ResponseError {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| {
        ResponseError::new(ErrorCode::Internal, format!("A node answered {}.", reply.status))
    })
}
