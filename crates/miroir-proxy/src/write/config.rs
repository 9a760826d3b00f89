//! The part of the configuration that writes depend on.

use std::time::Duration;

use miroir_core::placement::ReplicationFactor;
use miroir_core::task::ShardRules;

use crate::config::SettingsConfig;
use crate::settings::SettingsMetrics;

/// What the write path has to know of the configuration.
#[derive(Debug, Clone)]
pub struct WriteConfig {
    /// How many shards a new index gets.
    pub shards: ShardRules,
    /// How many copies of each shard a group keeps.
    pub replication_factor: ReplicationFactor,
    /// How long one request to a node may take.
    pub node_timeout: Duration,
    /// How changes of settings are made.
    pub settings: SettingsConfig,
    /// Where they are counted.
    pub settings_metrics: SettingsMetrics,
    /// How much longer than its peers a node may take for a task before the task succeeds without it.
    pub max_lag: Duration,
}
