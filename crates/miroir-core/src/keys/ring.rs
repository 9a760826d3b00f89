//! All keys, with their values: what requests are checked against.

use std::cmp::Reverse;

use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
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
    pub fn new(master_key: Option<&str>, keys: Vec<ApiKey>) -> Self {
        let master_key = master_key.map(|text| MasterKey(text.to_owned()));
        let mut ring = Self { master_key, keys: Vec::new() };
        ring.keys = keys.into_iter().map(|key| ring.held(key)).collect();
        ring.sort();
        ring
    }

    /// The same with this key, which replaces the one that has its uid.
    pub fn with(&self, key: ApiKey) -> (Self, HeldKey) {
        let held = self.held(key);
        let mut ring = self.without(held.key.uid);
        ring.keys.push(held.clone());
        ring.sort();
        (ring, held)
    }

    /// The same without this key.
    #[must_use]
    pub fn without(&self, uid: KeyUid) -> Self {
        let keys = self.keys.iter().filter(|held| held.key.uid != uid).cloned().collect();
        Self { master_key: self.master_key.clone(), keys }
    }

    fn held(&self, key: ApiKey) -> HeldKey {
        HeldKey { value: self.value_of(key.uid), key }
    }

    fn sort(&mut self) {
        self.keys.sort_by_key(|held| (Reverse(held.key.created_at), held.key.uid));
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

    /// The key with this value.
    pub fn by_value(&self, value: &str) -> Option<&HeldKey> {
        let value = KeyValue::from_hex(value)?;
        self.keys.iter().find(|held| held.value.as_ref().is_some_and(|own| own.is(&value)))
    }

    /// The key that a path names, by uid or by value.
    pub fn named(&self, name: &str) -> Option<&HeldKey> {
        match Uuid::parse_str(name) {
            Ok(uid) => self.by_uid(KeyUid(uid)),
            Err(_) => self.by_value(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Action, UidPattern, default_keys};
    use time::macros::datetime;

    fn uid(number: u128) -> KeyUid {
        KeyUid(Uuid::from_u128(number))
    }

    fn ring() -> Ring {
        let now = datetime!(2026-01-02 03:04:05 UTC);
        Ring::new(Some("master"), default_keys([1, 2, 3, 4].map(uid), now))
    }

    #[test]
    fn a_key_is_found_by_its_uid_and_by_its_value() {
        let ring = ring();
        let value = ring.keys()[0].value.as_ref().map(KeyValue::to_hex).unwrap();
        for name in [value.as_str(), &value.to_uppercase(), &uid(4).to_string()] {
            assert_eq!(ring.named(name).map(|held| held.key.uid), Some(uid(4)), "{name}");
        }
        for name in ["", "unknown", &uid(9).to_string()] {
            assert!(ring.named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn keys_come_and_go_one_by_one() {
        let without = ring().without(uid(2));
        let left: Vec<_> = without.keys().iter().map(|held| held.key.uid).collect();
        assert_eq!(left, [uid(4), uid(3), uid(1)]);
        let mut renamed = without.keys()[1].key.clone();
        renamed.name = Some("other".to_owned());
        let (again, held) = without.with(renamed);
        assert_eq!((again.keys().len(), held.value.is_some()), (3, true));
        assert_eq!(again.by_uid(uid(3)).and_then(|held| held.key.name.as_deref()), Some("other"));
    }

    #[test]
    fn a_key_is_shown_as_meilisearch_shows_it() {
        let (_, held) = ring().with(ApiKey {
            uid: uid(5),
            name: None,
            description: None,
            actions: vec![Action::AllGet],
            indexes: vec![UidPattern::all()],
            expires_at: Some(datetime!(2098-01-01 10:00 +2)),
            created_at: datetime!(2026-01-02 03:04:05.5 UTC),
            updated_at: datetime!(2026-01-02 03:04:05.5 UTC),
        });
        let text = held.shown().to_string();
        assert!(text.starts_with("{\"name\":null,\"description\":null,\"key\":\""), "{text}");
        let end = "\",\"uid\":\"00000000-0000-0000-0000-000000000005\",\"actions\":[\"*.get\"],\"indexes\":[\"*\"],\
                   \"expiresAt\":\"2098-01-01T10:00:00+02:00\",\"createdAt\":\"2026-01-02T03:04:05.5Z\",\
                   \"updatedAt\":\"2026-01-02T03:04:05.5Z\"}";
        assert!(text.ends_with(end), "{text}");
    }
}
