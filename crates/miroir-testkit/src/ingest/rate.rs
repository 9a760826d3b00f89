//! Documents per second.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::documents::Source;
use super::feed::{check_count, feed, make_index};
use crate::client::Client;
use crate::sandbox::{Cluster, Node, Topology};

/// How long one round on one server may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct RateOptions {
    /// Decides about the documents.
    pub seed: u64,
    /// Documents of a round.
    pub documents: usize,
    /// Documents of a request.
    pub batch: usize,
    /// Requests at a time.
    pub clients: usize,
    /// How often each server takes in the documents of a round, after one round that does not count.
    pub rounds: usize,
    /// Shards of an index of Miroir.
    pub shards: u32,
}

/// How long each server took.
#[derive(Debug, Clone)]
pub struct RateReport {
    options: RateOptions,
    rounds: Vec<Round>,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    alone: Duration,
    through: Duration,
}

impl Round {
    /// Miroir's rate as a part of the node's own.
    fn ratio(self) -> f64 {
        self.alone.as_secs_f64() / self.through.as_secs_f64()
    }
}

impl RateReport {
    /// Miroir's rate as a part of the node's own: the middle one of the rounds'.
    pub fn ratio(&self) -> f64 {
        let mut ratios: Vec<f64> = self.rounds.iter().map(|round| round.ratio()).collect();
        ratios.sort_by(f64::total_cmp);
        match ratios.len() {
            0 => f64::NAN,
            count if count % 2 == 0 => f64::midpoint(ratios[count / 2 - 1], ratios[count / 2]),
            count => ratios[count / 2],
        }
    }
}

impl fmt::Display for RateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RateOptions { documents, batch, clients, shards, .. } = self.options;
        writeln!(
            f,
            "{documents} documents, {batch} a request, {clients} requests at a time, {shards} shards"
        )?;
        writeln!(f, "{:>6} {:>12} {:>12} {:>7}", "round", "node alone", "via Miroir", "ratio")?;
        #[expect(clippy::cast_precision_loss, reason = "counts of documents are small")]
        let rate = |time: Duration| documents as f64 / time.as_secs_f64();
        for (number, round) in self.rounds.iter().enumerate() {
            let (alone, through) = (rate(round.alone), rate(round.through));
            writeln!(f, "{:>6} {alone:>10.0}/s {through:>10.0}/s {:>7.3}", number + 1, round.ratio())?;
        }
        writeln!(f, "median ratio {:.3}", self.ratio())
    }
}

/// Runs it on servers of its own.
///
/// # Errors
/// When a server can't be started, or does not take in what it is sent.
pub async fn rate(options: RateOptions) -> Result<RateReport> {
    let topology = Topology { shards: options.shards, ..Topology::SINGLE };
    // As it is by default, and not as tests want it.
    let health = json!({"interval_ms": 1000, "timeout_ms": 1000});
    let cluster = Cluster::start_with(topology, json!({"health": health})).await?;
    let node = Node::start("alone").await?;
    let mut source = Source::new(options.seed);
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        let bodies = bodies(&mut source, options);
        let index = format!("round-{round}");
        let turns = [node.client(), cluster.client()];
        let first = round % 2;
        let mut took = [Duration::ZERO; 2];
        for turn in [first, 1 - first] {
            took[turn] = take_in(turns[turn], &index, bodies.clone(), options)
                .await
                .with_context(|| format!("round {round}\nMiroir's log:\n{}", cluster.proxy_log()))?;
        }
        rounds.push(Round { alone: took[0], through: took[1] });
    }
    // The first one warms both up.
    rounds.remove(0);
    Ok(RateReport { options, rounds })
}

fn bodies(source: &mut Source, options: RateOptions) -> Vec<Vec<u8>> {
    let full = options.documents / options.batch;
    let rest = options.documents % options.batch;
    let sizes = std::iter::repeat_n(options.batch, full).chain((rest > 0).then_some(rest));
    sizes.map(|size| source.batch(size)).collect()
}

async fn take_in(
    client: &Client,
    index: &str,
    bodies: Vec<Vec<u8>>,
    options: RateOptions,
) -> Result<Duration> {
    make_index(client, index, &settings()).await?;
    let mut bodies = bodies.into_iter();
    let took = feed(client, index, || bodies.next(), options.clients, PATIENCE).await?;
    check_count(client, index, options.documents).await?;
    // The next round begins with as little data on the server as this one.
    client.wait_reply(client.delete(&format!("/indexes/{index}")).await?).await?;
    Ok(took)
}

fn settings() -> Value {
    json!({
        "searchableAttributes": ["title", "description"],
        "filterableAttributes": ["genre", "year"],
        "sortableAttributes": ["rating"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_middle_one_and_the_rest_goes_into_a_last_request() {
        let options = RateOptions { seed: 1, documents: 25, batch: 10, clients: 1, rounds: 2, shards: 1 };
        let round = |alone, through| Round {
            alone: Duration::from_secs(alone),
            through: Duration::from_secs(through),
        };
        let mut report = RateReport { options, rounds: vec![round(1, 4), round(1, 1), round(1, 2)] };
        assert!((report.ratio() - 0.5).abs() < 1e-9);
        report.rounds.pop();
        assert!((report.ratio() - 0.625).abs() < 1e-9);
        let sizes = bodies(&mut Source::new(1), options)
            .iter()
            .map(|body| serde_json::from_slice::<Vec<Value>>(body).unwrap().len())
            .collect::<Vec<_>>();
        assert_eq!(sizes, [10, 10, 5]);
    }
}
