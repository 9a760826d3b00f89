//! Listing documents, with a filter or without.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::arrival::ArrivalBook;
use miroir_core::document::fields::FieldSelection;
use miroir_core::document::paths::is_path;
use miroir_core::document::{canonical_id, marker};
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use miroir_core::search::{order_documents, select_listed, sort_criteria};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::arranged::Arranged;
use super::counts::count_by_markers;
use super::replica::ask_replica;
use super::window::{Stretch, plan_stretches};
use super::{Reader, met, unreadable};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{DocumentsPage, Question, questions};

/// Meilisearch's default page.
const DEFAULT_LIMIT: u64 = 20;

/// So many stretches of one listing are asked for at once: an index may have more shards than its nodes have room to
/// search in.
const STRETCHES_AT_ONCE: usize = 16;

/// With more fields than this one stretch is asked for at a time: each request names all of them.
const LONG: usize = 10_000;

/// What a client wants listed, in the shape of `POST /indexes/{uid}/documents/fetch`.
#[derive(Debug, Clone)]
pub struct ListingRequest {
    /// Without the ids and the fields.
    pub(super) body: Map<String, Value>,
    /// The client's fields, each once. There can be millions.
    fields: Arc<FieldSelection>,
    /// The client's ids, each of which a document could have. There can be a million, so each node gets its own.
    ids: Option<Arc<[String]>>,
    pub(super) offset: u64,
    pub(super) limit: u64,
    /// Fields that nodes are asked for beside the client's, since some have not met a path that the client names.
    pub(super) beside: Vec<String>,
}

impl ListingRequest {
    /// `None` when a node must say what is wrong with the window.
    pub fn parse(mut body: Map<String, Value>) -> Option<Self> {
        // The network is Miroir's; nodes are asked for what they have.
        body.shift_remove("useNetwork");
        let count = |key: &str, default| match body.get(key) {
            None | Some(Value::Null) => Some(default),
            Some(value) => value.as_u64(),
        };
        let (offset, limit) = (count("offset", 0)?, count("limit", DEFAULT_LIMIT)?);
        // Where some of them can't be any they stay as they are: a node says so.
        let ids = body.get("ids").and_then(Value::as_array);
        let mut is_new = first_times();
        let ids =
            ids.map(|ids| ids.iter().map(canonical_id).filter(|id| id.as_ref().is_none_or(&mut is_new)));
        let ids: Option<Arc<[String]>> = ids.and_then(Iterator::collect);
        if ids.is_some() {
            body.shift_remove("ids");
        }
        // `*` is a name like any other here; where a query says `*` there are none.
        let fields = match body.shift_remove("fields") {
            Some(Value::Array(names)) => FieldSelection::Only(texts(names).filter(first_times()).collect()),
            other => {
                // What is no list a node has to see.
                body.extend(other.map(|other| ("fields".to_owned(), other)));
                FieldSelection::All
            }
        };
        Some(Self { body, fields: Arc::new(fields), ids, offset, limit, beside: Vec::new() })
    }

    /// The client's ids; `None` for all documents, or if some can't be any.
    pub(super) fn ids(&self) -> Option<&[String]> {
        self.ids.as_deref()
    }

    /// The ids that each shard has to look for.
    fn ids_by_shard(&self, entry: &IndexEntry) -> Option<BTreeMap<ShardId, Vec<&str>>> {
        let mut shares: BTreeMap<ShardId, Vec<&str>> = BTreeMap::new();
        for id in self.ids()? {
            shares.entry(shard_of(id, entry.shards)).or_default().push(id);
        }
        Some(shares)
    }

    /// The client's offset and limit, as places in a list.
    pub(super) fn window(&self) -> (usize, usize) {
        let places = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (places(self.offset), places(self.limit))
    }

    /// So many stretches are asked for at once.
    fn stretches_at_once(&self) -> usize {
        match &*self.fields {
            FieldSelection::Only(names) if names.len() > LONG => 1,
            _ => STRETCHES_AT_ONCE,
        }
    }

    fn is_sorted(&self) -> bool {
        self.body.get("sort").and_then(Value::as_array).is_some_and(|sort| !sort.is_empty())
    }

    /// The request with what nodes say of the paths that the client names.
    async fn meet(&self, cluster: &Cluster, view: &View, entry: &IndexEntry) -> Self {
        let mut request = self.clone();
        if let FieldSelection::Only(names) = &*self.fields
            && names.iter().any(|name| is_path(name))
        {
            let paths: Vec<String> = names.iter().filter(|name| is_path(name)).cloned().collect();
            let met = met(cluster, view, entry, &paths).await;
            let meant = names.iter().filter(|name| met.means_something(name)).cloned();
            request.fields = Arc::new(FieldSelection::Only(meant.collect()));
            request.beside = met.beside();
        }
        request
    }

    /// The fields of these documents that the client asked for.
    pub(super) fn select(
        &self,
        documents: impl Iterator<Item = Map<String, Value>>,
    ) -> Vec<Map<String, Value>> {
        documents.map(|document| select_listed(&self.fields, document)).collect()
    }

    /// Also asks for these fields, and for what stands for paths that a node has not met, where not all are asked for.
    pub(super) fn add_fields<'a>(
        &self,
        body: &mut Map<String, Value>,
        fields: impl Iterator<Item = &'a str>,
    ) {
        if let FieldSelection::Only(names) = &*self.fields {
            let mut asked: Vec<Value> = names.iter().chain(&self.beside).map(|name| json!(name)).collect();
            asked.extend(fields.map(Value::from));
            body.insert("fields".to_owned(), Value::Array(asked));
        }
    }

    /// The question for one stretch of one shard; `ids` are those of it.
    fn to_shard(
        &self,
        entry: &IndexEntry,
        stretch: Stretch,
        ids: Option<&[&str]>,
    ) -> Question<DocumentsPage> {
        let mut body = self.body.clone();
        self.add_fields(&mut body, std::iter::empty());
        body.insert("offset".to_owned(), json!(stretch.offset));
        body.insert("limit".to_owned(), json!(stretch.limit));
        body.extend(ids.map(|ids| ("ids".to_owned(), json!(ids))));
        if let Some(shard) = marker::selection_filter([stretch.shard], entry.shards) {
            miroir_core::search::confine(&mut body, shard);
        }
        questions::documents(&entry.physical, &body)
    }
}

fn texts(values: Vec<Value>) -> impl Iterator<Item = String> {
    values.into_iter().filter_map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Whether a text comes for the first time. What came already is known by a hash whose key nobody else knows, so that texts of
/// which there may be millions are in memory once.
fn first_times() -> impl FnMut(&String) -> bool {
    let keys = [RandomState::new(), RandomState::new()];
    let mut seen = HashSet::new();
    move |text| seen.insert(keys.each_ref().map(|key| key.hash_one(text)))
}

/// A page of documents.
#[derive(Debug)]
pub struct Listing {
    /// The documents, without Miroir's fields.
    pub results: Vec<Value>,
    /// As asked for.
    pub offset: u64,
    /// As asked for.
    pub limit: u64,
    /// All documents that match.
    pub total: u64,
}

/// Lists documents: sorted as asked, else in their order of arrival if there is a book of it, else shard by shard.
pub async fn list_documents(
    of: &Reader<'_>,
    request: &ListingRequest,
    book: Option<&ArrivalBook>,
) -> Result<Listing, RequestError> {
    let request = &request.meet(of.cluster, of.view, of.entry).await;
    let (results, total) = if let Some(arranged) = arranged_page(of, request, book).await? {
        arranged
    } else if request.is_sorted() {
        sorted_page(of, request).await?
    } else {
        let counts = count_shards(of, request).await?;
        let stretches = plan_stretches(&counts, request.offset, request.limit);
        let pages = fetch_all(of, request, &stretches).await?;
        let documents = pages.into_iter().flat_map(|page| page.documents);
        (request.select(documents), counts.iter().map(|(_, count)| count).sum())
    };
    let results = results.into_iter().map(without_markers).collect();
    Ok(Listing { results, offset: request.offset, limit: request.limit, total })
}

/// A page in the order of the book, if that can be.
async fn arranged_page(
    of: &Reader<'_>,
    request: &ListingRequest,
    book: Option<&ArrivalBook>,
) -> Result<Option<(Vec<Map<String, Value>>, u64)>, RequestError> {
    let (Some(book), Some(primary_key)) = (book, of.entry.primary_key.as_deref()) else { return Ok(None) };
    // Ids that can't be any: a node says so.
    let names_none = request.ids().map_or(request.body.contains_key("ids"), <[String]>::is_empty);
    if names_none {
        return Ok(None);
    }
    Arranged { of, request, book, primary_key }.list().await
}

fn without_markers(mut document: Map<String, Value>) -> Value {
    marker::strip_document(&mut document);
    Value::Object(document)
}

/// The first documents of every shard, merged. Its cost grows with the offset, as sorting does on one server.
async fn sorted_page(
    of: &Reader<'_>,
    request: &ListingRequest,
) -> Result<(Vec<Map<String, Value>>, u64), RequestError> {
    let wanted = request.offset.saturating_add(request.limit);
    let criteria = sort_criteria(&request.body);
    let mut read = request.clone();
    read.beside.extend(criteria.iter().map(|criterion| criterion.field().to_owned()));
    read.beside.extend(of.entry.primary_key.clone());
    let stretches: Vec<_> =
        of.entry.shards.shards().map(|shard| Stretch { shard, offset: 0, limit: wanted }).collect();
    let pages = fetch_all(of, &read, &stretches).await?;
    let total = pages.iter().map(|page| page.total).sum();
    let merged = order_documents(
        &criteria,
        of.entry.primary_key.as_deref(),
        pages.into_iter().map(|page| page.documents).collect(),
    );
    let (offset, limit) = request.window();
    Ok((request.select(merged.into_iter().skip(offset).take(limit)), total))
}

/// How many matching documents each shard has.
async fn count_shards(
    of: &Reader<'_>,
    request: &ListingRequest,
) -> Result<Vec<(ShardId, u64)>, RequestError> {
    let unfiltered = request.body.get("filter").is_none_or(Value::is_null);
    let shards: Vec<ShardId> = match request.ids() {
        Some(ids) => {
            let mut shards: Vec<_> = ids.iter().map(|id| shard_of(id, of.entry.shards)).collect();
            if shards.is_empty() {
                // Whatever else is wrong a node says.
                shards.extend(of.entry.shards.shards().next());
            }
            shards.sort_unstable();
            shards.dedup();
            shards
        }
        // A request that is wrong must fail even where the markers' counts would do.
        None if unfiltered && !request.body.contains_key("ids") => {
            return count_by_markers(of).await;
        }
        None => of.entry.shards.shards().collect(),
    };
    let nothing: Vec<_> = shards.iter().map(|&shard| Stretch { shard, offset: 0, limit: 0 }).collect();
    let pages = fetch_all(of, request, &nothing).await?;
    Ok(shards.into_iter().zip(pages.into_iter().map(|page| page.total)).collect())
}

/// One shard's part of a listing.
struct ShardPage {
    documents: Vec<Map<String, Value>>,
    total: u64,
}

async fn fetch_all(
    of: &Reader<'_>,
    request: &ListingRequest,
    stretches: &[Stretch],
) -> Result<Vec<ShardPage>, RequestError> {
    let shares = request.ids_by_shard(of.entry);
    let of_shard = |shard| shares.as_ref().map(|shares| shares.get(&shard).map_or(&[][..], Vec::as_slice));
    let ask = |stretch: &Stretch| fetch(of, request, *stretch, of_shard(stretch.shard));
    let pages: Vec<_> = stretches.iter().map(ask).collect();
    stream::iter(pages).buffered(request.stretches_at_once()).try_collect().await
}

async fn fetch(
    of: &Reader<'_>,
    request: &ListingRequest,
    stretch: Stretch,
    ids: Option<&[&str]>,
) -> Result<ShardPage, RequestError> {
    let page = ask_replica(of, stretch.shard, request.to_shard(of.entry, stretch, ids)).await?;
    let read = page.read().map_err(unreadable)?;
    let documents = read.results.iter().map(|text| serde_json::from_str(text.get()));
    let documents = documents.collect::<Result<_, _>>().map_err(unreadable)?;
    Ok(ShardPage { documents, total: read.total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_rid_of_what_it_says_again_and_keeps_its_order() {
        let texts = (0..30_000).map(|number| (number % 7).to_string());
        let kept: Vec<String> = texts.filter(first_times()).collect();
        assert_eq!(kept, ["0", "1", "2", "3", "4", "5", "6"]);
        let ids: Vec<usize> = (0..20_000).map(|number| number % 3).collect();
        let body = json!({ "ids": ids, "fields": vec!["b"; 20_000] });
        let request = ListingRequest::parse(body.as_object().cloned().unwrap()).unwrap();
        assert_eq!(request.ids(), Some(&["0", "1", "2"].map(str::to_owned)[..]));
        assert_eq!(*request.fields, FieldSelection::Only(vec!["b".to_owned()]));
        let star = json!({ "fields": ["*"] }).as_object().cloned().unwrap();
        assert_eq!(*ListingRequest::parse(star).unwrap().fields, FieldSelection::Only(vec!["*".to_owned()]));
        let none = json!({ "fields": null }).as_object().cloned().unwrap();
        assert_eq!(*ListingRequest::parse(none).unwrap().fields, FieldSelection::All);
        let body = json!({ "ids": [1, [], 1], "fields": "a" });
        let request = ListingRequest::parse(body.as_object().cloned().unwrap()).unwrap();
        assert_eq!(
            (request.ids(), &request.body),
            (None, body.as_object().unwrap()),
            "a node says what is wrong"
        );
    }
}
