//! Query parameters.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;
use deserr::errors::helpers::did_you_mean;
use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::refused::snake_case;

/// The parameters of a request, each one known to the route; of a repeated one the last counts.
pub struct Params {
    values: BTreeMap<String, String>,
    /// What codes of wrong values begin with, as `invalid_search_`.
    prefix: &'static str,
}

impl Params {
    /// The parameters, if all are among the accepted ones.
    pub fn parse(uri: &Uri, accepted: &[&str], prefix: &'static str) -> Result<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|rejection| ApiError::new("bad_request", rejection.to_string()))?;
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if !accepted.contains(&name.as_str()) {
                let list = accepted.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
                let hint = did_you_mean(&name, accepted);
                let message = format!("Unknown parameter `{name}`: {hint}expected one of {list}");
                return Err(ApiError::new("bad_request", message));
            }
            values.insert(name, value);
        }
        Ok(Self { values, prefix })
    }

    /// Whether no parameter was given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value as it stands.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A number of things.
    pub fn integer(&self, name: &str) -> Result<Option<u64>> {
        let parse =
            |text: &str| text.parse().map_err(|_| format!("could not parse `{text}` as a positive integer"));
        self.text(name).map(|text| parse(text).map_err(|reason| self.bad_value(name, &reason))).transpose()
    }

    /// A number of things in memory.
    pub fn size(&self, name: &str) -> Result<Option<usize>> {
        Ok(self.integer(name)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let reason =
                    format!("could not parse `{other}` as a boolean, expected either `true` or `false`");
                Err(self.bad_value(name, &reason))
            }
        }
    }

    /// A list separated by commas.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        self.text(name).map(|text| text.split(',').map(|item| item.trim().to_owned()).collect())
    }

    /// JSON if it reads as such, else the text.
    pub fn json_or_text(&self, name: &str) -> Option<Value> {
        let text = self.text(name)?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
    }

    /// The refusal of a value of this parameter.
    pub fn bad_value(&self, name: &str, reason: &str) -> ApiError {
        let code = format!("{}{}", self.prefix, snake_case(name));
        ApiError::new(code, format!("Invalid value in parameter `{name}`: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Params> {
        let uri: Uri = format!("/tasks?{query}").parse().expect("a valid address");
        Params::parse(&uri, &["limit", "reverse", "uids"], "invalid_task_")
    }

    #[test]
    fn values_are_typed_or_refused_under_their_own_code() {
        let params = parse("limit=3&reverse=true&uids=1,2").expect("known parameters");
        assert_eq!(params.integer("limit"), Ok(Some(3)));
        assert_eq!(params.boolean("reverse"), Ok(Some(true)));
        assert_eq!(params.list("uids"), Some(vec!["1".to_owned(), "2".to_owned()]));
        let error = parse("limit=-1").and_then(|params| params.integer("limit")).unwrap_err();
        assert_eq!(error.code, "invalid_task_limit");
        assert_eq!(
            error.message,
            "Invalid value in parameter `limit`: could not parse `-1` as a positive integer"
        );
    }

    #[test]
    fn an_unknown_parameter_is_a_bad_request() {
        assert_eq!(parse("colour=1").map(|params| params.is_empty()).unwrap_err().code, "bad_request");
    }
}
