//! Miroir over several nodes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::binary::proxy_binary;
use super::node::{NODE_KEY, Node};
use super::ports::free_port;
use super::process::{Process, Program};
use super::relay::Relay;
use super::topology::Topology;
use crate::client::{Client, Target};

/// Miroir's own master key in every sandbox; not the nodes' key, so that a mix-up shows.
pub const MASTER_KEY: &str = "master-key-of-the-sandbox";

/// One Miroir and its nodes. Dropping it kills everything and removes the data.
#[derive(Debug)]
pub struct Cluster {
    topology: Topology,
    proxy: Process,
    client: Client,
    metrics: Client,
    nodes: Vec<Node>,
    relays: Vec<Relay>,
    // Last, so that the processes are gone before their data.
    _data: TempDir,
}

impl Cluster {
    /// Starts the nodes and Miroir and waits until all are healthy.
    pub async fn start(topology: Topology) -> Result<Self> {
        Self::start_with(topology, json!({})).await
    }

    /// Like [`Cluster::start`]; `overrides` is merged, object by object, into Miroir's configuration.
    pub async fn start_with(topology: Topology, overrides: Value) -> Result<Self> {
        Self::start_as(topology, overrides, Way::Direct).await
    }

    /// Like [`Cluster::start_with`]; Miroir reaches each node through a [`Relay`].
    pub async fn start_relayed(topology: Topology, overrides: Value) -> Result<Self> {
        Self::start_as(topology, overrides, Way::Relayed).await
    }

    async fn start_as(topology: Topology, overrides: Value, way: Way) -> Result<Self> {
        let binary = proxy_binary().await?;
        let mut nodes = Vec::new();
        for index in 0..topology.nodes() {
            nodes.push(Node::spawn(&format!("node-{index}")).await?);
        }
        for node in &mut nodes {
            node.wait_healthy().await?;
        }
        let mut relays = Vec::new();
        if way == Way::Relayed {
            for node in &nodes {
                relays.push(Relay::start(&node.target().url).await?);
            }
        }
        let of_node = |node: &Node| node.target().url.clone();
        let addresses = match way {
            Way::Direct => nodes.iter().map(of_node).collect(),
            Way::Relayed => relays.iter().map(|relay| relay.url().to_owned()).collect(),
        };
        let data = tempfile::tempdir().context("cannot make a data folder")?;
        let port = free_port()?;
        let metrics_port = free_port()?;
        let mut config = config(topology, addresses, port, data.path());
        config["metrics"] = json!({"bind": "127.0.0.1", "port": metrics_port});
        merge(&mut config, overrides);
        let config_path = data.path().join("miroir.yaml");
        // JSON is YAML.
        std::fs::write(&config_path, serde_json::to_string_pretty(&config)?)?;
        let args = vec!["serve".into(), "--config".into(), config_path.into_os_string()];
        let log = data.path().join("miroir.log");
        let proxy = Process::start(Program { name: "miroir".to_owned(), binary, args, log })?;
        let client = Client::new(Target::new(&format!("http://127.0.0.1:{port}"), MASTER_KEY))?;
        let metrics = Client::new(Target::new(&format!("http://127.0.0.1:{metrics_port}"), ""))?;
        let mut cluster = Self { topology, proxy, client, metrics, nodes, relays, _data: data };
        cluster.proxy.wait_healthy(&cluster.client).await?;
        Ok(cluster)
    }

    /// The shape of this cluster.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// Where Miroir listens, and its master key.
    pub fn target(&self) -> &Target {
        self.client.target()
    }

    /// A client for Miroir.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A client, without a key, for the address where Miroir serves its metrics.
    pub fn metrics(&self) -> &Client {
        &self.metrics
    }

    /// The nodes, group by group, for looking at them directly.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What stands before node `index`.
    ///
    /// # Panics
    /// When the cluster was started without relays.
    pub fn relay(&self, index: usize) -> &Relay {
        &self.relays[index]
    }

    /// kill -9 of node `index`.
    pub fn kill_node(&mut self, index: usize) -> Result<()> {
        self.nodes[index].process().kill()
    }

    /// Freezes node `index`: connections stay open, nothing is answered.
    pub fn pause_node(&mut self, index: usize) -> Result<()> {
        self.nodes[index].process().pause()
    }

    /// Lets a frozen node go on.
    pub fn resume_node(&mut self, index: usize) -> Result<()> {
        self.nodes[index].process().resume()
    }

    /// Starts node `index` again with the data and port it had; returns when it answers.
    pub async fn restart_node(&mut self, index: usize) -> Result<()> {
        self.nodes[index].restart().await
    }

    /// Kills node `index` and starts it again with an empty disk; returns when it answers.
    pub async fn restart_node_emptied(&mut self, index: usize) -> Result<()> {
        self.nodes[index].restart_emptied().await
    }

    /// Kills node `index` and starts it again with the disk of which it was emptied; returns when it answers.
    pub async fn restart_node_put_back(&mut self, index: usize) -> Result<()> {
        self.nodes[index].restart_put_back().await
    }

    /// kill -9 of Miroir.
    pub fn kill_proxy(&mut self) -> Result<()> {
        self.proxy.kill()
    }

    /// Freezes Miroir: connections stay open, nothing is answered.
    pub fn pause_proxy(&mut self) -> Result<()> {
        self.proxy.pause()
    }

    /// Lets a frozen Miroir go on.
    pub fn resume_proxy(&mut self) -> Result<()> {
        self.proxy.resume()
    }

    /// Asks Miroir to end (SIGTERM) and waits until it has.
    pub fn terminate_proxy(&mut self) -> Result<()> {
        self.proxy.terminate()
    }

    /// Starts Miroir again with its configuration and store; returns when it answers.
    pub async fn restart_proxy(&mut self) -> Result<()> {
        self.proxy.restart()?;
        self.proxy.wait_healthy(&self.client).await
    }

    /// The most memory that Miroir's process ever had, in bytes.
    pub fn proxy_peak_memory(&self) -> Result<u64> {
        self.proxy.peak_memory()
    }

    /// The lines of Miroir's log that are errors.
    pub fn proxy_errors(&self) -> Vec<String> {
        self.proxy.log_lines("ERROR")
    }

    /// The last lines of Miroir's log, for messages of failing tests.
    pub fn proxy_log(&self) -> String {
        self.proxy.log_tail()
    }
}

/// How Miroir reaches the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Relayed,
}

fn config(topology: Topology, addresses: Vec<String>, port: u16, data: &Path) -> Value {
    let nodes: Vec<Value> = addresses
        .into_iter()
        .zip(0_u32..)
        .map(|(address, index)| {
            let group = index / topology.nodes_per_group;
            json!({"id": format!("node-{index}"), "address": address, "replica_group": group})
        })
        .collect();
    json!({
        "master_key": MASTER_KEY,
        "node_master_key": NODE_KEY,
        "shards": topology.shards,
        "replication_factor": topology.replication_factor,
        "replica_groups": topology.groups,
        "nodes": nodes,
        "server": {"bind": "127.0.0.1", "port": port},
        // Quick, so that tests need not wait long for a node to be noticed.
        "health": {"interval_ms": 100, "timeout_ms": 500, "unhealthy_threshold": 2, "recovery_threshold": 2},
        "task_store": {"backend": "sqlite", "path": data.join("miroir.db")},
    })
}

pub(super) fn merge(base: &mut Value, overrides: Value) {
    match (base, overrides) {
        (Value::Object(base), Value::Object(overrides)) => {
            for (key, value) in overrides {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, overrides) => *base = overrides,
    }
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn overrides_change_only_the_keys_they_name() {
        let mut config = json!({"server": {"bind": "a", "port": 1}, "shards": 4});
        merge(&mut config, json!({"server": {"max_body_bytes": 9}, "shards": 8}));
        assert_eq!(config, json!({"server": {"bind": "a", "port": 1, "max_body_bytes": 9}, "shards": 8}));
    }
}
