//! One search server: a real Meilisearch or the development node.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::binary::{NodeBinary, node_binary};
use super::ports::free_port;
use super::process::{Process, Program};
use crate::client::{Client, Target};

/// Master key of every node of a sandbox.
pub const NODE_KEY: &str = "node-key-of-the-sandbox";

/// A search server with its data in a temporary folder; both go when the value is dropped.
#[derive(Debug)]
pub struct Node {
    process: Process,
    client: Client,
    // Last, so that the process is gone before its data.
    data: TempDir,
}

impl Node {
    /// Starts a node and waits until it is healthy.
    pub async fn start(name: &str) -> Result<Self> {
        let mut node = Self::spawn(name).await?;
        node.wait_healthy().await?;
        Ok(node)
    }

    /// Starts a node without a master key, as it may be for development: whoever reaches it may do everything.
    pub async fn start_open(name: &str) -> Result<Self> {
        let mut node = Self::spawn_as(name, &[], None).await?;
        node.wait_healthy().await?;
        Ok(node)
    }

    /// Starts a node that may ask servers on this machine, such as a language model of a test. A real server refuses to
    /// otherwise.
    pub async fn start_asking_around(name: &str) -> Result<Self> {
        let mut node = Self::spawn_with(name, &["--experimental-allowed-ip-networks", "any"]).await?;
        node.wait_healthy().await?;
        Ok(node)
    }

    /// Starts a node without waiting for it.
    pub(super) async fn spawn(name: &str) -> Result<Self> {
        Self::spawn_with(name, &[]).await
    }

    async fn spawn_with(name: &str, real_args: &[&str]) -> Result<Self> {
        Self::spawn_as(name, real_args, Some(NODE_KEY)).await
    }

    async fn spawn_as(name: &str, real_args: &[&str], key: Option<&str>) -> Result<Self> {
        let data = tempfile::tempdir().context("cannot make a data folder")?;
        let port = free_port()?;
        let (binary, args) = match node_binary().await? {
            NodeBinary::Meilisearch(path) => {
                (path, [meilisearch_args(data.path(), port, key), os_args(real_args)].concat())
            }
            NodeBinary::Development(path) => (path, devnode_args(data.path(), port, key)),
        };
        let log = data.path().join("node.log");
        let process = Process::start(Program { name: name.to_owned(), binary, args, log })?;
        let client = Client::new(Target::new(&format!("http://127.0.0.1:{port}"), NODE_KEY))?;
        Ok(Self { process, client, data })
    }

    /// Where the node listens, and its master key.
    pub fn target(&self) -> &Target {
        self.client.target()
    }

    /// A client for the node itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the node answers `/health`.
    pub async fn wait_healthy(&mut self) -> Result<()> {
        self.process.wait_healthy(&self.client).await
    }

    /// The process, for everything that hurts.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts the node again with the same data and port, and waits until it is healthy.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.wait_healthy().await
    }

    /// Kills the node and starts it again at the same port with an empty disk, and waits until it is healthy.
    pub async fn restart_emptied(&mut self) -> Result<()> {
        self.process.kill()?;
        let (there, lost) = (self.data.path().join(DATABASE), self.data.path().join(LOST));
        if lost.exists() {
            std::fs::remove_dir_all(&lost).context("cannot remove data that a node lost before")?;
        }
        std::fs::rename(there, lost).context("cannot take a node's data away")?;
        self.restart().await
    }

    /// Kills a node that was emptied and starts it again with the disk that it had, and waits until it is healthy.
    pub async fn restart_put_back(&mut self) -> Result<()> {
        self.process.kill()?;
        let (there, lost) = (self.data.path().join(DATABASE), self.data.path().join(LOST));
        std::fs::remove_dir_all(&there).context("cannot remove a node's data")?;
        std::fs::rename(lost, there).context("cannot put a node's data back")?;
        self.restart().await
    }
}

/// The folder of a node's database.
const DATABASE: &str = "db";

/// Where the database is that a node was emptied of.
const LOST: &str = "lost";

fn meilisearch_args(data: &Path, port: u16, key: Option<&str>) -> Vec<OsString> {
    let address = format!("127.0.0.1:{port}");
    let mut args = os_args(&["--no-analytics", "--env", "development", "--http-addr", &address]);
    // Snapshots and dumps would land in the folder the tests run in.
    for (flag, folder) in [("--db-path", DATABASE), ("--dump-dir", "dumps"), ("--snapshot-dir", "snapshots")]
    {
        args.extend([flag.into(), data.join(folder).into_os_string()]);
    }
    args.extend(key_args(key));
    args
}

fn devnode_args(data: &Path, port: u16, key: Option<&str>) -> Vec<OsString> {
    let mut args = os_args(&["--port", &port.to_string(), "--db-path"]);
    args.push(data.join(DATABASE).into_os_string());
    args.extend(key_args(key));
    args
}

fn key_args(key: Option<&str>) -> Vec<OsString> {
    key.map(|key| os_args(&["--master-key", key])).unwrap_or_default()
}

fn os_args(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}
