//! A document as a batch leaves it: the last version, or several updates laid over each other, with those fields of it
//! that may be at fault.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Findings;
use super::demands::{Demands, GEO, GEOJSON, VECTORS};
use super::missing::is_nearly_vectors;
use super::scan::read_through;
use crate::document::FieldName;

/// What of a document may be at fault.
#[derive(Debug, Default)]
pub(super) struct Merged<'a> {
    pub(super) vectors: Option<&'a RawValue>,
    /// Only where places are asked for.
    pub(super) geo: Option<&'a RawValue>,
    /// Fields that can't be read, with the parser's message, in their order.
    pub(super) unreadable: Vec<(Cow<'a, str>, String)>,
    /// Fields called nearly like `_vectors`, where vectors must be brought.
    pub(super) near_fields: Vec<Cow<'a, str>>,
}

/// Reads the versions of a document, the earliest first.
pub(super) fn merge<'a>(
    versions: impl Iterator<Item = &'a [u8]>,
    demands: &Demands,
    findings: Findings,
) -> Merged<'a> {
    let mut merged = Merged::default();
    for version in versions {
        let visitor = FieldsVisitor { merged: &mut merged, demands, findings };
        // The form of every document was checked when its id was read.
        let _ = serde_json::Deserializer::from_slice(version).deserialize_map(visitor);
    }
    merged
}

struct FieldsVisitor<'m, 'a> {
    merged: &'m mut Merged<'a>,
    demands: &'m Demands,
    findings: Findings,
}

impl<'a> Visitor<'a> for FieldsVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        let needs_vectors = self.demands.needs_vectors();
        while let Some((FieldName(name), value)) = fields.next_entry::<_, &RawValue>()? {
            match &*name {
                VECTORS => self.merged.vectors = Some(value),
                GEO if self.demands.geo => self.merged.geo = Some(value),
                GEO | GEOJSON => {}
                _ => {
                    if self.findings.has_unreadable {
                        self.merged.unreadable.retain(|(field, _)| *field != name);
                        if let Err(error) = read_through(value) {
                            self.merged.unreadable.push((name.clone(), error.to_string()));
                        }
                    }
                    if needs_vectors && is_nearly_vectors(&name) && !self.merged.near_fields.contains(&name) {
                        self.merged.near_fields.push(name);
                    }
                }
            }
        }
        Ok(())
    }
}
