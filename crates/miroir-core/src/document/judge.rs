//! What a batch of documents amounts to when its turn in the log comes.
//!
//! One Meilisearch takes a payload as a whole or not at all: the primary key is chosen by its first document, and one
//! document without a usable id fails the rest. Each node sees a part only, so the whole is judged here, with
//! Meilisearch's own messages, before any part is delivered.

mod geo;
mod scan;
mod vectors;

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

pub use self::geo::{judge_coordinates, uses_coordinates};
use self::scan::{BadValue, scan};
pub use self::vectors::VectorLengths;
use super::id::{IdError, print_json};
use super::payload::Payload;
use crate::error::{ErrorCode, ResponseError};
use crate::hash::shard_of;
use crate::ids::{IndexUid, ShardCount, ShardId};

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

/// Why a batch is refused as a whole: the error of its task. The client's fault each time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No primary key, and no field that could be it.
    #[error(
        "The primary key inference failed as the engine did not find any field ending with `id` in its name. \
         Please specify the primary key manually using the `primaryKey` query parameter."
    )]
    NoKeyCandidate,
    /// No primary key, and several fields that could be it.
    #[error(
        "The primary key inference failed as the engine found {count} fields ending with `id` in their names: \
         '{first}' and '{second}'. Please specify the primary key manually using the `primaryKey` query parameter."
    )]
    SeveralKeyCandidates {
        /// How many fields could be it.
        count: usize,
        /// The first of them in byte order.
        first: String,
        /// The second of them in byte order.
        second: String,
    },
    /// The client names another key than the index has.
    #[error("Index already has a primary key: `{0}`.")]
    KeyAlreadyExists(String),
    /// A document without the key.
    #[error("Document doesn't have a `{primary_key}` attribute: `{document}`.")]
    MissingId {
        /// The key.
        primary_key: String,
        /// The whole document, printed.
        document: String,
    },
    /// A document in which the key, a path, leads to several values.
    #[error("Document have too many matching `{primary_key}` attribute: `{document}`.")]
    TooManyIds {
        /// The key.
        primary_key: String,
        /// The whole document, printed.
        document: String,
    },
    /// A document whose id is no id.
    #[error(
        "Document identifier `{0}` is invalid. A document identifier can be of type integer or string, only composed of \
         alphanumeric characters (a-z A-Z 0-9), hyphens (-) and underscores (_), and can not be more than 511 bytes."
    )]
    InvalidId(String),
    /// More different fields than an index can have. The limit is one higher than Meilisearch's message says.
    #[error("A document cannot contain more than 65,535 fields.")]
    TooManyFields,
    /// A document whose `_vectors` is no object.
    #[error("Index `{index_uid}`: {reason}")]
    VectorsNotAnObject {
        /// The index as the client names it.
        index_uid: IndexUid,
        /// The parser's message.
        reason: String,
    },
    /// A document with a vector that is not as long as its embedder's are.
    #[error("Index `{index_uid}`: {reason}")]
    WrongVectorLength {
        /// The index as the client names it.
        index_uid: IndexUid,
        /// What is wrong where.
        reason: String,
    },
    /// A document whose `_geo` is no pair of coordinates.
    #[error("Index `{index_uid}`: {reason}")]
    BadCoordinates {
        /// The index as the client names it.
        index_uid: IndexUid,
        /// What is wrong, and with which document.
        reason: String,
    },
    /// A document that is JSON by its form but can't be read, such as one with a number out of range.
    #[error("Index `{index_uid}`: internal: {reason}.")]
    Unreadable {
        /// The index as the client names it.
        index_uid: IndexUid,
        /// The parser's message.
        reason: String,
    },
}

impl BatchError {
    /// The code that clients see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NoKeyCandidate => ErrorCode::IndexPrimaryKeyNoCandidateFound,
            Self::SeveralKeyCandidates { .. } => ErrorCode::IndexPrimaryKeyMultipleCandidatesFound,
            Self::KeyAlreadyExists(_) => ErrorCode::IndexPrimaryKeyAlreadyExists,
            Self::MissingId { .. } => ErrorCode::MissingDocumentId,
            Self::TooManyIds { .. } | Self::InvalidId(_) => ErrorCode::InvalidDocumentId,
            Self::WrongVectorLength { .. } => ErrorCode::InvalidVectorDimensions,
            Self::TooManyFields => ErrorCode::MaxFieldsLimitExceeded,
            Self::BadCoordinates { .. } => ErrorCode::InvalidDocumentGeoField,
            Self::VectorsNotAnObject { .. } | Self::Unreadable { .. } => ErrorCode::Internal,
        }
    }

    fn of_id(error: IdError, primary_key: &str, document: &[u8], index_uid: &IndexUid) -> Self {
        let primary_key = primary_key.to_owned();
        let print = || print_json(&String::from_utf8_lossy(document));
        match error {
            IdError::Missing => Self::MissingId { primary_key, document: print() },
            IdError::TooMany => Self::TooManyIds { primary_key, document: print() },
            IdError::Invalid(id) => Self::InvalidId(id),
            IdError::Unreadable(error) => Self::unreadable(&error, index_uid),
        }
    }

    fn of_value(error: &BadValue, index_uid: &IndexUid) -> Self {
        match error {
            BadValue::Unreadable(error) => Self::unreadable(error, index_uid),
            BadValue::VectorsNotAnObject(error) => {
                Self::VectorsNotAnObject { index_uid: index_uid.clone(), reason: error.to_string() }
            }
        }
    }

    fn unreadable(error: &serde_json::Error, index_uid: &IndexUid) -> Self {
        Self::Unreadable { index_uid: index_uid.clone(), reason: error.to_string() }
    }
}

impl From<BatchError> for ResponseError {
    fn from(error: BatchError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Judges a batch for an index that has `known_key`, when the client asked for `requested_key`.
///
/// An error of an id or of the number of fields comes before one of a value, as on Meilisearch, which reads the ids of a
/// whole batch before it looks at anything else.
pub fn judge_batch(
    payload: &Payload,
    known_key: Option<&str>,
    requested_key: Option<&str>,
    index_uid: &IndexUid,
) -> Result<JudgedBatch, BatchError> {
    let Some(first_document) = payload.iter().next() else {
        let primary_key = known_key.or(requested_key).map(str::to_owned);
        return Ok(JudgedBatch { primary_key, ids: DocumentIds::default(), distinct_ids: 0 });
    };
    let primary_key = match (known_key, requested_key) {
        (Some(known), Some(requested)) if known != requested => {
            return Err(BatchError::KeyAlreadyExists(known.to_owned()));
        }
        (Some(key), _) | (None, Some(key)) => key.to_owned(),
        (None, None) => infer_key(first_document, index_uid)?,
    };
    let ids = read_ids(payload, &primary_key, index_uid)?;
    let distinct_ids = ids.iter().collect::<HashSet<_>>().len() as u64;
    Ok(JudgedBatch { primary_key: Some(primary_key), ids, distinct_ids })
}

fn read_ids(payload: &Payload, primary_key: &str, index_uid: &IndexUid) -> Result<DocumentIds, BatchError> {
    let mut ids = DocumentIds::default();
    let mut names = HashSet::new();
    let mut bad_value = None;
    for document in payload.iter() {
        let scanned = scan(document, primary_key, &mut names)
            .map_err(|error| BatchError::unreadable(&error, index_uid))?;
        if names.len() > MAX_FIELDS {
            return Err(BatchError::TooManyFields);
        }
        let id = scanned.id.finish();
        ids.push(&id.map_err(|error| BatchError::of_id(error, primary_key, document, index_uid))?);
        bad_value = bad_value.or(scanned.bad_value);
    }
    match bad_value {
        Some(error) => Err(BatchError::of_value(&error, index_uid)),
        None => Ok(ids),
    }
}

/// The shard of each document of the batch, in its order.
pub fn partition(batch: &JudgedBatch, shards: ShardCount) -> Vec<ShardId> {
    batch.ids.iter().map(|id| shard_of(id, shards)).collect()
}

/// The one field of a document that can be the primary key.
fn infer_key(document: &[u8], index_uid: &IndexUid) -> Result<String, BatchError> {
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_slice(document).map_err(|error| BatchError::unreadable(&error, index_uid))?;
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
mod tests;
