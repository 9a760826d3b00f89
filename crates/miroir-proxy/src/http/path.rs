//! Index uids in paths.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;

use super::App;
use super::error::HttpError;

/// The longest uid that Meilisearch accepts, in bytes. (Its message says 512.)
const MAX_UID_BYTES: usize = 400;

/// The `{index}` of a path, of the right form; the index need not exist.
#[derive(Debug)]
pub struct IndexPath(pub IndexUid);

impl FromRequestParts<App> for IndexPath {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, app).await;
        let uid = match path {
            Ok(Path(mut segments)) => segments.remove("index").unwrap_or_default(),
            // Not UTF-8 once decoded: no uid has such a form, and the error shows it as it was typed.
            Err(_) => parts.uri.path().split('/').nth(2).unwrap_or_default().to_owned(),
        };
        check_uid(&uid).map(Self)
    }
}

/// Refuses what no index can be called.
pub fn check_uid(uid: &str) -> Result<IndexUid, HttpError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !uid.is_empty() && uid.len() <= MAX_UID_BYTES && uid.bytes().all(allowed) {
        return Ok(IndexUid::new(uid));
    }
    Err(HttpError::new(
        ErrorCode::InvalidIndexUid,
        format!(
            "`{uid}` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric \
             characters, hyphens (-) and underscores (_), and can not be more than 512 bytes."
        ),
    ))
}
