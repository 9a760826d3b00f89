//! What is counted of searches over nodes, as it happens.

use miroir_core::cover::Shortfall;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the number of nodes that one search asks.
const FAN_OUTS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0];

/// Searches over nodes.
#[derive(Debug, Clone)]
pub struct ScatterMetrics {
    fan_out: Histogram,
    partial: Counter,
    stale: Counter,
    cutoffs: Counter,
    retries: Counter,
}

impl Default for ScatterMetrics {
    fn default() -> Self {
        Self {
            fan_out: Histogram::new(FAN_OUTS),
            partial: Counter::default(),
            stale: Counter::default(),
            cutoffs: Counter::default(),
            retries: Counter::default(),
        }
    }
}

impl ScatterMetrics {
    /// Counts a search that asks so many nodes at first.
    pub fn note_fan_out(&self, nodes: usize) {
        self.fan_out.observe(f64::from(u32::try_from(nodes).unwrap_or(u32::MAX)));
    }

    /// Counts requests that go to other nodes because the first ones failed.
    pub fn note_retry(&self, nodes: usize) {
        self.retries.inc_by(nodes as u64);
    }

    /// Counts an answer that lacks shards, or has them from nodes that are behind.
    pub fn note_answer(&self, shortfall: &Shortfall) {
        if !shortfall.missing.is_empty() {
            self.partial.inc();
        }
        if !shortfall.stale.is_empty() {
            self.stale.inc();
        }
    }

    /// Counts an answer in which a node ran out of time.
    pub fn note_cutoff(&self) {
        self.cutoffs.inc();
    }

    /// Has them written down.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("scatter_fan_out_size", "Nodes that a search asks at first", self.fan_out.clone());
        registry.register(
            "scatter_partial_responses",
            "Searches that were answered without the documents of some shard",
            self.partial.clone(),
        );
        registry.register(
            "scatter_stale_responses",
            "Searches that were answered for some shard by a node that is behind, since no other copy was left",
            self.stale.clone(),
        );
        registry.register(
            "scatter_cutoffs",
            "Searches in which a node reached the index's searchCutoffMs before it had ranked its hits",
            self.cutoffs.clone(),
        );
        registry.register(
            "scatter_retries",
            "Requests of searches to other replicas because a node failed",
            self.retries.clone(),
        );
    }
}
