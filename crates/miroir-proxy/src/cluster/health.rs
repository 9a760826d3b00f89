//! Asks every node at a steady pace whether it is there.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::NodeId;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::{Membership, Node, NodeRequest};

/// When a node counts as gone and when as back.
#[derive(Debug, Clone, Copy)]
pub struct HealthPolicy {
    /// Time between two checks of one node.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// So many failed checks in a row make a node unreachable.
    pub unhealthy_threshold: u32,
    /// So many good checks in a row make it reachable again.
    pub recovery_threshold: u32,
}

/// Successes and failures in a row, turned into a verdict.
#[derive(Debug, Default)]
struct Streak {
    good: u32,
    bad: u32,
    seen: bool,
}

impl Streak {
    /// `Some` when the node's state is now known: the first check decides at once, later ones by the thresholds.
    fn next(&mut self, answered: bool, policy: &HealthPolicy) -> Option<bool> {
        let first = !std::mem::replace(&mut self.seen, true);
        if answered {
            self.bad = 0;
            self.good = self.good.saturating_add(1);
            (first || self.good >= policy.recovery_threshold).then_some(true)
        } else {
            self.good = 0;
            self.bad = self.bad.saturating_add(1);
            (first || self.bad >= policy.unhealthy_threshold).then_some(false)
        }
    }
}

/// Checks every node once, so that a server that begins to listen knows whom it can ask.
pub async fn check_health_once(membership: &Membership, policy: &HealthPolicy) {
    let checks = membership.nodes().map(|node| async {
        let check = look(node, membership, policy.timeout).await;
        announce(membership, node.id(), &check);
    });
    futures_util::future::join_all(checks).await;
}

/// Checks all nodes until the future is dropped.
pub async fn run_health_checks(membership: Arc<Membership>, policy: HealthPolicy) {
    let checks: Vec<_> = membership
        .nodes()
        .map(|node| {
            let (node, membership) = (node.clone(), Arc::clone(&membership));
            async move { watch(&node, &membership, &policy).await }
        })
        .collect();
    futures_util::future::join_all(checks).await;
}

async fn watch(node: &Node, membership: &Membership, policy: &HealthPolicy) {
    let mut ticks = interval(policy.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streak = Streak::default();
    loop {
        ticks.tick().await;
        let check = look(node, membership, policy.timeout).await;
        if streak.next(check.is_ok(), policy).is_some() {
            announce(membership, node.id(), &check);
        }
    }
}

/// Whether the node can be used: it is well, and takes Miroir's key. What it says of itself is noted.
async fn look(node: &Node, membership: &Membership, timeout: Duration) -> Result<(), String> {
    let check = check(node, timeout).await;
    if let Ok(Some(version)) = &check {
        membership.note_version(node.id(), version.clone());
    }
    let check = check.map(drop);
    membership.note_check(node.id(), check.clone());
    check
}

/// The node's version, if it says. `Err` says what is wrong with the node.
async fn check(node: &Node, timeout: Duration) -> Result<Option<String>, String> {
    let ask = async |path: &'static str| {
        node.send(NodeRequest::get(path).briefly(), timeout).await.map_err(|error| error.to_string())
    };
    let health = ask("/health").await?;
    if !health.status.is_success() {
        return Err(format!("its health check was answered with {}", health.status));
    }
    // Whoever asks for the health needs no key.
    let version = ask("/version").await?;
    match version.status.as_u16() {
        401 | 403 => Err("it refuses Miroir's key; see `node_master_key` in the configuration".to_owned()),
        _ => Ok(serde_json::from_slice::<Value>(&version.body)
            .ok()
            .and_then(|version| Some(version["pkgVersion"].as_str()?.to_owned()))),
    }
}

fn announce(membership: &Membership, node: &NodeId, check: &Result<(), String>) {
    match check {
        Ok(()) => {
            if membership.note_reached(node) {
                tracing::info!(%node, "node answers");
            }
        }
        Err(reason) => {
            if membership.note_unreachable(node) {
                tracing::warn!(%node, %reason, "node can't be used; its shards are read from other replicas");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: HealthPolicy = HealthPolicy {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: 2,
        recovery_threshold: 2,
    };

    #[test]
    fn the_first_check_decides_at_once_and_later_ones_by_the_thresholds() {
        let mut streak = Streak::default();
        let answers = [true, false, false, true, false, true, true];
        let verdicts: Vec<_> = answers.iter().map(|&answered| streak.next(answered, &POLICY)).collect();
        assert_eq!(verdicts, [Some(true), None, Some(false), None, None, None, Some(true)]);
    }
}
