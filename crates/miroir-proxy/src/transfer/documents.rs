//! Documents of some shards of one index: what the target has of them against what a peer has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::document::marker::selection_filter;
use miroir_core::ids::ShardId;
use miroir_core::view::IndexEntry;
use serde_json::{Map, json};

use super::TransferError;
use super::progress::{Progress, Ticket};
use super::stored::{StoredDocument, read_page};
use super::target::{Target, Work, ask};
use crate::node_api::{DocumentsPage, Node, questions};

/// Bytes of an answer with documents, about.
const PAGE: usize = 4 << 20;

/// Documents of the first page, and of any.
const FIRST_PAGE: usize = 100;
const LONGEST_PAGE: usize = 20_000;

/// So many times as many documents are in the next page at most.
const GROWTH: usize = 8;

/// Bytes of documents that are sent at a time, about.
const BODY: usize = 8 << 20;

/// Ids that are deleted at a time.
const DELETED: usize = 50_000;

/// The hashes of documents by id. They have some 30 bytes a document here, whatever the documents' size.
type Hashes = HashMap<String, u64>;

/// Some shards of an index that one peer has.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) index: &'a IndexEntry,
    pub(super) primary_key: &'a str,
    pub(super) peer: &'a Node,
    pub(super) shards: Vec<ShardId>,
    pub(super) ticket: Arc<Ticket>,
}

/// Whether the target may have documents of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    /// It has no such index.
    Nothing,
    /// It may.
    Something,
}

/// How many documents to ask for, so that an answer has about the right size whatever the documents' size: vectors make
/// them larger than anything that a node tells of them.
#[derive(Debug, Clone, Copy)]
struct PageSize(usize);

impl PageSize {
    fn after(self, documents: usize, bytes: usize) -> Self {
        let fitting = (PAGE * documents).checked_div(bytes).unwrap_or(LONGEST_PAGE);
        Self(fitting.clamp(1, self.0.saturating_mul(GROWTH).min(LONGEST_PAGE)))
    }
}

impl From<bool> for There {
    fn from(is_there: bool) -> Self {
        if is_there { Self::Something } else { Self::Nothing }
    }
}

impl Part<'_> {
    /// Makes the target's documents of these shards those of the peer: what differs is in its queue when this returns.
    pub(super) async fn copy(&self, target: &Target, there: There) -> Result<(), TransferError> {
        let mut known = match there {
            There::Nothing => Hashes::new(),
            There::Something => self.hashes(target).await?,
        };
        let mut body = Vec::new();
        let mut documents = 0;
        let mut pages = Pages::of(self, target, self.peer);
        while let Some(page) = pages.next().await? {
            let mut same = 0;
            let read = self.documents(page.bytes())?;
            pages.turn(page.bytes(), read.len());
            for (id, document) in read {
                if known.remove(&id) == Some(document.hash()) {
                    same += 1;
                } else {
                    document.write(&mut body);
                    documents += 1;
                }
            }
            target.progress.add_documents(same);
            if body.len() >= BODY {
                self.send(target, std::mem::take(&mut body), std::mem::take(&mut documents)).await?;
            }
        }
        if !body.is_empty() {
            self.send(target, body, documents).await?;
        }
        self.delete(target, known.into_keys().collect()).await
    }

    async fn hashes(&self, target: &Target) -> Result<Hashes, TransferError> {
        let mut known = Hashes::new();
        let mut pages = Pages::of(self, target, target.node());
        while let Some(page) = pages.next().await? {
            let read = self.documents(page.bytes())?;
            pages.turn(page.bytes(), read.len());
            known.extend(read.into_iter().map(|(id, document)| (id, document.hash())));
        }
        Ok(known)
    }

    /// The documents of a page with their ids.
    fn documents<'p>(&self, page: &'p [u8]) -> Result<Vec<(String, StoredDocument<'p>)>, TransferError> {
        let page = read_page(page).map_err(|error| TransferError::Unreadable(error.to_string()))?;
        let documents = page.into_iter().map(|document| {
            let id = document.id(self.primary_key);
            let id = id.ok_or_else(|| TransferError::NoId(self.index.physical.clone()))?;
            Ok((id, document))
        });
        documents.collect()
    }

    async fn send(&self, target: &Target, body: Vec<u8>, documents: u64) -> Result<(), TransferError> {
        let work = Work { documents, ticket: Some(Arc::clone(&self.ticket)) };
        target.put(questions::add_documents(&self.index.physical, self.primary_key, body), work).await
    }

    async fn delete(&self, target: &Target, gone: Vec<String>) -> Result<(), TransferError> {
        for ids in gone.chunks(DELETED) {
            let work = Work { documents: 0, ticket: Some(Arc::clone(&self.ticket)) };
            target.put(questions::delete_documents(&self.index.physical, ids), work).await?;
        }
        Ok(())
    }
}

/// Makes a node's documents of some shards of an index those of a peer. Nothing else may be written there meanwhile.
///
/// # Errors
/// When a node does not answer, refuses a question, or fails a task.
pub async fn copy_documents(
    (node, peer): (&Node, &Node),
    (index, primary_key): (&IndexEntry, &str),
    shards: Vec<ShardId>,
    timeout: Duration,
) -> Result<(), TransferError> {
    let progress = Progress::new();
    let target = Target::new(node.clone(), timeout, Arc::clone(&progress));
    let part = Part { index, primary_key, peer, shards, ticket: progress.ticket() };
    let work = async {
        part.copy(&target, There::Something).await?;
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

/// The pages of a node's documents of a part.
struct Pages<'a> {
    part: &'a Part<'a>,
    target: &'a Target,
    node: &'a Node,
    offset: usize,
    size: PageSize,
    is_over: bool,
}

impl<'a> Pages<'a> {
    const fn of(part: &'a Part<'a>, target: &'a Target, node: &'a Node) -> Self {
        Self { part, target, node, offset: 0, size: PageSize(FIRST_PAGE), is_over: false }
    }

    /// The next page; none after the last one.
    async fn next(&mut self) -> Result<Option<DocumentsPage>, TransferError> {
        if self.is_over {
            return Ok(None);
        }
        let Part { index, shards, .. } = self.part;
        let mut query = Map::new();
        query.insert("filter".to_owned(), json!([selection_filter(shards.iter().copied(), index.shards)]));
        query.insert("offset".to_owned(), json!(self.offset));
        query.insert("limit".to_owned(), json!(self.size.0));
        query.insert("retrieveVectors".to_owned(), json!(true));
        let question = questions::documents(&index.physical, &query);
        Ok(Some(ask(self.node, question, self.target.timeout()).await?))
    }

    /// The page that was got had so many documents.
    fn turn(&mut self, page: &[u8], documents: usize) {
        self.offset += documents;
        self.is_over = documents < self.size.0;
        self.size = self.size.after(documents, page.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_until_they_have_the_right_bytes_and_shrink_for_large_documents() {
        let small = PageSize(FIRST_PAGE).after(100, 100_000);
        assert_eq!(small.0, 800);
        assert_eq!(small.after(800, 800_000).0, 4194);
        assert_eq!(PageSize(LONGEST_PAGE).after(20_000, 1000).0, LONGEST_PAGE);
        assert_eq!(PageSize(800).after(800, 80 << 20).0, 40);
        assert_eq!(PageSize(40).after(1, 80 << 20).0, 1);
        assert_eq!(PageSize(40).after(0, 50).0, 1);
    }
}
