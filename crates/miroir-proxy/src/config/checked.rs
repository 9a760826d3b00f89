//! The configuration that the rest of Miroir works with: typed, complete, and without states that make no sense.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::{GroupId, NodeId, ShardCount};
use miroir_core::task::ShardRules;
use reqwest::Url;

use super::settings::SettingsConfig;

/// A checked configuration. Every group below `replica_groups` has at least `replication_factor` nodes.
#[derive(Debug, Clone)]
pub struct Config {
    /// What clients authenticate with, and what API keys are derived from. None where everybody may do everything,
    /// which the operator has asked for.
    pub master_key: Option<Secret>,
    /// What Miroir sends to the nodes; none for nodes that run without a master key.
    pub node_master_key: Option<Secret>,
    /// How many shards a new index gets when no pattern of `index_shards` matches.
    pub shards: ShardCount,
    /// Shard counts by index name; the first pattern that matches wins.
    pub index_shards: Vec<IndexShards>,
    /// Copies of each shard within one replica group, at least 1.
    pub replication_factor: u32,
    /// How many replica groups there are, at least 1; they are numbered from 0.
    pub replica_groups: u32,
    /// The nodes, with distinct ids and addresses, in the order written.
    pub nodes: Vec<NodeConfig>,
    /// Miroir's own HTTP server.
    pub server: ServerConfig,
    /// How requests are spread over the nodes.
    pub scatter: ScatterConfig,
    /// How nodes are watched.
    pub health: HealthConfig,
    /// Where the task log is kept.
    pub task_store: TaskStoreConfig,
    /// Miroir's own administration routes.
    pub admin: AdminConfig,
    /// Where metrics are served.
    pub metrics: MetricsConfig,
    /// How changes of settings are made, and watched.
    pub settings: SettingsConfig,
}

impl Config {
    /// The defaults for these nodes. The caller vouches for what `check` would have checked about the nodes.
    pub fn new(master_key: Option<Secret>, nodes: Vec<NodeConfig>) -> Self {
        Self {
            master_key,
            node_master_key: None,
            shards: ShardCount::new(64).expect("64 is not zero"),
            index_shards: Vec::new(),
            replication_factor: 1,
            replica_groups: 1,
            nodes,
            server: ServerConfig {
                bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
                port: 7700,
                max_body_bytes: 100_000_000,
                max_concurrent_requests: 1024,
                max_connections: 4096,
                header_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_mins(1),
            },
            scatter: ScatterConfig {
                node_timeout: Duration::from_secs(15),
                unavailable_shard_policy: UnavailableShardPolicy::Stale,
            },
            health: HealthConfig {
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                unhealthy_threshold: 2,
                recovery_threshold: 1,
                max_lag: Duration::from_mins(1),
            },
            task_store: TaskStoreConfig::Sqlite { path: PathBuf::from("./miroir-data/miroir.sqlite") },
            admin: AdminConfig { api_key: None },
            metrics: MetricsConfig { enabled: true, bind: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 9090 },
            settings: SettingsConfig::default(),
        }
    }

    /// How many shards an index gets when it is created.
    pub fn shard_rules(&self) -> ShardRules {
        let patterns = self.index_shards.iter().map(|rule| (rule.pattern.to_string(), rule.shards)).collect();
        ShardRules { default: self.shards, patterns }
    }
}

/// A node as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name; placement depends on it, so it outlives a change of address.
    pub id: NodeId,
    /// Where it listens.
    pub address: NodeAddress,
    /// The replica group it belongs to.
    pub group: GroupId,
}

/// The base URL of a node, `http` or `https`, never with a `/` at the end: a path can be appended as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeAddress(String);

impl NodeAddress {
    /// Takes a URL with scheme `http` or `https` and a host; a path prefix is allowed, a `/` at the end is dropped.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(_) if !text.contains("://") => return Err("it has no http:// or https:// in front".into()),
            Err(error) => return Err(error.to_string()),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it has no http:// or https:// in front".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user or password: nodes take a key, `node_master_key`".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a `?` or `#` part".into());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The shard count of indexes whose name matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexShards {
    /// Which indexes.
    pub pattern: IndexPattern,
    /// How many shards they get.
    pub shards: ShardCount,
}

/// An index name, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexPattern {
    /// This index only.
    Exact(String),
    /// Every index whose name begins so (written with `*` at the end).
    Prefix(String),
}

impl fmt::Display for IndexPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Miroir's own HTTP server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 lets the system pick one.
    pub port: u16,
    /// The largest request body taken, after decompression.
    pub max_body_bytes: usize,
    /// Requests in work at one time; more wait for a place.
    pub max_concurrent_requests: usize,
    /// Connections at one time; more wait to be taken.
    pub max_connections: usize,
    /// How long the head of a request may take, and a connection may wait for one.
    pub header_timeout: Duration,
    /// How long a request may take as a whole.
    pub request_timeout: Duration,
}

/// How requests are spread over the nodes.
#[derive(Debug, Clone)]
pub struct ScatterConfig {
    /// How long one node may take for its part.
    pub node_timeout: Duration,
    /// What a search does when no node in sync can answer for a shard.
    pub unavailable_shard_policy: UnavailableShardPolicy,
}

/// How nodes are watched.
#[derive(Debug, Clone)]
pub struct HealthConfig {
    /// The pause between two checks of a node.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Failed checks in a row that make a node unhealthy, at least 1.
    pub unhealthy_threshold: u32,
    /// Good checks in a row that make it healthy again, at least 1.
    pub recovery_threshold: u32,
    /// How much longer than its peers a node may take for a write before the write succeeds without it.
    pub max_lag: Duration,
}

/// Where the task log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStoreConfig {
    /// One `SQLite` database, for one Miroir.
    Sqlite {
        /// The database file, relative to the working directory.
        path: PathBuf,
    },
}

/// Miroir's own administration routes.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// A key for them alone; without it the master key opens them.
    pub api_key: Option<Secret>,
}

/// Where metrics are served, without a key: an address of its own, so that it can be kept from clients.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// Whether they are served there at all; the administration routes have them in any case.
    pub enabled: bool,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 lets the system pick one.
    pub port: u16,
}

/// A key, which no log and no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the key; the caller has checked that it is not empty.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for whoever sends it or compares with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
