//! All keys, with their values: what requests are checked against.

use std::cmp::Reverse;

use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiKey, KeyValue, derive_value};
use crate::ids::KeyUid;

/// Every key that there is, under one master key or none.
#[derive(Debug, Clone)]
pub struct Ring {
    pub(super) master_key: Option<MasterKey>,
    keys: Vec<HeldKey>,
}

/// Shown by nothing.
#[derive(Clone)]
pub(super) struct MasterKey(String);

impl MasterKey {
    /// Whether this text is the master key. Takes equally long for every text of the right length.
    pub(super) fn is(&self, text: &str) -> bool {
        bool::from(self.0.as_bytes().ct_eq(text.as_bytes()))
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct HeldKey {
    /// The key.
    pub key: ApiKey,
    /// What clients send; none without a master key.
    pub value: Option<KeyValue>,
}

impl HeldKey {
    /// The key as clients see it.
    pub fn shown(&self) -> Value {
        let date = |date: OffsetDateTime| date.format(&Rfc3339).unwrap_or_default();
        let key = &self.key;
        json!({
            "name": key.name,
            "description": key.description,
            "key": self.value.as_ref().map(KeyValue::to_hex).unwrap_or_default(),
            "uid": key.uid,
            "actions": key.actions,
            "indexes": key.indexes,
            "expiresAt": key.expires_at.map(date),
            "createdAt": date(key.created_at),
            "updatedAt": date(key.updated_at),
        })
    }
}

impl Ring {
    /// Makes the values of the keys.
    pub fn new(master_key: Option<&str>, mut keys: Vec<ApiKey>) -> Self {
        keys.sort_by_key(|key| (Reverse(key.created_at), key.uid));
        let held = |key: ApiKey| HeldKey { value: master_key.map(|master| derive_value(master, key.uid)), key };
        Self {
            master_key: master_key.map(|text| MasterKey(text.to_owned())),
            keys: keys.into_iter().map(held).collect(),
        }
    }

    /// All keys, the newest first.
    pub fn keys(&self) -> &[HeldKey] {
        &self.keys
    }

    /// The key with this uid.
    pub fn by_uid(&self, uid: KeyUid) -> Option<&HeldKey> {
        self.keys.iter().find(|held| held.key.uid == uid)
    }

    /// The value that a key with this uid has or would have; none without a master key.
    pub(super) fn value_of(&self, uid: KeyUid) -> Option<KeyValue> {
        self.master_key.as_ref().map(|master| derive_value(&master.0, uid))
    }

    /// The key with this value. Every key is compared, so that the time taken says nothing about any.
    pub fn by_value(&self, value: &str) -> Option<&HeldKey> {
        let is_it = |held: &&HeldKey| held.value.as_ref().is_some_and(|own| own.is(value));
        self.keys.iter().filter(is_it).last()
    }

    /// The key that a path names, by uid or by value.
    pub fn named(&self, name: &str) -> Option<&HeldKey> {
        match Uuid::parse_str(name) {
            Ok(uid) => self.by_uid(KeyUid(uid)),
            Err(_) => self.by_value(name),
        }
    }
}
