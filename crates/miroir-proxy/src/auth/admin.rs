//! The key of the administration routes.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use miroir_core::error::ErrorCode;
use subtle::ConstantTimeEq;

use crate::error::RequestError;

/// Another place for the key, for whoever needs `Authorization` for something that stands in front of Miroir.
const ADMIN_KEY: &str = "x-admin-key";

/// The key of the administration routes; none if they are open.
#[derive(Clone)]
pub struct AdminKey(Option<Arc<str>>);

impl AdminKey {
    /// This key, or none.
    pub fn new(key: Option<&str>) -> Self {
        Self(key.map(Arc::from))
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "[redacted]" } else { "none" })
    }
}

/// Proof that the caller has the administration key. Keys that clients have do not open these routes. Where there is
/// neither this key nor a master key, they are as open as everything else.
#[derive(Debug)]
pub struct AdminAuthorized(());

impl<S: Send + Sync> FromRequestParts<S> for AdminAuthorized
where
    AdminKey: FromRef<S>,
{
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let AdminKey(Some(admin_key)) = AdminKey::from_ref(state) else { return Ok(Self(())) };
        let Some(given) = given_key(parts) else {
            return Err(RequestError::new(
                ErrorCode::MissingAuthorizationHeader,
                "The administration key is missing. Send it as bearer token in the Authorization header, or in the \
                 X-Admin-Key header.",
            ));
        };
        if bool::from(given.as_bytes().ct_eq(admin_key.as_bytes())) {
            Ok(Self(()))
        } else {
            Err(RequestError::new(ErrorCode::InvalidApiKey, "The provided API key is invalid."))
        }
    }
}

fn given_key(parts: &Parts) -> Option<&str> {
    let header = |name| parts.headers.get(name)?.to_str().ok();
    let bearer = || header(AUTHORIZATION.as_str())?.strip_prefix("Bearer ");
    header(ADMIN_KEY).or_else(bearer)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn given(headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        given_key(&request.body(()).unwrap().into_parts().0).map(str::to_owned)
    }

    #[test]
    fn the_header_of_its_own_wins_over_the_bearer_token() {
        assert_eq!(given(&[("Authorization", "Bearer a")]).as_deref(), Some("a"));
        assert_eq!(given(&[("Authorization", "Bearer a"), ("X-Admin-Key", "b")]).as_deref(), Some("b"));
        assert_eq!(given(&[("Authorization", "Basic a")]), None);
        assert_eq!(given(&[]), None);
    }
}
