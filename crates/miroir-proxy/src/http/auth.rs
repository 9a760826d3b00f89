//! Who may do what. A handler states the action that it needs in its signature; a value of [`Authorized`] can only be
//! made here, so a route that forgets to ask does not get one.

mod admin;

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use miroir_core::error::{ErrorCode, ResponseError};
use subtle::ConstantTimeEq;

use super::App;
use super::error::HttpError;

pub use admin::AdminAuthorized;

/// An action that a key can permit, as a type.
pub trait Action: Send + Sync + 'static {
    /// Meilisearch's name of the action.
    const NAME: &'static str;
}

macro_rules! actions {
    ($($name:ident = $text:literal),* $(,)?) => {
        $(
            #[doc = concat!("The action `", $text, "`.")]
            #[derive(Debug)]
            pub struct $name;

            impl Action for $name {
                const NAME: &'static str = $text;
            }
        )*
    };
}

actions! {
    Search = "search",
    DocumentsAdd = "documents.add",
    DocumentsGet = "documents.get",
    DocumentsDelete = "documents.delete",
    IndexesCreate = "indexes.create",
    IndexesGet = "indexes.get",
    IndexesUpdate = "indexes.update",
    IndexesDelete = "indexes.delete",
    SettingsGet = "settings.get",
    SettingsUpdate = "settings.update",
    StatsGet = "stats.get",
    TasksGet = "tasks.get",
    TasksCancel = "tasks.cancel",
    TasksDelete = "tasks.delete",
    IndexesSwap = "indexes.swap",
    FeaturesGet = "experimental.get",
    FeaturesUpdate = "experimental.update",
    Version = "version",
    Everything = "*",
}

/// Proof that the caller may perform the action `A`.
#[derive(Debug)]
pub struct Authorized<A> {
    action: PhantomData<A>,
}

impl<A: Action> FromRequestParts<App> for Authorized<A> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        authenticate(parts, &app.master_key)?;
        tracing::trace!(action = A::NAME, "authorized");
        Ok(Self { action: PhantomData })
    }
}

fn authenticate(parts: &Parts, master_key: &str) -> Result<(), HttpError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(credentials) = header.and_then(|value| value.strip_prefix("Bearer")) else {
        return Err(ResponseError::new(
            ErrorCode::MissingAuthorizationHeader,
            "The Authorization header is missing. It must use the bearer authorization method.",
        )
        .into());
    };
    let key = credentials.strip_prefix(' ').unwrap_or_default();
    if bool::from(key.as_bytes().ct_eq(master_key.as_bytes())) {
        Ok(())
    } else {
        Err(ResponseError::new(ErrorCode::InvalidApiKey, "The provided API key is invalid.").into())
    }
}
