//! Documents that are there already, in the way of a change of settings: a new embedder for which one of them has
//! vectors of another length or none, places that begin to be asked for where one is none.
//!
//! A node that holds such a document refuses the change, and one that does not takes it and moves vectors out of its
//! documents, from where they come back in another form. So the documents are looked at before any node hears of it
//! (what is looked at, and in which order: `crates/milli/src/update/new/indexer/extract.rs` of Meilisearch 1.50). Places
//! are looked at in any change: one server fails each while a document has one that is none, whether they are asked for or
//! not. Changes that nothing else can be in the way of are left to the nodes all the same: they change no documents.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::BatchError;
use super::demands::{Demands, EmbedderDemand, GEO, VECTORS};
use super::error::ValueError;
use super::geo::check_geo;
use super::missing::{Counts, MissingVectors, is_nearly_vectors};
use super::values::{EMBEDDED_TOGETHER, Vectors, embed};
use super::vectors::{Entries, read_entries, read_shape};
use crate::error::ResponseError;
use crate::ids::IndexUid;
use crate::settings::ClientSettings;

/// What one embedder that changes asks of documents that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EmbedderChange {
    /// It is new: what documents bring under its name becomes its vectors.
    New(EmbedderDemand),
    /// It made vectors, and now documents must bring them: those that let it make theirs have none.
    MadeVectors,
}

/// A look through the documents of an index for one that forbids a change of its settings.
#[derive(Debug)]
pub struct Inspection {
    embedders: BTreeMap<String, EmbedderChange>,
    together: Together,
    vectors: Option<Fault>,
    places: Option<ValueError>,
}

/// What the first of a document's fields that may be in the way are.
#[derive(Debug, Clone, Copy, Default)]
pub struct InWay<'a> {
    /// `_vectors`, with what the node keeps apart from the document.
    pub vectors: Option<&'a RawValue>,
    /// `_geo`.
    pub geo: Option<&'a RawValue>,
}

/// The documents that Meilisearch looks at together.
#[derive(Debug, Default)]
struct Together {
    documents: usize,
    fault: Option<ValueError>,
    /// Per embedder the first document without a vector, and how many there are.
    missing: BTreeMap<String, (String, usize)>,
}

#[derive(Debug)]
enum Fault {
    Value(ValueError),
    Missing { embedder: String, document_id: String, others: usize },
}

impl Inspection {
    /// None if no document can be in the way of the change.
    pub fn of(before: &ClientSettings, after: &ClientSettings) -> Option<Self> {
        let demands = (Demands::of(before), Demands::of(after));
        let mut embedders = BTreeMap::new();
        for (name, demand) in &demands.1.embedders {
            match demands.0.embedders.get(name) {
                None if demand.is_user_provided || demand.dimensions.is_some() => {
                    embedders.insert(name.clone(), EmbedderChange::New(demand.clone()));
                }
                Some(earlier) if demand.is_user_provided && !earlier.is_user_provided => {
                    embedders.insert(name.clone(), EmbedderChange::MadeVectors);
                }
                None | Some(_) => {}
            }
        }
        let geo = demands.1.geo && !demands.0.geo;
        let asks = geo || !embedders.is_empty();
        let together = Together::default();
        asks.then_some(Self { embedders, together, vectors: None, places: None })
    }

    /// The fields that have to be looked at.
    pub fn fields(&self) -> Vec<&'static str> {
        let vectors = (!self.embedders.is_empty()).then_some(VECTORS);
        vectors.into_iter().chain([GEO]).collect()
    }

    /// Whether the documents' vectors have to be looked at.
    pub fn asks_for_vectors(&self) -> bool {
        !self.embedders.is_empty()
    }

    /// Looks at the next document. The order of arrival is that of Meilisearch.
    pub fn look_at(&mut self, id: &str, document: InWay<'_>) {
        if self.places.is_none() {
            self.places = document.geo.and_then(|geo| check_geo(id, geo.get()).err());
        }
        if self.together.documents == EMBEDDED_TOGETHER {
            self.end_together();
        }
        self.together.documents += 1;
        let entries = self.entries(document.vectors);
        for (name, asked) in &self.embedders {
            let lacks_vectors = match asked {
                EmbedderChange::New(demand) => match embed(id, name, demand, &entries) {
                    Ok(Vectors::None | Vectors::ToBeMade) => demand.is_user_provided,
                    Ok(Vectors::Enough) => false,
                    Err(fault) => {
                        self.together.fault.get_or_insert(fault);
                        false
                    }
                },
                EmbedderChange::MadeVectors => lets_make(document.vectors, name),
            };
            if lacks_vectors {
                let first = || (id.to_owned(), 0);
                self.together.missing.entry(name.clone()).or_insert_with(first).1 += 1;
            }
        }
    }

    /// Forms were looked at when the document came: one of no form is left to the nodes.
    fn entries<'a>(&self, vectors: Option<&'a RawValue>) -> Entries<'a> {
        let entries = vectors.and_then(|vectors| read_entries(vectors).ok()).unwrap_or_default();
        let concerned = entries.into_iter().filter(|(name, _)| self.embedders.contains_key(&**name));
        concerned.filter_map(|(name, entry)| Some((name.clone(), read_shape(&name, entry).ok()?))).collect()
    }

    /// All documents were looked at.
    pub fn end(&mut self) {
        self.end_together();
    }

    fn end_together(&mut self) {
        let Together { fault, missing, .. } = std::mem::take(&mut self.together);
        if self.vectors.is_some() {
            return;
        }
        let missing = missing.into_iter().next().map(|(embedder, (document_id, count))| Fault::Missing {
            embedder,
            document_id,
            others: count - 1,
        });
        self.vectors = fault.map(Fault::Value).or(missing);
    }

    /// Why the change is refused, if it is. `fields` are the index's fields, with the number of documents that have them.
    pub fn finish<'f>(
        mut self,
        index: &IndexUid,
        fields: impl IntoIterator<Item = (&'f str, u64)>,
    ) -> Option<ResponseError> {
        self.end_together();
        let error = match (self.places, self.vectors) {
            (Some(error), _) | (None, Some(Fault::Value(error))) => error,
            (None, Some(Fault::Missing { embedder, document_id, others })) => {
                let mut near = Counts::default();
                for (field, count) in fields.into_iter().filter(|(field, _)| is_nearly_vectors(field)) {
                    near.add_many(field.into(), count);
                }
                let (fields, entries) = (near.all(), Vec::new());
                ValueError::MissingVectors(Box::new(MissingVectors {
                    embedder,
                    document_id,
                    others,
                    fields,
                    entries,
                }))
            }
            (None, None) => return None,
        };
        Some(BatchError::Value { index_uid: index.clone(), error }.into())
    }

    /// Whether it is known that and why the change is refused, whatever is still to be looked at.
    pub fn has_found(&self) -> bool {
        self.places.is_some()
    }

    /// Whether the reason may name fields of the index.
    pub fn lacks_vectors(&self) -> bool {
        matches!(self.vectors, Some(Fault::Missing { .. }))
    }
}

/// Whether a document leaves it to an embedder that it has to make its vectors.
fn lets_make(vectors: Option<&RawValue>, embedder: &str) -> bool {
    let vectors: Value = vectors.and_then(|it| serde_json::from_str(it.get()).ok()).unwrap_or_default();
    vectors[embedder]["regenerate"] != Value::Bool(false)
}
