//! One look at a document: its id, the names of its fields, and whether anything in it calls for a closer look.
//!
//! A value may have the form of JSON and still be unreadable: a number out of range, half a surrogate pair, nesting
//! beyond the parser's limit. Meilisearch finds that while indexing and fails the task.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Findings;
use super::demands::{Demands, GEO, GEOJSON, VECTORS};
use crate::document::FieldName;
use crate::document::id::IdSearch;

/// Looks at a document, adds its field names to those of the documents before it, and what calls for a closer look to
/// `findings`.
pub(super) fn scan<'k, 'a>(
    document: &'a [u8],
    key: &'k str,
    names: &mut HashSet<Cow<'a, str>>,
    demands: &Demands,
    findings: &mut Findings,
) -> Result<IdSearch<'k, 'a>, serde_json::Error> {
    let visitor = ScanVisitor { key, names, demands, findings };
    serde_json::Deserializer::from_slice(document).deserialize_map(visitor)
}

struct ScanVisitor<'k, 's, 'a> {
    key: &'k str,
    names: &'s mut HashSet<Cow<'a, str>>,
    demands: &'s Demands,
    findings: &'s mut Findings,
}

impl<'k, 'a> Visitor<'a> for ScanVisitor<'k, '_, 'a> {
    type Value = IdSearch<'k, 'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut id = IdSearch::by(self.key);
        while let Some((FieldName(name), value)) = fields.next_entry()? {
            id.look(&name, value);
            match &*name {
                VECTORS => self.findings.has_special = true,
                GEO => self.findings.has_special |= self.demands.geo,
                GEOJSON => self.findings.has_special |= self.demands.geojson,
                _ if self.findings.has_unreadable => {}
                _ => self.findings.has_unreadable = read_through(value).is_err(),
            }
            self.names.insert(name);
        }
        Ok(id)
    }
}

/// Reads a value to its end.
pub(super) fn read_through(value: &RawValue) -> Result<(), serde_json::Error> {
    value.deserialize_any(Reading)
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
