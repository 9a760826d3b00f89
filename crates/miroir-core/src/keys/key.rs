//! One API key.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};

use super::{Action, IndexScope, UidPattern};
use crate::ids::KeyUid;

/// An API key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its identity.
    pub uid: KeyUid,
    /// What people call it.
    pub name: Option<String>,
    /// What people say of it.
    pub description: Option<String>,
    /// What it grants, as the client listed it.
    pub actions: Vec<Action>,
    /// On which indexes, as the client listed them. A key for none grants nothing.
    pub indexes: Vec<UidPattern>,
    /// Until when; in the zone that the client wrote.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When its name or description last changed.
    pub updated_at: OffsetDateTime,
}

impl ApiKey {
    /// Whether it permits the action, on the index if one is named. Without an index, a key for some indexes permits
    /// what its route then confines to them.
    pub fn permits(&self, action: Action, index: Option<&str>, now: OffsetDateTime) -> bool {
        let is_valid = self.expires_at.is_none_or(|end| now < end);
        let is_granted = self.actions.iter().any(|granted| granted.grants(action));
        is_valid && is_granted && self.reaches(action, index)
    }

    fn reaches(&self, action: Action, index: Option<&str>) -> bool {
        match index {
            _ if self.indexes.iter().any(UidPattern::is_all) => true,
            Some(index) => self.indexes.iter().any(|pattern| pattern.matches(index)),
            None => action.index_scope() == IndexScope::CheckedByRoute && !self.indexes.is_empty(),
        }
    }
}

/// The value that a client sends as its key.
#[derive(Clone)]
pub struct KeyValue([u8; 32]);

impl KeyValue {
    /// The form that clients get: hexadecimal digits in lower case.
    pub fn to_hex(&self) -> String {
        let digit = |value: u8| char::from_digit(value.into(), 16).expect("four bits are one digit");
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
    }

    /// Reads that form, in either case; `None` for what is no key's value.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Whether both are the same. Takes equally long, however much they have in common.
    pub fn is(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value of the key with this uid: HMAC-SHA256 of the uid's text under the master key, as in Meilisearch.
pub fn derive_value(master_key: &str, uid: KeyUid) -> KeyValue {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(master_key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(uid.to_string().as_bytes());
    KeyValue(mac.finalize().into_bytes().into())
}

/// The keys that a Miroir without any key begins with: those of Meilisearch, under these uids.
pub fn default_keys(uids: [KeyUid; 4], now: OffsetDateTime) -> Vec<ApiKey> {
    const KEYS: [(&str, &str, &[Action]); 4] = [
        (
            "Default Chat API Key",
            "Use it to chat and search from the frontend",
            &[Action::ChatCompletions, Action::Search],
        ),
        (
            "Default Read-Only Admin API Key",
            "Use it to read information across the whole database. Caution! Do not expose this key on a public frontend",
            &[Action::AllGet, Action::KeysGet],
        ),
        (
            "Default Admin API Key",
            "Use it for anything that is not a search operation. Caution! Do not expose it on a public frontend",
            &[Action::Everything],
        ),
        ("Default Search API Key", "Use it to search from the frontend", &[Action::Search]),
    ];
    let key = |((name, description, actions), (uid, place)): ((&str, &str, &[Action]), (KeyUid, i64))| {
        // Listings are ordered by age.
        let created_at = now + Duration::microseconds(place);
        ApiKey {
            uid,
            name: Some(name.to_owned()),
            description: Some(description.to_owned()),
            actions: actions.to_vec(),
            indexes: vec![UidPattern::all()],
            expires_at: None,
            created_at,
            updated_at: created_at,
        }
    };
    KEYS.into_iter().zip(uids.into_iter().zip(0..)).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use uuid::uuid;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
    const UID: KeyUid = KeyUid(uuid!("74c9c733-3368-4738-bbe5-1d18a5fecb37"));

    fn key(actions: &[Action], indexes: &[&str]) -> ApiKey {
        ApiKey {
            uid: UID,
            name: None,
            description: None,
            actions: actions.to_vec(),
            indexes: indexes.iter().filter_map(|text| UidPattern::parse(text)).collect(),
            expires_at: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn the_value_is_the_hmac_of_the_uid() {
        let value = derive_value("master", UID);
        let hex = "db8b43338ad66cced7d120497d587476eb426bc292f30c354b12ab7977a5aa11";
        assert_eq!(value.to_hex(), hex);
        for text in [hex, &hex.to_uppercase()] {
            assert!(KeyValue::from_hex(text).is_some_and(|read| read.is(&value)), "{text}");
        }
        for wrong in ["", &hex[1..], &"g".repeat(64), &"é".repeat(32)] {
            assert!(KeyValue::from_hex(wrong).is_none(), "{wrong}");
        }
        assert!(!derive_value("other", UID).is(&value));
        assert_eq!(format!("{value:?}"), "[redacted]");
    }

    #[test]
    fn a_key_permits_its_actions_on_its_indexes_until_it_expires() {
        let mut films = key(&[Action::DocumentsAll, Action::IndexesGet], &["films", "tv-*"]);
        assert!(films.permits(Action::DocumentsAdd, Some("films"), NOW));
        assert!(films.permits(Action::DocumentsAdd, Some("tv-1"), NOW));
        assert!(!films.permits(Action::DocumentsAdd, Some("books"), NOW));
        assert!(!films.permits(Action::Search, Some("films"), NOW));
        films.expires_at = Some(NOW);
        assert!(!films.permits(Action::DocumentsAdd, Some("films"), NOW));
        assert!(films.permits(Action::DocumentsAdd, Some("films"), NOW - Duration::SECOND));
    }

    #[test]
    fn without_an_index_a_confined_key_permits_only_what_is_confined_later() {
        let films = key(&[Action::Everything], &["films"]);
        assert!(films.permits(Action::IndexesGet, None, NOW));
        assert!(!films.permits(Action::KeysGet, None, NOW) && !films.permits(Action::Version, None, NOW));
        assert!(key(&[Action::Everything], &["*"]).permits(Action::KeysGet, None, NOW));
        assert!(!key(&[Action::Everything], &[]).permits(Action::IndexesGet, None, NOW));
    }

    #[test]
    fn the_default_keys_are_four_and_the_search_key_is_the_newest() {
        let keys = default_keys([UID; 4], NOW);
        let newest = keys.iter().max_by_key(|key| key.created_at).unwrap();
        assert_eq!(newest.name.as_deref(), Some("Default Search API Key"));
        assert_eq!(keys.len(), 4);
        assert!(keys.iter().all(|key| key.indexes == [UidPattern::all()] && key.expires_at.is_none()));
    }
}
