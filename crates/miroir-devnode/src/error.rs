//! The one error clients and tasks see. Its code decides the status and the type, as in Meilisearch, so that a code
//! can never travel with the wrong status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use milli_core::UserError;
use serde::{Deserialize, Serialize};

/// What a request or a task was refused for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    pub message: String,
    pub code: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub link: String,
}

/// The result of everything that can be refused.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An error of this code; type and link follow from it.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        let kind = match code.as_str() {
            "internal" | "database_size_limit_reached" | "invalid_store_file" => "internal",
            "missing_authorization_header" | "missing_master_key" | "invalid_api_key" => "auth",
            "io_error" | "no_space_left_on_device" => "system",
            _ => "invalid_request",
        };
        let link = format!("https://docs.meilisearch.com/errors#{code}");
        Self { message: message.into(), code, kind: kind.to_owned(), link }
    }

    /// A failure of the node itself.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new("internal", format!("An internal error has occurred. `{cause}`."))
    }

    /// The index is not there.
    pub fn index_not_found(uid: &str) -> Self {
        Self::new("index_not_found", format!("Index `{uid}` not found."))
    }

    /// The same error under another code, for routes that name a refusal after themselves.
    pub fn recoded(self, from: &str, to: &str) -> Self {
        if self.code == from { Self::new(to, self.message) } else { self }
    }

    /// The error as found against an index: the message names the index, as clients of Meilisearch expect.
    pub fn about_index(mut self, uid: &str) -> Self {
        self.message = format!("Index `{uid}`: {}", self.message);
        self
    }

    /// The HTTP status that belongs to the code.
    pub fn status(&self) -> StatusCode {
        match self.code.as_str() {
            "internal" | "database_size_limit_reached" | "invalid_store_file" => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            "missing_authorization_header" | "missing_master_key" => StatusCode::UNAUTHORIZED,
            "invalid_api_key" => StatusCode::FORBIDDEN,
            "index_not_found" | "document_not_found" | "task_not_found" | "api_key_not_found" => {
                StatusCode::NOT_FOUND
            }
            "index_already_exists" | "api_key_already_exists" => StatusCode::CONFLICT,
            "payload_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "missing_content_type" | "invalid_content_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "io_error" | "no_space_left_on_device" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::new("io_error", error.to_string())
    }
}

impl From<milli_core::heed::Error> for ApiError {
    fn from(error: milli_core::heed::Error) -> Self {
        milli_core::Error::from(error).into()
    }
}

impl From<milli_core::Error> for ApiError {
    fn from(error: milli_core::Error) -> Self {
        match error {
            milli_core::Error::UserError(UserError::InvalidFilterExpression(expected, found)) => Self::new(
                "invalid_search_filter",
                format!(
                    "Invalid syntax for the filter parameter: `expected {}, found: {found}`.",
                    expected.join(", ")
                ),
            ),
            milli_core::Error::UserError(user) => {
                Self::new(code_of(&user).unwrap_or("internal"), user.to_string())
            }
            milli_core::Error::IoError(io) => io.into(),
            milli_core::Error::InternalError(internal) => Self::internal(internal),
        }
    }
}

impl From<milli_core::SortError> for ApiError {
    fn from(error: milli_core::SortError) -> Self {
        milli_core::Error::from(error).into()
    }
}

/// The code of an engine error that is the client's; `None` for those that are not.
fn code_of(error: &UserError) -> Option<&'static str> {
    Some(match error {
        UserError::AttributeLimitReached => "max_fields_limit_exceeded",
        UserError::CriterionError(_) => "invalid_settings_ranking_rules",
        UserError::InvalidDocumentId { .. } | UserError::TooManyDocumentIds { .. } => "invalid_document_id",
        UserError::MissingDocumentId { .. } => "missing_document_id",
        UserError::InvalidFacetsDistribution { .. } => "invalid_search_facets",
        UserError::InvalidGeoField(_) => "invalid_document_geo_field",
        UserError::InvalidVectorDimensions { .. } | UserError::InvalidIndexingVectorDimensions { .. } => {
            "invalid_vector_dimensions"
        }
        UserError::InvalidVectorsMapType { .. } | UserError::InvalidVectorsEmbedderConf { .. } => {
            "invalid_vectors_type"
        }
        UserError::TooManyVectors(..) => "too_many_vectors",
        UserError::InvalidFilter(_) | UserError::FilterOperatorNotAllowed { .. } => "invalid_search_filter",
        UserError::InvalidSortableAttribute { .. }
        | UserError::SortError(_)
        | UserError::SortRankingRuleMissing => "invalid_search_sort",
        UserError::InvalidDistinctAttribute { .. } => "invalid_search_distinct",
        UserError::InvalidFacetSearchFacetName { .. } => "invalid_facet_search_facet_name",
        UserError::InvalidSearchableAttribute { .. } => "invalid_search_attributes_to_search_on",
        UserError::InvalidSearchEmbedder(_) => "invalid_search_embedder",
        UserError::MaxDatabaseSizeReached => "database_size_limit_reached",
        UserError::InvalidStoreFile => "invalid_store_file",
        UserError::NoSpaceLeftOnDevice => "no_space_left_on_device",
        UserError::NoPrimaryKeyCandidateFound => "index_primary_key_no_candidate_found",
        UserError::MultiplePrimaryKeyCandidatesFound { .. } => "index_primary_key_multiple_candidates_found",
        UserError::PrimaryKeyCannotBeChanged(_) => "index_primary_key_already_exists",
        UserError::InvalidMinTypoWordLenSetting(..) => "invalid_settings_typo_tolerance",
        UserError::InvalidPromptForEmbeddings(..)
        | UserError::TooManyEmbedders(_)
        | UserError::InvalidFieldForSource { .. }
        | UserError::InvalidOpenAiModel { .. }
        | UserError::MissingFieldForSource { .. }
        | UserError::InvalidOpenAiModelDimensions { .. }
        | UserError::InvalidOpenAiModelDimensionsMax { .. }
        | UserError::InvalidSourceForNested { .. }
        | UserError::MissingSourceForNested { .. }
        | UserError::InvalidSettingsEmbedder { .. }
        | UserError::InvalidSettingsDimensions { .. }
        | UserError::InvalidDisableBinaryQuantization { .. }
        | UserError::InvalidSettingsDocumentTemplateMaxBytes { .. }
        | UserError::InvalidPrompt(_)
        | UserError::InvalidUrl { .. } => "invalid_settings_embedders",
        UserError::VectorEmbeddingError(_)
        | UserError::DocumentEmbeddingError(_)
        | UserError::MissingDocumentField(_) => "vector_embedding_error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_status_and_type() {
        let missing = ApiError::index_not_found("books");
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert_eq!(missing.kind, "invalid_request");
        assert_eq!(missing.link, "https://docs.meilisearch.com/errors#index_not_found");
        assert_eq!(ApiError::internal("x").status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(ApiError::new("invalid_api_key", "no").kind, "auth");
    }

    #[test]
    fn an_engine_error_keeps_its_text_and_gets_meilisearchs_code() {
        let engine = milli_core::Error::UserError(UserError::NoPrimaryKeyCandidateFound);
        assert_eq!(ApiError::from(engine).code, "index_primary_key_no_candidate_found");
    }
}
