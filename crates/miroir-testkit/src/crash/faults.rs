//! Carries a plan out on a cluster, and brings everything back at the end.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;

use super::plan::{FaultPlan, Hurt};
use crate::sandbox::{Cluster, Meddling, Rule};

/// How long Miroir may take to say how the nodes are.
const PATIENCE: Duration = Duration::from_secs(1);

/// Half of a fault: its beginning or its end.
#[derive(Debug, Clone, Copy)]
enum Half {
    Begin,
    End,
}

/// A fault as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happened {
    pub(super) hurt: Hurt,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// Does what the plan says when it says so (later, when bringing somebody back took longer than planned), then waits
/// for the rest of `duration`.
pub(super) async fn carry_out(
    cluster: &mut Cluster,
    plan: &FaultPlan,
    duration: Duration,
) -> Result<Vec<Happened>> {
    let start = Instant::now();
    let mut at_work: Vec<(Hurt, Instant)> = Vec::new();
    let mut happened = Vec::new();
    let mut halves: Vec<(Duration, Hurt, Half)> = Vec::new();
    for fault in &plan.faults {
        halves.push((fault.at, fault.hurt, Half::Begin));
        halves.push((fault.at + fault.lasts, fault.hurt, Half::End));
    }
    halves.sort_by_key(|(at, ..)| *at);
    for (at, hurt, half) in halves {
        tokio::time::sleep_until((start + at).into()).await;
        match half {
            Half::Begin => {
                at_work.push((hurt, Instant::now()));
                begin(cluster, hurt)?;
            }
            Half::End => {
                end(cluster, hurt).await?;
                if let Some(place) = at_work.iter().position(|(it, _)| *it == hurt) {
                    let (hurt, began) = at_work.remove(place);
                    happened.push(Happened { hurt, began, ended: Instant::now() });
                }
            }
        }
    }
    tokio::time::sleep_until((start + duration).into()).await;
    Ok(happened)
}

fn begin(cluster: &mut Cluster, hurt: Hurt) -> Result<()> {
    match hurt {
        Hurt::KillNode(node) | Hurt::EmptyNode(node) => cluster.kill_node(node),
        Hurt::PauseNode(node) => cluster.pause_node(node),
        Hurt::HangNode(node) => {
            cluster.relay(node).set(Rule::always(Method::GET, "/tasks", Meddling::NothingEnds));
            Ok(())
        }
        Hurt::KillMiroir => cluster.kill_proxy(),
        Hurt::PauseMiroir => cluster.pause_proxy(),
    }
}

async fn end(cluster: &mut Cluster, hurt: Hurt) -> Result<()> {
    match hurt {
        Hurt::EmptyNode(node) if others_are_healthy(cluster, node).await => {
            cluster.restart_node_emptied(node).await
        }
        Hurt::KillNode(node) | Hurt::EmptyNode(node) => cluster.restart_node(node).await,
        Hurt::PauseNode(node) => cluster.resume_node(node),
        Hurt::HangNode(node) => {
            cluster.relay(node).clear();
            Ok(())
        }
        Hurt::KillMiroir => cluster.restart_proxy().await,
        Hurt::PauseMiroir => cluster.resume_proxy(),
    }
}

/// Whether all other nodes have everything, as far as Miroir answers now.
async fn others_are_healthy(cluster: &Cluster, node: usize) -> bool {
    let asked = cluster.client().get("/_miroir/topology");
    let Ok(Ok(topology)) = tokio::time::timeout(PATIENCE, asked).await else { return false };
    let Some(nodes) = topology.body["nodes"].as_array() else { return false };
    nodes.iter().enumerate().all(|(place, it)| place == node || it["status"] == "healthy")
}
