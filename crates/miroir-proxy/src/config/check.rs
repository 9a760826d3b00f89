//! From what was written to what is meant. Every check runs, whatever the others found, so that all problems of a
//! configuration are told at once; a refused value goes on as its default until then.

mod addresses;
mod nodes;
mod settings;
mod store;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::ShardCount;

use self::addresses::Own;

use super::checked::{
    AdminConfig, Config, HealthConfig, IndexPattern, IndexShards, MetricsConfig, ScatterConfig, Secret,
    ServerConfig, TaskStoreConfig,
};
use super::error::{Origin, Problem, Reason, SHARDS_OUT_OF_RANGE, Warning};
use super::raw::{Raw, RawHealth, RawIndexShards, RawMetrics, RawScatter, RawServer, RawTaskStore, Setting};
use super::{MAX_SHARDS, keys};

/// Shorter master keys draw a warning; Meilisearch refuses them in production.
const SAFE_MASTER_KEY_BYTES: usize = 16;
/// An hour: longer waits are a wrong unit.
const MAX_MILLISECONDS: u64 = 3_600_000;
const MAX_BODY_BYTES: u64 = 16 << 30;
const MAX_CONCURRENT_REQUESTS: u64 = 1_000_000;
const MAX_CONNECTIONS: u64 = 1_000_000;
const MAX_HEALTH_CHECKS: u64 = 1000;
const MAX_COPIES: u64 = 1000;

const SWITCH: &[(&str, bool)] = &[("true", true), ("false", false)];

/// Checks everything; the configuration is made only if nothing is wrong.
pub(super) fn check(raw: &Raw, warnings: &mut Vec<Warning>) -> Result<Config, Vec<Problem>> {
    let mut checker = Checker { problems: Vec::new() };
    let config = checker.config(raw);
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    match config.master_key.as_ref().map(|key| key.expose().len()) {
        None => warnings.push(Warning::NoMasterKey),
        Some(bytes) if bytes < SAFE_MASTER_KEY_BYTES => warnings.push(Warning::ShortMasterKey { bytes }),
        Some(_) => {}
    }
    let TaskStoreConfig::Sqlite { path } = &config.task_store;
    if let Some(mode) = store::open_to_others(path) {
        warnings.push(Warning::ReadableStore { path: path.clone(), mode });
    }
    Ok(config)
}

struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn config(&mut self, raw: &Raw) -> Config {
        let defaults = Config::new(self.master_key(raw), Vec::new());
        let told = self.problems.len();
        let replica_groups = self.small("replica_groups", raw.replica_groups.as_ref(), 1, MAX_COPIES);
        let replication_factor =
            self.small("replication_factor", raw.replication_factor.as_ref(), 1, MAX_COPIES);
        let server = self.server(&raw.server, &defaults.server);
        let metrics = self.metrics(&raw.metrics, &defaults.metrics);
        self.listeners(raw, &server, &metrics);
        let nodes = self.nodes(raw, replica_groups, &Own::of(&server, &metrics));
        // With a wrong node or number among them the counts would be wrong as well.
        if self.problems.len() == told {
            self.groups(raw, &nodes, replica_groups, replication_factor);
        }
        Config {
            node_master_key: self.secret("node_master_key", raw.node_master_key.as_ref()),
            shards: self.shards("shards", raw.shards.as_ref()).unwrap_or(defaults.shards),
            index_shards: self.index_shards(raw.index_shards.as_deref().unwrap_or_default()),
            replication_factor,
            replica_groups,
            nodes,
            server,
            scatter: self.scatter(&raw.scatter, &defaults.scatter),
            health: self.health(&raw.health, &defaults.health),
            task_store: self.task_store(&raw.task_store, &defaults.task_store),
            admin: AdminConfig { api_key: self.secret("admin.api_key", raw.admin.api_key.as_ref()) },
            metrics,
            settings: self.settings(&raw.settings_broadcast, &raw.settings_drift_check, &defaults.settings),
            ..defaults
        }
    }

    /// Without one there must be a word that this is meant.
    fn master_key(&mut self, raw: &Raw) -> Option<Secret> {
        let (key, open) = ("open_without_master_key", raw.open_without_master_key.as_ref());
        let is_open = self.word(key, open, SWITCH, &["true", "false"]).unwrap_or(false);
        match (&raw.master_key, open) {
            (Some(_), Some(open)) if is_open => self.refuse(key, open, Reason::MasterKeySet),
            (None, _) if !is_open => self.missing("master_key", &Origin::Unset),
            _ => {}
        }
        self.secret("master_key", raw.master_key.as_ref())
    }

    fn server(&mut self, raw: &RawServer, defaults: &ServerConfig) -> ServerConfig {
        let (body, requests) = (defaults.max_body_bytes, defaults.max_concurrent_requests);
        ServerConfig {
            bind: self.bind("server.bind", raw.bind.as_ref(), defaults.bind),
            port: self
                .number("server.port", raw.port.as_ref(), 0, u64::from(u16::MAX))
                .unwrap_or(defaults.port),
            max_body_bytes: self
                .number("server.max_body_bytes", raw.max_body_bytes.as_ref(), 1, MAX_BODY_BYTES)
                .unwrap_or(body),
            max_concurrent_requests: self
                .number(
                    "server.max_concurrent_requests",
                    raw.max_concurrent_requests.as_ref(),
                    1,
                    MAX_CONCURRENT_REQUESTS,
                )
                .unwrap_or(requests),
            max_connections: self
                .number("server.max_connections", raw.max_connections.as_ref(), 1, MAX_CONNECTIONS)
                .unwrap_or(defaults.max_connections),
            header_timeout: self.duration(
                "server.header_timeout_ms",
                raw.header_timeout_ms.as_ref(),
                defaults.header_timeout,
            ),
            request_timeout: self.duration(
                "server.request_timeout_ms",
                raw.request_timeout_ms.as_ref(),
                defaults.request_timeout,
            ),
        }
    }

    fn scatter(&mut self, raw: &RawScatter, defaults: &ScatterConfig) -> ScatterConfig {
        let policies = &[
            ("stale", UnavailableShardPolicy::Stale),
            ("partial", UnavailableShardPolicy::Partial),
            ("error", UnavailableShardPolicy::Error),
        ];
        let policy = self.word(
            "scatter.unavailable_shard_policy",
            raw.unavailable_shard_policy.as_ref(),
            policies,
            &["stale", "partial", "error"],
        );
        ScatterConfig {
            node_timeout: self.duration(
                "scatter.node_timeout_ms",
                raw.node_timeout_ms.as_ref(),
                defaults.node_timeout,
            ),
            unavailable_shard_policy: policy.unwrap_or(defaults.unavailable_shard_policy),
        }
    }

    fn health(&mut self, raw: &RawHealth, defaults: &HealthConfig) -> HealthConfig {
        let mut checks = |key, setting: Option<&Setting>, default| {
            self.number(key, setting, 1, MAX_HEALTH_CHECKS).unwrap_or(default)
        };
        HealthConfig {
            unhealthy_threshold: checks(
                "health.unhealthy_threshold",
                raw.unhealthy_threshold.as_ref(),
                defaults.unhealthy_threshold,
            ),
            recovery_threshold: checks(
                "health.recovery_threshold",
                raw.recovery_threshold.as_ref(),
                defaults.recovery_threshold,
            ),
            interval: self.duration("health.interval_ms", raw.interval_ms.as_ref(), defaults.interval),
            timeout: self.duration("health.timeout_ms", raw.timeout_ms.as_ref(), defaults.timeout),
            max_lag: self.duration("health.max_lag_ms", raw.max_lag_ms.as_ref(), defaults.max_lag),
        }
    }

    fn task_store(&mut self, raw: &RawTaskStore, default: &TaskStoreConfig) -> TaskStoreConfig {
        // One backend so far: the word only has to be right.
        let _: Option<()> =
            self.word("task_store.backend", raw.backend.as_ref(), &[("sqlite", ())], &["sqlite"]);
        let (key, setting) = ("task_store.path", raw.path.as_ref());
        let Some((path, setting)) = self.text(key, setting).map(PathBuf::from).zip(setting) else {
            return default.clone();
        };
        if let Some(why) = store::obstacle(&path) {
            self.refuse(key, setting, Reason::NotAStore(why));
        }
        TaskStoreConfig::Sqlite { path }
    }

    fn metrics(&mut self, raw: &RawMetrics, defaults: &MetricsConfig) -> MetricsConfig {
        MetricsConfig {
            enabled: self
                .word("metrics.enabled", raw.enabled.as_ref(), SWITCH, &["true", "false"])
                .unwrap_or(defaults.enabled),
            bind: self.bind("metrics.bind", raw.bind.as_ref(), defaults.bind),
            port: self
                .number("metrics.port", raw.port.as_ref(), 0, u64::from(u16::MAX))
                .unwrap_or(defaults.port),
        }
    }

    fn index_shards(&mut self, entries: &[Setting<RawIndexShards>]) -> Vec<IndexShards> {
        let mut checked = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let key = |name: &str| format!("index_shards[{position}].{name}");
            let pattern = self.pattern(&key("pattern"), entry);
            let shards = self.shards(&key("shards"), entry.value.shards.as_ref());
            if entry.value.shards.is_none() {
                self.missing(&key("shards"), &entry.origin);
            }
            if let (Some(pattern), Some(shards)) = (pattern, shards) {
                checked.push(IndexShards { pattern, shards });
            }
        }
        checked
    }

    fn pattern(&mut self, key: &str, entry: &Setting<RawIndexShards>) -> Option<IndexPattern> {
        let Some(setting) = &entry.value.pattern else {
            self.missing(key, &entry.origin);
            return None;
        };
        let (name, is_prefix) = match setting.value.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (setting.value.as_str(), false),
        };
        let is_uid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_uid || (name.is_empty() && !is_prefix) {
            self.refuse(key, setting, Reason::NotAnIndexPattern);
            return None;
        }
        let name = name.to_owned();
        Some(if is_prefix { IndexPattern::Prefix(name) } else { IndexPattern::Exact(name) })
    }

    fn bind(&mut self, key: &str, setting: Option<&Setting>, default: IpAddr) -> IpAddr {
        let Some(setting) = setting else { return default };
        setting.value.parse().unwrap_or_else(|_| {
            self.refuse(key, setting, Reason::NotAnIpAddress);
            default
        })
    }

    fn shards(&mut self, key: &str, setting: Option<&Setting>) -> Option<ShardCount> {
        let setting = setting?;
        let count = setting.value.parse().ok().filter(|count| *count <= MAX_SHARDS).and_then(ShardCount::new);
        if count.is_none() {
            self.refuse(key, setting, SHARDS_OUT_OF_RANGE);
        }
        count
    }

    /// A count that is 1 unless set.
    fn small(&mut self, key: &str, setting: Option<&Setting>, min: u64, max: u64) -> u32 {
        self.number(key, setting, min, max).unwrap_or(1)
    }

    fn duration(&mut self, key: &str, setting: Option<&Setting>, default: Duration) -> Duration {
        self.number(key, setting, 1, MAX_MILLISECONDS).map_or(default, Duration::from_millis)
    }

    fn number<N: TryFrom<u64>>(
        &mut self,
        key: &str,
        setting: Option<&Setting>,
        min: u64,
        max: u64,
    ) -> Option<N> {
        let setting = setting?;
        let number = setting.value.trim().parse::<u64>().ok().filter(|number| (min..=max).contains(number));
        let number = number.and_then(|number| N::try_from(number).ok());
        if number.is_none() {
            self.refuse(key, setting, Reason::NotInRange { min, max });
        }
        number
    }

    fn word<W: Copy>(
        &mut self,
        key: &str,
        setting: Option<&Setting>,
        words: &[(&str, W)],
        allowed: &'static [&'static str],
    ) -> Option<W> {
        let setting = setting?;
        let found = words.iter().find(|(word, _)| *word == setting.value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.refuse(key, setting, Reason::NotOneOf { allowed });
        }
        found
    }

    fn text<'a>(&mut self, key: &str, setting: Option<&'a Setting>) -> Option<&'a str> {
        let setting = setting?;
        if setting.value.is_empty() {
            self.refuse(key, setting, Reason::Empty);
            return None;
        }
        Some(&setting.value)
    }

    /// A secret is only ever refused for being empty, so no message can show one.
    fn secret(&mut self, key: &str, setting: Option<&Setting>) -> Option<Secret> {
        self.text(key, setting).map(Secret::new)
    }

    fn missing(&mut self, key: &str, origin: &Origin) {
        let variable = (!key.contains('[')).then(|| keys::variable(key));
        let reason = Reason::Missing { variable };
        self.problems.push(Problem { key: key.to_owned(), value: None, origin: origin.clone(), reason });
    }

    fn refuse(&mut self, key: &str, setting: &Setting, reason: Reason) {
        self.refuse_as(key, Some(setting), &setting.value, reason);
    }

    /// Refuses a value that may be a default.
    fn refuse_as(&mut self, key: &str, setting: Option<&Setting>, value: &impl ToString, reason: Reason) {
        let origin = setting.map_or(Origin::Unset, |setting| setting.origin.clone());
        self.problems.push(Problem { key: key.to_owned(), value: Some(value.to_string()), origin, reason });
    }
}
