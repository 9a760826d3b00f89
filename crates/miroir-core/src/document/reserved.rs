//! Names that only Miroir may use. A client that could filter by a shard's marker would see how Miroir is made.

use serde_json::{Map, Value};

use super::marker::{self, RESERVED_PREFIX};
use crate::error::{ErrorCode, ResponseError};
use crate::filter;

/// The parts of a search or of a listing that select documents by attribute.
const SELECTING: [(&str, ErrorCode, ErrorCode); 2] = [
    ("filter", ErrorCode::InvalidSearchFilter, ErrorCode::InvalidDocumentFilter),
    ("distinct", ErrorCode::InvalidSearchDistinct, ErrorCode::BadRequest),
];

/// The parts of a search that name attributes for something else.
const NAMING: [(&str, ErrorCode); 4] = [
    ("sort", ErrorCode::InvalidSearchSort),
    ("facets", ErrorCode::InvalidSearchFacets),
    ("attributesToSearchOn", ErrorCode::InvalidSearchAttributesToSearchOn),
    ("facetName", ErrorCode::InvalidFacetSearchFacetName),
];

/// Refuses a search, be it for documents or for the values of a facet, that makes use of a reserved name.
///
/// # Errors
/// If it does.
pub fn check_search(body: &Map<String, Value>) -> Result<(), ResponseError> {
    let selecting = SELECTING.iter().map(|(key, code, _)| (*key, *code));
    selecting.chain(NAMING).try_for_each(|(key, code)| check(body.get(key), code))
}

/// Refuses a search for similar documents that selects by a reserved name.
///
/// # Errors
/// If it does.
pub fn check_similar(body: &Map<String, Value>) -> Result<(), ResponseError> {
    check(body.get("filter"), ErrorCode::InvalidSimilarFilter)
}

/// Refuses a listing or a deletion that selects by a reserved name.
///
/// # Errors
/// If it does.
pub fn check_selection(body: &Map<String, Value>) -> Result<(), ResponseError> {
    SELECTING.iter().try_for_each(|(key, _, code)| check(body.get(*key), *code))
}

/// Refuses an edit whose function, filter or context speaks of a reserved name.
///
/// # Errors
/// If it does.
pub fn check_edition(body: &Value) -> Result<(), ResponseError> {
    check(Some(body), ErrorCode::BadRequest)?;
    check(body.get("filter"), ErrorCode::BadRequest)
}

/// Refuses settings that name a reserved attribute.
///
/// # Errors
/// If it does.
pub fn check_settings(settings: &Value) -> Result<(), ResponseError> {
    check(Some(settings), ErrorCode::BadRequest)
}

/// A filter may write the name of an attribute with escapes.
fn filters_by_reserved(filter: &Value) -> bool {
    if !filter::mentions(filter, "\\") {
        return false;
    }
    let Ok(Some(filter)) = filter::read(filter) else { return false };
    filter.fields().into_iter().any(marker::is_reserved)
}

/// Refuses a value that names a reserved attribute, with this code.
///
/// # Errors
/// If it does.
pub fn check(value: Option<&Value>, code: ErrorCode) -> Result<(), ResponseError> {
    match value {
        Some(value) if mentions_reserved(value) || filters_by_reserved(value) => Err(ResponseError::new(
            code,
            "The request names an attribute that is reserved for the cluster's own use.",
        )),
        _ => Ok(()),
    }
}

fn mentions_reserved(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(RESERVED_PREFIX),
        Value::Array(items) => items.iter().any(mentions_reserved),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(RESERVED_PREFIX) || mentions_reserved(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reserved_name_is_found_wherever_it_stands_and_nothing_else_is() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        assert!(
            check_selection(&object(json!({ "filter": [["a = 1", "_miroir_shard_001 EXISTS"]] }))).is_err()
        );
        for escaped in
            [r"'\x5fmiroir_shard_001' EXISTS", r#"a = 1 OR NOT "_\u006diroir_\163hard_001" EXISTS"#]
        {
            assert!(check_search(&object(json!({ "filter": ["b = 1", [escaped]] }))).is_err(), "{escaped}");
            assert!(check_edition(&json!({ "function": "", "filter": escaped })).is_err(), "{escaped}");
        }
        assert!(check_settings(&json!({ "synonyms": { "_miroir_x": ["a"] } })).is_err());
        assert!(check_search(&object(json!({ "sort": ["_miroir_shard:asc"] }))).is_err());
        assert!(check_search(&object(json!({ "q": "_miroir_shard_001", "filter": "miroir = 1" }))).is_ok());
    }
}
