//! What a batch of documents amounts to when its turn in the log comes.
//!
//! One Meilisearch takes a payload as a whole or not at all: the primary key is chosen by its first document, and one
//! document without a usable id fails the rest. Each node sees a part only, so the whole is judged here, with
//! Meilisearch's own messages, before any part is delivered.

mod demands;
mod error;
mod geo;
mod inspect;
mod merged;
mod missing;
mod scan;
mod values;
mod vectors;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::value::RawValue;

pub use self::demands::Demands;
pub use self::error::{BatchError, GeoError, ValueError};
pub use self::inspect::{InWay, Inspection};
pub use self::missing::MissingVectors;
pub use self::vectors::{EmbeddingsError, ShapeError, ShapeFault};

use self::scan::scan;
use self::values::judge_values;
use super::id::id_of;
use super::payload::{Part, Payload};
use crate::hash::shard_of;
use crate::ids::{IndexUid, ShardCount, ShardId};
use crate::task::WriteMethod;

/// A field whose name ends so, in any case, can be the primary key of an index that has none.
const CANDIDATE_SUFFIX: &str = "id";

/// How many different top-level fields the documents of a batch may have, all together.
const MAX_FIELDS: usize = 65_536;

/// A batch that may be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedBatch {
    /// The primary key that the index has afterwards; none if it had none, the client named none and
    /// the batch holds no document to take it from.
    pub primary_key: Option<String>,
    /// The canonical id of each document of the payload, in its order.
    pub ids: DocumentIds,
    /// How many different documents the batch writes: the `indexedDocuments` of its task.
    pub distinct_ids: u64,
}

/// Ids in one piece of text, each found by its end: a batch may hold millions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentIds {
    text: String,
    ends: Vec<usize>,
}

impl DocumentIds {
    /// The ids in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ends.push(self.text.len());
    }
}

impl<'a> FromIterator<&'a str> for DocumentIds {
    fn from_iter<I: IntoIterator<Item = &'a str>>(ids: I) -> Self {
        let mut collected = Self::default();
        ids.into_iter().for_each(|id| collected.push(id));
        collected
    }
}

/// A batch when its turn has come, and all that it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The documents.
    pub payload: &'a Payload,
    /// The index as the client names it.
    pub index_uid: &'a IndexUid,
    /// The primary key that the index has.
    pub known_key: Option<&'a str>,
    /// The one that the client names.
    pub requested_key: Option<&'a str>,
    /// What happens to documents that are there.
    pub method: WriteMethod,
    /// Documents that are not there are left out.
    pub skip_creation: bool,
    /// What the settings ask of documents.
    pub demands: &'a Demands,
    /// Which documents are there.
    pub existing: Existing<'a>,
}

/// What is known of the documents that an index holds when a batch's turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing<'a> {
    /// There are none.
    None,
    /// Nobody was asked.
    Unknown,
    /// Of those that were asked for, these are there.
    These(&'a BTreeSet<String>),
}

/// Whether a document exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    New,
    Exists,
    Unknown,
}

impl Existing<'_> {
    fn presence(self, id: &str) -> Presence {
        match self {
            Self::Unknown => Presence::Unknown,
            Self::These(ids) if ids.contains(id) => Presence::Exists,
            Self::None | Self::These(_) => Presence::New,
        }
    }
}

/// What is decided about a batch that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It may be applied.
    Accepted(JudgedBatch),
    /// It depends on which of these documents exist.
    DependsOn(BTreeSet<String>),
}

/// What the first look at a batch finds that calls for a second one.
#[derive(Debug, Clone, Copy, Default)]
struct Findings {
    /// Some value can't be read.
    has_unreadable: bool,
    /// Some document has `_vectors`, or a place or shape where the settings ask for one.
    has_special: bool,
}

/// Judges a batch.
///
/// An error of an id or of the number of fields comes before one of a value, as on Meilisearch, which reads the ids of a
/// whole batch before it looks at anything else.
pub fn judge_batch(batch: &Batch<'_>) -> Result<Judged, BatchError> {
    let (known, requested) = (batch.known_key, batch.requested_key);
    let Some(first_document) = batch.payload.iter().next() else {
        let primary_key = known.or(requested).map(str::to_owned);
        return Ok(Judged::Accepted(JudgedBatch {
            primary_key,
            ids: DocumentIds::default(),
            distinct_ids: 0,
        }));
    };
    let primary_key = match (known, requested) {
        (Some(known), Some(requested)) if known != requested => {
            return Err(BatchError::KeyAlreadyExists(known.to_owned()));
        }
        (Some(key), _) | (None, Some(key)) => key.to_owned(),
        (None, None) => infer_key(first_document)?,
    };
    let mut findings = Findings::default();
    let ids = read_ids(batch.payload, &primary_key, batch.demands, &mut findings)?;
    let asks = judge_values(batch, &ids, findings)
        .map_err(|error| BatchError::Value { index_uid: batch.index_uid.clone(), error })?;
    if !asks.is_empty() {
        return Ok(Judged::DependsOn(asks));
    }
    let distinct_ids = ids.iter().collect::<HashSet<_>>().len() as u64;
    Ok(Judged::Accepted(JudgedBatch { primary_key: Some(primary_key), ids, distinct_ids }))
}

fn read_ids(
    payload: &Payload,
    primary_key: &str,
    demands: &Demands,
    findings: &mut Findings,
) -> Result<DocumentIds, BatchError> {
    let mut ids = DocumentIds::default();
    let mut names = HashSet::new();
    for document in payload.iter() {
        let search = scan(document, primary_key, &mut names, demands, findings)
            .map_err(|error| BatchError::UnreadableId(error.to_string()))?;
        if names.len() > MAX_FIELDS {
            return Err(BatchError::TooManyFields);
        }
        ids.push(&search.finish().map_err(|error| BatchError::of_id(error, primary_key, document))?);
    }
    Ok(ids)
}

/// The shard of each document of the batch, in its order.
pub fn partition(ids: &DocumentIds, shards: ShardCount) -> Vec<ShardId> {
    ids.iter().map(|id| shard_of(id, shards)).collect()
}

/// For each part the places of its documents that a document of a later part replaces as a whole. Within a part a node
/// sees to it itself.
pub fn replaced_later(payload: &Payload, ids: &DocumentIds, method: WriteMethod) -> Vec<Vec<usize>> {
    if method != WriteMethod::Replace || payload.parts.len() < 2 {
        return Vec::new();
    }
    let ids: Vec<&str> = ids.iter().collect();
    let mut last_part: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    let mut end = ids.len();
    let mut replaced: Vec<Vec<usize>> = Vec::with_capacity(payload.parts.len());
    for (number, part) in payload.parts.iter().enumerate().rev() {
        let start = end - part.len();
        let mut is_replaced =
            |place: &usize| *last_part.entry(ids[start + place]).or_insert(number) != number;
        replaced.push((0..part.len()).filter(&mut is_replaced).collect());
        end = start;
    }
    replaced.reverse();
    replaced
}

/// The shard of each document of one part of a payload that was judged before.
pub fn shards_of_part(
    part: &Part,
    primary_key: &str,
    shards: ShardCount,
) -> Result<Vec<ShardId>, BatchError> {
    let shard_of = |document| {
        let id = id_of(document, primary_key);
        let id = id.map_err(|error| BatchError::of_id(error, primary_key, document))?;
        Ok(shard_of(&id, shards))
    };
    part.iter().map(shard_of).collect()
}

/// The one field of a document that can be the primary key.
fn infer_key(document: &[u8]) -> Result<String, BatchError> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_slice(document).map_err(|error| BatchError::UnreadableId(error.to_string()))?;
    let mut candidates: Vec<String> =
        fields.into_keys().filter(|name| name.to_lowercase().ends_with(CANDIDATE_SUFFIX)).collect();
    match candidates.as_mut_slice() {
        [] => Err(BatchError::NoKeyCandidate),
        [only] => Ok(std::mem::take(only)),
        [first, second, ..] => Err(BatchError::SeveralKeyCandidates {
            first: std::mem::take(first),
            second: std::mem::take(second),
            count: candidates.len(),
        }),
    }
}

#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;
