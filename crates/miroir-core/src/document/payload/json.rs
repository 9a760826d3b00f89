//! Finding the documents of a JSON or NDJSON body, without building them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Map, Value};

use super::{Payload, PayloadError, PayloadFormat};
use crate::document::{FieldName, marker};

/// The documents of an array, or the one object.
pub(super) fn split_json(body: &Bytes) -> Result<Payload, PayloadError> {
    match read_array(body) {
        Ok(Ok(found)) => Ok(found?.with_rewritten(body)),
        Ok(Err(error)) => Err(PayloadError::bad_element(PayloadFormat::Json, &error)),
        Err(error) if error.is_data() => read_one_object(body),
        Err(error) => Err(PayloadError::malformed_json(PayloadFormat::Json, &error)),
    }
}

/// The documents of a stream, which are taken as they are: a repeated field stays repeated.
pub(super) fn split_stream(body: &Bytes) -> Result<Payload, PayloadError> {
    let mut found = Documents::in_body(body);
    for element in Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let element = element.map_err(|error| PayloadError::malformed_json(PayloadFormat::Ndjson, &error))?;
        found.add(element).map_err(|error| PayloadError::bad_element(PayloadFormat::Ndjson, &error))?;
    }
    Ok(found.finish()?.unchanged(body))
}

/// The places of the documents of an array that was accepted before.
pub(super) fn find_in_array(body: &[u8]) -> Result<Vec<Range<usize>>, PayloadError> {
    match read_array(body) {
        Ok(Ok(found)) => Ok(found?.places),
        Ok(Err(error)) | Err(error) => Err(PayloadError::malformed_json(PayloadFormat::Json, &error)),
    }
}

/// The places of documents that were accepted before and stand one after the other, with nothing but white space and the
/// commas of an array between them.
pub(super) fn find_in_part(bytes: &[u8]) -> Result<Vec<Range<usize>>, PayloadError> {
    let mut places = Vec::new();
    let mut at = 0;
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    while let Some(gap) = bytes[at..].iter().position(|byte| !is_between(byte)) {
        let start = at + gap;
        let mut rest = Deserializer::from_slice(&bytes[start..]).into_iter::<&RawValue>();
        if let Some(element) = rest.next() {
            element.map_err(|error| PayloadError::malformed_json(PayloadFormat::Ndjson, &error))?;
        }
        at = start + rest.byte_offset();
        places.push(start..at);
    }
    Ok(places)
}

type FoundInArray = Result<Result<FoundDocuments, PayloadError>, serde_json::Error>;

/// The inner errors are about one element, the outermost is about the array.
fn read_array(body: &[u8]) -> Result<FoundInArray, serde_json::Error> {
    let mut found = Documents::in_body(body);
    let elements = Deserializer::from_slice(body).deserialize_seq(ArrayVisitor(&mut found))?;
    Ok(elements.map(|()| found.finish()))
}

/// One object is no array of one: Meilisearch reads it into a tree and goes on with what that prints.
fn read_one_object(body: &[u8]) -> Result<Payload, PayloadError> {
    let malformed = |error| PayloadError::malformed_json(PayloadFormat::Json, &error);
    let document: Map<String, Value> = serde_json::from_slice(body).map_err(malformed)?;
    if let Some(field) = document.keys().find(|field| marker::is_reserved(field)) {
        return Err(PayloadError::ReservedField(field.clone()));
    }
    let bytes = Bytes::from(serde_json::to_vec(&document).map_err(malformed)?);
    let place = 0..bytes.len();
    Ok(Payload::cut(&bytes, vec![place]))
}

/// The documents of a body.
#[derive(Default)]
pub(super) struct FoundDocuments {
    places: Vec<Range<usize>>,
    /// Those in which a field came twice, by their number, written with its last value only.
    rewritten: HashMap<usize, String>,
}

/// The way through a body.
pub(super) struct Documents<'a> {
    body: &'a [u8],
    found: FoundDocuments,
    reserved: Option<String>,
    /// Kept from document to document for its memory.
    seen: HashSet<Cow<'a, str>>,
}

impl<'a> Documents<'a> {
    pub(super) fn in_body(body: &'a [u8]) -> Self {
        Self { body, found: FoundDocuments::default(), reserved: None, seen: HashSet::new() }
    }

    /// Adds one element of the body. A reserved field is only remembered, so that broken JSON further on is reported
    /// first, as it would be without the reservation.
    pub(super) fn add(&mut self, element: &'a RawValue) -> Result<(), serde_json::Error> {
        self.seen.clear();
        let fields = element.deserialize_map(FieldsVisitor(&mut self.seen))?;
        self.reserved = self.reserved.take().or(fields.reserved);
        if fields.is_any_repeated {
            self.found.rewritten.insert(self.found.places.len(), without_repeated_fields(element)?);
        }
        let start = element.get().as_ptr().addr() - self.body.as_ptr().addr();
        self.found.places.push(start..start + element.get().len());
        Ok(())
    }

    pub(super) fn finish(self) -> Result<FoundDocuments, PayloadError> {
        match self.reserved {
            Some(field) => Err(PayloadError::ReservedField(field)),
            None => Ok(self.found),
        }
    }
}

impl FoundDocuments {
    /// The body itself.
    pub(super) fn unchanged(self, body: &Bytes) -> Payload {
        Payload::cut(body, self.places)
    }

    /// The body itself, or where documents had to be written anew a stream of all of them.
    pub(super) fn with_rewritten(self, body: &Bytes) -> Payload {
        if self.rewritten.is_empty() {
            return self.unchanged(body);
        }
        let mut bytes = Vec::with_capacity(body.len());
        let documents = self
            .places
            .into_iter()
            .enumerate()
            .map(|(number, place)| {
                let start = bytes.len();
                bytes.extend_from_slice(self.rewritten.get(&number).map_or(&body[place], String::as_bytes));
                start..bytes.len()
            })
            .collect();
        Payload::cut(&bytes.into(), documents)
    }
}

/// The document with each field once: in the place where it came first, with the value that came last.
fn without_repeated_fields(document: &RawValue) -> Result<String, serde_json::Error> {
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut fields: Vec<(String, &RawValue)> = Vec::new();
    for (name, value) in document.deserialize_map(EntriesVisitor)? {
        if let Some(place) = places.get(&name) {
            fields[*place].1 = value;
        } else {
            fields.push((serde_json::to_string(&name)?, value));
            places.insert(name, fields.len() - 1);
        }
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{}", value.get())).collect();
    Ok(format!("{{{}}}", fields.join(",")))
}

/// Hands every element of an array on, and ends with the first that is refused: what the parser then finds in front of
/// the array's end decides between the two answers Meilisearch has for it.
struct ArrayVisitor<'d, 'a>(&'d mut Documents<'a>);

impl<'a> Visitor<'a> for ArrayVisitor<'_, 'a> {
    type Value = Result<(), serde_json::Error>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a nonempty sequence")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            if let Err(error) = self.0.add(element) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

/// What matters about the fields of one document.
#[derive(Default)]
struct Fields {
    reserved: Option<String>,
    is_any_repeated: bool,
}

/// Looks at the names of an object's fields.
struct FieldsVisitor<'s, 'a>(&'s mut HashSet<Cow<'a, str>>);

impl<'a> Visitor<'a> for FieldsVisitor<'_, 'a> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some((FieldName(name), IgnoredAny)) = entries.next_entry()? {
            if fields.reserved.is_none() && marker::is_reserved(&name) {
                fields.reserved = Some(name.clone().into_owned());
            }
            fields.is_any_repeated |= !self.0.insert(name);
        }
        Ok(fields)
    }
}

/// Collects the fields of an object as they come.
struct EntriesVisitor;

impl<'a> Visitor<'a> for EntriesVisitor {
    type Value = Vec<(Cow<'a, str>, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((FieldName(name), value)) = fields.next_entry()? {
            entries.push((name, value));
        }
        Ok(entries)
    }
}
