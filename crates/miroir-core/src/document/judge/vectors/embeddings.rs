//! The vectors themselves: an array of numbers, or an array of such arrays.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Shape;
use crate::document::judge::error::ValueError;
use crate::document::judge::scan::read_through;
use crate::error::form::described;

/// Where in a document its vectors stand, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VectorsPlace<'a> {
    pub(crate) embedder: &'a str,
    /// In `embeddings` of an object, not as the entry itself.
    pub(crate) in_object: bool,
}

/// A value where vectors or numbers should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("Invalid value type at `{place}`: expected {expected}, but found {}", described(found))]
pub struct EmbeddingsError {
    /// Where it stands.
    pub place: String,
    /// What should stand there.
    pub expected: &'static str,
    /// What does.
    pub found: Value,
}

/// Why vectors are refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Something else stands in their place.
    Wrong(Box<EmbeddingsError>),
    /// Meilisearch crashes: an object, or a value that can't be read.
    Crash,
}

impl Refusal {
    pub(crate) fn of_document(self, id: &str) -> ValueError {
        match self {
            Self::Wrong(reason) => ValueError::NoVectors { document_id: id.to_owned(), reason },
            Self::Crash => ValueError::Crash,
        }
    }
}

/// How many numbers each of the vectors has.
pub(crate) fn read_lengths(vectors: &RawValue, place: VectorsPlace<'_>) -> Result<Vec<usize>, Refusal> {
    if let Some(length) = count_numbers(vectors) {
        // An empty array is no vector, not one without numbers.
        return Ok(if length == 0 { Vec::new() } else { vec![length] });
    }
    let Some(elements) = elements(vectors) else {
        return Err(place.refuse("", "null or an array", vectors));
    };
    match elements.first().map(|element| Kind::of(element)) {
        Some(Kind::Array) => {
            elements.iter().enumerate().map(|(number, vector)| vector_length(number, vector, place)).collect()
        }
        Some(Kind::Number) => Err(place.refuse_number(&elements, "")),
        Some(Kind::Other) => Err(place.refuse("[0]", "a number or an array", elements[0])),
        None => Ok(Vec::new()),
    }
}

/// Refuses content that can't be read: it is kept for an embedder that may come, and read for that.
pub(crate) fn check_content(shape: &Shape<'_>) -> Result<(), ValueError> {
    let content = match shape {
        Shape::Nothing | Shape::Object { embeddings: None, .. } => return Ok(()),
        Shape::Array(content) | Shape::Object { embeddings: Some(content), .. } => content,
    };
    read_through(content).map_err(|_| ValueError::Crash)
}

fn vector_length(number: usize, vector: &RawValue, place: VectorsPlace<'_>) -> Result<usize, Refusal> {
    if let Some(length) = count_numbers(vector) {
        return Ok(length);
    }
    let path = format!("[{number}]");
    Err(match elements(vector) {
        Some(numbers) => place.refuse_number(&numbers, &path),
        None => place.refuse(&path, "an array", vector),
    })
}

impl VectorsPlace<'_> {
    fn refuse(self, path: &str, expected: &'static str, found: &RawValue) -> Refusal {
        let field = if self.in_object { ".embeddings" } else { "" };
        match serde_json::from_str(found.get()) {
            Ok(found) if !has_object(&found) => Refusal::Wrong(Box::new(EmbeddingsError {
                place: format!("._vectors.{}{field}{path}", self.embedder),
                expected,
                found,
            })),
            _ => Refusal::Crash,
        }
    }

    /// For the first of the elements that is no number.
    fn refuse_number(self, elements: &[&RawValue], path: &str) -> Refusal {
        let wrong = elements.iter().position(|element| serde_json::from_str::<f64>(element.get()).is_err());
        let wrong = wrong.expect("arrays of numbers are never refused");
        self.refuse(&format!("{path}[{wrong}]"), "a number", elements[wrong])
    }
}

fn has_object(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(elements) => elements.iter().any(has_object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Number,
    Other,
}

impl Kind {
    fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'[') => Self::Array,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            _ => Self::Other,
        }
    }
}

fn elements(array: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(array.get()).ok()
}

/// The length of an array of numbers; none for anything else. This is what vectors nearly always are, so nothing is kept.
fn count_numbers(array: &RawValue) -> Option<usize> {
    array.deserialize_any(NumbersVisitor).ok()
}

struct NumbersVisitor;

impl<'a> Visitor<'a> for NumbersVisitor {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while elements.next_element::<f64>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}
