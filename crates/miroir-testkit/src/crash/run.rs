//! One run, from an empty cluster to the verdict.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::faults::carry_out;
use super::hang::{HangReport, MAX_LAG, check_hangs};
use super::model::{Model, check_tasks, expected};
use super::plan::{FaultPlan, Faults};
use super::search::{SearchReport, Searches};
use super::tasks::{all_tasks, wait_until_ended};
use super::traffic::{Answer, Journal, Pace, Traffic};
use super::verify::differences;
use super::write::{LASTING, PASSING};
use crate::sandbox::{Cluster, Topology};

/// How long no task may end, and how long nodes may take to catch up, once everybody is back.
const RECOVERY: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(250);
/// Problems that a report prints.
const PRINTED: usize = 20;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct CrashOptions {
    /// Decides about faults and writes.
    pub seed: u64,
    /// How long clients write and processes are hurt.
    pub duration: Duration,
    /// Clients that write at the same time.
    pub clients: usize,
    /// The shape of the cluster.
    pub topology: Topology,
    /// What happens.
    pub faults: Faults,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct CrashReport {
    /// What was done to whom.
    pub plan: FaultPlan,
    /// Writes answered with 202.
    pub accepted: usize,
    /// Writes answered with an error.
    pub refused: usize,
    /// Writes without an answer.
    pub lost: usize,
    /// Of those, the ones that are in the log.
    pub lost_but_kept: usize,
    /// How long it took until everything had settled.
    pub recovery: Duration,
    /// What searches were like, where clients searched.
    pub searches: Option<SearchReport>,
    /// What writes were like, where nodes hung.
    pub hangs: Option<HangReport>,
    /// Everything that is not as promised.
    pub problems: Vec<String>,
    /// Answers of status 500 and above, each text once.
    pub server_errors: Vec<String>,
    /// Errors that Miroir logged: nodes that had to be rebuilt, for one. None of them breaks a promise.
    pub logged_errors: Vec<String>,
}

/// Runs it on a cluster of its own.
///
/// # Errors
/// When processes can't be started, or Miroir does not answer after everybody is back.
pub async fn crash(options: CrashOptions) -> Result<CrashReport> {
    let CrashOptions { seed, duration, clients, topology, faults } = options;
    let plan = FaultPlan::generate(faults, seed, topology.nodes() as usize, duration);
    let (mut cluster, pace) = match faults {
        Faults::Everything => (Cluster::start(topology).await?, Pace::Fast),
        Faults::NodesAway => (Cluster::start(topology).await?, Pace::Slow),
        Faults::Hangs => {
            let health = json!({"health": {"max_lag_ms": MAX_LAG.as_millis()}});
            (Cluster::start_relayed(topology, health).await?, Pace::Waiting)
        }
    };
    prepare(&cluster).await?;
    let traffic = Traffic::start(cluster.client(), clients, seed, pace);
    let searches = (faults == Faults::NodesAway).then(|| Searches::start(cluster.client(), seed));
    let done = carry_out(&mut cluster, &plan, duration).await;
    let (journals, timings) = traffic.stop().await?;
    let searches = match searches {
        Some(searches) => Some(searches.stop().await?),
        None => None,
    };
    let happened = done.with_context(|| format!("{plan}\nMiroir's log:\n{}", cluster.proxy_log()))?;
    let hangs = (faults == Faults::Hangs).then(|| check_hangs(&happened, &timings));
    let mut report = judge(&cluster, plan, &journals).await?;
    report.problems.extend(searches.iter().flat_map(SearchReport::problems));
    report.problems.extend(hangs.iter().flat_map(|hangs| hangs.problems.clone()));
    Ok(CrashReport { searches, hangs, ..report })
}

async fn prepare(cluster: &Cluster) -> Result<()> {
    let client = cluster.client();
    for index in LASTING.iter().chain([&PASSING]) {
        let settings = json!({"filterableAttributes": ["group", "number"]});
        let reply = client.patch(&format!("/indexes/{index}/settings"), &settings).await?;
        let task = client.wait_reply(reply).await?;
        ensure!(task["status"] == "succeeded", "{task}");
    }
    Ok(())
}

async fn judge(cluster: &Cluster, plan: FaultPlan, journals: &[Journal]) -> Result<CrashReport> {
    let since = Instant::now();
    let mut problems = Vec::new();
    if let Err(stuck) = wait_until_ended(cluster.client(), RECOVERY).await {
        problems.push(format!("{stuck:#}"));
    }
    let tasks = all_tasks(cluster.client()).await?;
    check_tasks(journals, &tasks, &mut problems);
    let model = expected(journals, &tasks);
    // A node that was away may still be catching up, which no task waits for.
    let ended = Instant::now();
    let mut different = look(cluster, &model).await;
    while !different.is_empty() && ended.elapsed() < RECOVERY {
        tokio::time::sleep(POLL).await;
        different = look(cluster, &model).await;
    }
    if !different.is_empty() {
        let (errors, log) = (cluster.proxy_errors().join("\n"), cluster.proxy_log());
        problems.push(format!("errors in Miroir's log:\n{errors}\nits end:\n{log}"));
    }
    problems.extend(different);
    let count =
        |wanted: fn(&Answer) -> bool| journals.iter().flatten().filter(|(_, answer)| wanted(answer)).count();
    let kept = |tag: &str| tasks.iter().any(|task| task.tag.as_deref() == Some(tag));
    let lost = journals.iter().flatten().filter(|(_, answer)| *answer == Answer::Lost);
    Ok(CrashReport {
        plan,
        accepted: count(|answer| matches!(answer, Answer::Accepted(_))),
        refused: count(|answer| matches!(answer, Answer::Refused { .. })),
        lost: count(|answer| *answer == Answer::Lost),
        lost_but_kept: lost.filter(|(write, _)| kept(&write.tag)).count(),
        recovery: since.elapsed(),
        searches: None,
        hangs: None,
        problems,
        server_errors: server_errors(journals),
        logged_errors: cluster.proxy_errors(),
    })
}

/// What is different. A node that is just being filled may not even answer.
async fn look(cluster: &Cluster, model: &Model) -> Vec<String> {
    differences(cluster, model).await.unwrap_or_else(|error| vec![format!("{error:#}")])
}

fn server_errors(journals: &[Journal]) -> Vec<String> {
    let mut errors: Vec<String> = journals
        .iter()
        .flatten()
        .filter_map(|(_, answer)| match answer {
            Answer::Refused { status: status @ 500.., text } => Some(format!("{status}: {text}")),
            Answer::Refused { .. } | Answer::Accepted(_) | Answer::Lost => None,
        })
        .collect();
    errors.sort_unstable();
    errors.dedup();
    errors
}

impl CrashReport {
    /// Whether everything is as promised, and the run was one at all.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.accepted > 0
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_good() { "ok" } else { "BROKEN PROMISES" };
        writeln!(
            f,
            "seed {}: {verdict}; {} faults, {} writes accepted, {} refused, {} without an answer ({} of them kept), settled after {:.1} s",
            self.plan.seed,
            self.plan.faults.len(),
            self.accepted,
            self.refused,
            self.lost,
            self.lost_but_kept,
            self.recovery.as_secs_f64(),
        )?;
        for said in
            [self.searches.as_ref().map(ToString::to_string), self.hangs.as_ref().map(ToString::to_string)]
        {
            said.map_or(Ok(()), |said| writeln!(f, "  {said}"))?;
        }
        for error in &self.server_errors {
            writeln!(f, "  a client was told {error}")?;
        }
        for error in self.logged_errors.iter().take(PRINTED) {
            writeln!(f, "  Miroir logged {error}")?;
        }
        for problem in self.problems.iter().take(PRINTED) {
            writeln!(f, "  {problem}")?;
        }
        if self.problems.len() > PRINTED {
            writeln!(f, "  … and {} more", self.problems.len() - PRINTED)?;
        }
        Ok(())
    }
}
