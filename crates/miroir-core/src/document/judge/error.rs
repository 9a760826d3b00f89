//! Why a batch is refused: codes and messages of Meilisearch 1.50 (`crates/milli/src/error.rs`).

use serde_json::{Map, Value};

use super::missing::MissingVectors;
use super::vectors::{EmbeddingsError, ShapeError};
use crate::document::id::{IdError, print_json};
use crate::error::{ErrorCode, ResponseError};
use crate::ids::IndexUid;

/// Why a batch is refused as a whole: the error of its task. The client's fault each time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// An id that can't be read, nor a document without an id. With the parser's message, in the form in which it is
    /// printed when Meilisearch crashes.
    #[error("{CRASH}{0}")]
    Crash(String),
    /// A document that can't be read where its id is looked for. With the parser's message.
    #[error("{0}")]
    UnreadableId(String),
    /// A value that can't be indexed.
    #[error("{}{error}", error.prefix(index_uid))]
    Value {
        /// The index as the client names it.
        index_uid: IndexUid,
        /// What is wrong with the value.
        error: ValueError,
    },
}

/// How the error of a task begins that made Meilisearch crash.
const CRASH: &str =
    "An unexpected crash occurred when processing the task: called `Result::unwrap()` on an `Err` value: ";

/// What is wrong with a value in a document.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// JSON by its form that can't be read, such as a number out of range. With the parser's message.
    #[error("internal: {0}.")]
    Unreadable(String),
    /// `_vectors` is no object. With the parser's message.
    #[error("{0}")]
    VectorsNotAnObject(String),
    /// What a document brings for an embedder has no form in which vectors come.
    #[error("Bad embedder configuration in the document with id: `{document_id}`. {reason}")]
    VectorsOfNoForm {
        /// The document.
        document_id: String,
        /// What it has for which embedder.
        reason: Box<ShapeError>,
    },
    /// The vectors that a document brings for an embedder are none.
    #[error("Bad embedder configuration in the document with id: `{document_id}`. {reason}")]
    NoVectors {
        /// The document.
        document_id: String,
        /// What it has instead.
        reason: Box<EmbeddingsError>,
    },
    /// A vector is too long or too short for its embedder.
    #[error(
        "Invalid vector dimensions in document with id `{document_id}` in `._vectors.{embedder}`.\n  \
         - note: embedding #{number} has dimensions {found}\n  \
         - note: embedder `{embedder}` requires {expected}"
    )]
    VectorLength {
        /// The document.
        document_id: String,
        /// The embedder.
        embedder: String,
        /// Which of the document's vectors, from 0.
        number: usize,
        /// How many numbers it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Documents without vectors for an embedder that makes none.
    #[error("{0}")]
    MissingVectors(Box<MissingVectors>),
    /// Content of `_vectors` that Meilisearch reads as if nothing could go wrong.
    #[error("{CRASH}Any {{ .. }}")]
    Crash,
    /// `_geo` is no place.
    #[error("{}", reason.message(document_id))]
    Geo {
        /// The document.
        document_id: String,
        /// What it has instead.
        reason: Box<GeoError>,
    },
}

/// How `_geo` fails to be a place.
#[derive(Debug, Clone, PartialEq)]
pub enum GeoError {
    /// It is this.
    NotAnObject(Value),
    /// Besides `lat` and `lng` it has these.
    MoreFields(Map<String, Value>),
    /// `lat` and `lng` are missing.
    Neither,
    /// `lat` is missing.
    NoLatitude,
    /// `lng` is missing.
    NoLongitude,
    /// Neither is a finite number, but `lat` and `lng` are these.
    BadBoth(Box<(Value, Value)>),
    /// `lat` is no finite number but this.
    BadLatitude(Value),
    /// `lng` is no finite number but this.
    BadLongitude(Value),
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
            Self::TooManyFields => ErrorCode::MaxFieldsLimitExceeded,
            Self::Crash(_) | Self::UnreadableId(_) => ErrorCode::Internal,
            Self::Value { error, .. } => error.code(),
        }
    }

    pub(super) fn of_id(error: IdError, primary_key: &str, document: &[u8]) -> Self {
        let primary_key = primary_key.to_owned();
        match error {
            IdError::Missing | IdError::TooMany => match (print_json(document), error) {
                (Err(error), _) => Self::Crash(format!("{error:?}")),
                (Ok(document), IdError::Missing) => Self::MissingId { primary_key, document },
                (Ok(document), _) => Self::TooManyIds { primary_key, document },
            },
            IdError::Invalid(id) => Self::InvalidId(id),
            IdError::Crash(error) => Self::Crash(format!("{error:?}")),
            IdError::Unreadable(error) => Self::UnreadableId(error.to_string()),
        }
    }
}

impl ValueError {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::Unreadable(_) | Self::VectorsNotAnObject(_) | Self::Crash => ErrorCode::Internal,
            Self::VectorsOfNoForm { .. } | Self::NoVectors { .. } => ErrorCode::InvalidVectorsType,
            Self::VectorLength { .. } => ErrorCode::InvalidVectorDimensions,
            Self::MissingVectors(_) => ErrorCode::VectorEmbeddingError,
            Self::Geo { .. } => ErrorCode::InvalidDocumentGeoField,
        }
    }

    /// An ordinary error names its index, a crash does not.
    fn prefix(&self, index_uid: &IndexUid) -> String {
        match self {
            Self::Crash => String::new(),
            _ => format!("Index `{index_uid}`: "),
        }
    }

    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl GeoError {
    fn message(&self, document_id: &str) -> String {
        let document = format!("the document with the id: `{}`", Value::from(document_id));
        match self {
            Self::NotAnObject(value) => format!(
                "The `_geo` field in {document} is not an object. Was expecting an object with the `_geo.lat` and \
                 `_geo.lng` fields but instead got `{value}`."
            ),
            Self::MoreFields(fields) => format!(
                "The `_geo` field in {document} contains the following unexpected fields: `{}`.",
                Value::Object(fields.clone())
            ),
            Self::Neither => format!(
                "Could not find latitude nor longitude in {document}. Was expecting `_geo.lat` and `_geo.lng` fields."
            ),
            Self::NoLatitude => {
                format!("Could not find latitude in {document}. Was expecting a `_geo.lat` field.")
            }
            Self::NoLongitude => {
                format!("Could not find longitude in {document}. Was expecting a `_geo.lng` field.")
            }
            Self::BadBoth(values) => format!(
                "Could not parse latitude nor longitude in {document}. Was expecting finite numbers but instead got \
                 `{}` and `{}`.",
                values.0, values.1
            ),
            Self::BadLatitude(value) => format!(
                "Could not parse latitude in {document}. Was expecting a finite number but instead got `{value}`."
            ),
            Self::BadLongitude(value) => format!(
                "Could not parse longitude in {document}. Was expecting a finite number but instead got `{value}`."
            ),
        }
    }
}

impl From<BatchError> for ResponseError {
    fn from(error: BatchError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
