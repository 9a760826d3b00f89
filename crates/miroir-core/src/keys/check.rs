//! Deciding whether a request may do what it wants, in the order of checks that Meilisearch has.

use thiserror::Error;
use time::OffsetDateTime;

use super::token::Unverified;
use super::{Action, HeldKey, NotAllowed, Ring, Scope, SearchRules, TokenError, UidPattern};
use crate::error::{ErrorCode, ResponseError};

/// What a request brings to be known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// No header.
    Absent,
    /// A header that is not of the form `Bearer …`.
    NotBearer,
    /// `Bearer`, and nothing behind it.
    Empty,
    /// A key or a token.
    Bearer(&'a str),
}

impl<'a> Credentials<'a> {
    /// Reads the `Authorization` header.
    pub fn of_header(header: Option<&'a str>) -> Self {
        match header.map(|text| text.split_once(' ').unwrap_or((text, ""))) {
            None => Self::Absent,
            Some(("Bearer", "")) => Self::Empty,
            Some(("Bearer", token)) => Self::Bearer(token),
            Some(_) => Self::NotBearer,
        }
    }
}

/// Why a request may not do what it wants.
#[derive(Debug, Error)]
pub enum Denied {
    /// Nothing says who asks.
    #[error("The Authorization header is missing. It must use the bearer authorization method.")]
    MissingHeader,
    /// There are no keys without a master key.
    #[error(
        "Meilisearch is running without a master key. To access this API endpoint, you must have set a master key at \
         launch."
    )]
    MissingMasterKey,
    /// No such key, or not for this.
    #[error("The provided API key is invalid.")]
    Key,
    /// The key is for other indexes.
    #[error("The API key cannot acces the index `{index}`, authorized indexes are {allowed:?}.")]
    KeyIndex {
        /// The index asked for.
        index: String,
        /// What the key is for.
        allowed: Vec<String>,
    },
    /// The token is for other indexes.
    #[error("The provided tenant token cannot acces the index `{index}`, allowed indexes are {allowed:?}.")]
    TokenIndex {
        /// The index asked for.
        index: String,
        /// What the token is for.
        allowed: Vec<String>,
    },
    /// The token's key is for other indexes; which ones is nothing for the token's holder to know.
    #[error("The API key used to generate this tenant token cannot acces the index `{index}`.")]
    TokenKeyIndex {
        /// The index asked for.
        index: String,
    },
    /// The token is broken, forged or expired.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<Denied> for ResponseError {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::MissingHeader => ErrorCode::MissingAuthorizationHeader,
            Denied::MissingMasterKey => ErrorCode::MissingMasterKey,
            Denied::Key
            | Denied::KeyIndex { .. }
            | Denied::TokenIndex { .. }
            | Denied::TokenKeyIndex { .. }
            | Denied::Token(_) => ErrorCode::InvalidApiKey,
        };
        Self::new(code, denied.to_string())
    }
}

impl From<NotAllowed> for ResponseError {
    fn from(refused: NotAllowed) -> Self {
        Self::new(ErrorCode::InvalidApiKey, refused.to_string())
    }
}

impl Ring {
    /// What a request with these credentials is confined to when it does `action`, on the index that its path names, if
    /// it names one.
    pub fn authorize(
        &self,
        credentials: Credentials<'_>,
        action: Action,
        index: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Scope, Denied> {
        match (credentials, &self.master_key) {
            (Credentials::NotBearer, _) | (Credentials::Absent, Some(_)) => Err(Denied::MissingHeader),
            (Credentials::Empty, _) => Err(Denied::Key),
            (_, None) if action.is_about_keys() => Err(Denied::MissingMasterKey),
            (_, None) => Ok(Scope::unlimited()),
            (Credentials::Bearer(token), Some(master)) if master.is(token) => Ok(Scope::unlimited()),
            (Credentials::Bearer(token), Some(_)) => self.authorize_key(token, action, index, now),
        }
    }

    fn authorize_key(
        &self,
        token: &str,
        action: Action,
        index: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Scope, Denied> {
        let (held, rules) = self.identify(token, action, now)?;
        let may_create = held.key.permits(Action::IndexesCreate, None, now);
        let scope = Scope { indexes: held.key.indexes.clone(), rules, may_create };
        if let Some(index) = index {
            check_index(&scope, index)?;
        }
        if held.key.permits(action, index, now) { Ok(scope) } else { Err(Denied::Key) }
    }

    /// The key that was sent, or that signed the token that was sent.
    fn identify(
        &self,
        token: &str,
        action: Action,
        now: OffsetDateTime,
    ) -> Result<(&HeldKey, Option<SearchRules>), Denied> {
        let by_value = || self.by_value(token).ok_or(Denied::Key);
        if !action.takes_tokens() {
            return Ok((by_value()?, None));
        }
        let unverified = match Unverified::read(token) {
            Ok(unverified) => unverified,
            Err(TokenError::NotAToken) => return Ok((by_value()?, None)),
            Err(error) => return Err(error.into()),
        };
        let uid = unverified.key_uid();
        let value = self.value_of(uid).ok_or(Denied::Key)?;
        let rules = unverified.verify(&value, now.unix_timestamp())?;
        Ok((self.by_uid(uid).ok_or(Denied::Key)?, Some(rules)))
    }
}

fn check_index(scope: &Scope, index: &str) -> Result<(), Denied> {
    let uid = index.to_owned();
    match &scope.rules {
        Some(rules) if !rules.allow(index) => {
            Err(Denied::TokenIndex { index: uid, allowed: sorted(rules.patterns()) })
        }
        _ if scope.key_allows(index) => Ok(()),
        Some(_) => Err(Denied::TokenKeyIndex { index: uid }),
        None => Err(Denied::KeyIndex { index: uid, allowed: sorted(scope.indexes.iter()) }),
    }
}

fn sorted<'a>(patterns: impl Iterator<Item = &'a UidPattern>) -> Vec<String> {
    let mut names: Vec<String> = patterns.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
