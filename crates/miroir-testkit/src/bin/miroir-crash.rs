//! The crash test for as long as you like: kills and freezes nodes and Miroir under writing clients, then looks whether
//! every promise was kept. Ends with status 1 when one was not.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use miroir_testkit::crash::{CrashOptions, FaultPlan, Faults, crash};
use miroir_testkit::sandbox::{Topology, nodes_are_real};

/// Kills, freezes and restarts nodes and Miroir while clients write, then checks what is there.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long clients write, in minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seed of the faults and of the writes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs, with the following seeds.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Clients that write at the same time.
    #[arg(long, default_value_t = 5)]
    clients: usize,
    /// What happens: `everything`; `nodes-away`, while clients search, and nothing else; `hangs`, nodes that end nothing.
    #[arg(long, default_value = "everything")]
    faults: Kind,
    /// Shape of the cluster: `<nodes>x<groups>:rf<copies>[:s<shards>]`.
    #[arg(long, default_value = "3x1:rf2")]
    topology: Topology,
    /// Insist on real Meilisearch servers as nodes (`MIROIR_TEST_MEILISEARCH` says where the program is).
    #[arg(long)]
    real_nodes: bool,
}

/// What happens.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Everything,
    NodesAway,
    Hangs,
}

impl From<Kind> for Faults {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Everything => Self::Everything,
            Kind::NodesAway => Self::NodesAway,
            Kind::Hangs => Self::Hangs,
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!(!arguments.real_nodes || nodes_are_real(), "MIROIR_TEST_MEILISEARCH names no server");
    let duration = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let mut good = true;
    for seed in arguments.seed..arguments.seed + arguments.runs {
        let (topology, faults, clients) = (arguments.topology, arguments.faults.into(), arguments.clients);
        print!("{}", FaultPlan::generate(faults, seed, topology.nodes() as usize, duration));
        let report = crash(CrashOptions { seed, duration, clients, topology, faults }).await?;
        print!("{report}");
        good &= report.is_good();
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
