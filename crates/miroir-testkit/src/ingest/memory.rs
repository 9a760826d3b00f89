//! The memory of Miroir's process.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::documents::Source;
use super::feed::{check_count, feed, make_index};
use crate::client::Client;
use crate::sandbox::{Cluster, Topology};

/// How long everything may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// How long one request may take: the next bodies are made meanwhile.
const REQUEST: Duration = Duration::from_mins(5);

const INDEX: &str = "large";

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    /// Decides about the documents.
    pub seed: u64,
    /// Bytes of all bodies together; the last body is as large as the others.
    pub bytes: usize,
    /// Bytes of one body.
    pub body: usize,
    /// Requests at a time.
    pub clients: usize,
    /// The shape of the cluster.
    pub topology: Topology,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct MemoryReport {
    /// Documents that were sent.
    pub documents: usize,
    /// Bytes that were sent.
    pub bytes: usize,
    /// How long it took until the last task had ended.
    pub took: Duration,
    /// The memory of Miroir's process when it had nothing to do yet, in bytes.
    pub idle: u64,
    /// The most it ever had (`VmHWM`), in bytes.
    pub peak: u64,
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mega = |bytes: u64| bytes / 1_000_000;
        let Self { documents, bytes, took, idle, peak } = *self;
        let (bytes, seconds) = (mega(bytes as u64), took.as_secs());
        writeln!(f, "{documents} documents, {bytes} MB in {seconds} s")?;
        writeln!(f, "memory of Miroir: {} MB idle, {} MB at most", mega(idle), mega(peak))
    }
}

/// Runs it on a cluster of its own.
///
/// # Errors
/// When processes can't be started, or Miroir does not take in what it is sent.
pub async fn memory(options: MemoryOptions) -> Result<MemoryReport> {
    // A body may be larger than Miroir takes by default.
    let overrides = json!({"server": {"max_body_bytes": options.body}});
    let cluster = Cluster::start_with(options.topology, overrides).await?;
    let client = &Client::with_deadline(cluster.target().clone(), REQUEST)?;
    // Nodes shall not be what takes the time.
    make_index(client, INDEX, &json!({"searchableAttributes": ["title"]})).await?;
    let idle = cluster.proxy_peak_memory()?;
    let mut source = Source::new(options.seed);
    let (mut documents, mut bytes) = (0, 0);
    let next = || {
        if bytes >= options.bytes {
            return None;
        }
        let (body, count) = source.body(options.body);
        documents += count;
        bytes += options.body;
        Some(body)
    };
    let took = feed(client, INDEX, next, options.clients, PATIENCE).await;
    let took = took.with_context(|| format!("Miroir's log:\n{}", cluster.proxy_log()))?;
    check_count(client, INDEX, documents).await?;
    Ok(MemoryReport { documents, bytes, took, idle, peak: cluster.proxy_peak_memory()? })
}
