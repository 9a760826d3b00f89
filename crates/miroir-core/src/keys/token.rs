//! Tenant tokens: JSON Web Tokens (RFC 7519) that a back end signs with the value of a key, for its own clients. A token
//! searches what its key may search, confined further by its rules.
//!
//! Verified here by hand: of the many algorithms that a JWT library brings Meilisearch takes three, all HMAC, and what
//! clients read of a broken token is the text of the error at the step where it failed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Sha256, Sha384, Sha512};
use thiserror::Error;

use super::{KeyValue, UidPattern};
use crate::ids::KeyUid;

/// Why a token is refused.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It has not three parts: it is a key rather than a token.
    #[error("The provided tenant token is invalid.")]
    NotAToken,
    /// A part is no base64.
    #[error("Could not decode tenant token, Base64 error: {0}.")]
    Base64(#[from] base64::DecodeError),
    /// A part is no JSON, or not of the right shape.
    #[error("Could not decode tenant token, JSON error: {0}.")]
    Json(#[from] serde_json::Error),
    /// It is signed in a way that is not taken.
    #[error("Could not decode tenant token, InvalidAlgorithm.")]
    Algorithm,
    /// Its key did not sign it.
    #[error("Could not decode tenant token, InvalidSignature.")]
    Signature,
    /// It is meant for somebody else.
    #[error("Could not decode tenant token, InvalidAudience.")]
    Audience,
    /// It was good until `exp`, in seconds since 1970.
    #[error("Tenant token expired. Was valid up to `{exp}` and we're now `{now}`.")]
    Expired {
        /// Its end.
        exp: i64,
        /// Now.
        now: i64,
    },
}

/// What a token may search: patterns, or patterns with a rule each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum SearchRules {
    /// Indexes that may be searched as they are.
    Set(BTreeSet<UidPattern>),
    /// Indexes with what every search of them is confined by.
    Map(BTreeMap<UidPattern, Option<IndexRule>>),
}

/// What the searches of an index are confined by.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct IndexRule {
    filter: Option<Value>,
}

impl SearchRules {
    /// Whether the index may be searched at all.
    pub fn allow(&self, index: &str) -> bool {
        self.patterns().any(|pattern| pattern.matches(index))
    }

    /// The filter of an index that may be searched. Only one rule counts: that of the index's own name, else that of the
    /// longest pattern.
    pub fn filter(&self, index: &str) -> Option<&Value> {
        let Self::Map(rules) = self else { return None };
        let matching = rules.iter().filter(|(pattern, _)| pattern.matches(index));
        let (_, rule) = matching.max_by_key(|(pattern, _)| (pattern.is_exact(), pattern.as_str().len()))?;
        rule.as_ref()?.filter.as_ref()
    }

    /// All patterns, sorted.
    pub fn patterns(&self) -> Box<dyn Iterator<Item = &UidPattern> + '_> {
        match self {
            Self::Set(patterns) => Box::new(patterns.iter()),
            Self::Map(rules) => Box::new(rules.keys()),
        }
    }
}

/// Every algorithm that Meilisearch's library knows by name; those but the first three are refused as algorithms, others
/// as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Algorithm {
    HS256,
    HS384,
    HS512,
    ES256,
    ES384,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a header may hold. Only the algorithm is used; the rest has to be of the right type, as in Meilisearch.
#[derive(Deserialize)]
#[expect(dead_code, reason = "reading the fields is the check")]
struct Header {
    alg: Algorithm,
    typ: Option<String>,
    cty: Option<String>,
    jku: Option<String>,
    jwk: Option<IgnoredAny>,
    kid: Option<String>,
    x5u: Option<String>,
    x5c: Option<Vec<String>>,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
    crit: Option<Vec<String>>,
    enc: Option<String>,
    zip: Option<String>,
    url: Option<String>,
    nonce: Option<String>,
    #[serde(flatten)]
    others: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    search_rules: SearchRules,
    exp: Option<i64>,
    api_key_uid: KeyUid,
}

#[derive(Deserialize)]
struct Registered {
    #[serde(rename = "sub")]
    _subject: Option<Subject>,
    #[serde(rename = "aud")]
    audience: Option<Value>,
}

/// A subject that is no text does no harm; but where it is an object or a list, Meilisearch can't read on behind it.
struct Subject;

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Either way it is not looked at.
        let _ = String::deserialize(deserializer);
        Ok(Self)
    }
}

/// A token whose form was read, and nothing else: whoever sent it may have written anything into it.
pub(super) struct Unverified<'a> {
    header: Header,
    claims: Claims,
    payload: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, payload) = signed.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let header = decode(&URL_SAFE_NO_PAD.decode(header)?)?;
        let payload = URL_SAFE_NO_PAD.decode(payload)?;
        let claims = decode(&payload)?;
        Ok(Self { header, claims, payload, signed, signature })
    }

    /// The key that it claims to be signed with.
    pub(super) fn key_uid(&self) -> KeyUid {
        self.claims.api_key_uid
    }

    /// The rules, if the value of that key did sign it and it is good at `now`, in seconds since 1970.
    pub(super) fn verify(self, value: &KeyValue, now: i64) -> Result<SearchRules, TokenError> {
        let (secret, signed) = (value.to_hex(), self.signed.as_bytes());
        let check: fn(&[u8], &[u8], &[u8]) -> bool = match self.header.alg {
            Algorithm::HS256 => is_signature::<Hmac<Sha256>>,
            Algorithm::HS384 => is_signature::<Hmac<Sha384>>,
            Algorithm::HS512 => is_signature::<Hmac<Sha512>>,
            Algorithm::ES256
            | Algorithm::ES384
            | Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
            | Algorithm::EdDsa => return Err(TokenError::Algorithm),
        };
        if !check(secret.as_bytes(), signed, &URL_SAFE_NO_PAD.decode(self.signature)?) {
            return Err(TokenError::Signature);
        }
        check_audience(&self.payload)?;
        match self.claims.exp {
            Some(exp) if now > exp => Err(TokenError::Expired { exp, now }),
            _ => Ok(self.claims.search_rules),
        }
    }
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, TokenError> {
    Ok(serde_json::from_slice(json)?)
}

fn is_signature<M: Mac + KeyInit>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed);
    mac.verify_slice(signature).is_ok()
}

/// A token that names those it is for is refused: Meilisearch has no name of its own.
fn check_audience(payload: &[u8]) -> Result<(), TokenError> {
    match decode::<Registered>(payload)?.audience {
        Some(Value::String(_)) => Err(TokenError::Audience),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => Err(TokenError::Audience),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
