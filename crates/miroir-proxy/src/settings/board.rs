//! Every change of settings that is on its way, in memory, with the versions that came of the earlier ones. What changes
//! here shows in the view at once.

mod doubts;
mod retries;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use miroir_core::error::ResponseError;
use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, SettingsVersion, TaskUid};
use miroir_core::settings::{
    Broadcast, Canonical, NodeEvent, NodeStage, PhaseEvent, Rolling, SettingsUnknown, SettingsVersions,
    Strategy, plan_waves,
};
use miroir_core::task::TaskStatus;
use miroir_core::view::IndexEntry;
use miroir_store::SettingsChange;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::SettingsMetrics;
use super::put_off::PutOff;
use super::rights::SendingRights;
use crate::cluster::{ViewChange, ViewPublisher};
use crate::config::SettingsConfig;

/// A node to be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The change that it has applied.
    pub task: TaskUid,
    /// The node.
    pub node: NodeId,
    /// The index.
    pub index: PhysicalUid,
    /// How often it had [begun to change](Broadcasts::generation) when this was wanted: what was read before it began again tells
    /// nothing of what it has then.
    pub generation: u64,
}

/// What has to be done after news from the nodes.
#[derive(Debug, Default)]
pub struct BroadcastStep {
    /// Changes to be stored as they are now.
    pub save: Vec<Broadcast>,
    /// Of every change that is not over, whether it waits for nodes.
    pub awaits: BTreeMap<TaskUid, bool>,
    /// Nodes to be read back.
    pub verify: Vec<Job>,
    /// Changes whose next wave is to be opened.
    pub open: Vec<TaskUid>,
    /// Changes that are to be turned round, each with what its task fails with.
    pub take_back: Vec<(TaskUid, ResponseError)>,
}

#[derive(Debug)]
struct LiveBroadcast {
    broadcast: Broadcast,
    /// The index as clients call it.
    uid: IndexUid,
    /// The index as it will be; none once the change is over.
    next: Option<Arc<IndexEntry>>,
}

#[derive(Debug, Default)]
struct State {
    versions: SettingsVersions,
    live: BTreeMap<TaskUid, LiveBroadcast>,
    verifying: BTreeSet<(TaskUid, NodeId)>,
    /// Frozen changes that the operator wants to be tried again.
    retries: BTreeSet<TaskUid>,
    put_off: BTreeMap<(TaskUid, NodeId), PutOff>,
}

/// See the module.
#[derive(Debug)]
pub struct Broadcasts {
    pub(super) config: SettingsConfig,
    pub(super) metrics: SettingsMetrics,
    view: Arc<ViewPublisher>,
    state: Mutex<State>,
    /// Moves when a node may be sent something.
    opened: watch::Sender<u64>,
    /// Who may send a node settings.
    pub sending: SendingRights,
}

impl Broadcasts {
    /// Begins with nothing.
    pub fn new(config: SettingsConfig, metrics: SettingsMetrics, view: Arc<ViewPublisher>) -> Self {
        Self {
            config,
            metrics,
            view,
            state: Mutex::default(),
            opened: watch::Sender::new(0),
            sending: SendingRights::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the state in the view. The lock is held meanwhile, so that the view never goes back.
    fn show(&self, state: &State) {
        self.view.publish([ViewChange::Settings(state.versions.clone())]);
    }

    /// Takes in the versions that the store knows.
    pub fn restore(&self, versions: SettingsVersions) {
        let mut state = self.state();
        state.versions = versions;
        self.show(&state);
    }

    /// Takes in a change of an index that was on its way when the last process stopped, or that some node still lacks.
    /// `next` is the index after it, if its task is open.
    pub fn resume(&self, broadcast: Broadcast, uid: IndexUid, next: Option<IndexEntry>) {
        let mut state = self.state();
        let next = next.map(Arc::new);
        let task = broadcast.task;
        state.live.insert(task, LiveBroadcast { broadcast, uid, next });
        state.roll(task);
        self.show(&state);
    }

    /// A change was decided: `next` is the index after it. Its first wave is open, but nobody may be sent anything before
    /// what this returns is stored. `readable` are the nodes that have to answer searches meanwhile; none where nothing can
    /// be mixed, since nobody has the index yet or its settings stay the same.
    pub fn begin(&self, task: TaskUid, next: IndexEntry, readable: Option<&BTreeSet<NodeId>>) -> Broadcast {
        let all: BTreeSet<NodeId> = next.placement.nodes().cloned().collect();
        let waves = match (readable, self.config.strategy) {
            (None, _) => vec![all],
            (Some(readable), Strategy::TwoPhase) => plan_waves(&next.placement, readable),
            (Some(_), Strategy::Sequential) => all.into_iter().map(|node| [node].into()).collect(),
        };
        let hash = Canonical::of_client(&next.settings).hash();
        let what = (task, next.physical.clone());
        let now = OffsetDateTime::now_utc();
        let broadcast = Broadcast::begin(what, self.config.strategy, hash, waves, now);
        let mut state = self.state();
        let live =
            LiveBroadcast { broadcast: broadcast.clone(), uid: next.uid.clone(), next: Some(Arc::new(next)) };
        state.live.insert(task, live);
        state.generation(&broadcast.index, &broadcast.changing());
        state.roll(task);
        self.show(&state);
        broadcast
    }

    /// The same change with its next wave open, to be stored before [`Self::open`] makes it true. None if all are open.
    pub fn prepare_next_wave(&self, task: TaskUid) -> Option<Broadcast> {
        let mut broadcast = self.broadcast(task)?;
        (!broadcast.open_next().is_empty()).then_some(broadcast)
    }

    /// Lets the lanes of a wave go.
    pub fn open(&self, broadcast: Broadcast) {
        let task = broadcast.task;
        let mut state = self.state();
        if let Some(live) = state.live.get_mut(&task) {
            let before = live.broadcast.changing();
            let wave = broadcast.changing().difference(&before).cloned().collect();
            let index = broadcast.index.clone();
            live.broadcast = broadcast;
            state.generation(&index, &wave);
            state.roll(task);
        }
        self.show(&state);
        self.opened.send_modify(|moves| *moves += 1);
    }

    /// Whether a node may be sent this change.
    pub fn is_open(&self, task: TaskUid, node: &NodeId) -> bool {
        self.state().live.get(&task).is_none_or(|live| live.broadcast.is_open_for(node))
    }

    /// Waits until a node may be sent this change.
    pub async fn until_open(&self, task: TaskUid, node: &NodeId) {
        let mut opened = self.opened.subscribe();
        while !self.is_open(task, node) {
            opened.borrow_and_update();
            if self.is_open(task, node) || opened.changed().await.is_err() {
                return;
            }
        }
    }

    /// A node is not the cluster's any more: nothing that is known of it alone is kept.
    pub fn forget_node(&self, node: &NodeId) {
        self.sending.forget(node);
        self.state().put_off.retain(|(_, other), _| other != node);
    }

    /// A change as it stands.
    pub fn broadcast(&self, task: TaskUid) -> Option<Broadcast> {
        self.state().live.get(&task).map(|live| live.broadcast.clone())
    }

    /// Whether the task of a change can't end yet.
    pub fn is_held(&self, task: TaskUid) -> bool {
        self.state().live.get(&task).is_some_and(|live| live.broadcast.is_held())
    }

    /// What the task of a change fails with, if it was taken back.
    pub fn taken_back(&self, task: TaskUid) -> Option<ResponseError> {
        self.state().live.get(&task)?.broadcast.taken_back.clone()
    }

    /// The index as a change that is open makes it.
    pub fn next(&self, task: TaskUid) -> Option<Arc<IndexEntry>> {
        self.state().live.get(&task)?.next.clone()
    }

    /// The changes that are not over, each with the client's name of its index.
    pub fn on_their_way(&self) -> Vec<(IndexUid, Broadcast)> {
        let state = self.state();
        let open = state.live.values().filter(|live| !live.broadcast.phase.is_over());
        open.map(|live| (live.uid.clone(), live.broadcast.clone())).collect()
    }

    /// Notes what became of a change on a node.
    pub fn note(&self, task: TaskUid, node: &NodeId, event: NodeEvent) {
        let mut state = self.state();
        if event == NodeEvent::Verified {
            state.put_off.remove(&(task, node.clone()));
        }
        if state.live.get_mut(&task).is_some_and(|live| live.broadcast.note(node, event)) {
            state.roll(task);
            self.show(&state);
        }
    }

    /// A node has applied a change. Answers whether it has to be read back now, and is not already.
    pub fn note_applied(&self, job: &Job, now: Instant) -> bool {
        self.note(job.task, &job.node, NodeEvent::Applied);
        let mut state = self.state();
        state.is_due(job, now) && state.verifying.insert((job.task, job.node.clone()))
    }

    /// A node that was being read back no longer is.
    pub fn note_read(&self, task: TaskUid, node: &NodeId) {
        self.state().verifying.remove(&(task, node.clone()));
    }

    /// Moves a change on. Answers how it stands if that changed.
    pub fn step(&self, task: TaskUid, event: PhaseEvent) -> Option<Broadcast> {
        let mut state = self.state();
        let broadcast = &mut state.live.get_mut(&task)?.broadcast;
        let before = broadcast.phase;
        broadcast.phase = before.next(event);
        (broadcast.phase != before).then(|| broadcast.clone())
    }

    /// The same change turned round, to be stored before [`Self::turn_round`] makes it true.
    pub fn prepare_to_take_back(&self, task: TaskUid, error: ResponseError) -> Option<Broadcast> {
        let mut broadcast = self.broadcast(task)?;
        broadcast.take_back(error);
        Some(broadcast)
    }

    /// Every node is to have what it had, and lanes that wait to be opened go on without the change.
    pub fn turn_round(&self, broadcast: Broadcast) {
        let task = broadcast.task;
        let mut state = self.state();
        if let Some(live) = state.live.get_mut(&task) {
            let index = broadcast.index.clone();
            let nodes: BTreeSet<NodeId> = broadcast.nodes.keys().cloned().collect();
            live.broadcast = broadcast;
            state.generation(&index, &nodes);
            state.roll(task);
        }
        self.show(&state);
        self.opened.send_modify(|moves| *moves += 1);
    }

    /// Why a node is not to be sent this change, if it was taken back before the node was.
    pub fn skips(&self, task: TaskUid, node: &NodeId) -> Option<ResponseError> {
        let broadcast = self.broadcast(task)?;
        broadcast.taken_back.filter(|_| broadcast.nodes.get(node) == Some(&NodeStage::Skipped))
    }

    /// The end of a change's task: what to store, with the version after `last` if it was committed. It is not true, and
    /// does not show, before [`Self::end`]. One whose end was stored just before the last process stopped keeps it.
    pub fn plan_end(
        &self,
        task: TaskUid,
        status: TaskStatus,
        last: &mut Option<SettingsVersion>,
    ) -> Option<Broadcast> {
        let state = self.state();
        let mut broadcast = state.live.get(&task)?.broadcast.clone();
        if broadcast.phase.is_over() {
            return Some(broadcast);
        }
        if status == TaskStatus::Succeeded {
            broadcast.phase = broadcast.phase.next(PhaseEvent::Applied).next(PhaseEvent::Committed);
            *last = Some(SettingsVersion(last.map_or(0, |last| last.0) + 1));
            broadcast.version = *last;
        } else {
            broadcast.phase = broadcast.phase.next(PhaseEvent::Refused);
        }
        broadcast.ended_at = Some(OffsetDateTime::now_utc());
        Some(broadcast)
    }

    /// The last version of any index.
    pub fn last_version(&self) -> Option<SettingsVersion> {
        self.state().versions.last
    }

    /// Makes changes of settings true, which show in the view together with others.
    pub fn end(&self, changes: &[SettingsChange], others: Vec<ViewChange>) {
        let mut state = self.state();
        for change in changes {
            match change {
                SettingsChange::Ended(broadcast) => state.end(broadcast),
                SettingsChange::Advanced { index, node, version, .. } => {
                    state.versions.change(index, |versions| {
                        versions.nodes.insert(node.clone(), *version);
                        versions.doubtful.remove(node);
                    });
                }
                SettingsChange::Doubted { index, node, why } => state.doubt(index, node, *why),
                SettingsChange::Trusted { index, node } => {
                    state.versions.change(index, |versions| {
                        versions.doubtful.remove(node);
                    });
                }
                SettingsChange::Forgotten(index) => state.forget(index),
            }
        }
        let settings = ViewChange::Settings(state.versions.clone());
        self.view.publish(others.into_iter().chain([settings]));
        self.opened.send_modify(|moves| *moves += 1);
    }

    /// Whether a node is known to have what a change became.
    pub fn has_version(&self, broadcast: &Broadcast, node: &NodeId) -> bool {
        let state = self.state();
        let known =
            state.versions.indexes.get(&broadcast.index).and_then(|versions| versions.nodes.get(node));
        broadcast.version.is_none() || known.copied() >= broadcast.version
    }

    /// The commit that a change became.
    pub fn version(&self, task: TaskUid) -> Option<SettingsVersion> {
        self.state().live.get(&task)?.broadcast.version
    }

    /// Forgets a change that no node lacks any more.
    pub fn forget(&self, task: TaskUid) {
        let mut state = self.state();
        if state.live.get(&task).is_some_and(|live| live.broadcast.phase.is_over()) {
            state.live.remove(&task);
            state.put_off.retain(|(other, _), _| *other != task);
        }
    }

    /// Whether writes stop when a node can't be brought to its settings.
    pub fn freezes(&self) -> bool {
        self.config.freeze_writes_on_unrepairable
    }
}

impl State {
    /// Notes that answers of these nodes may change from now on.
    fn generation(&mut self, index: &PhysicalUid, nodes: &BTreeSet<NodeId>) {
        self.versions.change(index, |versions| versions.begin_turns(nodes));
    }

    /// Brings what readers know up to the state of a change.
    fn roll(&mut self, task: TaskUid) {
        let Some(live) = self.live.get(&task) else { return };
        let Some(next) = live.next.clone() else { return };
        let changing = live.broadcast.changing();
        let taken_back = live.broadcast.taken_back.is_some();
        // Of a change that was turned round, a verified node has what it had before.
        let changed = if taken_back { BTreeSet::new() } else { live.broadcast.verified() };
        // One that is turned round, or was given up, may go to and fro.
        let settling = if taken_back { BTreeSet::new() } else { live.broadcast.settling() };
        let rolling = Rolling { next, changing, changed, settling };
        let index = live.broadcast.index.clone();
        self.versions.change(&index, |versions| versions.rolling = Some(rolling));
    }

    /// An index is gone. What is on its way is for a new one of the same name.
    fn forget(&mut self, index: &PhysicalUid) {
        self.versions.indexes.remove(index);
        let of_index = self.live.iter().filter(|(_, live)| live.broadcast.index == *index);
        for task in of_index.map(|(task, _)| *task).collect::<Vec<_>>() {
            self.roll(task);
        }
    }

    fn end(&mut self, broadcast: &Broadcast) {
        // What a change has left astray is brought back by the search for drift.
        let astray = broadcast.astray();
        if let Some(version) = broadcast.version {
            self.versions.commit(&broadcast.index, version, &broadcast.verified());
        }
        self.versions.change(&broadcast.index, |versions| {
            versions.rolling = None;
            versions.begin_turns(&astray);
            for node in &astray {
                versions.doubt(node, SettingsUnknown::Astray);
            }
        });
        if let Some(live) = self.live.get_mut(&broadcast.task) {
            live.broadcast = broadcast.clone();
            live.next = None;
        }
    }
}
