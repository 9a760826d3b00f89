//! The nodes of a development cluster as processes. Nothing is restarted by itself: whoever kills a node wants to see
//! what happens without it.

use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;

use super::engine::Engine;
use super::process::NodeProcess;
use super::report;
use super::state::NodeSpec;

/// How often the nodes are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// How long a node may take to answer a health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// All nodes, with the processes of those that run.
#[derive(Debug, Default)]
pub struct Cluster {
    members: Vec<Member>,
}

/// One node.
#[derive(Debug)]
pub struct Member {
    /// The node.
    pub node: NodeSpec,
    /// Its process, while it runs.
    pub process: Option<NodeProcess>,
}

impl Cluster {
    /// Stops what an earlier start left behind, when it was killed itself.
    pub async fn stop_orphans(nodes: &[NodeSpec]) -> anyhow::Result<()> {
        for node in nodes {
            if let Some(process) = NodeProcess::find(node) {
                report::stopping_orphan(node, process.pid());
                process.stop(node).await?;
            }
        }
        Ok(())
    }

    /// Starts all nodes and waits until they answer. When it fails or is cancelled, `stop` ends what was started.
    pub async fn start(
        &mut self,
        nodes: Vec<NodeSpec>,
        engine: &Engine,
        master_key: &str,
    ) -> anyhow::Result<()> {
        for node in nodes {
            let process = NodeProcess::spawn(&node, engine, master_key)?;
            self.members.push(Member { node, process: Some(process) });
        }
        let http = health_client()?;
        for Member { node, process } in &mut self.members {
            if let Some(process) = process {
                process.wait_healthy(node, &http).await?;
            }
        }
        Ok(())
    }

    /// The nodes.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Says when a node dies and when it is back, for ever.
    pub async fn watch(&mut self, restart_command: impl Fn(&NodeSpec) -> String) {
        loop {
            sleep(WATCH_INTERVAL).await;
            for Member { node, process } in &mut self.members {
                if let Some(running) = process {
                    if let Some(ending) = running.ended(node) {
                        report::node_died(node, running.pid(), &ending, &restart_command(node));
                        *process = None;
                    }
                } else if let Some(found) = NodeProcess::find(node) {
                    report::node_is_back(node, found.pid());
                    *process = Some(found);
                }
            }
        }
    }

    /// Stops all nodes, also those that someone started since the last look.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut failure = None;
        let mut stopping = tokio::task::JoinSet::new();
        for Member { node, process } in self.members {
            if let Some(process) = process.or_else(|| NodeProcess::find(&node)) {
                stopping.spawn(async move { process.stop(&node).await });
            }
        }
        while let Some(stopped) = stopping.join_next().await {
            failure = stopped.context("a node's stop was interrupted").flatten().err().or(failure);
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Asks 127.0.0.1 only: a proxy from the environment has nothing to do with it.
pub fn health_client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(HEALTH_TIMEOUT)
        .no_proxy()
        .build()
        .context("cannot make an HTTP client")
}
