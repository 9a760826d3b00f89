//! Writing metrics down in the text format of Prometheus: what was counted, and the state as it is at this moment.

use std::sync::atomic::AtomicU64;

use miroir_core::settings::Phase;
use miroir_core::task::{TaskFilter, TaskPage, TaskStatus};
use miroir_core::view::{Coverage, View, coverage};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::topology::{Layout, NodeReport, NodeStatus, look, seconds_since};
use crate::cluster::Cluster;
use crate::observe::Metrics;
use crate::settings::Broadcasts;
use crate::write::{WriteError, Writer};

/// The form of what [`scrape`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Real = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IndexLabel {
    index: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// What the store knows of tasks.
struct Tasks {
    by_status: Vec<(TaskStatus, u64)>,
    oldest_open_seconds: f64,
    log_bytes: u64,
}

/// All metrics as text. When the store does not answer, what it knows is left out and the rest is told all the same:
/// that is when somebody needs it.
pub async fn scrape(metrics: &Metrics, layout: &Layout, cluster: &Cluster, writer: &Writer) -> String {
    let view = cluster.view.load();
    let topology = look(layout, &cluster.membership, &view, &writer.node_progress().await);
    let mut state = Registry::with_prefix("miroir");
    describe_shards(&mut state, coverage(&view));
    describe_nodes(&mut state, &topology.nodes);
    describe_settings(&mut state, &view, writer.broadcasts());
    match load_tasks(writer).await {
        Ok(tasks) => describe_tasks(&mut state, &tasks),
        Err(error) => tracing::warn!(%error, "metrics of tasks are left out: the store does not tell them"),
    }
    let mut text = String::new();
    encode_registry(&mut text, &metrics.registry)
        .and_then(|()| encode_registry(&mut text, &state))
        .and_then(|()| encode_eof(&mut text))
        .expect("writing to memory does not fail");
    text
}

async fn load_tasks(writer: &Writer) -> Result<Tasks, WriteError> {
    let with = |statuses: Vec<TaskStatus>| TaskFilter { statuses: Some(statuses), ..TaskFilter::default() };
    let mut by_status = Vec::new();
    for status in TaskStatus::ALL {
        let page = TaskPage { limit: 0, ..TaskPage::default() };
        by_status.push((*status, writer.tasks(with(vec![*status]), page).await?.total));
    }
    let oldest = TaskPage { limit: 1, from: None, reverse: true };
    let open = with(vec![TaskStatus::Enqueued, TaskStatus::Processing]);
    let oldest = writer.tasks(open, oldest).await?.results.into_iter().next();
    Ok(Tasks {
        by_status,
        oldest_open_seconds: oldest.map_or(0.0, |task| seconds_since(task.enqueued_at)),
        log_bytes: writer.records().log_bytes().await?,
    })
}

fn describe_shards(state: &mut Registry, coverage: Coverage) {
    let ratio = coverage.ratio();
    real(state, "shard_coverage", "The part of all shards that can be read, from 0 to 1", ratio);
    let help = "Shards of which only copies are left that are behind";
    whole(state, "stale_shards", help, u64::from(coverage.stale));
    whole(state, "missing_shards", "Shards of which no copy can be read", u64::from(coverage.missing));
    let help = "Shards with a copy that can't be read, or is behind";
    whole(state, "degraded_shards_total", help, u64::from(coverage.degraded));
}

fn describe_nodes(state: &mut Registry, nodes: &[NodeReport]) {
    let (healthy, copies, entries) = (Family::default(), Family::default(), Family::default());
    let late = Family::default();
    let seconds: Family<NodeLabel, Real> = Family::default();
    for node in nodes {
        let label = NodeLabel { node_id: node.id.to_string() };
        set(&healthy, &label, u64::from(node.status == NodeStatus::Healthy));
        set(&copies, &label, node.shard_count as u64);
        set(&entries, &label, node.lag as u64);
        set(&late, &label, node.late_index_count as u64);
        seconds.get_or_create(&label).set(node.lag_seconds);
    }
    state.register("node_healthy", "1 if the node is read for every index, 0 if not", healthy);
    state.register("node_late_indexes", "Indexes of which the node lacks something that has ended", late);
    state.register("shard_distribution", "Copies of shards that the node holds", copies);
    state.register("lane_lag_entries", "Entries of the log that the node has not finished", entries);
    let help = "How long ago the oldest entry that the node has not finished was accepted";
    state.register("lane_lag_seconds", help, seconds);
    describe_rebuilds(state, nodes);
}

/// Of nodes that are being rebuilt only.
fn describe_rebuilds(state: &mut Registry, nodes: &[NodeReport]) {
    let (done, left) = (Family::default(), Family::default());
    let (indexes, seconds) = (Family::default(), Family::default());
    for (node, rebuild) in nodes.iter().filter_map(|node| Some((node, node.rebuild?))) {
        let label = NodeLabel { node_id: node.id.to_string() };
        set(&done, &label, rebuild.documents_done);
        set(&left, &label, rebuild.documents_left);
        set(&indexes, &label, rebuild.indexes_left);
        if let Some(left) = rebuild.seconds_left {
            set(&seconds, &label, left);
        }
    }
    state.register("rebuild_documents_done", "Documents that a rebuild has compared or copied", done);
    state.register("rebuild_documents_left", "Documents that a rebuild is to compare or copy", left);
    state.register("rebuild_indexes_left", "Indexes that a rebuild is to compare or copy", indexes);
    state.register("rebuild_seconds_left", "When a rebuild ends if it goes on like this", seconds);
}

fn describe_settings(state: &mut Registry, view: &View, broadcasts: &Broadcasts) {
    let (versions, phases, divergence) = (Family::default(), Family::default(), Family::default());
    let differing = broadcasts.divergence();
    for (uid, entry) in &view.indexes {
        let label = IndexLabel { index: uid.to_string() };
        if let Some(version) = view.settings.committed(&entry.physical) {
            set(&versions, &label, version.0);
        }
        set(&divergence, &label, differing.get(&entry.physical).copied().unwrap_or(0) as u64);
    }
    for (uid, broadcast) in broadcasts.on_their_way() {
        let phase = match broadcast.phase {
            Phase::Propose => 1,
            Phase::Verify => 2,
            Phase::Frozen => 3,
            Phase::Committed | Phase::Failed => continue,
        };
        set(&phases, &IndexLabel { index: uid.to_string() }, phase);
    }
    state.register("settings_version", "The last committed version of the index's settings", versions);
    let help =
        "Where a change of settings stands: 1 proposed, 2 being verified, 3 frozen; absent without one";
    state.register("settings_broadcast_phase", help, phases);
    let help = "Nodes that are known to have other settings than they should";
    state.register("settings_divergence", help, divergence);
}

fn describe_tasks(state: &mut Registry, tasks: &Tasks) {
    let by_status = Family::default();
    for (status, count) in &tasks.by_status {
        set(&by_status, &StatusLabel { status: status.as_str() }, *count);
    }
    state.register("tasks_total", "Tasks that have this status now", by_status);
    let all = tasks.by_status.iter().map(|(_, count)| count).sum();
    whole(state, "task_registry_size", "Tasks that are kept, whatever their status", all);
    let help = "How long ago the oldest task that has not ended was accepted";
    real(state, "task_processing_age_seconds", help, tasks.oldest_open_seconds);
    let help = "Bytes of documents in the log that some node still lacks";
    whole(state, "log_bytes", help, tasks.log_bytes);
}

fn whole(state: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(signed(value));
    register(state, name, help, gauge);
}

fn real(state: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Real::default();
    gauge.set(value);
    register(state, name, help, gauge);
}

fn register(state: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    state.register(name, help, metric);
}

fn set<L: Clone + std::hash::Hash + Eq>(family: &Family<L, Gauge>, label: &L, value: u64) {
    family.get_or_create(label).set(signed(value));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
