//! Bodies of requests, with Meilisearch's refusals of those that cannot be read.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::error::{ApiError, Result};

const JSON: &str = "application/json";

/// A whole body and the headers that say what it is.
pub struct RawBody {
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let headers = request.headers().clone();
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self { headers, bytes }),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(ApiError::new(
                "payload_too_large",
                "The provided payload reached the size limit. The maximum accepted payload size is 200 MiB.",
            )),
            Err(rejection) => Err(ApiError::new("bad_request", rejection.to_string())),
        }
    }
}

impl RawBody {
    /// The media type, without its parameters, if it is one of the accepted ones.
    pub fn content_type(&self, accepted: &[&'static str]) -> Result<&'static str> {
        let list = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let list = format!("Accepted values for the Content-Type header are: {list}");
        let Some(sent) = self.headers.get(header::CONTENT_TYPE) else {
            return Err(ApiError::new(
                "missing_content_type",
                format!("A Content-Type header is missing. {list}"),
            ));
        };
        let sent = sent.to_str().unwrap_or_default();
        let essence = sent.split(';').next().unwrap_or_default().trim();
        let fits = |name: &&&str| {
            // Kinds of JSON with a name of their own, as `application/vnd.api+json`, are JSON.
            name.eq_ignore_ascii_case(essence) || (**name == JSON && essence.ends_with("+json"))
        };
        accepted.iter().find(fits).copied().ok_or_else(|| {
            ApiError::new("invalid_content_type", format!("The Content-Type `{sent}` is invalid. {list}"))
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        self.content_type(&[JSON])?;
        if self.bytes.is_empty() {
            return Err(ApiError::new("missing_payload", "A json payload is missing."));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| {
            ApiError::new("malformed_payload", format!("The json payload provided is malformed. `{error}`."))
        })
    }
}
