//! Document ids: what is one, and where it stands in a document.
//!
//! An id is an integer or a string of 1 to 511 characters of `A-Z a-z 0-9 - _`. Its *canonical* form is its text: `1` and
//! `"1"` name the same document, `"01"` another.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::FieldName;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 511;

/// Separates the steps of a primary key that is a path.
const SEPARATOR: char = '.';

/// Whether a text can be the id of a document.
pub fn is_valid_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The canonical form of an id that a client names, `None` for a value that no document can have as its id.
pub fn canonical_id(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => is_valid_id(text).then(|| text.clone()),
        Value::Number(number) => (!number.is_f64()).then(|| number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The canonical id of a stored document, by its top-level fields; `None` if it has none under this key.
pub fn find_id<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a RawValue)>,
    primary_key: &str,
) -> Option<String> {
    let mut search = IdSearch::by(primary_key);
    for (name, value) in fields {
        search.look(name, value);
    }
    search.finish().ok().map(Cow::into_owned)
}

/// The canonical id of a document, found by the primary key; `None` for one that has none.
pub fn find_document_id(document: &RawValue, key: &str) -> Option<String> {
    find_in_value(document, key).ok().flatten().map(Cow::into_owned)
}

/// Why a document has no usable id.
#[derive(Debug)]
pub(super) enum IdError {
    /// The key leads nowhere.
    Missing,
    /// The key, a path, leads to several places.
    TooMany,
    /// This value, printed as JSON, is no id.
    Invalid(String),
    /// The value is no id and can't be printed either, which makes Meilisearch crash.
    Crash(serde_json::Error),
    /// The document can't be read on the way to the id.
    Unreadable(serde_json::Error),
}

/// The search for a document's id, by a primary key that is a field's name or a path such as `a.b` (which finds
/// `{"a":{"b":1}}` and `{"a.b":1}`).
#[derive(Debug)]
pub(super) struct IdSearch<'k, 'a> {
    key: &'k str,
    found: Result<Option<Cow<'a, str>>, IdError>,
}

impl<'k, 'a> IdSearch<'k, 'a> {
    pub(super) const fn by(key: &'k str) -> Self {
        Self { key, found: Ok(None) }
    }

    /// Looks at one field of the document. The first error stays.
    pub(super) fn look(&mut self, name: &str, value: &'a RawValue) {
        let Some(below) = path_below(self.key, name) else { return };
        let Ok(before) = &mut self.found else { return };
        self.found = match (before.take(), find_in_value(value, below)) {
            (before, Ok(None)) => Ok(before),
            (None, now) => now,
            (Some(_), Ok(Some(_))) => Err(IdError::TooMany),
            (Some(_), Err(error)) => Err(error),
        };
    }

    /// The canonical id, once every field was looked at.
    pub(super) fn finish(self) -> Result<Cow<'a, str>, IdError> {
        self.found?.ok_or(IdError::Missing)
    }
}

/// Goes on with the search in an object further down. Like Meilisearch it gives up at the first fault, which leaves the
/// parser in the middle of the object: what the parser says to that comes before the fault.
struct NestedVisitor<'k>(&'k str);

impl<'a> Visitor<'a> for NestedVisitor<'_> {
    type Value = Result<Option<Cow<'a, str>>, IdError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut search = IdSearch::by(self.0);
        while let Some((FieldName(name), value)) = fields.next_entry()? {
            search.look(&name, value);
            if search.found.is_err() {
                break;
            }
        }
        match search.found {
            Err(IdError::Unreadable(error)) => Err(A::Error::custom(error)),
            found => Ok(found),
        }
    }
}

/// The canonical id of a document; its other fields are not looked at.
pub(super) fn id_of<'a>(document: &'a [u8], key: &str) -> Result<Cow<'a, str>, IdError> {
    let fields = serde_json::Deserializer::from_slice(document).deserialize_map(NestedVisitor(key));
    fields.map_err(IdError::Unreadable)??.ok_or(IdError::Missing)
}

fn find_in_value<'a>(value: &'a RawValue, key: &str) -> Result<Option<Cow<'a, str>>, IdError> {
    if key.is_empty() {
        return read_id(value).map(Some);
    }
    match value.deserialize_map(NestedVisitor(key)) {
        Ok(found) => found,
        // Something else than an object, or one in which the key is broken further down.
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(IdError::Unreadable(error)),
    }
}

fn read_id(value: &RawValue) -> Result<Cow<'_, str>, IdError> {
    let text = value.get();
    let id = match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<FieldName<'_>>(text)
            .ok()
            .filter(|FieldName(text)| is_valid_id(text))
            .map(|FieldName(text)| text),
        _ => serde_json::from_str::<Number>(text)
            .ok()
            .filter(|number| !number.is_f64())
            .map(|number| Cow::Owned(number.to_string())),
    };
    id.ok_or_else(|| print_json(text.as_bytes()).map_or_else(IdError::Crash, IdError::Invalid))
}

/// JSON as a message shows it: compact, numbers in their usual form.
pub(super) fn print_json(text: &[u8]) -> Result<String, serde_json::Error> {
    Ok(serde_json::from_slice::<Value>(text)?.to_string())
}

/// What is left of a key below a field: nothing for the field itself, `b.c` for `a.b.c` and the field `a`.
fn path_below<'k>(key: &'k str, field: &str) -> Option<&'k str> {
    if field.is_empty() {
        return None;
    }
    let below = key.strip_prefix(field)?;
    if below.is_empty() { Some(below) } else { below.strip_prefix(SEPARATOR) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(document: &str, key: &str) -> String {
        let document: &RawValue = serde_json::from_str(document).unwrap();
        match find_in_value(document, key) {
            Ok(Some(id)) => id.into_owned(),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn integers_and_short_plain_texts_are_ids() {
        assert_eq!(canonical_id(&json!(1)).as_deref(), Some("1"));
        assert_eq!(canonical_id(&json!("1")).as_deref(), Some("1"));
        assert_eq!(canonical_id(&json!("01")).as_deref(), Some("01"));
        assert_eq!(canonical_id(&json!(-9)).as_deref(), Some("-9"));
        assert_eq!(canonical_id(&json!(u64::MAX)), Some(u64::MAX.to_string()));
        assert_eq!(canonical_id(&json!("a-B_9")).as_deref(), Some("a-B_9"));
        assert_eq!(canonical_id(&json!("x".repeat(511))), Some("x".repeat(511)));
    }

    #[test]
    fn everything_else_is_none() {
        let values = [json!(1.0), json!(null), json!(true), json!([1]), json!({}), json!(""), json!("a b")];
        for value in values.into_iter().chain([json!("é"), json!("x".repeat(512)), json!("a.b")]) {
            assert_eq!(canonical_id(&value), None, "{value}");
        }
    }

    #[test]
    fn an_id_is_found_at_the_top_and_along_a_path() {
        assert_eq!(found(r#"{"x":{"id":2},"id":1}"#, "id"), "1");
        assert_eq!(found(r#"{"id":"a\u002db"}"#, "id"), "a-b");
        assert_eq!(found(r#"{"i\u0064":7}"#, "id"), "7");
        assert_eq!(found(r#"{"a":{"c":0,"b":5}}"#, "a.b"), "5");
        assert_eq!(found(r#"{"a.b":5,"a":3}"#, "a.b"), "5");
        assert_eq!(found(r#"{"a":{"b.c":"x"},"a.b":{"d":1}}"#, "a.b.c"), "x");
    }

    #[test]
    fn a_key_that_leads_nowhere_or_to_two_places_is_an_error() {
        assert_eq!(found(r#"{"ID":1}"#, "id"), "nothing");
        assert_eq!(found(r#"{"a":{"c":0},"ab":1}"#, "a.b"), "nothing");
        assert_eq!(found(r#"{"":1}"#, ".a"), "nothing");
        assert_eq!(found(r#"{"a":{"b":5},"a.b":6}"#, "a.b"), "TooMany");
        assert_eq!(found(r#"{"id":1,"id":2}"#, "id"), "TooMany");
    }

    #[test]
    fn a_value_that_is_no_id_is_printed_in_its_usual_form() {
        assert_eq!(found(r#"{"id": 1e2}"#, "id"), "Invalid(\"100.0\")");
        assert_eq!(found(r#"{"id": null}"#, "id"), "Invalid(\"null\")");
        assert_eq!(found(r#"{"id": [ 1 ]}"#, "id"), "Invalid(\"[1]\")");
        assert_eq!(found(r#"{"a":{"c":1,"b":true}}"#, "a.b"), "Invalid(\"true\")");
    }
}
