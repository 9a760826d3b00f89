//! The names of all keys, which files and variables are held against: all unknown ones are found, with
//! the key that was probably meant.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::error::{Origin, Problem, Reason};

/// Every key, `[]` standing for the items of a list.
pub(super) const KEYS: &[&str] = &[
    "master_key",
    "node_master_key",
    "open_without_master_key",
    "shards",
    "index_shards[].pattern",
    "index_shards[].shards",
    "replication_factor",
    "replica_groups",
    "nodes[].id",
    "nodes[].address",
    "nodes[].replica_group",
    "server.bind",
    "server.port",
    "server.max_body_bytes",
    "server.max_concurrent_requests",
    "server.max_connections",
    "server.header_timeout_ms",
    "server.request_timeout_ms",
    "scatter.node_timeout_ms",
    "scatter.unavailable_shard_policy",
    "health.interval_ms",
    "health.timeout_ms",
    "health.unhealthy_threshold",
    "health.recovery_threshold",
    "health.max_lag_ms",
    "task_store.backend",
    "task_store.path",
    "settings_broadcast.strategy",
    "settings_broadcast.verify_timeout_s",
    "settings_broadcast.max_repair_retries",
    "settings_broadcast.freeze_writes_on_unrepairable",
    "settings_drift_check.interval_s",
    "settings_drift_check.auto_repair",
    "admin.api_key",
    "metrics.enabled",
    "metrics.bind",
    "metrics.port",
];

/// Names less alike than this are no typo of each other (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.85;

/// The variable that sets a key; a list is set as a whole.
pub(super) fn variable(key: &str) -> String {
    let settable = key.split("[]").next().unwrap_or(key);
    format!("MIROIR_{}", settable.replace('.', "_").to_uppercase())
}

/// The name most like `wanted`, if one is alike at all.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&plain(wanted), &plain(name));
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// All unknown keys of a text whose top level is `prefix` (empty for a file, `nodes` for the list of nodes).
pub(super) fn find_unknown(text: &str, prefix: &str) -> Result<Vec<Problem>, serde_saphyr::Error> {
    let written: Option<Written> = serde_saphyr::from_str(text)?;
    let mut unknown = Vec::new();
    if let Some(written) = written {
        walk(&written, prefix, prefix, &mut unknown);
    }
    Ok(unknown)
}

/// `schema` is the path with `[]`, `path` the same with the items' numbers.
fn walk(written: &Written, schema: &str, path: &str, unknown: &mut Vec<Problem>) {
    match written {
        Written::Value => {}
        Written::List(items) => {
            for (position, item) in items.iter().enumerate() {
                walk(item, &format!("{schema}[]"), &format!("{path}[{position}]"), unknown);
            }
        }
        Written::Map(entries) => {
            for (key, value) in entries {
                let (schema_key, path_key) = (join(schema, &key.value), join(path, &key.value));
                if is_known(&schema_key) {
                    walk(value, &schema_key, &path_key, unknown);
                } else {
                    unknown.push(Problem {
                        key: path_key,
                        value: None,
                        origin: Origin::Line(key.referenced.line()),
                        reason: Reason::UnknownKey { nearest: suggest(schema, &key.value) },
                    });
                }
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn is_known(schema: &str) -> bool {
    KEYS.iter().any(|key| {
        key.strip_prefix(schema).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// A key beside the wrong one, else the same key in another section.
fn suggest(schema: &str, key: &str) -> Option<String> {
    let prefix = if schema.is_empty() { String::new() } else { format!("{schema}.") };
    let beside = KEYS
        .iter()
        .filter_map(|known| known.strip_prefix(&prefix))
        .filter_map(|rest| rest.split(['.', '[']).next())
        .filter(|name| !name.is_empty());
    let elsewhere = || KEYS.iter().find(|known| known.rsplit('.').next() == Some(key));
    nearest(key, beside).map(str::to_owned).or_else(|| elsewhere().map(|&known| known.to_owned()))
}

/// The keys of a text, without its values.
enum Written {
    Value,
    List(Vec<Written>),
    Map(Vec<(Spanned<String>, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_none<E>(self) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_str<E>(self, _: &str) -> Result<Written, E> {
        Ok(Written::Value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Written::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Written, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Written::Map(map))
    }
}
