//! What a document brings in `_vectors`: an object with one entry per embedder, each in one of several forms.

mod embeddings;
mod shape;

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

pub use embeddings::EmbeddingsError;
pub use shape::{ShapeError, ShapeFault};

pub(super) use embeddings::{VectorsPlace, check_content, read_lengths};
pub(super) use shape::{Shape, read_shape};

use super::error::ValueError;
use crate::document::FieldName;

/// What a document has for each embedder.
pub(super) type Entries<'a> = Vec<(Cow<'a, str>, Shape<'a>)>;

/// The entries of `_vectors` in their order. Of a repeated name the last value counts, in the place of the first.
pub(super) fn read_entries(vectors: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, ValueError> {
    vectors.deserialize_map(EntriesVisitor).map_err(|error| ValueError::VectorsNotAnObject(error.to_string()))
}

struct EntriesVisitor;

impl<'a> Visitor<'a> for EntriesVisitor {
    type Value = Vec<(Cow<'a, str>, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut entries: Self::Value = Vec::new();
        while let Some((FieldName(name), value)) = fields.next_entry()? {
            match entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => entries.push((name, value)),
            }
        }
        Ok(entries)
    }
}
