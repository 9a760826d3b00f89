//! Index uids in paths.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;

use super::App;
use crate::auth::named_index;
use crate::error::RequestError;

/// The longest uid that Meilisearch accepts, in bytes. (Its message says 512.)
const MAX_UID_BYTES: usize = 400;

/// The `{index}` of a path, of the right form; the index need not exist.
#[derive(Debug)]
pub struct IndexPath(pub IndexUid);

impl FromRequestParts<App> for IndexPath {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        check_uid(&named_index(parts).await.unwrap_or_default()).map(Self)
    }
}

/// Refuses what no index can be called.
pub fn check_uid(uid: &str) -> Result<IndexUid, RequestError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !uid.is_empty() && uid.len() <= MAX_UID_BYTES && uid.bytes().all(allowed) {
        return Ok(IndexUid::new(uid));
    }
    Err(RequestError::new(
        ErrorCode::InvalidIndexUid,
        format!(
            "`{uid}` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric \
             characters, hyphens (-) and underscores (_), and can not be more than 512 bytes."
        ),
    ))
}
