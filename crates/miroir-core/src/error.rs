//! The error answer of the API, `{message, code, type, link}`: the one form in which clients hear of a failure, in
//! answers and in tasks alike.

mod code;
pub mod form;
mod hidden;
mod scrub;

pub use code::{ErrorCode, ErrorType};
pub use hidden::hide_attributes;
pub use scrub::scrub_message;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// An error as a client sees it. Type and link follow from the code; reading one back from JSON ignores them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Deserialize)]
#[error("{message}")]
pub struct ResponseError {
    /// What happened, for a human.
    pub message: String,
    /// What happened, for a program.
    pub code: ErrorCode,
}

impl ResponseError {
    /// An error with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), code }
    }

    /// The HTTP status to answer with.
    pub const fn status(&self) -> u16 {
        self.code.status()
    }
}

impl Serialize for ResponseError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("ResponseError", 4)?;
        answer.serialize_field("message", &self.message)?;
        answer.serialize_field("code", &self.code)?;
        answer.serialize_field("type", self.code.error_type())?;
        answer.serialize_field("link", &self.code.link())?;
        answer.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_with_type_and_link_and_read_back_without_them() {
        let error = ResponseError::new(ErrorCode::IndexNotFound, "Index `movies` not found.");
        let written = serde_json::to_value(&error).unwrap();
        let expected = serde_json::json!({
            "message": "Index `movies` not found.",
            "code": "index_not_found",
            "type": "invalid_request",
            "link": "https://docs.meilisearch.com/errors#index_not_found",
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<ResponseError>(written).unwrap(), error);
    }

    #[test]
    fn every_code_is_found_by_its_name_and_has_an_error_status() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.as_str()), Some(*code));
            assert!((400..600).contains(&code.status()), "{code} answers {}", code.status());
        }
    }

    #[test]
    fn a_name_says_the_same_as_its_variant() {
        for code in ErrorCode::ALL {
            let name: String = code.as_str().split('_').collect();
            assert_eq!(name, format!("{code:?}").to_lowercase());
        }
    }

    #[test]
    fn an_unknown_code_is_refused() {
        let unknown = serde_json::from_str::<ErrorCode>("\"no_such_code\"").unwrap_err();
        assert_eq!(unknown.to_string(), "unknown error code `no_such_code`");
    }
}
