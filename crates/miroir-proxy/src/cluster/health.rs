//! Asks every node at a steady pace whether it is there; at once when a request to it failed, or somebody wants to know. A
//! node that does not answer is asked again without a pause, until it is clear whether it is gone.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::task::SyncState;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::identity::{Due, Identified, Identities, Unusable, told_version};
use super::{Membership, for_each_member};
use crate::node_api::{Node, NodeError, Unanswered, questions};

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

/// Between two looks at a node that may be gone.
const AGAIN: Duration = Duration::from_millis(50);

/// Checks every node once, so that a server that begins to listen knows whom it can ask. Those that can't be used are named
/// in the log. Without `identities` it is taken for granted whose the nodes are.
pub async fn check_health_once(
    membership: &Membership,
    identities: Option<&Identities>,
    policy: &HealthPolicy,
) {
    let members = membership.members();
    let checks = members.nodes().map(|node| async {
        let check = look(node, membership, identities, policy.timeout).await;
        // That it is another's is said where that is found out.
        if let Err(reason) = &check
            && membership.sighting(node.id()).foreign.is_none()
        {
            let (node, address) = (node.id(), node.address());
            tracing::warn!(%node, address, %reason, "node can't be used at the start; it is asked again and again");
        }
        announce(membership, node, &check);
    });
    futures_util::future::join_all(checks).await;
}

/// Checks all nodes, also those that come later, until the future is dropped.
pub async fn run_health_checks(
    membership: Arc<Membership>,
    identities: Option<Arc<Identities>>,
    policy: HealthPolicy,
) {
    for_each_member(membership.feed(), |member| {
        let (node, membership, identities) =
            (member.node.clone(), Arc::clone(&membership), identities.clone());
        async move {
            let _stay = Stay { node: &node, identities: identities.as_deref() };
            watch(&node, &membership, identities.as_deref(), &policy).await;
        }
    })
    .await;
}

/// The time in which a node is checked. Whose a node is has to be found out anew when it comes back.
struct Stay<'a> {
    node: &'a Node,
    identities: Option<&'a Identities>,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        if let Some(identities) = self.identities {
            identities.forget(self.node.id());
        }
    }
}

async fn watch(node: &Node, membership: &Membership, identities: Option<&Identities>, policy: &HealthPolicy) {
    let mut ticks = interval(policy.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streak = Streak::default();
    loop {
        let is_reachable = membership.standing(node.id()).is_some_and(|standing| standing.reachable);
        tokio::select! {
            _ = ticks.tick() => {}
            () = doubted(node, identities) => {}
            () = node.alarm().raised(), if is_reachable => {}
            () = node.alarm().wanted() => {}
        }
        let waiting = node.alarm().take_waiting();
        loop {
            let check = look(node, membership, identities, policy.timeout).await;
            if streak.next(check.is_ok(), policy).is_some() {
                announce(membership, node, &check);
                break;
            }
            if check.is_ok() {
                // Coming back takes its time.
                break;
            }
            sleep(AGAIN).await;
        }
        for tell in waiting {
            // Whoever wanted to know may be gone.
            let _ = tell.send(());
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
        Err(Unusable::Foreign { stranger, .. }) => Some(stranger.clone()),
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
    let health = node.ask_unused(questions::health(), timeout).await;
    if let Some(identities) = identities
        && let Err(Unanswered::Node(error)) = &health
    {
        identities.doubt(node.id());
        // Whoever listens there next may be another one.
        if let NodeError::Unreachable { reason, .. } = error {
            node.close(reason.as_str());
        }
    }
    health.map_err(Unusable::because("its health check"))?;
    if let Some(identities) = identities {
        identify(node, membership, identities, timeout).await?;
    }
    // Whoever asks for the health needs no key.
    let mut version = node.ask_unused(questions::version(), timeout).await;
    if let Err(Unanswered::Refused(reply)) = &version
        && reply.refuses_key()
        && let Some(identities) = identities
    {
        identities.doubt(node.id());
        identify(node, membership, identities, timeout).await?;
        version = node.ask_unused(questions::version(), timeout).await;
    }
    if let Some(version) = told_version(version)? {
        membership.note_version(node.id(), version);
    }
    Ok(())
}

/// Finds out whose the node is, if that is due. What is known holds until it is known better: a node that is too busy to
/// say more within a check is asked again.
async fn identify(
    node: &Node,
    membership: &Membership,
    identities: &Identities,
    timeout: Duration,
) -> Result<(), Unusable> {
    let found = match identities.due(node.id()) {
        Due::Later => return Ok(()),
        Due::Now => identities.identify(node).await,
        Due::Again => match tokio::time::timeout(timeout, identities.identify(node)).await {
            Ok(Err(error)) if !error.is_about_whose() => return Ok(()),
            Ok(found) => found,
            Err(_) => return Ok(()),
        },
    };
    let Identified { warning, has_lost_history } = found?;
    membership.note_warning(node.id(), warning);
    if has_lost_history {
        // Before it counts as being there: whoever empties one node after the other goes by that.
        membership.note_sync(node.id(), SyncState::Damaged);
    }
    Ok(())
}

fn announce(membership: &Membership, node: &Node, check: &Result<(), String>) {
    let id = node.id();
    match check {
        Ok(()) => {
            if membership.note_reached(id) {
                tracing::info!(node = %id, "node answers");
                node.alarm().note_return();
            }
        }
        Err(reason) => {
            if membership.note_unreachable(id) {
                tracing::warn!(node = %id, %reason, "node can't be used; its shards are read from other replicas");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use miroir_core::ids::NodeId;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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

    /// A node that answers everything, until the task is aborted, and a membership whose health checks look at it once an
    /// hour.
    async fn watched() -> (Node, Arc<Membership>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let _ = connection.read(&mut [0; 4096]).await.unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                connection.write_all(answer).await.unwrap();
            }
        });
        let node = Node::new(NodeId::new("a"), &address, None).unwrap();
        let membership = Arc::new(Membership::of(vec![node.clone()], SyncState::InSync, Arc::default()));
        let policy = HealthPolicy { interval: Duration::from_hours(1), ..POLICY };
        check_health_once(&membership, None, &policy).await;
        tokio::spawn(run_health_checks(Arc::clone(&membership), None, policy));
        membership.look_now(Duration::from_secs(5)).await;
        assert!(membership.standing(node.id()).unwrap().reachable);
        (node, membership, server)
    }

    async fn stop(server: tokio::task::JoinHandle<()>) {
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn a_node_is_gone_as_soon_as_a_request_to_it_fails() {
        let (node, membership, server) = watched().await;
        stop(server).await;
        let sent = node.ask(questions::indexes(), Duration::from_secs(1)).await;
        assert!(sent.is_err());
        for _ in 0..100 {
            if !membership.standing(node.id()).unwrap().reachable {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the node is still thought to be there");
    }

    #[tokio::test]
    async fn whoever_wants_to_know_learns_how_the_node_is_now() {
        let (node, membership, server) = watched().await;
        stop(server).await;
        membership.look_now(Duration::from_secs(5)).await;
        assert!(!membership.standing(node.id()).unwrap().reachable);
        assert!(membership.sighting(node.id()).error.is_some());
    }
}
