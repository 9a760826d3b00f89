//! The settings as clients set them, and how a change is laid over them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::embedders;

use super::defaults::KEYS;

/// The settings of one index that differ from Meilisearch's defaults because a client set them, in the shape of
/// `PATCH /indexes/{uid}/settings`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSettings(Map<String, Value>);

/// Settings whose parts are set one by one; all others are replaced as a whole (Meilisearch 1.50).
const MERGED: [&str; 4] = ["typoTolerance", "faceting", "pagination", "chat"];

/// Settings that a server refuses to hear of unless an experimental feature is on.
const BEHIND_FEATURES: [&str; 2] = ["chat", "foreignKeys"];

/// How deep merging goes: `typoTolerance.minWordSizeForTypos.oneTypo`, but `faceting.sortFacetValuesBy` is replaced as a
/// whole.
fn merge_depth(key: &str) -> usize {
    if key == "faceting" { 1 } else { 2 }
}

impl ClientSettings {
    /// What a client set for this key, if it is not the default.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Everything that a client set, as one change of default settings.
    pub const fn as_patch(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Everything, as a change that makes these settings out of any: what no client set is reset.
    pub fn as_whole(&self) -> Map<String, Value> {
        let resets = KEYS.iter().filter(|key| !BEHIND_FEATURES.contains(key));
        let mut whole: Map<String, Value> = resets.map(|key| ((*key).to_owned(), Value::Null)).collect();
        whole.extend(self.0.clone());
        whole
    }

    /// The strings of a list setting; nothing when the client did not set it.
    pub fn list(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.0.get(key)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// Whether there is an embedder of this name.
    pub fn has_embedder(&self, name: &str) -> bool {
        self.get("embedders").is_some_and(|embedders| embedders.get(name).is_some())
    }

    /// Applies a settings change: `null` resets a key, objects of some settings are merged, everything else replaces.
    pub fn apply(&mut self, patch: &Map<String, Value>) {
        for (key, value) in patch {
            if value.is_null() {
                self.0.remove(key);
            } else if let ("embedders", Value::Object(changes)) = (key.as_str(), value) {
                embedders::change(embedders::object_at(&mut self.0, key), changes);
            } else if MERGED.contains(&key.as_str()) {
                merge(
                    self.0.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())),
                    value,
                    merge_depth(key),
                );
            } else {
                self.0.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What is null is not set, also in an object that was not there before.
fn merge(old: &mut Value, new: &Value, depth: usize) {
    if depth > 0 && new.is_object() && !old.is_object() {
        *old = Value::Object(Map::new());
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if depth > 0 => {
            for (key, value) in new {
                if value.is_null() {
                    old.remove(key);
                } else {
                    merge(old.entry(key.clone()).or_insert(Value::Null), value, depth - 1);
                }
            }
        }
        (old, new) => *old = new.clone(),
    }
}
