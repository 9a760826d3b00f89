//! Compares Miroir with one Meilisearch, from the command line.
//!
//! Either two running servers (`--expected-url … --actual-url …`), or clusters started for the purpose
//! (`--topology 3x1:rf2`, several times, or `--topology all`). Ends with status 1 when a comparison is below the bar.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use miroir_testkit::client::Target;
use miroir_testkit::oracle::{Options, Report, Size, World, run, seed_from_env};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};

/// Compares Miroir with one Meilisearch, search by search.
#[derive(Debug, Parser)]
struct Arguments {
    /// URL of the one server that is right by definition.
    #[arg(long, requires_all = ["actual_url"])]
    expected_url: Option<String>,
    /// Its master key.
    #[arg(long, default_value = "")]
    expected_key: String,
    /// URL of Miroir.
    #[arg(long, requires_all = ["expected_url"])]
    actual_url: Option<String>,
    /// Its master key.
    #[arg(long, default_value = "")]
    actual_key: String,
    /// Start a cluster of this shape: `<nodes>x<groups>:rf<copies>[:s<shards>]`, or `all`.
    #[arg(long, conflicts_with = "expected_url", required_unless_present = "expected_url")]
    topology: Vec<String>,
    /// Seed of the first world; without it `MIROIR_ORACLE_SEED`, else a fixed one.
    #[arg(long)]
    seed: Option<u64>,
    /// Worlds to compare on each cluster, with the following seeds.
    #[arg(long, default_value_t = 1)]
    worlds: u64,
    /// Documents in a world.
    #[arg(long, default_value_t = 400)]
    documents: usize,
    /// Searches in a world.
    #[arg(long, default_value_t = 350)]
    queries: usize,
    /// The nodes are real Meilisearch servers (as with `MIROIR_TEST_MEILISEARCH`): compare messages word by word too.
    #[arg(long)]
    real_nodes: bool,
}

impl Arguments {
    async fn compare(&self, name: &str, expected: &Target, actual: &Target) -> Result<Vec<Report>> {
        let first = self.seed.map_or_else(seed_from_env, Ok)?;
        let size = Size { documents: self.documents.max(30), queries: self.queries };
        let options = Options {
            name: name.to_owned(),
            expected: expected.clone(),
            actual: actual.clone(),
            real_nodes: self.real_nodes || nodes_are_real(),
        };
        let mut reports = Vec::new();
        for seed in first..first + self.worlds {
            let world = World::generate(seed, size);
            let report = run(&world, &options).await.with_context(|| format!("{name}, seed {seed}"))?;
            print(&report);
            reports.push(report);
        }
        Ok(reports)
    }

    fn topologies(&self) -> Result<Vec<Topology>> {
        if self.topology.iter().any(|topology| topology == "all") {
            return Ok(Topology::STANDARD.to_vec());
        }
        self.topology.iter().map(|topology| topology.parse()).collect()
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut reports = Vec::new();
    if let (Some(expected), Some(actual)) = (&arguments.expected_url, &arguments.actual_url) {
        let expected = Target::new(expected, &arguments.expected_key);
        let actual = Target::new(actual, &arguments.actual_key);
        reports.extend(arguments.compare("two servers", &expected, &actual).await?);
    } else {
        let node = Node::start("expected").await?;
        for topology in arguments.topologies()? {
            let cluster = Cluster::start(topology).await?;
            let name = topology.to_string();
            let compared = arguments.compare(&name, node.target(), cluster.target()).await;
            if !compared.as_ref().is_ok_and(|reports| reports.iter().all(Report::meets_bar)) {
                eprintln!("the end of Miroir's log:\n{}", cluster.proxy_log());
            }
            reports.extend(compared?);
        }
    }
    print(&Report::sum("all", &reports));
    let good = reports.iter().all(Report::meets_bar);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn print(report: &Report) {
    print!("{report}");
}
