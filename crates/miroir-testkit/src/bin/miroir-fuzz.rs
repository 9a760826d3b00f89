//! Sends requests that nobody should send to one Meilisearch and to Miroir, from the command line.
//!
//! Ends with status 1 when Miroir did not answer as the one server, failed, panicked or showed something of its own.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use miroir_testkit::fuzz::{Options, run};
use miroir_testkit::sandbox::{Cluster, Node, Topology};

/// Sends requests that nobody should send.
#[derive(Debug, Parser)]
struct Arguments {
    /// The shape of the cluster: `<nodes>x<groups>:rf<copies>[:s<shards>]`.
    #[arg(long, default_value = "3x1:rf2")]
    topology: Topology,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seeds, one after the other.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Requests of each seed.
    #[arg(long, default_value_t = 400)]
    requests: usize,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let node = Node::start("expected").await?;
    let cluster = Cluster::start(arguments.topology).await?;
    let mut count = 0;
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let options = Options {
            expected: node.target().clone(),
            actual: cluster.target().clone(),
            seed,
            requests: arguments.requests,
        };
        let report = run(&options).await?;
        for finding in &report.findings {
            println!("{finding}");
        }
        count += report.findings.len();
        println!(
            "seed {seed}: {} sent, {} accepted, {} findings",
            report.sent,
            report.accepted,
            report.findings.len()
        );
    }
    let panicked = cluster.proxy_log().contains("panicked at");
    if panicked {
        println!("Miroir panicked:\n{}", cluster.proxy_log());
    }
    Ok(if count == 0 && !panicked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
