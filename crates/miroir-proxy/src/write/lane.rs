//! Drives the delivery of the log to one node: does what a [`Lane`] wants done, and tells it the outcome. Everything that
//! is decided is decided there, see [`miroir_core::task::lane`].

mod node;
mod progress;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use miroir_core::ids::TaskUid;
use miroir_core::task::lane::{
    Lane, LaneAction, LaneEnd, LaneEntry, LaneEvent, LaneRequest, LaneStart, PauseEnd, mark,
};
use miroir_core::task::ops_for;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::barrier::LaneBarrier;
use super::committer::Event;
use super::fenced::FencedStore;
use super::prepared::Decided;
use super::request::OpRequest;
use super::shelf::Shelf;
use super::stragglers::Stragglers;
use super::tracker::Watched;
use crate::node_api::Node;
use crate::settings::Broadcasts;

/// See the module.
#[derive(Debug)]
pub(super) struct LaneDriver {
    pub(super) node: Node,
    pub(super) store: Arc<FencedStore>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) log_id: Arc<str>,
    pub(super) timeout: Duration,
    /// What is stored of the lane.
    pub(super) start: LaneStart,
    /// Where others can read up to which number the node's queue is accounted for.
    pub(super) accounted: Arc<AtomicU64>,
    /// What was sent again.
    pub(super) stragglers: Arc<Stragglers>,
    /// Up to here entries are decided.
    pub(super) decided: watch::Receiver<TaskUid>,
    pub(super) barrier: LaneBarrier,
    pub(super) tracker: mpsc::Sender<Watched>,
    pub(super) events: mpsc::Sender<Event>,
    /// Says when a change of settings may be sent.
    pub(super) broadcasts: Arc<Broadcasts>,
    /// What is in hand of the entry that is under way.
    pub(super) hands: Hands,
}

/// The entry that a lane delivers, and the request that it sends. Empty between two entries.
#[derive(Debug, Default)]
pub(super) struct Hands {
    work: Option<Arc<Decided>>,
    request: Option<OpRequest>,
}

impl LaneDriver {
    /// Delivers until the future is dropped, or the lane has ended.
    pub(super) async fn run(mut self) -> LaneEnd {
        let began = Instant::now();
        let broadcasts = Arc::clone(&self.broadcasts);
        let mut right = None;
        let (mut lane, mut action) = Lane::begin(self.start.clone());
        loop {
            if !lane.needs_settings_right() {
                right = None;
            } else if right.is_none() {
                right = Some(broadcasts.sending.lock(self.node.id()).await);
            }
            let event = match self.act(action).await {
                ControlFlow::Continue(event) => event,
                ControlFlow::Break(end) => return end,
            };
            (lane, action) = lane.next(event, began.elapsed());
        }
    }

    async fn act(&mut self, action: LaneAction) -> ControlFlow<LaneEnd, LaneEvent> {
        ControlFlow::Continue(match action {
            LaneAction::AskQueueEnd => self.ask_queue_end().await,
            LaneAction::StoreMeeting { next_node_task } => self.store_meeting(next_node_task).await,
            LaneAction::Observe => self.observe(),
            LaneAction::Stand => self.stand().await,
            LaneAction::Fetch { from } => self.fetch(from).await,
            LaneAction::Begin { entry } => self.begin(entry),
            LaneAction::LookAtWave { entry } => {
                if self.broadcasts.is_open(entry, self.node.id()) {
                    self.open_wave(entry)
                } else {
                    LaneEvent::WaveClosed
                }
            }
            LaneAction::AwaitWave { entry } => {
                self.broadcasts.until_open(entry, self.node.id()).await;
                self.open_wave(entry)
            }
            LaneAction::Prepare { op } => self.prepare(op).await,
            LaneAction::ListRepairs => {
                LaneEvent::RepairsListed(self.broadcasts.sending.repairs(self.node.id()))
            }
            LaneAction::ReadQueue { after, from, counts_lost } => {
                sleep(after).await;
                self.read_queue(from, counts_lost).await
            }
            LaneAction::Send { .. } => self.send().await,
            LaneAction::Count { number, straggler } => self.count(number, straggler),
            LaneAction::TellTaking => self.tell_taking(None).await,
            LaneAction::TellRefusal { refusal, reason, is_lasting } => {
                self.warn(refusal, &reason);
                if is_lasting { self.tell_taking(Some(reason)).await } else { LaneEvent::Told }
            }
            LaneAction::Store { cursor, receipts, ahead } => {
                self.store_progress(cursor, receipts, ahead).await
            }
            LaneAction::Pause { length, until: PauseEnd::Time } => {
                sleep(length).await;
                LaneEvent::Paused
            }
            LaneAction::Pause { length, until: PauseEnd::TimeOrReturn } => tokio::select! {
                () = sleep(length) => LaneEvent::Paused,
                () = self.node.returned() => LaneEvent::NodeReturned,
            },
            LaneAction::End(end) => return ControlFlow::Break(end),
        })
    }

    fn observe(&mut self) -> LaneEvent {
        self.hands = Hands::default();
        let decided = *self.decided.borrow_and_update();
        LaneEvent::Observed { decided, holds: self.barrier.holds() }
    }

    async fn stand(&mut self) -> LaneEvent {
        tokio::select! {
            changed = self.decided.changed() => if changed.is_err() { return LaneEvent::Closed },
            () = self.barrier.changed() => {}
        }
        self.observe()
    }

    fn begin(&self, entry: TaskUid) -> LaneEvent {
        let work = self.hands.work.as_ref().expect("a lane fetches an entry before it begins it");
        let index = work.decision.target.as_ref().map(|target| &target.physical);
        let (holds, is_held) = self.barrier.begin(entry, index);
        LaneEvent::Begun { holds, is_held }
    }

    async fn fetch(&mut self, from: TaskUid) -> LaneEvent {
        self.hands.work = self.shelf.next(from, self.node.id()).await;
        LaneEvent::Fetched(self.hands.work.as_deref().map(|work| self.entry_of(work)))
    }

    fn entry_of(&self, work: &Decided) -> LaneEntry {
        let uid = work.entry.uid;
        let ops = ops_for(&work.decision, self.node.id());
        // Without a target there are no requests.
        let requests = work.decision.target.iter().flat_map(|target| {
            let request =
                |(number, op)| LaneRequest::new(op, target.physical.clone(), mark(&self.log_id, uid, number));
            ops.iter().enumerate().map(request)
        });
        LaneEntry { uid, requests: requests.collect() }
    }

    fn open_wave(&self, entry: TaskUid) -> LaneEvent {
        LaneEvent::WaveOpen { skipped: self.broadcasts.skips(entry, self.node.id()) }
    }
}
