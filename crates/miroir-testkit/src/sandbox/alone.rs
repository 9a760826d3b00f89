//! A Miroir before nodes that others have started, to be one of several, or to find nodes that are not its own.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::binary::proxy_binary;
use super::cluster::{MASTER_KEY, merge};
use super::node::NODE_KEY;
use super::ports::free_port;
use super::process::{Process, Program};
use crate::client::{Client, Target};

/// The configuration, in the folder of the data.
const CONFIG: &str = "miroir.yaml";

/// The store, in the same folder.
const STORE: &str = "miroir.db";

/// A Miroir with a store of its own. Dropping it kills it and removes its data, and leaves the nodes alone.
#[derive(Debug)]
pub struct Alone {
    process: Process,
    client: Client,
    // Last, so that the process is gone before its data.
    data: TempDir,
}

impl Alone {
    /// Starts a Miroir before the nodes at these addresses, which it calls `node-0` and so on, and waits until it answers.
    /// `overrides` is merged, object by object, into its configuration.
    pub async fn start(addresses: &[&str], overrides: Value) -> Result<Self> {
        let data = tempfile::tempdir().context("cannot make a data folder")?;
        let port = free_port()?;
        let node =
            |(number, address): (usize, &&str)| json!({"id": format!("node-{number}"), "address": address});
        let mut config = json!({
            "master_key": MASTER_KEY,
            "node_master_key": NODE_KEY,
            "shards": 4,
            "replication_factor": addresses.len(),
            "nodes": addresses.iter().enumerate().map(node).collect::<Vec<_>>(),
            "server": {"bind": "127.0.0.1", "port": port},
            "metrics": {"enabled": false},
            "health": {"interval_ms": 100, "timeout_ms": 500, "unhealthy_threshold": 2, "recovery_threshold": 2},
            "task_store": {"backend": "sqlite", "path": data.path().join(STORE)},
        });
        merge(&mut config, overrides);
        let path = data.path().join(CONFIG);
        // JSON is YAML.
        std::fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        let binary = proxy_binary().await?;
        let args = vec!["serve".into(), "--config".into(), path.into_os_string()];
        let log = data.path().join("miroir.log");
        let process = Process::start(Program { name: "miroir".to_owned(), binary, args, log })?;
        let client = Client::new(Target::new(&format!("http://127.0.0.1:{port}"), MASTER_KEY))?;
        let mut alone = Self { process, client, data };
        alone.process.wait_healthy(&alone.client).await?;
        Ok(alone)
    }

    /// A client for it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its configuration.
    pub fn config(&self) -> std::path::PathBuf {
        self.data.path().join(CONFIG)
    }

    /// Starts it again with its store; returns when it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.process.wait_healthy(&self.client).await
    }

    /// Starts it again without its store, as if that had been lost; returns when it answers.
    pub async fn restart_without_store(&mut self) -> Result<()> {
        self.process.kill()?;
        remove_store(self.data.path())?;
        self.restart().await
    }

    /// The lines of its log with this text.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        self.process.log_lines(text)
    }

    /// The last lines of its log, for messages of failing tests.
    pub fn log(&self) -> String {
        self.process.log_tail()
    }
}

fn remove_store(folder: &Path) -> Result<()> {
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STORE)) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
