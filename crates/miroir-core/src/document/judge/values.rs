//! The values of a batch in the order in which Meilisearch comes to them: it goes over all documents several times, and
//! the first time that finds fault ends the task (seen on 1.50: `crates/milli/src/update/new/indexer/extract.rs`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::value::RawValue;

use super::demands::{Demands, EmbedderDemand};
use super::error::ValueError;
use super::geo::check_geo;
use super::merged::{Merged, merge};
use super::missing::{Counts, MissingVectors};
use super::vectors::{Entries, Shape, VectorsPlace, check_content, read_entries, read_lengths, read_shape};
use super::{Batch, DocumentIds, Findings, Presence};
use crate::task::WriteMethod;

/// So many documents are embedded together: missing vectors are reported for all of them at once.
pub(super) const EMBEDDED_TOGETHER: usize = 100;

/// Judges the values of a batch whose ids are right. `Ok` with ids: it depends on which of these documents exist.
pub(super) fn judge_values(
    batch: &Batch<'_>,
    ids: &DocumentIds,
    findings: Findings,
) -> Result<BTreeSet<String>, ValueError> {
    if !findings.has_unreadable && !findings.has_special && !batch.demands.needs_vectors() {
        return Ok(BTreeSet::new());
    }
    let all_ids: Vec<&str> = ids.iter().collect();
    let all_documents: Vec<&[u8]> = batch.payload.iter().collect();
    let mut found = ValueFaults::default();
    for versions in effective(&all_ids, batch.method) {
        let id = all_ids[versions[0]];
        let documents = versions.iter().map(|number| all_documents[*number]);
        let document = merge(documents, batch.demands, findings);
        found.add(id, document, batch);
    }
    found.finish(batch.skip_creation)
}

/// The versions of each document that make it up, by their numbers in the payload. Documents come in the order in which
/// Meilisearch takes them: where the version stands that replaces all others, or the first update.
fn effective(ids: &[&str], method: WriteMethod) -> Vec<Vec<usize>> {
    let mut versions: HashMap<&str, Vec<usize>> = HashMap::with_capacity(ids.len());
    for (number, id) in ids.iter().enumerate() {
        let versions = versions.entry(id).or_default();
        if method == WriteMethod::Replace {
            versions.clear();
        }
        versions.push(number);
    }
    let mut documents: Vec<Vec<usize>> = versions.into_values().collect();
    documents.sort_unstable_by_key(|versions| versions[0]);
    documents
}

/// The faults of one document, or the first ones of many, by the time at which Meilisearch would find them.
#[derive(Debug, Default)]
struct Faults {
    /// When it stores documents: the forms of `_vectors`.
    storing: Option<ValueError>,
    /// When it builds facets, places among them.
    faceting: Option<ValueError>,
    /// When it looks for words: everything is read.
    reading: Option<ValueError>,
    /// When it takes vectors.
    embedding: Option<ValueError>,
}

impl Faults {
    fn is_empty(&self) -> bool {
        let Self { storing, faceting, reading, embedding } = self;
        [storing, faceting, reading, embedding].into_iter().all(Option::is_none)
    }
}

/// What one document has for the embedders.
#[derive(Debug, Default)]
struct Embedded<'a> {
    /// Embedders that get no vector from it if it is new.
    missing_if_new: Vec<&'a str>,
    /// Embedders that are to make a vector and can't.
    missing: Vec<&'a str>,
    /// Entries of `_vectors` for no embedder.
    strangers: Vec<Cow<'a, str>>,
}

/// What was found in the documents so far.
#[derive(Debug, Default)]
struct ValueFaults<'a> {
    faults: Faults,
    asks: BTreeSet<String>,
    together: Together<'a>,
    near_fields: Counts<'a>,
    missing: Option<MissingVectors>,
}

/// The documents that are embedded together.
#[derive(Debug, Default)]
struct Together<'a> {
    documents: usize,
    fault: Option<ValueError>,
    /// Per embedder the first document without a vector, and how many there are.
    missing: BTreeMap<&'a str, (String, usize)>,
    strangers: Counts<'a>,
}

impl<'a> ValueFaults<'a> {
    fn add(&mut self, id: &str, document: Merged<'a>, batch: &Batch<'a>) {
        let (faults, embedded) = find_faults(id, &document, batch.demands);
        let presence = batch.existing.presence(id);
        match (batch.skip_creation, presence) {
            // It is left out.
            (true, Presence::New) => return,
            (true, Presence::Unknown) if !faults.is_empty() || !embedded.missing.is_empty() => {
                self.asks.insert(id.to_owned());
                return;
            }
            // Its other faults count whether it exists or not.
            (false, Presence::Unknown) if !embedded.missing_if_new.is_empty() => {
                self.asks.insert(id.to_owned());
            }
            (_, Presence::Unknown | Presence::New | Presence::Exists) => {}
        }
        for field in document.near_fields {
            self.near_fields.add(field);
        }
        let Faults { storing, faceting, reading, embedding } = faults;
        self.faults.storing = self.faults.storing.take().or(storing);
        self.faults.faceting = self.faults.faceting.take().or(faceting);
        self.faults.reading = self.faults.reading.take().or(reading);
        if self.together.documents == EMBEDDED_TOGETHER {
            self.end_together();
        }
        self.together.add(id, embedding, embedded, presence);
    }

    fn end_together(&mut self) {
        let together = std::mem::take(&mut self.together);
        if self.faults.embedding.is_some() || self.missing.is_some() {
            return;
        }
        self.faults.embedding = together.fault;
        if let (None, Some((embedder, (document_id, count)))) =
            (&self.faults.embedding, together.missing.into_iter().next())
        {
            self.missing = Some(MissingVectors {
                embedder: embedder.to_owned(),
                document_id,
                others: count - 1,
                fields: Vec::new(),
                entries: together.strangers.near(embedder),
            });
        }
    }

    fn finish(mut self, skip_creation: bool) -> Result<BTreeSet<String>, ValueError> {
        self.end_together();
        if skip_creation && !self.asks.is_empty() {
            return Ok(self.asks);
        }
        let Faults { storing, faceting, reading, embedding } = self.faults;
        if let Some(fault) = storing.or(faceting).or(reading) {
            return Err(fault);
        }
        if !self.asks.is_empty() {
            return Ok(self.asks);
        }
        match (embedding, self.missing) {
            (Some(fault), _) => Err(fault),
            (None, Some(missing)) => Err(ValueError::MissingVectors(Box::new(MissingVectors {
                fields: self.near_fields.all(),
                ..missing
            }))),
            (None, None) => Ok(BTreeSet::new()),
        }
    }
}

impl<'a> Together<'a> {
    fn add(&mut self, id: &str, fault: Option<ValueError>, embedded: Embedded<'a>, presence: Presence) {
        self.documents += 1;
        self.fault = self.fault.take().or(fault);
        let if_new = embedded.missing_if_new.into_iter().filter(|_| presence == Presence::New);
        for embedder in embedded.missing.into_iter().chain(if_new) {
            self.missing.entry(embedder).or_insert_with(|| (id.to_owned(), 0)).1 += 1;
        }
        for entry in embedded.strangers {
            self.strangers.add(entry);
        }
    }
}

fn find_faults<'a>(id: &str, document: &Merged<'a>, demands: &'a Demands) -> (Faults, Embedded<'a>) {
    let mut faults = Faults {
        faceting: document.geo.and_then(|geo| check_geo(id, geo.get()).err()),
        reading: document.unreadable.first().map(|(_, reason)| ValueError::Unreadable(reason.clone())),
        ..Faults::default()
    };
    let entries = match document.vectors.map(|vectors| read_shapes(id, vectors, demands)).transpose() {
        Ok(entries) => entries.unwrap_or_default(),
        Err(fault) => {
            faults.storing = Some(fault);
            return (faults, Embedded::default());
        }
    };
    let mut embedded = Embedded::default();
    for (name, demand) in &demands.embedders {
        match embed(id, name, demand, &entries) {
            Ok(Vectors::None) if demand.is_user_provided => embedded.missing_if_new.push(name),
            Ok(Vectors::ToBeMade) if demand.is_user_provided => embedded.missing.push(name),
            Ok(Vectors::Enough | Vectors::None | Vectors::ToBeMade) => {}
            Err(fault) => faults.embedding = faults.embedding.take().or(Some(fault)),
        }
    }
    let names = entries.into_iter().map(|(name, _)| name);
    embedded.strangers = names.filter(|name| !demands.embedders.contains_key(&**name)).collect();
    (faults, embedded)
}

/// The forms of all entries, whether there is such an embedder or not. The content of an entry for no embedder is
/// stored like any other value, so it must be one.
fn read_shapes<'a>(id: &str, vectors: &'a RawValue, demands: &Demands) -> Result<Entries<'a>, ValueError> {
    let mut entries = Vec::new();
    for (name, entry) in read_entries(vectors)? {
        let shape = read_shape(&name, entry).map_err(|reason| ValueError::VectorsOfNoForm {
            document_id: id.to_owned(),
            reason: Box::new(reason),
        })?;
        if !demands.embedders.contains_key(&*name) {
            check_content(&shape)?;
        }
        entries.push((name, shape));
    }
    Ok(entries)
}

/// What a document has for one embedder.
pub(super) enum Vectors {
    /// Vectors, or the wish for none.
    Enough,
    /// No word of it.
    None,
    /// The wish that the embedder make some.
    ToBeMade,
}

/// What a document has for an embedder.
pub(super) fn embed(
    id: &str,
    embedder: &str,
    demand: &EmbedderDemand,
    entries: &Entries<'_>,
) -> Result<Vectors, ValueError> {
    let Some((_, shape)) = entries.iter().find(|(name, _)| name == embedder) else {
        return Ok(Vectors::None);
    };
    let (vectors, in_object) = match shape {
        Shape::Nothing | Shape::Object { regenerate: false, embeddings: None } => return Ok(Vectors::Enough),
        Shape::Object { regenerate: true, embeddings: None } => return Ok(Vectors::ToBeMade),
        Shape::Array(vectors) => (*vectors, false),
        Shape::Object { embeddings: Some(vectors), .. } => (*vectors, true),
    };
    let lengths = read_lengths(vectors, VectorsPlace { embedder, in_object })
        .map_err(|refusal| refusal.of_document(id))?;
    let wrong = demand.dimensions.and_then(|expected| {
        let wrong = lengths.iter().enumerate().find(|(_, found)| **found != expected);
        wrong.map(|(number, found)| ValueError::VectorLength {
            document_id: id.to_owned(),
            embedder: embedder.to_owned(),
            number,
            found: *found,
            expected,
        })
    });
    wrong.map_or(Ok(Vectors::Enough), Err)
}
