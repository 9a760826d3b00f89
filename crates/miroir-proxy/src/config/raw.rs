//! The configuration as written. Every value is still text: a file and an environment variable then take the same way,
//! and whoever refuses a value can say where it stands.

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::error::{Origin, Problem};
use super::keys;

/// Something written, and where.
#[derive(Debug, Clone)]
pub(super) struct Setting<T = String> {
    pub value: T,
    pub origin: Origin,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { origin: Origin::Line(written.referenced.line()), value: written.value })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub master_key: Option<Setting>,
    pub node_master_key: Option<Setting>,
    pub open_without_master_key: Option<Setting>,
    pub shards: Option<Setting>,
    pub index_shards: Option<Vec<Setting<RawIndexShards>>>,
    pub replication_factor: Option<Setting>,
    pub replica_groups: Option<Setting>,
    pub nodes: Option<Vec<Setting<RawNode>>>,
    #[serde(deserialize_with = "section")]
    pub server: RawServer,
    #[serde(deserialize_with = "section")]
    pub scatter: RawScatter,
    #[serde(deserialize_with = "section")]
    pub health: RawHealth,
    #[serde(deserialize_with = "section")]
    pub task_store: RawTaskStore,
    #[serde(deserialize_with = "section")]
    pub settings_broadcast: RawSettingsBroadcast,
    #[serde(deserialize_with = "section")]
    pub settings_drift_check: RawSettingsDriftCheck,
    #[serde(deserialize_with = "section")]
    pub admin: RawAdmin,
    #[serde(deserialize_with = "section")]
    pub metrics: RawMetrics,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawIndexShards {
    pub pattern: Option<Setting>,
    pub shards: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawNode {
    pub id: Option<Setting>,
    pub address: Option<Setting>,
    pub replica_group: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawServer {
    pub bind: Option<Setting>,
    pub port: Option<Setting>,
    pub max_body_bytes: Option<Setting>,
    pub max_concurrent_requests: Option<Setting>,
    pub max_connections: Option<Setting>,
    pub header_timeout_ms: Option<Setting>,
    pub request_timeout_ms: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawScatter {
    pub node_timeout_ms: Option<Setting>,
    pub unavailable_shard_policy: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawHealth {
    pub interval_ms: Option<Setting>,
    pub timeout_ms: Option<Setting>,
    pub unhealthy_threshold: Option<Setting>,
    pub recovery_threshold: Option<Setting>,
    pub max_lag_ms: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTaskStore {
    pub backend: Option<Setting>,
    pub path: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSettingsBroadcast {
    pub strategy: Option<Setting>,
    pub verify_timeout_s: Option<Setting>,
    pub max_repair_retries: Option<Setting>,
    pub freeze_writes_on_unrepairable: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSettingsDriftCheck {
    pub interval_s: Option<Setting>,
    pub auto_repair: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAdmin {
    pub api_key: Option<Setting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMetrics {
    pub enabled: Option<Setting>,
    pub bind: Option<Setting>,
    pub port: Option<Setting>,
}

/// A section whose keys are all commented out is null in YAML, and means its defaults.
fn section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a whole file. Nothing is read of a text that is not YAML; what is unknown is passed over. Both are told.
pub(super) fn read(text: &str) -> (Option<Raw>, Vec<Problem>) {
    read_as(text, "")
}

/// Reads a text whose keys are the known ones below `prefix`. Null means all defaults.
pub(super) fn read_as<'de, T>(text: &'de str, prefix: &str) -> (Option<T>, Vec<Problem>)
where
    T: Deserialize<'de> + Default,
{
    let read = keys::find_unknown(text, prefix).and_then(|unknown| {
        let read: Option<T> = serde_saphyr::from_str(text)?;
        Ok((Some(read.unwrap_or_default()), unknown))
    });
    read.unwrap_or_else(|error| (None, vec![syntax(&error)]))
}

/// What is wrong, without the lines around it, which may hold a key.
fn syntax(error: &serde_saphyr::Error) -> Problem {
    let origin = error.location().map_or(Origin::Unset, |location| Origin::Line(location.line()));
    Problem::syntax(origin, in_words(error.without_snippet()))
}

/// The mistakes that people make, in words that need no knowledge of the parser.
fn in_words(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` is set twice in one place: take one of them out")
        }
        Error::Unexpected { expected: "sequence start", .. } => {
            "here must be a list, each of its items after a `-`".to_owned()
        }
        Error::Unexpected { expected: "mapping start", .. } => {
            "here must be keys with values, such as `port: 7700`, one in a line".to_owned()
        }
        Error::Unexpected { expected: "string scalar" | "scalar", .. } => {
            "here must be a single value, neither a list nor keys".to_owned()
        }
        Error::MultipleDocuments { .. } => {
            "a second document begins here: a configuration is one, without `---` in its middle".to_owned()
        }
        other => format!("this is no YAML that can be read: {other}"),
    }
}
