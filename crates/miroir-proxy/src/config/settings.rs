//! The part of the configuration that changes of settings depend on.

use std::time::Duration;

use miroir_core::settings::Strategy;

/// How changes of settings are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsConfig {
    /// How a change goes through the nodes.
    pub strategy: Strategy,
    /// How long a node that answers may take to say which settings it has, or to apply a repair.
    pub verify_timeout: Duration,
    /// So often a node that differs is sent its settings again.
    pub max_repair_retries: u32,
    /// Whether writes to an index stop when one of its nodes can't be brought to its settings.
    pub freeze_writes_on_unrepairable: bool,
    /// How nodes are watched afterwards.
    pub drift: DriftConfig,
}

/// How often each node is asked whether it still has the settings it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftConfig {
    /// Every pair of index and node is looked at once in this time.
    pub interval: Duration,
    /// Whether a node that differs is sent its settings again.
    pub auto_repair: bool,
}

impl Default for SettingsConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::TwoPhase,
            verify_timeout: Duration::from_mins(1),
            max_repair_retries: 3,
            freeze_writes_on_unrepairable: true,
            drift: DriftConfig { interval: Duration::from_mins(5), auto_repair: true },
        }
    }
}
