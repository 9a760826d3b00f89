//! What is counted of requests to nodes, as it happens.

use std::time::Duration;

use miroir_core::ids::NodeId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{NodeError, NodeReply};

/// Upper bounds, in seconds: from an answer out of a node's memory to the longest timeouts.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Times of requests, by their labels.
pub type Timings<L> = Family<L, Histogram, fn() -> Histogram>;

/// None yet.
pub fn timings<L: Clone + std::hash::Hash + Eq>() -> Timings<L> {
    Family::new_with_constructor(|| Histogram::new(DURATIONS))
}

const UNREACHABLE: &str = "unreachable";
const NO_ANSWER: &str = "no_answer";
const OUT_OF_FORM: &str = "out_of_form";
const NOT_SENT: &str = "not_sent";
const SERVER_ERROR: &str = "server_error";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeOperation {
    node_id: String,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeFailure {
    node_id: String,
    error_type: &'static str,
}

/// Requests to nodes.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    duration: Timings<NodeOperation>,
    errors: Family<NodeFailure, Counter>,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        Self { duration: timings(), errors: Family::default() }
    }
}

impl NodeMetrics {
    /// Begins to count a node's errors, at 0: a rate needs a value before the first error.
    pub fn begin(&self, node: &NodeId) {
        for error_type in [UNREACHABLE, NO_ANSWER, SERVER_ERROR, OUT_OF_FORM, NOT_SENT] {
            drop(self.errors.get_or_create(&NodeFailure { node_id: node.to_string(), error_type }));
        }
    }

    /// Counts a request to a node, whatever came of it. That a node refused a request is no error of the node.
    pub fn note(
        &self,
        node: &NodeId,
        operation: &'static str,
        duration: Duration,
        answer: &Result<NodeReply, NodeError>,
    ) {
        let node_id = node.to_string();
        let labels = NodeOperation { node_id: node_id.clone(), operation };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        let error_type = match answer {
            Ok(reply) if reply.status.is_server_error() => SERVER_ERROR,
            Ok(_) => return,
            Err(NodeError::Unreachable { .. }) => UNREACHABLE,
            Err(NodeError::NoAnswer { .. }) => NO_ANSWER,
            Err(NodeError::TooLong { .. } | NodeError::OutOfForm { .. }) => OUT_OF_FORM,
            Err(NodeError::NotSent { .. }) => NOT_SENT,
        };
        self.errors.get_or_create(&NodeFailure { node_id, error_type }).inc();
    }

    /// Has them written down.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "node_request_duration_seconds",
            "Time of requests to nodes, answered or not",
            self.duration.clone(),
        );
        registry.register("node_errors", "Requests to nodes that failed by the node", self.errors.clone());
    }
}
