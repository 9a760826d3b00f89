//! What is counted about settings.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Nodes that were found with other settings than they were given.
#[derive(Debug, Clone, Default)]
pub struct SettingsMetrics {
    mismatches: Counter,
    drift_repairs: Counter,
}

impl SettingsMetrics {
    /// Counts a node that was read and differs.
    pub fn note_mismatch(&self) {
        self.mismatches.inc();
    }

    /// Counts a node that has its settings back.
    pub fn note_drift_repair(&self) {
        self.drift_repairs.inc();
    }

    /// Shows the counters.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "settings_hash_mismatch",
            "Times that a node was read back with other settings than it was given",
            self.mismatches.clone(),
        );
        registry.register(
            "settings_drift_repair",
            "Times that a node whose settings somebody changed directly got them back",
            self.drift_repairs.clone(),
        );
    }
}
