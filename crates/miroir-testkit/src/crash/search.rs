//! Clients that search while nodes come and go, and count what their answers lacked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;

use super::write::LASTING;
use crate::client::{Client, Reply};
use crate::oracle::Dice;

/// Searches at a time.
const CLIENTS: u64 = 2;
/// Shortest and longest time between two searches of a client, in milliseconds.
const THINK_MS: (usize, usize) = (20, 120);
/// One in so many answers may come from a copy that is behind.
const STALE_SHARE: usize = 50;
const DEGRADED: &str = "x-miroir-degraded";

/// What the answers to all searches were like.
#[derive(Debug, Clone, Default)]
pub struct SearchReport {
    /// Answers, whatever they lacked.
    pub answered: usize,
    /// Those for which a copy was asked that is behind.
    pub stale: usize,
    /// Those that lacked shards, and searches that failed, each with what the client was told.
    pub bad: Vec<String>,
}

impl SearchReport {
    fn note(&mut self, seconds: f64, reply: Result<Reply>) {
        let reply = match reply {
            Ok(reply) if reply.status == 200 => reply,
            Ok(reply) => {
                let told = format!("a search after {seconds:.2} s: {} {}", reply.status, reply.text);
                return self.bad.push(told);
            }
            Err(error) => return self.bad.push(format!("a search after {seconds:.2} s: {error:#}")),
        };
        self.answered += 1;
        let lacks = reply.headers.get(DEGRADED).and_then(|lacks| lacks.to_str().ok()).unwrap_or_default();
        if lacks.contains("shards=") {
            self.bad.push(format!("a search after {seconds:.2} s lacks {lacks}"));
        } else if lacks.contains("stale=") {
            self.stale += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.stale += other.stale;
        self.bad.extend(other.bad);
    }

    /// What is not as promised as long as never two nodes are away at once.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.bad.clone();
        if self.stale * STALE_SHARE > self.answered || self.answered == 0 {
            problems.push(format!("{} of {} answers are stale", self.stale, self.answered));
        }
        problems
    }
}

impl fmt::Display for SearchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, stale, bad } = self;
        write!(
            f,
            "{answered} searches answered, {stale} of them stale, {} without shards or failed",
            bad.len()
        )
    }
}

/// Clients at work.
pub(super) struct Searches {
    clients: JoinSet<SearchReport>,
    stop: Arc<AtomicBool>,
}

impl Searches {
    pub(super) fn start(client: &Client, seed: u64) -> Self {
        let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let dice = Dice::new(seed.wrapping_mul(2_000).wrapping_add(number + 1));
            clients.spawn(work(client.clone(), dice, began, Arc::clone(&stop)));
        }
        Self { clients, stop }
    }

    pub(super) async fn stop(mut self) -> Result<SearchReport> {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = SearchReport::default();
        while let Some(client) = self.clients.join_next().await {
            report.add(client.context("a client that searches has panicked")?);
        }
        Ok(report)
    }
}

async fn work(client: Client, mut dice: Dice, began: Instant, stop: Arc<AtomicBool>) -> SearchReport {
    let mut report = SearchReport::default();
    while !stop.load(Ordering::Relaxed) {
        // Queries differ, so that all nodes are asked.
        let body =
            json!({"q": "written", "filter": format!("number < {}", dice.between(1, 100)), "limit": 5});
        let path = format!("/indexes/{}/search", dice.pick(&LASTING));
        let seconds = began.elapsed().as_secs_f64();
        report.note(seconds, client.post(&path, &body).await);
        let think = dice.between(THINK_MS.0, THINK_MS.1);
        tokio::time::sleep(Duration::from_millis(think as u64)).await;
    }
    report
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::Value;

    use super::*;

    fn answer(lacks: Option<&str>) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(lacks) = lacks {
            headers.insert(DEGRADED, lacks.parse().unwrap());
        }
        Reply { status: 200, headers, text: String::new(), body: Value::Null }
    }

    #[test]
    fn few_stale_answers_are_no_problem_and_one_without_a_shard_is() {
        let mut report = SearchReport::default();
        for _ in 0..99 {
            report.note(0.0, Ok(answer(None)));
        }
        report.note(0.0, Ok(answer(Some("stale=3,7"))));
        report.note(0.0, Ok(answer(Some("stale=3; cutoff"))));
        assert!(report.problems().is_empty(), "{report}");
        report.note(0.0, Ok(answer(Some("stale=1"))));
        assert_eq!(report.problems().len(), 1, "{report}");
        report.note(0.0, Ok(answer(Some("shards=3; stale=1"))));
        assert_eq!(report.bad.len(), 1, "{report}");
    }
}
