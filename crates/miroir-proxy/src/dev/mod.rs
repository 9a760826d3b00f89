//! `miroir-proxy dev`: a cluster on this machine with one command, to develop against and to break things on.
//!
//! Each node is a process of its own, so that it can be killed, frozen and restarted like a real one; Miroir runs in
//! this process. Everything is kept in one data directory, which the next start goes on with.

mod cluster;
mod demo;
mod engine;
mod process;
mod report;
mod state;
mod topology;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use cluster::Cluster;
use engine::Engine;
use miroir_core::ids::ShardCount;
use process::NodeProcess;
use report::{Access, Examples};
use state::{DataDir, DevState, NodeSpec};
use tokio::time::timeout;
use topology::{Topology, Wanted};

use crate::config::{Config, MAX_SHARDS, NodeAddress, NodeConfig, Secret, TaskStoreConfig};
use crate::observe::Logs;
use crate::server::{self, RunningServer};

/// How long Miroir may take to finish the requests in work.
const SERVER_STOP_DEADLINE: Duration = Duration::from_secs(15);
/// More nodes than this on one machine show nothing more.
const MAX_NODES: i64 = 32;

/// The flags of `miroir-proxy dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Load a demo index of 4,449 cities.
    #[arg(long)]
    demo: bool,
    /// Nodes in all [default: 3, or what the data were made with].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_NODES))]
    nodes: Option<u32>,
    /// Copies of each shard within a replica group [default: 2, or what the data were made with].
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=MAX_NODES))]
    replication_factor: Option<u32>,
    /// Replica groups that the nodes are dealt over [default: 1, or what the data were made with].
    #[arg(long, value_name = "G", value_parser = clap::value_parser!(u32).range(1..=MAX_NODES))]
    replica_groups: Option<u32>,
    /// Shards of each index [default: 64, or what the data were made with].
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    shards: Option<u32>,
    /// The port that Miroir listens on; 0 lets the system pick one.
    #[arg(long, default_value_t = 7700)]
    port: u16,
    /// Where everything is kept: the nodes' data and logs, Miroir's task log, the ports and the master key.
    #[arg(long, value_name = "DIR", default_value = "./miroir-data")]
    data_dir: PathBuf,
    /// The master key [default: one that is made at the first start and kept].
    #[arg(long, value_name = "KEY")]
    master_key: Option<String>,
    /// Run real Meilisearch nodes: the path of the program, or `auto` for the one on PATH.
    #[arg(long, value_name = "PATH|auto")]
    meilisearch: Option<String>,
    /// Start this node of a running cluster again, after it died, and end.
    #[arg(long, value_name = "NODE", conflicts_with_all = ["demo", "nodes", "replication_factor", "replica_groups",
        "shards", "master_key", "meilisearch"])]
    restart: Option<String>,
}

/// Runs a development cluster until `terminated` completes, then stops Miroir and after it the nodes.
pub async fn run(args: DevArgs, logs: Logs, terminated: impl Future<Output = ()>) -> anyhow::Result<()> {
    let data = DataDir::open(&args.data_dir)?;
    if let Some(id) = &args.restart {
        return restart(&data, id).await;
    }
    let _lock = data.lock()?;
    let mut session = Session::default();
    let outcome = tokio::select! {
        failed = session.bring_up_and_watch(&args, &data, logs) => failed,
        () = terminated => Ok(()),
    };
    let stopped = session.stop().await;
    outcome.and(stopped)
}

/// What has to be stopped, in this order, however the cluster ends.
#[derive(Default)]
struct Session {
    server: Option<RunningServer>,
    cluster: Cluster,
}

impl Session {
    /// Returns only when something fails.
    async fn bring_up_and_watch(&mut self, args: &DevArgs, data: &DataDir, logs: Logs) -> anyhow::Result<()> {
        let kept = data.load_state()?;
        let topology = choose_topology(args, kept.as_ref())?;
        let master_key = data.master_key(args.master_key.as_deref())?;
        refuse_taken_port(args.port)?;
        let engine =
            Engine::find(args.meilisearch.as_deref(), kept.as_ref().map(|kept| &kept.engine)).await?;

        let state = settle_ports(data, topology, engine, kept).await?;
        let nodes = data.nodes(&state)?;
        let config = configuration(args, data, &state, &nodes, &master_key)?;
        report::starting_nodes(nodes.len(), &state.engine.program);
        self.cluster.start(nodes, &state.engine, &master_key).await?;
        let address = self
            .server
            .insert(server::start(config, logs).await.context("Miroir cannot start")?)
            .local_addr();

        if args.demo {
            demo::load(&demo::Client::new(format!("http://{address}"), master_key.clone())?).await?;
        }
        let examples = if args.demo { Examples::Cities } else { Examples::FirstSteps };
        report::ready(&Access { address, master_key: &master_key }, self.cluster.members(), examples);
        self.cluster.watch(|node| restart_command(data.path(), node)).await;
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        if !self.cluster.members().is_empty() {
            report::stopping();
        }
        // Nodes are stopped all the same when a request keeps Miroir from ending.
        if let Some(server) = self.server
            && timeout(SERVER_STOP_DEADLINE, server.stop()).await.is_err()
        {
            report::server_does_not_end(SERVER_STOP_DEADLINE);
        }
        self.cluster.stop().await
    }
}

fn choose_topology(args: &DevArgs, kept: Option<&DevState>) -> anyhow::Result<Topology> {
    let wanted = Wanted {
        nodes: args.nodes,
        replication_factor: args.replication_factor,
        replica_groups: args.replica_groups,
        shards: args.shards,
    };
    let (topology, lowered) = Topology::choose(&wanted, kept.map(|kept| kept.topology))?;
    if let Some(factor) = lowered {
        report::lowered_replication_factor(factor);
    }
    Ok(topology)
}

/// Found out before the nodes start, which takes longer.
fn refuse_taken_port(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    listener.map(drop).with_context(|| format!("port {port} is taken: choose another with --port"))
}

/// Frees the ports from nodes that an earlier start left behind, and keeps the ports for the next start.
async fn settle_ports(
    data: &DataDir,
    topology: Topology,
    engine: Engine,
    kept: Option<DevState>,
) -> anyhow::Result<DevState> {
    if let Some(kept) = &kept {
        Cluster::stop_orphans(&data.nodes(kept)?).await?;
    }
    let kept_ports = kept.map(|kept| kept.ports).unwrap_or_default();
    let state = DevState { topology, engine, ports: state::pick_ports(topology.nodes, &kept_ports)? };
    data.save_state(&state)?;
    Ok(state)
}

fn configuration(
    args: &DevArgs,
    data: &DataDir,
    state: &DevState,
    nodes: &[NodeSpec],
    master_key: &str,
) -> anyhow::Result<Config> {
    let node = |spec: &NodeSpec| -> anyhow::Result<NodeConfig> {
        let address = NodeAddress::parse(&spec.url()).map_err(anyhow::Error::msg)?;
        Ok(NodeConfig { id: spec.id.clone(), address, group: spec.group })
    };
    let nodes = nodes.iter().map(node).collect::<anyhow::Result<_>>()?;
    let mut config = Config::new(Some(Secret::new(master_key)), nodes);
    config.node_master_key = Some(Secret::new(master_key));
    config.shards = ShardCount::new(state.topology.shards).context("--shards must not be 0")?;
    config.replication_factor = state.topology.replication_factor;
    config.replica_groups = state.topology.replica_groups;
    config.server.port = args.port;
    if refuse_taken_port(config.metrics.port).is_err() {
        // Nobody asked for that port, so that a cluster beside another one takes any.
        config.metrics.port = 0;
    }
    config.task_store = TaskStoreConfig::Sqlite { path: data.task_store() };
    Ok(config)
}

fn restart_command(data_dir: &Path, node: &NodeSpec) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("miroir-proxy"));
    let (program, data_dir) = (program.to_string_lossy(), data_dir.to_string_lossy());
    format!("{} dev --data-dir {} --restart {}", report::quoted(&program), report::quoted(&data_dir), node.id)
}

/// Starts one node again. The cluster that it belongs to finds it by its pid file.
async fn restart(data: &DataDir, id: &str) -> anyhow::Result<()> {
    let Some(state) = data.load_state()? else {
        bail!("{} holds no development cluster", data.path().display())
    };
    let nodes = data.nodes(&state)?;
    let Some(node) = nodes.iter().find(|node| node.id.as_str() == id) else {
        let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        bail!("there is no node `{id}`: it must be one of {}", names.join(", "))
    };
    if let Some(process) = NodeProcess::find(node) {
        report::node_runs_already(node, process.pid());
        return Ok(());
    }
    if data.lock().is_ok() {
        bail!("no development cluster runs on {}: start it without --restart", data.path().display());
    }
    let master_key = data.master_key(None)?;
    let mut process = NodeProcess::spawn(node, &state.engine, &master_key)?;
    process.wait_healthy(node, &cluster::health_client()?).await?;
    report::node_restarted(node, process.pid());
    Ok(())
}
