//! Why a value of a request does not fit: the text comes from `deserr`, as in Meilisearch; the code depends on the
//! field and the route, so both are kept until the route names it.

use std::convert::Infallible;
use std::ops::ControlFlow;

use deserr::errors::JsonError;
use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, MergeWithError, ValuePointerRef};
use serde_json::Value;

use crate::error::ApiError;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    UnknownField,
    MissingField(String),
    BadValue,
}

/// A value that does not fit, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub message: String,
    pub fault: Fault,
    /// The keys on the way to the value, outermost first; positions in lists are left out.
    pub path: Vec<String>,
}

impl Refused {
    /// The error under the code of the outermost field, `{prefix}{field in snake case}`; `bad_request` where no field
    /// is to blame.
    pub fn coded(self, prefix: &str) -> ApiError {
        let code = match (&self.fault, self.path.first()) {
            (_, Some(field)) => format!("{prefix}{}", snake_case(field)),
            _ => "bad_request".to_owned(),
        };
        ApiError::new(code, self.message)
    }

    /// Like [`Refused::coded`], with its own code for a missing field.
    pub fn coded_or_missing(self, prefix: &str, field: &str, code: &str) -> ApiError {
        match &self.fault {
            Fault::MissingField(missing) if missing == field => ApiError::new(code, self.message),
            _ => self.coded(prefix),
        }
    }
}

impl DeserializeError for Refused {
    fn error<V: IntoValue>(
        _previous: Option<Self>,
        error: ErrorKind<'_, V>,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let fault = match &error {
            ErrorKind::UnknownKey { .. } => Fault::UnknownField,
            ErrorKind::MissingField { field } => Fault::MissingField((*field).to_owned()),
            _ => Fault::BadValue,
        };
        let message = deserr::take_cf_content(JsonError::error(None, error, location)).to_string();
        ControlFlow::Break(Self { message, fault, path: keys(location) })
    }
}

impl MergeWithError<Refused> for Refused {
    fn merge(
        _previous: Option<Self>,
        other: Self,
        _location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        ControlFlow::Break(other)
    }
}

/// The typed form of a JSON value.
pub fn parse<T: Deserr<Refused>>(value: Value) -> Result<T, Refused> {
    deserr::deserialize::<T, Value, Refused>(value)
}

/// A refusal of a value that has the right type, at this place.
pub fn bad_value(message: &str, location: ValuePointerRef<'_>) -> Refused {
    let error = ErrorKind::Unexpected { msg: message.to_owned() };
    deserr::take_cf_content(Refused::error::<Infallible>(None, error, location))
}

/// `hitsPerPage` as `hits_per_page`.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn keys(location: ValuePointerRef<'_>) -> Vec<String> {
    match location {
        ValuePointerRef::Origin => Vec::new(),
        ValuePointerRef::Key { key, prev } => {
            let mut path = keys(*prev);
            path.push(key.to_owned());
            path
        }
        ValuePointerRef::Index { prev, .. } => keys(*prev),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserr)]
    #[deserr(rename_all = camelCase, deny_unknown_fields)]
    struct Page {
        hits_per_page: usize,
    }

    #[test]
    fn a_wrong_type_names_its_field_in_text_and_code() {
        let error = parse::<Page>(json!({ "hitsPerPage": "x" })).map(|page| page.hits_per_page).unwrap_err();
        let error = error.coded("invalid_search_");
        assert_eq!(error.code, "invalid_search_hits_per_page");
        assert_eq!(
            error.message,
            "Invalid value type at `.hitsPerPage`: expected a positive integer, but found a string: `\"x\"`"
        );
    }

    #[test]
    fn an_unknown_field_is_a_bad_request() {
        let error = parse::<Page>(json!({ "hitsPerPage": 1, "x": 2 })).unwrap_err().coded("invalid_search_");
        assert_eq!(error.code, "bad_request");
    }
}
