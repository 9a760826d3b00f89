//! What arrives with a documents route, checked before it is accepted.
//!
//! A payload is read with the parser that Meilisearch uses and in the same steps, because its answers to broken bodies
//! follow from them: an array may have anything after its end, one object may not, and an array whose *last* element is
//! no object is an internal error while one with such an element further in front is a malformed payload.
//!
//! What is accepted is kept as bytes, with the place of every document in them, and in parts: a part is what is stored,
//! read again and sent to a node as one piece, so that nobody ever has to hold more of a large payload.

mod csv;
mod json;
mod part;
mod windows;

use std::fmt;

use bytes::Bytes;

use super::marker;
use crate::error::{ErrorCode, ResponseError};

pub use part::Part;
pub use windows::{Unclear, WINDOW_BYTES, Windows};

/// How much of the beginning and the end of a parser's message a client sees: it may quote the client's own text.
const KEPT_OF_A_MESSAGE: (usize, usize) = (50, 85);
const ELLIPSIS: &str = "...";

/// The formats in which documents may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadFormat {
    /// An array of objects, or one object.
    Json,
    /// A stream of objects; line breaks between them are usual but not needed.
    Ndjson,
    /// A header line, then one document per record.
    Csv {
        /// The byte between two fields.
        delimiter: u8,
    },
}

impl fmt::Display for PayloadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv { .. } => "csv",
        })
    }
}

/// Checked documents in the client's order. A payload without a document, which Meilisearch accepts, has no part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// Pieces of bounded size, none of them empty.
    pub parts: Vec<Part>,
}

impl Payload {
    /// Finds the documents again in the parts of a payload that was accepted before.
    pub fn restore(parts: Vec<Bytes>) -> Result<Self, PayloadError> {
        let mut parts = parts.into_iter().map(Part::restore).collect::<Result<Vec<_>, _>>()?;
        parts.retain(|part| !part.is_empty());
        Ok(Self { parts })
    }

    /// The documents as they stand in the bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().flat_map(Part::iter)
    }

    /// How many documents there are, repeated ids counted each time.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Whether there is no document at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The bytes of all parts together.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }
}

/// Why a payload is refused. The client's fault each time; sending it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No body.
    #[error("A {0} payload is missing.")]
    Missing(PayloadFormat),
    /// Not JSON, or JSON that holds no documents.
    #[error("The `{format}` payload provided is malformed. `Couldn't serialize document value: {reason}`.")]
    MalformedJson {
        /// What the client said it sends.
        format: PayloadFormat,
        /// The parser's message, cut to a bounded length.
        reason: String,
    },
    /// Not CSV, or a value that is not of its column's type.
    #[error("The `csv` payload provided is malformed: `{0}`.")]
    MalformedCsv(String),
    /// A document that is no object. Meilisearch calls this an internal error.
    #[error("{0}")]
    NotAnObject(String),
    /// A field under the prefix that Miroir keeps for itself.
    #[error("Field `{0}` is reserved: names of document fields can't begin with `{prefix}`.", prefix = marker::RESERVED_PREFIX)]
    ReservedField(String),
}

impl PayloadError {
    /// The code that clients see.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) => ErrorCode::MissingPayload,
            Self::MalformedJson { .. } | Self::MalformedCsv(_) => ErrorCode::MalformedPayload,
            Self::NotAnObject(_) => ErrorCode::Internal,
            Self::ReservedField(_) => ErrorCode::BadRequest,
        }
    }

    fn malformed_json(format: PayloadFormat, error: &serde_json::Error) -> Self {
        let reason = if error.is_data() {
            "data are neither an object nor a list of objects".to_owned()
        } else {
            shortened(error.to_string())
        };
        Self::MalformedJson { format, reason }
    }

    /// For an element that was well-formed JSON by itself.
    fn bad_element(format: PayloadFormat, error: &serde_json::Error) -> Self {
        if error.is_data() {
            Self::NotAnObject(error.to_string())
        } else {
            Self::malformed_json(format, error)
        }
    }
}

impl From<PayloadError> for ResponseError {
    fn from(error: PayloadError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Checks a body and finds its documents. One Meilisearch would answer the same to all it refuses, except that it has
/// no reserved fields.
pub fn check_payload(format: PayloadFormat, body: &Bytes) -> Result<Payload, PayloadError> {
    if body.is_empty() {
        return Err(PayloadError::Missing(format));
    }
    match format {
        PayloadFormat::Json => json::split_json(body),
        PayloadFormat::Ndjson => json::split_stream(body),
        PayloadFormat::Csv { delimiter } => csv::convert(delimiter, body),
    }
}

fn shortened(message: String) -> String {
    let (head, tail) = KEPT_OF_A_MESSAGE;
    if message.len() <= head + tail + ELLIPSIS.len() {
        return message;
    }
    let head = message.floor_char_boundary(head);
    let tail = message.ceil_char_boundary(message.len() - tail);
    format!("{}{ELLIPSIS}{}", &message[..head], &message[tail..])
}

#[cfg(test)]
mod tests;
