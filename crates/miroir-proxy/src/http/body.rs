//! Reading request bodies: their size, their content type, their JSON.

use std::io;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use mime::Mime;
use miroir_core::error::{ErrorCode, ResponseError};
use serde_json::Value;

use super::{App, arrival};
use crate::error::RequestError;

/// A JSON body that a node would accept as JSON; its shape is not checked.
#[derive(Debug, Clone)]
pub struct JsonBody {
    /// As it came.
    pub bytes: Bytes,
    /// As it was understood.
    pub value: Value,
}

impl FromRequest<App> for JsonBody {
    type Rejection = RequestError;

    async fn from_request(request: Request, app: &App) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        check_json_content_type(&parts.headers)?;
        check_json_length(&parts.headers, app.max_body_bytes)?;
        arrival::read(app, &parts, body).await
    }
}

impl JsonBody {
    /// Reads a body that came with the right headers.
    pub fn parse(bytes: Bytes) -> Result<Self, RequestError> {
        if bytes.is_empty() {
            return Err(RequestError::new(ErrorCode::MissingPayload, "A json payload is missing."));
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        Ok(Self { bytes, value })
    }
}

/// The error of a body that is no JSON.
pub(super) fn malformed(error: &serde_json::Error) -> RequestError {
    let message = format!("The json payload provided is malformed. `{error}`.");
    RequestError::new(ErrorCode::MalformedPayload, message)
}

/// Type and subtype of the `Content-Type` header; what is no content type as it was sent.
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = |mime: Mime| format!("{}/{}", mime.type_(), mime.subtype());
    Some(value.parse().map_or_else(|_| value.to_owned(), essence))
}

/// The error of a missing or unaccepted content type.
pub fn content_type_error(given: Option<&str>, accepted: &[&str]) -> ResponseError {
    let accepted = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match given {
        None => ResponseError::new(
            ErrorCode::MissingContentType,
            format!(
                "A Content-Type header is missing. Accepted values for the Content-Type header are: {accepted}"
            ),
        ),
        Some(given) => ResponseError::new(
            ErrorCode::InvalidContentType,
            format!(
                "The Content-Type `{given}` is invalid. Accepted values for the Content-Type header are: {accepted}"
            ),
        ),
    }
}

fn check_json_content_type(headers: &HeaderMap) -> Result<(), RequestError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Meilisearch takes any vendor's JSON.
    let is_json = |mime: Mime| mime.subtype() == mime::JSON || mime.suffix() == Some(mime::JSON);
    if given.and_then(|given| given.parse().ok()).is_some_and(is_json) {
        return Ok(());
    }
    Err(content_type_error(given, &["application/json"]).into())
}

/// Meilisearch answers 500 to a JSON body whose announced length is over the limit.
fn check_json_length(headers: &HeaderMap, limit: usize) -> Result<(), RequestError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length > limit => Err(RequestError::new(
            ErrorCode::Internal,
            format!("JSON payload ({length} bytes) is larger than allowed (limit: {limit} bytes)."),
        )),
        _ => Ok(()),
    }
}

/// Why there is no whole body.
pub(super) enum Unread {
    /// It is longer than this.
    TooLarge(usize),
    /// It broke off, or can't be unpacked.
    Broken(String),
    /// There is no place for it.
    Spool(io::Error),
}

impl Unread {
    /// A body whose next piece can't be had.
    pub(super) fn broken(error: &dyn std::error::Error) -> Self {
        Self::Broken(innermost(error))
    }
}

impl From<Unread> for RequestError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge(limit) => too_large(limit),
            Unread::Broken(_) => incomplete(),
            Unread::Spool(error) => RequestError::Spool(error),
        }
    }
}

/// The text of the cause at the bottom.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The error of a body beyond the limit.
pub(super) fn too_large(limit: usize) -> RequestError {
    RequestError::new(
        ErrorCode::PayloadTooLarge,
        format!(
            "The provided payload reached the size limit. The maximum accepted payload size is {}.",
            human_size(limit)
        ),
    )
}

/// The error of a body that broke off.
pub(super) fn incomplete() -> RequestError {
    RequestError::new(ErrorCode::BadRequest, "The provided payload is incomplete and cannot be parsed")
}

/// `100 MB` for a round decimal number of bytes, `100 MiB` for a round binary one, as Meilisearch prints its limit.
fn human_size(bytes: usize) -> String {
    let (base, names): (f64, _) = if bytes.is_multiple_of(1024) {
        (1024.0, ["B", "KiB", "MiB", "GiB"])
    } else {
        (1000.0, ["B", "KB", "MB", "GB"])
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < names.len() {
        size /= base;
        unit += 1;
    }
    if size.fract() == 0.0 { format!("{size} {}", names[unit]) } else { format!("{size:.2} {}", names[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_printed_in_the_unit_in_which_it_is_round() {
        assert_eq!(human_size(100_000_000), "100 MB");
        assert_eq!(human_size(100 * 1024 * 1024), "100 MiB");
        assert_eq!(human_size(512), "512 B");
        assert_eq!(human_size(1_500_000), "1.50 MB");
    }
}
