//! Listings of small indexes, in the order in which their documents arrived.
//!
//! Where all documents are wanted the page is cut from the book, and its documents are fetched by their ids while nodes
//! count: if both agree with the book, that is the page. Where the page has room for all that can match, nodes send that.
//! Else nodes tell the ids of all that matches, the page is cut from these, and its documents are fetched. No answer has
//! more documents than the page, or more ids than a book.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::arrival::{ArrivalBook, MOST_DOCUMENTS};
use miroir_core::cover::CoverPart;
use miroir_core::document::marker;
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use miroir_core::search::{Criterion, Listed, arrange_documents, confine, sort_criteria};
use serde_json::{Map, Value, json};

use super::Reader;
use super::counts::count_by_markers;
use super::listing::ListingRequest;
use super::pages::ListedPage;
use super::replica::fetch_documents;
use crate::error::RequestError;
use crate::node_api::DocumentsPage;

#[cfg(test)]
mod tests;

type Document = Map<String, Value>;

/// A listing in the order of a book.
pub(super) struct Arranged<'a> {
    pub(super) of: &'a Reader<'a>,
    pub(super) request: &'a ListingRequest,
    pub(super) book: &'a ArrivalBook,
    pub(super) primary_key: &'a str,
}

/// What nodes are asked to send of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All that the client wants.
    Page,
    /// What tells its place in the book.
    Position,
}

impl Arranged<'_> {
    /// The page and the number of all that match; `None` if the index does not fit its book, or a document has no id.
    pub(super) async fn list(&self) -> Result<Option<(Vec<Document>, u64)>, RequestError> {
        let criteria = sort_criteria(&self.request.body);
        if self.wants_everything()
            && !self.book.is_in_doubt()
            && let Some(listed) = self.cut().await?
        {
            return Ok(Some(listed));
        }
        if self.may_hold_all()
            && let Some(found) = self.find(&criteria, Wanted::Page).await?
        {
            let total = count_documents(&found);
            let page = arrange_documents(&criteria, found, self.book);
            return Ok(Some((self.request.select(page.into_iter().map(|listed| listed.document)), total)));
        }
        let Some(found) = self.find(&criteria, Wanted::Position).await? else { return Ok(None) };
        let total = count_documents(&found);
        let arranged = arrange_documents(&criteria, found, self.book);
        let page = self.page_of(arranged.into_iter().map(|listed| listed.id));
        Ok(Some((self.fetch(&page).await?, total)))
    }

    /// Whether the book alone says what matches, and is longer than the page.
    fn wants_everything(&self) -> bool {
        let is_given = |key| self.request.body.get(key).is_some_and(|value| !value.is_null());
        let names_some = self.request.ids().is_some();
        !self.may_hold_all() && !names_some && !["filter", "ids", "sort"].into_iter().any(is_given)
    }

    /// The page that the book promises; `None` if nodes have other documents than those in the book.
    async fn cut(&self) -> Result<Option<(Vec<Document>, u64)>, RequestError> {
        let page = self.page_of(self.book.ids().map(str::to_owned));
        let counts = count_by_markers(self.of);
        let (documents, counts) = futures_util::future::try_join(self.fetch(&page), counts).await?;
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let agree = documents.len() == page.len() && total == self.book.ids().count() as u64;
        Ok(agree.then_some((documents, total)))
    }

    fn page_of(&self, ids: impl Iterator<Item = String>) -> Vec<String> {
        let (offset, limit) = self.request.window();
        ids.skip(offset).take(limit).collect()
    }

    /// Whether the page has room for every document that may match.
    fn may_hold_all(&self) -> bool {
        let known = self.book.ids().count();
        let most = self.request.ids().map_or(known, |ids| ids.len().min(known));
        self.request.offset == 0 && self.request.limit >= most as u64
    }

    /// Everything that matches, in no order; `None` if that is more than was asked for.
    async fn find(
        &self,
        criteria: &[Criterion],
        wanted: Wanted,
    ) -> Result<Option<Vec<Listed>>, RequestError> {
        let most = MOST_DOCUMENTS as u64;
        let limit = if wanted == Wanted::Page { self.request.limit.min(most) } else { most };
        let mut body = self.request.body.clone();
        body.insert("offset".to_owned(), json!(0));
        body.insert("limit".to_owned(), json!(limit));
        let placing = std::iter::once(self.primary_key).chain(criteria.iter().map(Criterion::field));
        match wanted {
            Wanted::Page => self.request.add_fields(&mut body, placing),
            Wanted::Position => {
                body.shift_remove("retrieveVectors");
                body.insert("fields".to_owned(), placing.collect());
            }
        }
        let shards: Vec<ShardId> = match self.request.ids() {
            Some(ids) => self.shards_of(ids),
            None => self.of.entry.shards.shards().collect(),
        };
        let pages = self
            .ask(shards, |part| {
                let mut body = body.clone();
                self.name_ids(&mut body, self.request.ids(), part);
                let shards = part.shards.iter().copied();
                if let Some(selection) = marker::selection_filter(shards, self.of.entry.shards) {
                    confine(&mut body, selection);
                }
                body
            })
            .await?;
        let mut found = Vec::new();
        for page in &pages {
            let Some(documents) = read_all(page, self.primary_key)? else { return Ok(None) };
            found.extend(documents);
        }
        Ok((found.len() as u64 <= limit).then_some(found))
    }

    /// The documents with these ids, in their order. Those that went away meanwhile are left out.
    async fn fetch(&self, ids: &[String]) -> Result<Vec<Document>, RequestError> {
        let mut body = self.request.body.clone();
        for done in ["filter", "sort"] {
            body.shift_remove(done);
        }
        body.insert("offset".to_owned(), json!(0));
        body.insert("limit".to_owned(), json!(ids.len()));
        self.request.add_fields(&mut body, std::iter::once(self.primary_key));
        let pages = self
            .ask(self.shards_of(ids), |part| {
                let mut body = body.clone();
                self.name_ids(&mut body, Some(ids), part);
                body
            })
            .await?;
        let mut documents = BTreeMap::new();
        for page in &pages {
            for listed in read_all(page, self.primary_key)?.unwrap_or_default() {
                documents.insert(listed.id, listed.document);
            }
        }
        Ok(self.request.select(ids.iter().filter_map(|id| documents.get(id).cloned())))
    }

    /// Has a node look for those ids that are in the shards that it answers for.
    fn name_ids(&self, body: &mut Map<String, Value>, ids: Option<&[String]>, part: &CoverPart) {
        let shards: BTreeSet<ShardId> = part.shards.iter().copied().collect();
        let is_asked = |id: &&String| shards.contains(&shard_of(id, self.of.entry.shards));
        let asked = ids.map(|ids| ids.iter().filter(is_asked).map(String::as_str).collect());
        body.extend(asked.map(|ids| ("ids".to_owned(), ids)));
    }

    async fn ask(
        &self,
        shards: Vec<ShardId>,
        body: impl Fn(&CoverPart) -> Map<String, Value>,
    ) -> Result<Vec<DocumentsPage>, RequestError> {
        fetch_documents(self.of, shards, body).await
    }

    fn shards_of(&self, ids: &[String]) -> Vec<ShardId> {
        let shards: BTreeSet<ShardId> = ids.iter().map(|id| shard_of(id, self.of.entry.shards)).collect();
        shards.into_iter().collect()
    }
}

/// How many documents were found. One that has several values of what is sorted by is listed with each of them.
fn count_documents(found: &[Listed]) -> u64 {
    found.iter().map(|listed| &listed.id).collect::<BTreeSet<_>>().len() as u64
}

/// The documents of an answer; `None` if there are more, or some id can't be read.
fn read_all(page: &DocumentsPage, primary_key: &str) -> Result<Option<Vec<Listed>>, RequestError> {
    let ListedPage { documents, total } = ListedPage::read(page, primary_key)?;
    Ok(documents.filter(|documents| total <= documents.len() as u64))
}
