//! Asks every node at a steady pace whether it is there.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::NodeId;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::identity::{Due, Identities, Unusable, read_version};
use super::{Membership, Node, NodeError, NodeRequest};

/// Between two looks at a node because of answers that were doubtful.
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

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

/// Checks every node once, so that a server that begins to listen knows whom it can ask. Without `identities` it is taken
/// for granted whose the nodes are.
pub async fn check_health_once(
    membership: &Membership,
    identities: Option<&Identities>,
    policy: &HealthPolicy,
) {
    let checks = membership.nodes().map(|node| async {
        let check = look(node, membership, identities, policy.timeout).await;
        announce(membership, node.id(), &check);
    });
    futures_util::future::join_all(checks).await;
}

/// Checks all nodes until the future is dropped.
pub async fn run_health_checks(
    membership: Arc<Membership>,
    identities: Option<Arc<Identities>>,
    policy: HealthPolicy,
) {
    let checks: Vec<_> = membership
        .nodes()
        .map(|node| {
            let (node, membership, identities) = (node.clone(), Arc::clone(&membership), identities.clone());
            async move { watch(&node, &membership, identities.as_deref(), &policy).await }
        })
        .collect();
    futures_util::future::join_all(checks).await;
}

async fn watch(node: &Node, membership: &Membership, identities: Option<&Identities>, policy: &HealthPolicy) {
    let mut ticks = interval(policy.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streak = Streak::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = doubted(node, identities) => {}
        }
        let check = look(node, membership, identities, policy.timeout).await;
        if streak.next(check.is_ok(), policy).is_some() {
            announce(membership, node.id(), &check);
        }
    }
}

/// Returns when it has to be found out anew whose the node is.
async fn doubted(node: &Node, identities: Option<&Identities>) {
    let Some(identities) = identities else { return std::future::pending().await };
    node.doubted().await;
    identities.doubt(node.id());
    sleep(DOUBT_PAUSE).await;
}

/// Whether the node can be used: it is this cluster's, is well, and takes Miroir's key. What it says of itself is noted.
async fn look(
    node: &Node,
    membership: &Membership,
    identities: Option<&Identities>,
    timeout: Duration,
) -> Result<(), String> {
    let check = check(node, membership, identities, timeout).await;
    let foreign = match &check {
        Err(Unusable::Foreign(stranger)) => Some(stranger.clone()),
        Ok(()) | Err(_) => None,
    };
    let check = check.map_err(|error| error.to_string());
    membership.note_foreign(node.id(), foreign);
    membership.note_check(node.id(), check.clone());
    check
}

/// `Err` says what is wrong with the node.
async fn check(
    node: &Node,
    membership: &Membership,
    identities: Option<&Identities>,
    timeout: Duration,
) -> Result<(), Unusable> {
    let health = node.probe(NodeRequest::get("/health").briefly(), timeout).await;
    if let Some(identities) = identities
        && let Err(error) = &health
    {
        identities.doubt(node.id());
        // Whoever listens there next may be another one.
        if let NodeError::Unreachable { reason, .. } = error {
            node.close(reason.as_str());
        }
    }
    let health = health?;
    if !health.status.is_success() {
        let (status, message) = (health.status.as_u16(), String::from_utf8_lossy(&health.body).into_owned());
        return Err(Unusable::Refused { question: "its health check", status, message });
    }
    if let Some(identities) = identities {
        identify(node, membership, identities).await?;
    }
    // Whoever asks for the health needs no key.
    let mut version = node.probe(NodeRequest::get("/version").briefly(), timeout).await?;
    if version.refuses_key()
        && let Some(identities) = identities
    {
        identities.doubt(node.id());
        identify(node, membership, identities).await?;
        version = node.probe(NodeRequest::get("/version").briefly(), timeout).await?;
    }
    if version.refuses_key() {
        return Err(Unusable::RefusesKey);
    }
    if let Some(version) = read_version(&version) {
        membership.note_version(node.id(), version);
    }
    Ok(())
}

/// Finds out whose the node is, if that is due.
async fn identify(node: &Node, membership: &Membership, identities: &Identities) -> Result<(), Unusable> {
    let due = identities.due(node.id());
    if due == Due::Later {
        return Ok(());
    }
    match identities.identify(node).await {
        Ok(warning) => {
            membership.note_warning(node.id(), warning);
            Ok(())
        }
        // It is busy: what it said before holds.
        Err(error) if due == Due::Again && !error.is_about_whose() => {
            tracing::debug!(node = %node.id(), %error, "a node can't be looked at now");
            Ok(())
        }
        Err(error) => Err(error),
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
