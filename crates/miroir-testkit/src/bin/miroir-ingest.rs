//! What Miroir costs those who add documents. Build it in release: it runs Miroir in the profile that it has itself.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use miroir_testkit::ingest::{MemoryOptions, RateOptions, memory, rate};
use miroir_testkit::sandbox::{Topology, nodes_are_real};

const MEBIBYTE: usize = 1 << 20;

/// Measures the rate of ingest through Miroir, or its memory.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Seed of the documents.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Insist on a real Meilisearch server as node (`MIROIR_TEST_MEILISEARCH` says where the program is).
    #[arg(long, global = true)]
    real_nodes: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Documents per second through Miroir with one node, and of that node alone, in turns.
    Rate(RateArguments),
    /// The memory of Miroir's process while large bodies pass.
    Memory(MemoryArguments),
}

#[derive(Debug, Args)]
struct RateArguments {
    /// Documents of a round.
    #[arg(long, default_value_t = 50_000)]
    documents: usize,
    /// Documents of a request.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Rounds that count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Shards of an index of Miroir.
    #[arg(long, default_value_t = 64)]
    shards: u32,
    /// Fail if Miroir's rate is a smaller part of the node's own.
    #[arg(long)]
    at_least: Option<f64>,
}

#[derive(Debug, Args)]
struct MemoryArguments {
    /// MiB of all bodies together.
    #[arg(long, default_value_t = 2048)]
    total: usize,
    /// MiB of one body.
    #[arg(long, default_value_t = 100)]
    body: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Shape of the cluster: `<nodes>x<groups>:rf<copies>[:s<shards>]`.
    #[arg(long, default_value = "1x1:s64")]
    topology: Topology,
    /// Fail if Miroir needs more, in MB.
    #[arg(long)]
    at_most: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { what, seed, real_nodes } = Arguments::parse();
    ensure!(!real_nodes || nodes_are_real(), "MIROIR_TEST_MEILISEARCH names no server");
    if cfg!(debug_assertions) {
        println!("This is a debug build: figures say nothing about a release.");
    }
    match what {
        What::Rate(RateArguments { documents, batch, clients, rounds, shards, at_least }) => {
            ensure!(batch > 0 && clients > 0 && rounds > 0, "nothing to measure");
            let report = rate(RateOptions { seed, documents, batch, clients, rounds, shards }).await?;
            print!("{report}");
            let least = at_least.unwrap_or(0.0);
            ensure!(report.ratio() >= least, "the ratio is {:.3}, below {least}", report.ratio());
        }
        What::Memory(MemoryArguments { total, body, clients, topology, at_most }) => {
            let (bytes, body) = (total * MEBIBYTE, body * MEBIBYTE);
            let report = memory(MemoryOptions { seed, bytes, body, clients, topology }).await?;
            print!("{report}");
            let most = at_most.unwrap_or(u64::MAX / 1_000_000) * 1_000_000;
            ensure!(report.peak <= most, "the memory of Miroir went beyond {most} bytes");
        }
    }
    Ok(())
}
