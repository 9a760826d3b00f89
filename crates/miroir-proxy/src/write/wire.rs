//! Which part of the write path gets what, and hears from whom.
//!
//! [`Common`] is what most parts are made with; [`Wiring`] has the ends of the channels between them, too. Each part is made and
//! begun in a step of its own.

use std::sync::{Arc, Mutex};

use miroir_core::ids::TaskUid;
use miroir_core::task::NewIndexPolicy;
use tokio::sync::{Notify, mpsc, watch};

use super::admission::Admission;
use super::barrier::Barrier;
use super::caretaker::CaretakerParts;
use super::committer::{Committer, Event};
use super::fenced::{FencedStore, WritePathEnd};
use super::ledger::{Ledger, LedgerHandle, Questions};
use super::listing_order::SureBooks;
use super::rebuild::{OperatorRequests, Rebuilder};
use super::recent_payloads::RecentPayloads;
use super::rollout::{LedgerTargets, Rollouts};
use super::sequencer::Sequencer;
use super::shelf::Shelf;
use super::syncs::Syncs;
use super::tasks::Tasks;
use super::undo::Undo;
use super::watched::run_watched;
use super::{WriteConfig, Writer};
use crate::cluster::{Membership, ViewPublisher, for_each_member};
use crate::memory::MemoryBudget;
use crate::settings::{Broadcasts, Drift, Job, Seen, Verifier};
use crate::webhook::{Courier, WebhookQueue};

/// Messages between two parts of the write path before the faster one waits.
const CHANNEL: usize = 1024;

/// Bytes of payloads in memory as a whole: those that are being checked, and those that are being judged.
const PAYLOAD_BYTES: usize = 128 << 20;

/// What most parts need.
pub(super) struct Common {
    pub(super) store: Arc<FencedStore>,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewPublisher>,
    pub(super) config: WriteConfig,
    pub(super) new_index_policy: Arc<NewIndexPolicy>,
    pub(super) log_id: Arc<str>,
    pub(super) broadcasts: Arc<Broadcasts>,
}

/// Parts that are shared, and the ends of channels.
pub(super) struct Wiring {
    common: Common,
    /// For the sequencer and the committer, and nobody else.
    ledger: Arc<Mutex<Ledger>>,
    /// For all others.
    ask: LedgerHandle,
    questions: Questions,
    shelf: Arc<Shelf>,
    payload_budget: MemoryBudget,
    recent_payloads: Arc<RecentPayloads>,
    /// Something was appended.
    appended: Arc<Notify>,
    /// Tasks have ended.
    tasks_ended: Arc<Notify>,
    webhooks: WebhookQueue,
    barrier: Arc<Barrier>,
    syncs: Arc<Syncs>,
    operator_requests: Arc<OperatorRequests>,
    pub(super) admission: Arc<Admission>,
    /// To the committer.
    events: mpsc::Sender<Event>,
    to_commit: mpsc::Receiver<Event>,
    /// The first entry that is not decided.
    decided: watch::Sender<TaskUid>,
    background: Tasks,
    caretakers: Arc<Tasks>,
    /// Stops the background when another process has taken the store over.
    end: WritePathEnd,
}

impl Wiring {
    /// Nothing runs yet but what tells webhooks.
    pub(super) fn new(common: Common, ledger: Ledger, first_undecided: TaskUid) -> Self {
        let background = Tasks::default();
        let end = common.store.watch_end();
        let (webhooks, courier) = Courier::new(common.store.plain());
        background.spawn(run_watched("courier", end.clone(), courier.run()));
        let (events, to_commit) = mpsc::channel(CHANNEL);
        let (ask, questions) = LedgerHandle::new();
        let (barrier, syncs) = (Arc::new(Barrier::default()), Arc::new(Syncs::default()));
        let operator_requests = Arc::new(OperatorRequests::default());
        let admission = Arc::new(Admission {
            store: Arc::clone(&common.store),
            ledger: ask.clone(),
            membership: Arc::clone(&common.membership),
            barrier: Arc::clone(&barrier),
            syncs: Arc::clone(&syncs),
            broadcasts: Arc::clone(&common.broadcasts),
            operator_requests: Arc::clone(&operator_requests),
            events: events.clone(),
            factor: common.config.replication_factor,
            changing: Arc::default(),
        });
        Self {
            ledger: Arc::new(Mutex::new(ledger)),
            ask,
            questions,
            shelf: Arc::new(Shelf::new(common.store.plain())),
            payload_budget: MemoryBudget::new(PAYLOAD_BYTES),
            recent_payloads: Arc::new(RecentPayloads::default()),
            appended: Arc::new(Notify::new()),
            tasks_ended: Arc::new(Notify::new()),
            webhooks,
            barrier,
            syncs,
            operator_requests,
            admission,
            events,
            to_commit,
            decided: watch::channel(first_undecided).0,
            background,
            caretakers: Arc::default(),
            end,
            common,
        }
    }

    /// Begins all parts.
    pub(super) fn spawn(self) -> Writer {
        self.spawn_caretakers();
        let jobs = self.spawn_settings();
        let writer = self.writer();
        let committer = Committer {
            rollouts: Rollouts {
                store: Arc::clone(&self.common.store),
                broadcasts: Arc::clone(&self.common.broadcasts),
                jobs,
            },
            store: Arc::clone(&self.common.store),
            ledger: Arc::clone(&self.ledger),
            shelf: Arc::clone(&self.shelf),
            membership: Arc::clone(&self.common.membership),
            view: Arc::clone(&self.common.view),
            max_lag: self.common.config.max_lag,
            tasks_ended: Arc::clone(&self.tasks_ended),
            webhooks: self.webhooks,
            syncs: self.syncs,
        };
        self.background.spawn(run_watched(
            "committer",
            self.end.clone(),
            committer.run(self.to_commit, self.questions),
        ));
        let members = self.common.membership.members();
        let sequencer = Sequencer {
            store: self.common.store,
            ledger: self.ledger,
            shelf: self.shelf,
            payload_budget: self.payload_budget,
            recent_payloads: self.recent_payloads,
            membership: self.common.membership,
            view: self.common.view.view(),
            admission: self.admission,
            members,
            new_index_policy: self.common.new_index_policy,
            node_timeout: self.common.config.node_timeout,
            appended: self.appended,
            tasks_ended: self.tasks_ended,
            decided: self.decided,
            events: self.events,
            broadcasts: self.common.broadcasts,
            asking: None,
            sure_books: SureBooks::default(),
        };
        self.background.spawn(run_watched("sequencer", self.end.clone(), sequencer.run()));
        Writer { background: Arc::new(self.background), ..writer }
    }

    /// The lanes and trackers of all members, and what keeps them going.
    fn spawn_caretakers(&self) {
        let rebuilder = Arc::new(Rebuilder {
            store: Arc::clone(&self.common.store),
            ledger: self.ask.clone(),
            membership: Arc::clone(&self.common.membership),
            barrier: Arc::clone(&self.barrier),
            timeout: self.common.config.node_timeout,
            events: self.events.clone(),
            operator_requests: Arc::clone(&self.operator_requests),
            broadcasts: Arc::clone(&self.common.broadcasts),
            turn: tokio::sync::Mutex::default(),
        });
        let parts = CaretakerParts {
            store: Arc::clone(&self.common.store),
            shelf: Arc::clone(&self.shelf),
            ledger: self.ask.clone(),
            membership: Arc::clone(&self.common.membership),
            barrier: Arc::clone(&self.barrier),
            syncs: Arc::clone(&self.syncs),
            rebuilder,
            log_id: Arc::clone(&self.common.log_id),
            timeout: self.common.config.node_timeout,
            decided: self.decided.subscribe(),
            events: self.events.clone(),
            broadcasts: Arc::clone(&self.common.broadcasts),
        };
        let (caretakers, end) = (Arc::clone(&self.caretakers), self.end.clone());
        let following = for_each_member(self.common.membership.feed(), move |member| {
            let (caretakers, end, caretaker) =
                (Arc::clone(&caretakers), end.clone(), parts.caretaker(member));
            async move {
                // A node that has gone before anybody looked needs none.
                let Some(caretaker) = caretaker else { return };
                caretakers.run(run_watched("caretaker", end, caretaker.run())).await;
            }
        });
        self.background.spawn(run_watched("caretakers", self.end.clone(), following));
    }

    /// What reads settings back, and what looks whether nodes still have theirs. Where the reading back is asked for.
    fn spawn_settings(&self) -> mpsc::Sender<Job> {
        let (jobs, to_verify) = mpsc::channel(CHANNEL);
        let verifier = Verifier {
            broadcasts: Arc::clone(&self.common.broadcasts),
            membership: Arc::clone(&self.common.membership),
            targets: LedgerTargets(self.ask.clone()),
            originals: Undo {
                broadcasts: Arc::clone(&self.common.broadcasts),
                membership: Arc::clone(&self.common.membership),
                ledger: self.ask.clone(),
                timeout: self.common.config.node_timeout,
            },
        };
        let verdicts = self.events.clone();
        let verifying = verifier.run(to_verify, async move |job, verdict| {
            // The committer ends only together with this.
            let _ = verdicts.send(Event::ReadBack { job, verdict }).await;
        });
        self.background.spawn(run_watched("verifier", self.end.clone(), verifying));
        let drift = Arc::new(Drift {
            broadcasts: Arc::clone(&self.common.broadcasts),
            membership: Arc::clone(&self.common.membership),
            view: self.common.view.view(),
            targets: LedgerTargets(self.ask.clone()),
            busy: Mutex::default(),
        });
        let (seen, in_place) = mpsc::channel(CHANNEL);
        let (watching, found) = (Arc::clone(&drift), seen.clone());
        self.background
            .spawn(run_watched("drift check", self.end.clone(), async move { watching.watch(&found).await }));
        self.background.spawn(run_watched("recovery of settings", self.end.clone(), async move {
            drift.recover(&seen).await;
        }));
        self.background.spawn(run_watched(
            "news of settings",
            self.end.clone(),
            pass_on(in_place, self.events.clone()),
        ));
        jobs
    }

    /// The way in, which does not hold the background yet.
    fn writer(&self) -> Writer {
        Writer {
            store: Arc::clone(&self.common.store),
            appended: Arc::clone(&self.appended),
            ledger: self.ask.clone(),
            payload_budget: self.payload_budget.clone(),
            recent_payloads: Arc::clone(&self.recent_payloads),
            tasks_ended: Arc::clone(&self.tasks_ended),
            webhooks: self.webhooks.clone(),
            broadcasts: Arc::clone(&self.common.broadcasts),
            max_lag: self.common.config.max_lag,
            operator_requests: Arc::clone(&self.operator_requests),
            events: self.events.clone(),
            admission: Arc::clone(&self.admission),
            background: Arc::default(),
            caretakers: Arc::clone(&self.caretakers),
        }
    }
}

/// Tells the committer what settings nodes were seen to have.
async fn pass_on(mut seen: mpsc::Receiver<Seen>, events: mpsc::Sender<Event>) {
    while let Some(seen) = seen.recv().await {
        // The committer ends only together with this.
        let _ = events.send(Event::Seen(seen)).await;
    }
}
