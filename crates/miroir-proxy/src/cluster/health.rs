//! Asks every node at a steady pace whether it is there.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::NodeId;
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
        let check = check(node, policy.timeout).await;
        let answered = check.is_ok();
        membership.note_check(node.id(), check);
        announce(membership, node.id(), answered);
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
        let check = check(node, policy.timeout).await;
        let answered = check.is_ok();
        membership.note_check(node.id(), check);
        if let Some(reachable) = streak.next(answered, policy) {
            announce(membership, node.id(), reachable);
        }
    }
}

/// `Err` says what is wrong with the node.
async fn check(node: &Node, timeout: Duration) -> Result<(), String> {
    match node.send(NodeRequest::get("/health"), timeout).await {
        Ok(reply) if reply.status.is_success() => Ok(()),
        Ok(reply) => Err(format!("its health check was answered with {}", reply.status)),
        Err(error) => Err(error.to_string()),
    }
}

fn announce(membership: &Membership, node: &NodeId, reachable: bool) {
    if reachable {
        if membership.note_reached(node) {
            tracing::info!(%node, "node answers");
        }
    } else if membership.note_unreachable(node) {
        tracing::warn!(%node, "node does not answer; its shards are read from other replicas");
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
