//! Which nodes there are, and which of them may be read.
//!
//! A node is *usable* when it answers health checks and its data are those of the log, as far as they have come. Two parties
//! know one half each: the health check says whether it answers, the write path what its data are worth. Both say it here,
//! and the view follows at once. What a usable node lacks of which index the write path tells the view itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::identity::Stranger;
use miroir_core::ids::NodeId;
use miroir_core::task::SyncState;

use super::{Rebuilding, ViewCell};
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

/// All nodes of the cluster with their standing.
#[derive(Debug)]
pub struct Membership {
    nodes: BTreeMap<NodeId, Node>,
    standings: Mutex<BTreeMap<NodeId, Standing>>,
    sightings: Mutex<BTreeMap<NodeId, Sighting>>,
    versions: Mutex<BTreeMap<NodeId, String>>,
    view: Arc<ViewCell>,
}

impl Membership {
    /// Every node begins unreachable, until its first health check, with data that are worth `sync`.
    pub fn new(nodes: Vec<Node>, sync: SyncState, view: Arc<ViewCell>) -> Self {
        let standings =
            nodes.iter().map(|node| (node.id().clone(), Standing { reachable: false, sync })).collect();
        let nodes = nodes.into_iter().map(|node| (node.id().clone(), node)).collect();
        Self {
            nodes,
            standings: Mutex::new(standings),
            sightings: Mutex::default(),
            versions: Mutex::default(),
            view,
        }
    }

    /// The node of this id.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Every node, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// What is known of this node now.
    pub fn standing(&self, id: &NodeId) -> Option<Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Has every node looked at now, and waits until it is known how they are, for so long at most.
    pub async fn look_now(&self, patience: Duration) {
        let looks = futures_util::future::join_all(self.nodes.values().map(|node| node.alarm().look()));
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
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a node's word on its version for those who watch. It decides nothing.
    pub fn note_version(&self, id: &NodeId, version: String) {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), version);
    }

    /// What the last health check of this node saw; nothing before the first one.
    pub fn sighting(&self, id: &NodeId) -> Sighting {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    /// Keeps the outcome of a health check for those who watch. It decides nothing.
    pub fn note_check(&self, id: &NodeId, check: Result<(), String>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = sightings.entry(id.clone()).or_default();
        match check {
            Ok(()) => {
                sighting.last_seen = Some(Instant::now());
                sighting.error = None;
            }
            Err(error) => sighting.error = Some(error),
        }
    }

    /// Keeps for those who watch why the node takes no writes now.
    pub fn note_refusal(&self, id: &NodeId, refusal: Option<String>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.entry(id.clone()).or_default().refusal = refusal;
    }

    /// Keeps for those who watch what the node says of the task on which it does not come on.
    pub fn note_own_task(&self, id: &NodeId, own_task: Option<String>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.entry(id.clone()).or_default().own_task = own_task;
    }

    /// Keeps for those who watch what becomes of a damaged node, and how far that is.
    pub fn note_damage(&self, id: &NodeId, damage: Option<String>, rebuild: Option<Rebuilding>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = sightings.entry(id.clone()).or_default();
        (sighting.damage, sighting.rebuild) = (damage, rebuild);
    }

    /// Keeps for those who watch why the node is not used, if it is not this cluster's.
    pub fn note_foreign(&self, id: &NodeId, foreign: Option<Stranger>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.entry(id.clone()).or_default().foreign = foreign;
    }

    /// Keeps for those who watch what is wrong with a node that is used all the same.
    pub fn note_warning(&self, id: &NodeId, warning: Option<String>) {
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.entry(id.clone()).or_default().warning = warning;
    }

    fn change(&self, id: &NodeId, change: impl FnOnce(&mut Standing)) -> bool {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(standing) = standings.get_mut(id) else { return false };
        let before = *standing;
        change(standing);
        if *standing == before {
            return false;
        }
        let usable = standings.iter().filter(|(_, it)| it.is_usable()).map(|(id, _)| id.clone()).collect();
        self.view.update(|view| view.usable = usable);
        true
    }
}
