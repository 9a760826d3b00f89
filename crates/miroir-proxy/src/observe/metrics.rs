//! What is counted as it happens. What mirrors a state is not kept here but looked up when it is asked for (see
//! [`super::scrape`]), so that it can't differ from the state.

use std::time::Duration;

use miroir_core::ids::NodeId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::chats::ChatMetrics;
use crate::cluster::{NodeError, NodeReply};
use crate::search::Shortfall;
use crate::settings::SettingsMetrics;

/// Upper bounds, in seconds: from an answer out of a node's memory to the longest timeouts.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Upper bounds of the number of nodes that one search asks.
const FAN_OUTS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0];

const UNREACHABLE: &str = "unreachable";
const NO_ANSWER: &str = "no_answer";
const OUT_OF_FORM: &str = "out_of_form";
const NOT_SENT: &str = "not_sent";
const SERVER_ERROR: &str = "server_error";

type Timings<L> = Family<L, Histogram, fn() -> Histogram>;

fn timings<L: Clone + std::hash::Hash + Eq>() -> Timings<L> {
    Family::new_with_constructor(|| Histogram::new(DURATIONS))
}

/// Everything that is counted, and the registry that writes it down.
#[derive(Debug)]
pub struct Metrics {
    /// Requests of clients.
    pub requests: RequestMetrics,
    /// Requests to nodes.
    pub nodes: NodeMetrics,
    /// Searches over nodes.
    pub scatter: ScatterMetrics,
    /// Settings that nodes lost.
    pub settings: SettingsMetrics,
    /// Chats with language models.
    pub chats: ChatMetrics,
    pub(super) registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("miroir");
        let (requests, nodes) = (RequestMetrics::default(), NodeMetrics::default());
        let scatter = ScatterMetrics::default();
        requests.register(&mut registry);
        nodes.register(&mut registry);
        scatter.register(&mut registry);
        let settings = SettingsMetrics::default();
        settings.register(&mut registry);
        let chats = ChatMetrics::default();
        chats.register(&mut registry);
        Self { requests, nodes, scatter, settings, chats, registry }
    }
}

/// Which kind of request, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The HTTP method.
    pub method: &'static str,
    /// The route, with its parameters' names instead of values.
    pub path_template: String,
    /// The HTTP status.
    pub status: u16,
}

/// Requests of clients.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    duration: Timings<RequestLabels>,
    total: Family<RequestLabels, Counter>,
    in_flight: Gauge,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self { duration: timings(), total: Family::default(), in_flight: Gauge::default() }
    }
}

/// A request that is being worked on, until this is dropped.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestMetrics {
    /// Counts a request as being worked on.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answer.
    pub fn note(&self, labels: &RequestLabels, duration: Duration) {
        self.duration.get_or_create(labels).observe(duration.as_secs_f64());
        self.total.get_or_create(labels).inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "request_duration_seconds",
            "Time from a client's request to the beginning of its answer",
            self.duration.clone(),
        );
        registry.register("requests", "Requests of clients that were answered", self.total.clone());
        registry.register(
            "requests_in_flight",
            "Requests of clients being worked on",
            self.in_flight.clone(),
        );
    }
}

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

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "node_request_duration_seconds",
            "Time of requests to nodes, answered or not",
            self.duration.clone(),
        );
        registry.register("node_errors", "Requests to nodes that failed by the node", self.errors.clone());
    }
}

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

    fn register(&self, registry: &mut Registry) {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use miroir_core::ids::ShardId;
    use prometheus_client::encoding::text::encode;
    use reqwest::StatusCode;

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        text
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_dropped() {
        let metrics = Metrics::new();
        let request = metrics.requests.begin();
        assert!(text(&metrics).contains("miroir_requests_in_flight 1\n"));
        drop(request);
        assert!(text(&metrics).contains("miroir_requests_in_flight 0\n"));
    }

    #[test]
    fn only_what_a_node_is_to_blame_for_counts_as_its_error() {
        let metrics = Metrics::new();
        let node = NodeId::new("a");
        let reply = |status| Ok(NodeReply { status, content_type: None, body: Bytes::new() });
        let lost = NodeError::NoAnswer { node: node.clone(), reason: "gone".to_owned() };
        metrics.nodes.begin(&node);
        for answer in
            [reply(StatusCode::NOT_FOUND), reply(StatusCode::BAD_GATEWAY), reply(StatusCode::OK), Err(lost)]
        {
            metrics.nodes.note(&node, "search", Duration::from_millis(2), &answer);
        }
        let text = text(&metrics);
        for line in [
            "miroir_node_errors_total{node_id=\"a\",error_type=\"server_error\"} 1\n",
            "miroir_node_errors_total{node_id=\"a\",error_type=\"no_answer\"} 1\n",
            "miroir_node_errors_total{node_id=\"a\",error_type=\"unreachable\"} 0\n",
            "miroir_node_request_duration_seconds_count{node_id=\"a\",operation=\"search\"} 4\n",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn an_answer_is_partial_when_a_shard_is_missing_and_stale_when_one_comes_from_a_node_that_is_behind() {
        let metrics = Metrics::new();
        let lacking = |missing: &[u32], stale: &[u32]| {
            let shards = |numbers: &[u32]| numbers.iter().copied().map(ShardId).collect();
            Shortfall { missing: shards(missing), stale: shards(stale), cut_off: false }
        };
        for shortfall in [lacking(&[], &[]), lacking(&[3, 4], &[]), lacking(&[], &[1]), lacking(&[], &[2])] {
            metrics.scatter.note_answer(&shortfall);
        }
        metrics.scatter.note_retry(2);
        let text = text(&metrics);
        assert!(text.contains("miroir_scatter_partial_responses_total 1\n"), "{text}");
        assert!(text.contains("miroir_scatter_stale_responses_total 2\n"), "{text}");
        assert!(text.contains("miroir_scatter_retries_total 2\n"), "{text}");
    }
}
