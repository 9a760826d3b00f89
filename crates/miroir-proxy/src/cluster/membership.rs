//! Which nodes there are, and which of them may be read: one value, which changes while the process runs.
//!
//! A node is *usable* when it answers health checks and its data are those of the log, as far as they have come. Two parties
//! know one half each: the health check says whether it answers, the write path what its data are worth. Both say it here,
//! and the view follows at once. What a usable node lacks of which index the write path tells the view itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::identity::Stranger;
use miroir_core::ids::{GroupId, NodeId};
use miroir_core::task::SyncState;
use thiserror::Error;
use tokio::sync::watch;

use super::{Feed, Rebuilding, Roster, ViewChange, ViewPublisher};
use crate::node_api::Node;

/// What is known of a node's fitness to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It answers its health checks.
    pub reachable: bool,
    /// What its data are worth.
    pub sync: SyncState,
}

impl Standing {
    /// Whether it has applied everything that clients were told has succeeded.
    pub fn is_in_sync(self) -> bool {
        self.sync == SyncState::InSync
    }

    /// Whether it answers and has everything, of whatever index.
    pub fn is_readable(self) -> bool {
        self.reachable && self.is_in_sync()
    }

    /// Whether it answers and may be read for the indexes in which it is not behind.
    pub fn is_usable(self) -> bool {
        self.reachable && self.sync != SyncState::Damaged
    }
}

/// What the health checks saw of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// When it last answered well.
    pub last_seen: Option<Instant>,
    /// What was wrong with the last check; none if it went well.
    pub error: Option<String>,
    /// What becomes of its data, if they have to be copied anew: what is done, or why it can't be done now.
    pub damage: Option<String>,
    /// How far its data are copied anew, while they are.
    pub rebuild: Option<Rebuilding>,
    /// Why it takes no writes, if it answers and takes none.
    pub refusal: Option<String>,
    /// Why it is not used, though it answers: it is not the cluster's node that it is taken for.
    pub foreign: Option<Stranger>,
    /// What is wrong with a node that is used all the same.
    pub warning: Option<String>,
    /// What it says of the task that it is to finish next, if nothing has ended there for a while.
    pub own_task: Option<String>,
}

/// Why a node can't be added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("node `{0}` is a member already")]
pub struct AlreadyMember(pub NodeId);

/// What is known of a member.
#[derive(Debug)]
struct Known {
    standing: Standing,
    sighting: Sighting,
    version: Option<String>,
}

/// The registry of the nodes: who is a member, where it is and what it is good for. Members come and go while the process
/// runs; whoever has something for each of them follows the [feed](Self::feed).
#[derive(Debug)]
pub struct Membership {
    roster: watch::Sender<Arc<Roster>>,
    /// Of every member of the roster. Whoever changes the roster holds this.
    known: Mutex<BTreeMap<NodeId, Known>>,
    view: Arc<ViewPublisher>,
}

impl Membership {
    /// Without a member. What is said of members here shows in the view.
    pub fn new(view: Arc<ViewPublisher>) -> Self {
        Self { roster: watch::Sender::default(), known: Mutex::default(), view }
    }

    /// These nodes in one group, with data that are worth `sync`.
    #[cfg(test)]
    pub fn of(nodes: Vec<Node>, sync: SyncState, view: Arc<ViewPublisher>) -> Self {
        let membership = Self::new(view);
        for node in nodes {
            membership.add(node, GroupId(0), sync).expect("no two nodes have the same id");
        }
        membership
    }

    /// Makes a node a member, with data that are worth `sync`. It is unreachable until its first health check.
    ///
    /// # Errors
    /// When there is a member of this id. Nothing is changed then.
    pub fn add(&self, node: Node, group: GroupId, sync: SyncState) -> Result<(), AlreadyMember> {
        let mut known = self.known();
        let Entry::Vacant(vacant) = known.entry(node.id().clone()) else {
            return Err(AlreadyMember(node.id().clone()));
        };
        let standing = Standing { reachable: false, sync };
        vacant.insert(Known { standing, sighting: Sighting::default(), version: None });
        self.roster.send_modify(|roster| *roster = Arc::new(roster.with(node, group)));
        Ok(())
    }

    /// Lets a member go: nothing is known of it any more, and nothing is sent to it. Answers whether it was one. Whether it
    /// may go is for the write path to say.
    pub fn remove(&self, id: &NodeId) -> bool {
        let mut known = self.known();
        let Some(node) = self.node(id) else { return false };
        known.remove(id);
        self.roster.send_modify(|roster| *roster = Arc::new(roster.without(id)));
        self.show(&known);
        node.close("it is not a member of the cluster any more");
        // Whoever waits to hear how it is waits in vain.
        drop(node.alarm().take_waiting());
        true
    }

    /// The members as of now; what is loaded never changes.
    pub fn members(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.borrow())
    }

    /// Brings every change of the members.
    pub fn feed(&self) -> Feed {
        self.roster.subscribe()
    }

    /// The node of this id, if it is a member.
    pub fn node(&self, id: &NodeId) -> Option<Node> {
        self.roster.borrow().get(id).map(|member| member.node.clone())
    }

    /// What is known of this node now; nothing of one that is no member.
    pub fn standing(&self, id: &NodeId) -> Option<Standing> {
        self.known().get(id).map(|known| known.standing)
    }

    /// Has every node looked at now, and waits until it is known how they are, for so long at most.
    pub async fn look_now(&self, patience: Duration) {
        let members = self.members();
        let looks = futures_util::future::join_all(members.nodes().map(|node| node.alarm().look()));
        // What is not known by then stays as it was.
        let _ = tokio::time::timeout(patience, looks).await;
    }

    /// The health check's word that the node answers. True if that is news.
    pub fn note_reached(&self, id: &NodeId) -> bool {
        self.change(id, |standing| standing.reachable = true)
    }

    /// The health check's word that the node does not answer. True if that is news.
    pub fn note_unreachable(&self, id: &NodeId) -> bool {
        self.change(id, |standing| standing.reachable = false)
    }

    /// The write path's word. True if that is news.
    pub fn note_sync(&self, id: &NodeId, sync: SyncState) -> bool {
        self.change(id, |standing| standing.sync = sync)
    }

    /// The version of Meilisearch that each node last said to run; nothing of a node that never said.
    pub fn versions(&self) -> BTreeMap<NodeId, String> {
        let known = self.known();
        let version = |(id, known): (&NodeId, &Known)| Some((id.clone(), known.version.clone()?));
        known.iter().filter_map(version).collect()
    }

    /// Keeps a node's word on its version for those who watch. It decides nothing.
    pub fn note_version(&self, id: &NodeId, version: String) {
        if let Some(known) = self.known().get_mut(id) {
            known.version = Some(version);
        }
    }

    /// What the last health check of this node saw; nothing before the first one.
    pub fn sighting(&self, id: &NodeId) -> Sighting {
        self.known().get(id).map(|known| known.sighting.clone()).unwrap_or_default()
    }

    /// Keeps the outcome of a health check for those who watch. It decides nothing.
    pub fn note_check(&self, id: &NodeId, check: Result<(), String>) {
        self.note(id, |sighting| match check {
            Ok(()) => {
                sighting.last_seen = Some(Instant::now());
                sighting.error = None;
            }
            Err(error) => sighting.error = Some(error),
        });
    }

    /// Keeps for those who watch why the node takes no writes now.
    pub fn note_refusal(&self, id: &NodeId, refusal: Option<String>) {
        self.note(id, |sighting| sighting.refusal = refusal);
    }

    /// Keeps for those who watch what the node says of the task on which it does not come on.
    pub fn note_own_task(&self, id: &NodeId, own_task: Option<String>) {
        self.note(id, |sighting| sighting.own_task = own_task);
    }

    /// Keeps for those who watch what becomes of a damaged node, and how far that is.
    pub fn note_damage(&self, id: &NodeId, damage: Option<String>, rebuild: Option<Rebuilding>) {
        self.note(id, |sighting| (sighting.damage, sighting.rebuild) = (damage, rebuild));
    }

    /// Keeps for those who watch why the node is not used, if it is not this cluster's.
    pub fn note_foreign(&self, id: &NodeId, foreign: Option<Stranger>) {
        self.note(id, |sighting| sighting.foreign = foreign);
    }

    /// Keeps for those who watch what is wrong with a node that is used all the same.
    pub fn note_warning(&self, id: &NodeId, warning: Option<String>) {
        self.note(id, |sighting| sighting.warning = warning);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a node that has left nothing is kept any more.
    fn note(&self, id: &NodeId, change: impl FnOnce(&mut Sighting)) {
        if let Some(known) = self.known().get_mut(id) {
            change(&mut known.sighting);
        }
    }

    fn change(&self, id: &NodeId, change: impl FnOnce(&mut Standing)) -> bool {
        let mut known = self.known();
        let Some(of_node) = known.get_mut(id) else { return false };
        let before = of_node.standing;
        change(&mut of_node.standing);
        if of_node.standing == before {
            return false;
        }
        self.show(&known);
        true
    }

    /// The lock is held meanwhile, so that the view never goes back.
    fn show(&self, known: &BTreeMap<NodeId, Known>) {
        let usable =
            known.iter().filter(|(_, it)| it.standing.is_usable()).map(|(id, _)| id.clone()).collect();
        self.view.publish([ViewChange::Usable(usable)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_api::NodeRequest;
    use crate::node_api::fake::FakeNode;

    fn ids(roster: &Roster) -> Vec<&str> {
        roster.nodes().map(|node| node.id().as_str()).collect()
    }

    #[test]
    fn every_change_of_the_members_is_a_roster_of_its_own_and_the_feed_brings_the_newest() {
        let membership = Membership::new(Arc::default());
        let mut feed = membership.feed();
        let [a, b] = ["a", "b"].map(|id| FakeNode::new(id).node());
        let before = membership.members();
        membership.add(a.clone(), GroupId(1), SyncState::InSync).unwrap();
        membership.add(b, GroupId(0), SyncState::InSync).unwrap();
        assert_eq!(membership.add(a, GroupId(0), SyncState::InSync), Err(AlreadyMember(NodeId::new("a"))));
        assert!(feed.has_changed().unwrap());
        let roster = Arc::clone(&feed.borrow_and_update());
        assert_eq!((ids(&before), ids(&roster), roster.version()), (vec![], vec!["a", "b"], 2));
        assert_eq!(roster.groups().get(&NodeId::new("a")), Some(&GroupId(1)));
        assert_eq!(roster.get(&NodeId::new("b")).unwrap().since, 2);
        assert!(membership.remove(&NodeId::new("a")) && !membership.remove(&NodeId::new("a")));
        assert_eq!((ids(&membership.members()), ids(&roster)), (vec!["b"], vec!["a", "b"]));
        assert!(membership.node(&NodeId::new("a")).is_none() && feed.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_node_that_has_left_is_forgotten_and_closed_and_begins_anew_when_it_comes_back() {
        let view = Arc::new(ViewPublisher::default());
        let (fake, id) = (FakeNode::new("a"), NodeId::new("a"));
        let membership = Membership::of(vec![fake.node()], SyncState::InSync, Arc::clone(&view));
        membership.note_reached(&id);
        membership.note_version(&id, "1.50.0".to_owned());
        membership.note_check(&id, Err("late".to_owned()));
        assert!(view.load().usable.contains(&id));
        let node = membership.node(&id).unwrap();
        membership.remove(&id);
        assert!(view.load().usable.is_empty() && membership.versions().is_empty());
        // Whoever has not heard of it yet.
        assert!(!membership.note_reached(&id) && !membership.note_sync(&id, SyncState::Behind));
        membership.note_version(&id, "1.50.0".to_owned());
        assert!(node.send(NodeRequest::get("/health"), Duration::from_secs(1)).await.is_err());
        membership.add(fake.node(), GroupId(0), SyncState::Damaged).unwrap();
        assert_eq!(membership.standing(&id), Some(Standing { reachable: false, sync: SyncState::Damaged }));
        assert_eq!(membership.sighting(&id), Sighting::default());
        assert!(membership.versions().is_empty());
    }
}
