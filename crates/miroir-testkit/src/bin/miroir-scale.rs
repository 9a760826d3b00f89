//! What many indexes cost, and how long a node takes that lost everything. Build it in release: it runs Miroir in the
//! profile that it has itself.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use anyhow::{Result, ensure};
use clap::Parser;
use miroir_testkit::sandbox::{Topology, nodes_are_real};
use miroir_testkit::scale::{ScaleOptions, scale};

/// Fills one server and a cluster with the same documents and indexes, empties a node of the cluster, and times it all.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the documents.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Insist on a real Meilisearch server as node (`MIROIR_TEST_MEILISEARCH` says where the program is).
    #[arg(long)]
    real_nodes: bool,
    /// Documents of a kilobyte, in one index.
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Indexes without documents.
    #[arg(long, default_value_t = 2_000)]
    indexes: usize,
    /// Requests at a time.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Shape of the cluster: `<nodes>x<groups>:rf<copies>[:s<shards>]`.
    #[arg(long, default_value = "3x1:rf2:s16")]
    topology: Topology,
    /// Fail if creating indexes takes a larger multiple of one server's time.
    #[arg(long)]
    creation_at_most: Option<f64>,
    /// Fail if a rebuild takes a larger multiple of one server's time.
    #[arg(long)]
    rebuild_at_most: Option<f64>,
    /// Fail if a write to an index by itself takes more milliseconds meanwhile.
    #[arg(long)]
    write_at_most: Option<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments {
        seed,
        real_nodes,
        documents,
        indexes,
        clients,
        topology,
        creation_at_most,
        rebuild_at_most,
        write_at_most,
    } = Arguments::parse();
    ensure!(!real_nodes || nodes_are_real(), "MIROIR_TEST_MEILISEARCH names no server");
    ensure!(documents > 0 && indexes > 0 && clients > 0, "nothing to measure");
    if cfg!(debug_assertions) {
        println!("This is a debug build: figures say nothing about a release.");
    }
    let report = scale(ScaleOptions { seed, documents, indexes, clients, topology }).await?;
    print!("{report}");
    for (what, times, most) in
        [("creating", report.creation(), creation_at_most), ("rebuilding", report.rebuild(), rebuild_at_most)]
    {
        let most = most.unwrap_or(f64::INFINITY);
        ensure!(times <= most, "{what} takes {times:.2} times as long, above {most}");
    }
    let (slowest, most) = (report.slowest_write_apart(), write_at_most.unwrap_or(f64::INFINITY));
    ensure!(slowest <= most, "a write took {slowest:.0} ms while the node was rebuilt, above {most}");
    Ok(())
}
