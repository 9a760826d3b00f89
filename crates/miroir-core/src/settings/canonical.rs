//! One form for the settings that a client set and for those that a node reports, so that they can be compared and
//! hashed: all keys, in order, defaults filled in, sets sorted, and what Miroir added for the node taken out.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::defaults::{KEYS, believe, default_of, is_of_a_feature, normal};
use super::{ClientSettings, NodeContext, node_settings};

/// Settings in canonical form: equal if, and only if, they mean the same to Meilisearch (see [`super::defaults`] for the
/// few parts of which only their presence is compared).
#[derive(Debug, Clone, PartialEq)]
pub struct Canonical(BTreeMap<&'static str, Value>);

/// SHA-256 of settings in canonical form, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsHash(String);

impl fmt::Display for SettingsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Canonical {
    /// What a client set.
    pub fn of_client(client: &ClientSettings) -> Self {
        let value = |key| normal(key, client.get(key).unwrap_or(&Value::Null));
        Self::of(KEYS.iter().map(|&key| (key, value(key))))
    }

    /// Settings of features that are at their default are left out: they came later, and hashes stay what they were.
    fn of(values: impl Iterator<Item = (&'static str, Value)>) -> Self {
        let counts =
            |(key, value): &(&str, Value)| !is_of_a_feature(key) || *value != normal(key, &Value::Null);
        Self(values.filter(counts).collect())
    }

    fn get(&self, key: &str) -> Value {
        self.0.get(key).cloned().unwrap_or_else(|| normal(key, &Value::Null))
    }

    /// What a node reports, seen as what a client would have set. Where the node has exactly the translation of `client`
    /// this is `client`'s own form; whatever is more, less or different stays as it is, so that the two differ in that key.
    pub fn of_node(
        read_back: &Map<String, Value>,
        client: &ClientSettings,
        context: NodeContext<'_>,
    ) -> Self {
        let wanted = whole_node_settings(client, context);
        let set = Self::of_client(client);
        let value = |key: &'static str| {
            // A key that a node does not know is a feature that it has not.
            let Some(found) = read_back.get(key) else { return set.get(key) };
            let expected = normal(key, wanted.get(key).unwrap_or(&Value::Null));
            let found = believe(key, &expected, found, normal(key, found));
            match set.get(key) {
                set if found == expected => set,
                // The client's own form, without what Miroir needs.
                set if found == set => Value::Array(vec![found]),
                _ => found,
            }
        };
        Self::of(KEYS.iter().map(|&key| (key, value(key))))
    }

    /// The hash. The same settings have the same one on every machine, for ever.
    pub fn hash(&self) -> SettingsHash {
        let text = serde_json::to_string(&self.0).expect("JSON can be written");
        let digest = Sha256::digest(text.as_bytes());
        let hex = digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to memory does not fail");
            hex
        });
        SettingsHash(hex)
    }

    /// The keys in which the two differ.
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let differs = |key: &&&str| self.0.get(**key) != other.0.get(**key);
        KEYS.iter().filter(differs).map(|key| (*key).to_owned()).collect()
    }
}

/// All settings of a node: the translation of everything that the client set or left alone.
pub fn whole_node_settings(client: &ClientSettings, context: NodeContext<'_>) -> Map<String, Value> {
    let patch: Map<String, Value> =
        KEYS.iter().map(|&key| (key.to_owned(), client.get(key).cloned().unwrap_or(Value::Null))).collect();
    node_settings(client, &patch, context)
}

/// The change that brings a node with these settings to the translation of `client`, in these keys.
pub fn repair_patch(
    keys: &[String],
    read_back: &Map<String, Value>,
    client: &ClientSettings,
    context: NodeContext<'_>,
) -> Map<String, Value> {
    let wanted = whole_node_settings(client, context);
    let value = |key: &str| {
        let mut value = wanted.get(key).cloned().unwrap_or(Value::Null);
        match (key, &mut value) {
            // These are merged into what is there, so every part has to be named.
            ("typoTolerance" | "faceting" | "pagination", parts) => fill(parts, &default_of(key)),
            ("chat", parts) => {
                fill(parts, &default_of(key));
                let surplus = read_back.get(key).and_then(|chat| chat["searchParameters"].as_object());
                for name in surplus.into_iter().flat_map(Map::keys) {
                    if parts["searchParameters"].get(name).is_none() {
                        parts["searchParameters"][name] = Value::Null;
                    }
                }
            }
            ("embedders", embedders) => {
                let present = read_back.get(key).and_then(Value::as_object);
                let wanted = embedders.as_object().cloned().unwrap_or_default();
                let is_quantized = |embedder: &Value| embedder["binaryQuantized"] == Value::Bool(true);
                // Vectors never become whole again: such an embedder goes first, and comes back with the next change.
                let goes = |(name, embedder): &(&String, &Value)| {
                    let stays = |wanted: &Value| is_quantized(wanted) || !is_quantized(embedder);
                    !wanted.get(*name).is_some_and(stays)
                };
                let gone = present.into_iter().flatten().filter(goes);
                let gone: Vec<_> = gone.map(|(name, _)| (name.clone(), Value::Null)).collect();
                return Value::Object(wanted.clone().into_iter().chain(gone).collect());
            }
            _ => {}
        }
        value
    };
    keys.iter().map(|key| (key.clone(), value(key))).collect()
}

fn fill(value: &mut Value, default: &Value) {
    match (value, default) {
        (Value::Object(parts), Value::Object(defaults)) => {
            for (name, default) in defaults {
                fill(parts.entry(name.clone()).or_insert(Value::Null), default);
            }
        }
        (value, default) if value.is_null() => *value = default.clone(),
        _ => {}
    }
}
