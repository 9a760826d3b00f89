//! Looks through the documents of an index before a change of settings that they may forbid: an embedder for which one has
//! vectors of another length, or none. What one server would refuse is refused before any node hears of it, since nodes
//! without such a document would take it, and can't give their documents back their first form.
//!
//! The log waits for this, as one server does nothing else while it indexes: before, until everything about the index is
//! over, and then for the reading of the fields concerned, shard by shard. Where no replica of a shard tells, nodes
//! decide.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use miroir_core::document::{InWay, Inspection, marker};
use miroir_core::error::ResponseError;
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::search::confine;
use miroir_core::task::{LogEntry, Mutation};
use miroir_core::view::IndexEntry;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::prepared::Prepared;
use super::retry::until_stored;
use super::sequencer::{QUESTION, Sequencer, same_index};
use crate::node_api::{DocumentsPage, InternalSizes, questions};
use crate::transfer::{StoredDocument, read_page};

/// Documents that are read from a node at a time.
const PAGE: usize = 200;

/// What documents say to a change.
pub(super) enum Inspected {
    /// Nothing.
    Free,
    /// It is refused.
    Refused(ResponseError),
    /// That depends on entries before it that are not over.
    MustWait,
}

/// What of a document is looked at, kept until its turn comes.
struct Kept {
    place: usize,
    id: String,
    vectors: Option<Box<RawValue>>,
    geo: Option<Box<RawValue>>,
}

impl Kept {
    fn new(place: usize, id: String, document: &StoredDocument<'_>) -> Self {
        let InWay { vectors, geo } = in_way(document);
        Self { place, id, vectors: vectors.map(ToOwned::to_owned), geo: geo.map(ToOwned::to_owned) }
    }
}

fn in_way<'a>(document: &StoredDocument<'a>) -> InWay<'a> {
    InWay { vectors: document.field("_vectors"), geo: document.field("_geo") }
}

impl Sequencer {
    /// Whether documents are in the way of the entry, if it changes settings.
    pub(super) async fn inspect(
        &self,
        entry: &LogEntry,
        index: &IndexEntry,
        group: &[Prepared],
    ) -> Inspected {
        let Mutation::Settings { patch, .. } = &entry.mutation else { return Inspected::Free };
        let mut after = index.settings.clone();
        after.apply(patch);
        let begin = || Inspection::of(&index.settings, &after);
        let Some(first) = begin().filter(|_| index.primary_key.is_some()) else { return Inspected::Free };
        if self.ledger().head.unsettled(&index.uid).chain(same_index(group, &index.uid)).next().is_some() {
            return Inspected::MustWait;
        }
        let book = until_stored("an order of arrival", || self.store.arrival_book(index.physical.clone()));
        let book = book.await.filter(|book| !book.is_in_doubt());
        let places: Option<BTreeMap<String, usize>> = book
            .as_ref()
            .map(|book| book.places().into_iter().map(|(id, place)| (id.to_owned(), place)).collect());
        let mut readable = self.view.load().in_sync_for(&index.physical);
        let mut next = Some(first);
        while let Some(inspection) = next {
            match self.look_through(inspection, index, &readable, places.as_ref()).await {
                Ok(Some(inspection)) => {
                    let fields = self.near_fields(&inspection, index).await;
                    let fields = fields.iter().map(|(field, count)| (field.as_str(), *count));
                    return inspection.finish(&index.uid, fields).map_or(Inspected::Free, Inspected::Refused);
                }
                Ok(None) => break,
                Err(silent) => {
                    readable.remove(&silent);
                    next = begin();
                }
            }
        }
        tracing::warn!(
            index = %index.uid, task = %entry.uid,
            "the documents of some shard can't be read: nodes decide whether they allow the change of settings"
        );
        Inspected::Free
    }

    /// All documents, or as many as it takes to find fault; in the order of arrival where that is known. None if nobody
    /// has some shard; the error is a node that does not tell.
    async fn look_through(
        &self,
        mut inspection: Inspection,
        index: &IndexEntry,
        readable: &BTreeSet<NodeId>,
        places: Option<&BTreeMap<String, usize>>,
    ) -> Result<Option<Inspection>, NodeId> {
        let mut kept: Vec<Kept> = Vec::new();
        for shard in index.shards.shards() {
            let mut replicas = index.placement.all_replicas(shard);
            let Some(node) = replicas.find(|node| readable.contains(*node)) else { return Ok(None) };
            for offset in (0..).step_by(PAGE) {
                let page = self.page(node, index, &inspection, (shard, offset)).await;
                let Some(documents) = page.as_ref().and_then(|page| read_page(page.bytes()).ok()) else {
                    tracing::warn!(%node, %shard, index = %index.uid, "node does not tell its documents; asking another one");
                    return Err(node.clone());
                };
                let count = documents.len();
                for document in documents {
                    let id =
                        index.primary_key.as_deref().and_then(|key| document.id(key)).unwrap_or_default();
                    if let Some(places) = places {
                        let place = places.get(&id).copied().unwrap_or(usize::MAX);
                        kept.push(Kept::new(place, id, &document));
                    } else {
                        inspection.look_at(&id, in_way(&document));
                    }
                }
                if count < PAGE || inspection.has_found() {
                    break;
                }
            }
            if inspection.has_found() {
                break;
            }
        }
        kept.sort_by_key(|document| document.place);
        for Kept { id, vectors, geo, .. } in &kept {
            inspection.look_at(id, InWay { vectors: vectors.as_deref(), geo: geo.as_deref() });
        }
        inspection.end();
        Ok(Some(inspection))
    }

    async fn page(
        &self,
        node: &NodeId,
        index: &IndexEntry,
        inspection: &Inspection,
        (shard, offset): (ShardId, usize),
    ) -> Option<DocumentsPage> {
        let fields: Vec<&str> = index.primary_key.as_deref().into_iter().chain(inspection.fields()).collect();
        let mut body = Map::new();
        body.insert("fields".to_owned(), json!(fields));
        body.insert("offset".to_owned(), json!(offset));
        body.insert("limit".to_owned(), json!(PAGE));
        body.insert("retrieveVectors".to_owned(), json!(inspection.asks_for_vectors()));
        if let Some(shard) = marker::selection_filter([shard], index.shards) {
            confine(&mut body, shard);
        }
        let question = questions::documents(&index.physical, &body);
        self.membership.node(node)?.ask(question, self.node_timeout).await.ok()
    }

    /// The fields of the index with the number of documents that have them, where a message names some.
    async fn near_fields(&self, inspection: &Inspection, index: &IndexEntry) -> BTreeMap<String, u64> {
        let mut fields = BTreeMap::new();
        if !inspection.lacks_vectors() {
            return fields;
        }
        let Some((id, group)) = index.placement.groups().next() else { return fields };
        let shard = index.shards.shards().next();
        let copies = shard.map_or(1, |shard| index.placement.replicas(id, shard).len() as u64).max(1);
        for stats in
            join_all(group.nodes().iter().map(|node| self.stats(node, index))).await.into_iter().flatten()
        {
            for (field, count) in
                stats.get("fieldDistribution").and_then(Value::as_object).into_iter().flatten()
            {
                *fields.entry(field.clone()).or_insert(0) += count.as_u64().unwrap_or(0);
            }
        }
        for count in fields.values_mut() {
            *count /= copies;
        }
        fields
    }

    async fn stats(&self, node: &NodeId, index: &IndexEntry) -> Option<Map<String, Value>> {
        let question = questions::index_stats(&index.physical, InternalSizes::Hide);
        self.membership.node(node)?.ask(question, QUESTION).await.ok()
    }
}
