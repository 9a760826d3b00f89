//! Who may do what. A handler states the action that it needs in its signature; a value of [`Authorized`] can only be
//! made here, so a route that forgets to ask does not get one. The value also holds which indexes the caller may touch:
//! a route whose path names no index asks it.

mod admin;
mod keyring;

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use miroir_core::error::ResponseError;
use miroir_core::ids::IndexUid;
use miroir_core::keys::{self, Confined, Credentials, NotAllowed, Scope, UidPattern};
use miroir_core::task::MissingIndex;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::error::RequestError;

pub use admin::{AdminAuthorized, AdminKey};
pub use keyring::{Keyring, fresh_uid};

/// An action that a key can grant, as a type.
pub trait Action: Send + Sync + 'static {
    /// The action.
    const ACTION: keys::Action;
}

macro_rules! actions {
    ($($name:ident),* $(,)?) => {
        $(
            #[doc = concat!("[`keys::Action::", stringify!($name), "`].")]
            #[derive(Debug)]
            pub struct $name;

            impl Action for $name {
                const ACTION: keys::Action = keys::Action::$name;
            }
        )*
    };
}

actions! {
    Search,
    DocumentsAll,
    DocumentsAdd,
    DocumentsGet,
    DocumentsDelete,
    IndexesCreate,
    IndexesGet,
    IndexesUpdate,
    IndexesDelete,
    IndexesSwap,
    IndexesCompact,
    FieldsPost,
    SettingsGet,
    SettingsUpdate,
    StatsGet,
    TasksGet,
    TasksCancel,
    TasksDelete,
    DumpsCreate,
    SnapshotsCreate,
    FeaturesGet,
    FeaturesUpdate,
    WebhooksGet,
    WebhooksCreate,
    WebhooksUpdate,
    WebhooksDelete,
    KeysCreate,
    KeysGet,
    KeysUpdate,
    KeysDelete,
    NetworkGet,
    NetworkUpdate,
    MetricsGet,
    Export,
    TasksCompact,
    ChatsGet,
    ChatsDelete,
    ChatsSettingsGet,
    ChatsSettingsUpdate,
    ChatCompletions,
    DynamicSearchRulesGet,
    DynamicSearchRulesUpdate,
    DynamicSearchRulesDelete,
    Version,
}

/// Whatever a request brought to be known by, for a handler that only finds out later what it has to do for the caller.
#[derive(Clone)]
pub struct Bearer(Option<String>);

/// Proof that the caller may perform the action `A`: on the index that the path names, or else on those that it tells.
#[derive(Debug)]
pub struct Authorized<A> {
    scope: Scope,
    action: PhantomData<A>,
}

impl<A: Action, S: Send + Sync> FromRequestParts<S> for Authorized<A>
where
    Keyring: FromRef<S>,
{
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let index = named_index(parts).await;
        authorize(&Keyring::from_ref(state), header_of(parts), index.as_deref())
    }
}

/// The `{index}` of a path, whatever its form; `None` on routes that have none.
pub async fn named_index(parts: &mut Parts) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    params.iter().find(|(name, _)| *name == "index").map(|(_, uid)| uid.to_owned())
}

impl Bearer {
    /// Whether the caller may perform the action `A` on this index now.
    pub fn authorize<A: Action>(
        &self,
        keys: &Keyring,
        index: &IndexUid,
    ) -> Result<Authorized<A>, RequestError> {
        authorize(keys, self.0.as_deref(), Some(index.as_str()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(header_of(parts).map(str::to_owned)))
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer([redacted])")
    }
}

fn header_of(parts: &Parts) -> Option<&str> {
    parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

fn authorize<A: Action>(
    keys: &Keyring,
    header: Option<&str>,
    index: Option<&str>,
) -> Result<Authorized<A>, RequestError> {
    let (credentials, now) = (Credentials::of_header(header), OffsetDateTime::now_utc());
    let scope = keys.load().authorize(credentials, A::ACTION, index, now);
    Ok(Authorized { scope: scope.map_err(ResponseError::from)?, action: PhantomData })
}

impl<A: Action> Authorized<A> {
    /// Whether the caller may touch this index.
    pub fn allows(&self, index: &IndexUid) -> bool {
        self.scope.allows(index.as_str())
    }

    /// Refuses an index that the caller may not touch.
    pub fn require(&self, index: &IndexUid) -> Result<(), RequestError> {
        if self.allows(index) { Ok(()) } else { Err(ResponseError::from(NotAllowed).into()) }
    }

    /// Whether the caller may make this index.
    pub fn may_create(&self, index: &IndexUid) -> bool {
        self.scope.may_create(index.as_str())
    }

    /// What a write of the caller does when there is no such index.
    pub fn missing_index(&self, index: &IndexUid) -> MissingIndex {
        if self.may_create(index) { MissingIndex::Create } else { MissingIndex::Refuse }
    }

    /// The indexes whose tasks the caller may see; `None` for all, and for tasks about no index.
    pub fn visible(&self) -> Option<Vec<UidPattern>> {
        self.scope.patterns().map(<[_]>::to_vec)
    }
}

impl<A: Action> Authorized<A> {
    /// Confines the body of a search, of whatever kind, to what the caller may find in this index. Every route of the
    /// search family calls this once for each query, before anything else is made of the query's filter.
    pub fn confine(&self, index: &IndexUid, body: &mut Map<String, Value>) -> Result<Confined, RequestError> {
        self.scope.confine(index.as_str(), body).map_err(|refused| ResponseError::from(refused).into())
    }
}
