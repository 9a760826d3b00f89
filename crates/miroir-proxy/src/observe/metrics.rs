//! What is counted as it happens. What mirrors a state is not kept here but looked up when it is asked for (see
//! [`super::scrape`]), so that it can't differ from the state.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::chat::ChatMetrics;
use crate::cluster::ScatterMetrics;
use crate::node_api::{NodeMetrics, Timings, timings};
use crate::settings::SettingsMetrics;

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use miroir_core::cover::Shortfall;
    use miroir_core::ids::{NodeId, ShardId};
    use prometheus_client::encoding::text::encode;
    use reqwest::StatusCode;

    use super::*;
    use crate::node_api::{NodeError, NodeReply};

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
