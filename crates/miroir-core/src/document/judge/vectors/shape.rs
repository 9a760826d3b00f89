//! The form of what a document has for one embedder: `null`, an array, or an object with `regenerate` and perhaps
//! `embeddings`. What the array holds is looked at elsewhere, and only for embedders that exist.
//!
//! The entry is read with the parser that Meilisearch uses and in the same steps: a visitor that gives up early leaves
//! the parser in the middle of the entry, and what the parser says to that is what clients see.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

const NULL: &str = "null";
const FORMS: &str = "an array of floats, an array of arrays of floats, or an object with";

/// What a document has for one embedder.
#[derive(Debug)]
pub(crate) enum Shape<'a> {
    /// `null`: it wants no vectors.
    Nothing,
    /// An array, perhaps of vectors.
    Array(&'a RawValue),
    /// An object.
    Object {
        /// Whether the embedder shall make vectors anew when the document changes.
        regenerate: bool,
        /// Perhaps vectors.
        embeddings: Option<&'a RawValue>,
    },
}

/// An entry of no known form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", fault.message(embedder))]
pub struct ShapeError {
    /// Whose entry it is.
    pub embedder: String,
    /// What is wrong with it.
    pub fault: ShapeFault,
}

/// What is wrong with the form of an entry. With the parser's message where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeFault {
    /// The entry can't be read.
    Unreadable(String),
    /// An element of the array can't be read.
    Element(usize, String),
    /// The name of a field can't be read.
    Name(String),
    /// `regenerate` is no boolean.
    Regenerate(String),
    /// `embeddings` can't be read.
    Embeddings(String),
    /// A field that means nothing.
    UnknownField(String),
    /// `regenerate` is missing.
    NoRegenerate,
    /// A value of another kind.
    WrongKind {
        /// The kind.
        kind: &'static str,
        /// The value, printed.
        value: String,
    },
}

impl ShapeFault {
    fn message(&self, embedder: &str) -> String {
        let entry = format!("`._vectors.{embedder}`");
        match self {
            Self::Unreadable(error) => format!("Could not parse {entry}: {error}"),
            Self::Element(number, error) => {
                format!("Could not parse `._vectors.{embedder}[{number}]`: {error}")
            }
            Self::Name(error) => format!("Could not parse a field at {entry}: {error}"),
            Self::Regenerate(error) => format!("Could not parse `._vectors.{embedder}.regenerate`: {error}"),
            Self::Embeddings(error) => format!("Could not parse `._vectors.{embedder}.embeddings`: {error}"),
            Self::UnknownField(field) => format!(
                "Unexpected field `._vectors.{embedder}.{field}`\n  - note: the allowed fields are `regenerate` and \
                 `embeddings`"
            ),
            Self::NoRegenerate => format!(
                "Missing field `._vectors.{embedder}.regenerate`\n  - note: {entry} must be {FORMS} field `regenerate`"
            ),
            Self::WrongKind { kind, value } => format!(
                "Expected {entry} to be {FORMS} at least the field `regenerate`, but got the {kind} `{value}`"
            ),
        }
    }
}

/// Reads the form of an entry.
pub(crate) fn read_shape<'a>(embedder: &str, entry: &'a RawValue) -> Result<Shape<'a>, ShapeError> {
    let read = match entry.deserialize_any(ShapeVisitor(entry)) {
        Ok(read) => read,
        Err(error) => Err(ShapeFault::Unreadable(error.to_string())),
    };
    read.map_err(|fault| ShapeError { embedder: embedder.to_owned(), fault })
}

struct ShapeVisitor<'a>(&'a RawValue);

fn wrong<'a>(kind: &'static str, value: &impl ToString) -> Result<Shape<'a>, ShapeFault> {
    Err(ShapeFault::WrongKind { kind, value: value.to_string() })
}

impl<'a> Visitor<'a> for ShapeVisitor<'a> {
    type Value = Result<Shape<'a>, ShapeFault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map containing at least `regenerate`, or an array of floats`")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(Shape::Nothing))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut number = 0;
        loop {
            match elements.next_element::<&RawValue>() {
                Ok(Some(_)) => number += 1,
                Ok(None) => return Ok(Ok(Shape::Array(self.0))),
                Err(error) => return Ok(Err(ShapeFault::Element(number, error.to_string()))),
            }
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut regenerate = None;
        let mut embeddings = None;
        loop {
            match fields.next_key::<&str>() {
                Ok(Some("regenerate")) => match fields.next_value() {
                    Ok(value) => regenerate = Some(value),
                    Err(error) => return Ok(Err(ShapeFault::Regenerate(error.to_string()))),
                },
                Ok(Some("embeddings")) => match fields.next_value::<&RawValue>() {
                    Ok(value) if value.get() == NULL => {}
                    Ok(value) => embeddings = Some(value),
                    Err(error) => return Ok(Err(ShapeFault::Embeddings(error.to_string()))),
                },
                Ok(Some(other)) => return Ok(Err(ShapeFault::UnknownField(other.to_owned()))),
                Ok(None) => break,
                Err(error) => return Ok(Err(ShapeFault::Name(error.to_string()))),
            }
        }
        Ok(match regenerate {
            Some(regenerate) => Ok(Shape::Object { regenerate, embeddings }),
            None => Err(ShapeFault::NoRegenerate),
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(wrong("boolean", &value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(wrong("integer", &value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(wrong("integer", &value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(wrong("number", &value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(wrong("string", &value))
    }
}
