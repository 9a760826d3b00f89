//! API keys, in the file of the queue.

use std::sync::PoisonError;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{Key, Store};
use crate::error::Result;
use crate::queue::task::show_time;

impl Key {
    /// The key as clients see it.
    pub fn view(&self) -> Value {
        let created = show_time(self.created_at);
        json!({
            "name": self.name,
            "description": self.description,
            "key": self.value,
            "uid": self.uid,
            "actions": self.actions,
            "indexes": self.indexes,
            "expiresAt": self.expires_at,
            "createdAt": created,
            "updatedAt": created,
        })
    }

    /// Whether it may be used for an action. Groups are known by their ends; `None` is for what every key may.
    fn grants(&self, action: Option<&str>) -> bool {
        let Some(action) = action else { return true };
        self.actions.iter().any(|granted| match granted.strip_suffix('*') {
            Some(group) => action.starts_with(group),
            None => granted == action,
        })
    }
}

pub(super) fn load(connection: &Connection) -> Result<Vec<Key>> {
    let mut statement = connection.prepare("SELECT key FROM keys ORDER BY rowid DESC")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
}

impl Store {
    /// All keys, the newest first.
    pub fn keys(&self) -> Vec<Key> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores a key; false if its uid is taken.
    pub fn add_key(&self, key: &Key) -> Result<bool> {
        let connection = self.lock();
        let sql = "INSERT OR IGNORE INTO keys (uid, value, key) VALUES (?1, ?2, ?3)";
        let added = connection.execute(sql, params![key.uid, key.value, serde_json::to_string(key)?])? == 1;
        self.hold(load(&connection)?);
        Ok(added)
    }

    /// Forgets a key; false if there was none.
    pub fn delete_key(&self, uid: &str) -> Result<bool> {
        let connection = self.lock();
        let deleted = connection.execute("DELETE FROM keys WHERE uid = ?1", [uid])? == 1;
        self.hold(load(&connection)?);
        Ok(deleted)
    }

    /// Whether there is a key of this value that may be used for an action.
    pub fn key_grants(&self, value: &str, action: Option<&str>) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| key.value == value && key.grants(action))
    }

    fn hold(&self, keys: Vec<Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_key_is_kept_and_grants_what_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("tasks.sqlite")).expect("a store");
        let key = Key {
            uid: "u".to_owned(),
            value: "v".to_owned(),
            name: None,
            description: Some("d".to_owned()),
            actions: vec!["documents.*".to_owned(), "search".to_owned()],
            indexes: vec!["*".to_owned()],
            expires_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        assert_eq!(store.add_key(&key), Ok(true));
        assert_eq!(store.add_key(&key), Ok(false));
        assert_eq!(store.keys(), [key]);
        let granted = |value, action| store.key_grants(value, action);
        assert!(granted("v", Some("search")) && granted("v", Some("documents.add")) && granted("v", None));
        assert!(!granted("v", Some("keys.get")) && !granted("w", Some("search")));
        assert_eq!((store.delete_key("u"), store.delete_key("u")), (Ok(true), Ok(false)));
        assert!(!granted("v", Some("search")));
    }
}
