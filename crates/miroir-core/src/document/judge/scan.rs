//! One look at a document: its id, the names of its fields, and whether every value in it can be read.
//!
//! A value may have the form of JSON and still be unreadable: a number out of range, half a surrogate pair, nesting
//! beyond the parser's limit. Meilisearch finds that while indexing and fails the task.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::document::FieldName;
use crate::document::id::IdSearch;

/// Holds the vectors that a client brings: an object, embedder by embedder.
const VECTORS: &str = "_vectors";

/// What is wrong with a value, in the parser's words.
#[derive(Debug)]
pub(super) enum BadValue {
    Unreadable(serde_json::Error),
    VectorsNotAnObject(serde_json::Error),
}

/// What one look at a document finds.
#[derive(Debug)]
pub(super) struct Scanned<'k, 'a> {
    pub(super) id: IdSearch<'k, 'a>,
    /// The first of them.
    pub(super) bad_value: Option<BadValue>,
}

/// Looks at a document and adds its field names to those of the documents before it.
pub(super) fn scan<'k, 'a>(
    document: &'a [u8],
    key: &'k str,
    names: &mut HashSet<Cow<'a, str>>,
) -> Result<Scanned<'k, 'a>, serde_json::Error> {
    serde_json::Deserializer::from_slice(document).deserialize_map(ScanVisitor { key, names })
}

struct ScanVisitor<'k, 's, 'a> {
    key: &'k str,
    names: &'s mut HashSet<Cow<'a, str>>,
}

impl<'k, 'a> Visitor<'a> for ScanVisitor<'k, '_, 'a> {
    type Value = Scanned<'k, 'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut scanned = Scanned { id: IdSearch::by(self.key), bad_value: None };
        while let Some((FieldName(name), value)) = fields.next_entry()? {
            scanned.id.look(&name, value);
            if scanned.bad_value.is_none() {
                scanned.bad_value = check_value(&name, value).err();
            }
            self.names.insert(name);
        }
        Ok(scanned)
    }
}

fn check_value(name: &str, value: &RawValue) -> Result<(), BadValue> {
    if name == VECTORS {
        BTreeMap::<FieldName<'_>, &RawValue>::deserialize(value).map_err(BadValue::VectorsNotAnObject)?;
    }
    value.deserialize_any(Reading).map_err(BadValue::Unreadable)
}

/// Reads a value to its end and keeps nothing.
#[derive(Clone, Copy)]
struct Reading;

impl<'a> DeserializeSeed<'a> for Reading {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Reading {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry_seed(self, self)?.is_some() {}
        Ok(())
    }
}
