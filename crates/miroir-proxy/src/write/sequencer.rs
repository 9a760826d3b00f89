//! Decides about the entries of the log, one after the other, each against the indexes as everything before it leaves
//! them. It does not wait for nodes to get there, but where it has to (see [`must_wait`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::document::{Existing, Payload, PayloadError};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId, TaskUid};
use miroir_core::settings::Broadcast;
use miroir_core::task::{Circumstances, Errand, Judgement, LogEntry, Mutation, NewIndexPolicy, Step, judge};
use miroir_core::view::IndexEntry;
use miroir_store::Deciding;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};

use super::admission::{Admission, plan_places};
use super::committer::Event;
use super::errand::Errands;
use super::existing::find_existing;
use super::fenced::FencedStore;
use super::inspect::Inspected;
use super::ledger::{Ledger, is_rollout};
use super::listing_order::SureBooks;
use super::names::Names;
use super::prepared::Prepared;
use super::recent_payloads::RecentPayloads;
use super::retry::{Backoff, until_stored};
use super::shelf::Shelf;
use super::waiting::{changes_key, is_stopped, must_wait};
use crate::cluster::{Membership, Roster, ViewCell};
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::node_api::{InternalSizes, questions};
use crate::settings::Broadcasts;

/// Entries that are decided, and stored, together at most.
const GROUP: usize = 64;

/// Payload bytes that are decided together at most, unless one entry alone has more.
const GROUP_BYTES: usize = 8 << 20;

/// How long the log waits for nodes to say whether an index holds documents.
const COUNTING: Duration = Duration::from_secs(30);

/// How long one node may take to answer a question that the log waits for. Then another replica is asked.
pub(super) const QUESTION: Duration = Duration::from_secs(5);

/// Decided tasks that are not over. Beyond that the log waits: no replica of something answers.
const MAX_UNSETTLED: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Sequencer {
    pub(super) store: Arc<FencedStore>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) payload_budget: MemoryBudget,
    pub(super) recent_payloads: Arc<RecentPayloads>,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewCell>,
    pub(super) admission: Arc<Admission>,
    /// The members that are decided about now.
    pub(super) members: Arc<Roster>,
    /// What new indexes are placed on, and how.
    pub(super) new_index_policy: Arc<NewIndexPolicy>,
    pub(super) node_timeout: Duration,
    /// Rung when entries were appended.
    pub(super) appended: Arc<Notify>,
    /// Rung when tasks have ended.
    pub(super) tasks_ended: Arc<Notify>,
    /// The first entry that is not decided: lanes go up to here.
    pub(super) decided: watch::Sender<TaskUid>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) broadcasts: Arc<Broadcasts>,
    /// The entry that waits until everything before it is over, to ask nodes for documents then.
    pub(super) asking: Option<TaskUid>,
    pub(super) sure_books: SureBooks,
}

/// What became of an entry whose turn has come.
enum Sequenced {
    Decided(Box<Prepared>),
    /// It depends on documents that entries before it may add or delete.
    MustWait,
}

impl Sequencer {
    /// Decides until the future is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let entries = until_stored("reading the log", || self.store.undecided(GROUP)).await;
            if entries.is_empty() {
                self.appended.notified().await;
            } else {
                self.decide(entries).await;
            }
        }
    }

    async fn decide(&mut self, entries: Vec<LogEntry>) {
        self.look_at_members();
        let mut group: Vec<Prepared> = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            if bytes > GROUP_BYTES || self.must_wait(&entry, &group) {
                if self.publish(std::mem::take(&mut group)).await == Deciding::Overtaken {
                    return;
                }
                bytes = 0;
            }
            if self.must_wait(&entry, &[]) {
                // It may be canceled while it waits, so the log is read again.
                self.tasks_ended.notified().await;
                return;
            }
            let uid = entry.uid;
            let left = self.survey(&entry, &group).await;
            match self.judge(entry, &group).await {
                Sequenced::Decided(mut prepared) => {
                    prepared.arrivals.splice(0..0, left);
                    bytes += prepared.bytes();
                    group.push(*prepared);
                }
                Sequenced::MustWait => {
                    self.asking = Some(uid);
                    break;
                }
            }
        }
        // Overtaken or not: the log is read again.
        self.publish(group).await;
    }

    /// Who is there, and which of them new indexes may be placed on.
    fn look_at_members(&mut self) {
        self.members = self.membership.members();
        let ledger = self.ledger();
        let places = plan_places(self.members.groups(), self.new_index_policy.factor, |node| {
            ledger.nodes.has_joined(node)
        });
        drop(ledger);
        if places != self.new_index_policy.members {
            Arc::make_mut(&mut self.new_index_policy).members = places;
        }
    }

    pub(super) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_wait(&self, entry: &LogEntry, group: &[Prepared]) -> bool {
        if self.stopped(entry).is_some() {
            return false;
        }
        let frozen: Vec<IndexUid> = self.broadcasts.frozen().into_iter().map(|(index, _)| index).collect();
        let ledger = self.ledger();
        let group_changes_names = group.iter().any(|work| work.decided.entry.mutation.changes_names());
        if group_changes_names || ledger.head.is_changing_names() {
            return true;
        }
        if entry.mutation.needs_quiet() && (ledger.head.unsettled_count(&frozen) > 0 || !group.is_empty()) {
            return true;
        }
        let more = same_index(group, &entry.index_uid);
        let asks = self.asking == Some(entry.uid);
        ledger.head.unsettled_count(&frozen) + group.len() >= MAX_UNSETTLED
            || ledger
                .head
                .unsettled(&entry.index_uid)
                .chain(more)
                .any(|other| asks || must_wait(entry, other))
    }

    /// Why an entry fails because an index is frozen: it would change the index, or wait for the change that is frozen.
    fn stopped(&self, entry: &LogEntry) -> Option<ResponseError> {
        let frozen = self.broadcasts.frozen();
        is_stopped(entry, &frozen).or_else(|| {
            let (_, error) = frozen.iter().find(|(index, _)| *index == entry.index_uid)?;
            let waits =
                self.ledger().head.unsettled(&entry.index_uid).any(|earlier| must_wait(entry, earlier));
            waits.then(|| error.clone())
        })
    }

    async fn judge(&self, entry: LogEntry, group: &[Prepared]) -> Sequenced {
        if let Some(error) = self.stopped(&entry) {
            return Sequenced::Decided(Box::new(Prepared::new(entry, Judgement::refused(error), None)));
        }
        let now = OffsetDateTime::now_utc();
        if let Mutation::Errand { errand } = &entry.mutation {
            return Sequenced::Decided(Box::new(self.run_errand(&entry, errand, now).await));
        }
        let earlier = group.iter().map(|work| &*work.decided);
        let (index, physical, renamed) = {
            let ledger = self.ledger();
            let names = Names { head: &ledger.head, members: self.members.groups(), now };
            if let Some(judgement) = names.judge(&entry, group) {
                return Sequenced::Decided(Box::new(Prepared::new(entry, judgement, None)));
            }
            let index = ledger.head.index(&entry.index_uid, earlier, now);
            let physical = index.is_none().then(|| ledger.head.free_physical(&entry, group));
            let on_nodes = physical.as_ref().or(index.as_ref().map(|index| &index.physical));
            let gives_name = index.is_none() || entry.mutation.changes_names();
            let on_nodes = on_nodes.filter(|_| gives_name && !ledger.head.rules().is_empty());
            let renamed = on_nodes.map(|physical| names.rules_after(&entry, physical, group));
            (index, physical, renamed.unwrap_or_default())
        };
        if let Some(index) = &index {
            match self.inspect(&entry, index, group).await {
                Inspected::Free => {}
                Inspected::MustWait => return Sequenced::MustWait,
                Inspected::Refused(error) => {
                    return Sequenced::Decided(Box::new(Prepared::new(
                        entry,
                        Judgement::refused(error),
                        None,
                    )));
                }
            }
        }
        let mut documents = 0;
        if let Some(index) = index.as_ref().filter(|index| changes_key(&entry.mutation, index)) {
            let Some(count) = self.count_documents(index).await else {
                let judgement = Judgement::refused(nobody_counts(index));
                return Sequenced::Decided(Box::new(Prepared::new(entry, judgement, None)));
            };
            documents = count;
        }
        let source = self.load(&entry).await;
        let view = self.view.load();
        let readable = index.as_ref().map(|index| view.in_sync_for(&index.physical)).unwrap_or_default();
        let policy = Arc::clone(&self.new_index_policy);
        let Loaded { payload, place } = match source.read().await {
            Ok(loaded) => loaded,
            Err(error) => {
                let judgement = internal_error(error.to_string());
                return Sequenced::Decided(Box::new(Prepared::new(entry, judgement, None)));
            }
        };
        let case = Case { entry, payload, place, index, documents, readable, policy, physical, renamed, now };
        let (case, asked) = match case.judge(None).await {
            Judged::Decided(prepared) => return Sequenced::Decided(prepared),
            Judged::DependsOn(case, asked) => (case, asked),
        };
        let Some(existing) = self.existing(&case, asked, group).await else { return Sequenced::MustWait };
        match case.judge(Some(existing)).await {
            Judged::Decided(prepared) => Sequenced::Decided(prepared),
            Judged::DependsOn(..) => Sequenced::MustWait,
        }
    }

    /// Which of these documents exist when the entry's turn has come; `None` if that depends on entries before it that
    /// are not over. Those that only add documents don't matter to documents that are there already.
    async fn existing(
        &self,
        case: &Case,
        asked: BTreeSet<String>,
        group: &[Prepared],
    ) -> Option<BTreeSet<String>> {
        let index = case.index.as_ref()?;
        let (is_settled, may_lose) = {
            let ledger = self.ledger();
            let uid = &case.entry.index_uid;
            let mut earlier = ledger.head.unsettled(uid).chain(same_index(group, uid)).peekable();
            (earlier.peek().is_none(), earlier.any(|entry| entry.mutation.may_lose_documents()))
        };
        if may_lose {
            return None;
        }
        let existing =
            find_existing(&self.membership, &case.readable, QUESTION, index, &asked).await.possible();
        (is_settled || existing == asked).then_some(existing)
    }

    /// Everything before is over, and nothing after is begun until this returns.
    async fn run_errand(&self, entry: &LogEntry, errand: &Errand, now: OffsetDateTime) -> Prepared {
        until_stored("the beginning of a task", || self.store.begin_task(entry.uid, now)).await;
        let index = self.ledger().head.index(&entry.index_uid, std::iter::empty(), now);
        let errands = Errands {
            store: self.store.plain(),
            membership: Arc::clone(&self.membership),
            view: Arc::clone(&self.view),
            timeout: self.node_timeout,
        };
        let judgement = errands.run(entry, errand, index.as_ref()).await;
        Prepared::new(entry.clone(), judgement, None)
    }

    async fn load(&self, entry: &LogEntry) -> Source {
        if !entry.mutation.has_payload() {
            return Source::None;
        }
        if let Some(payload) = self.recent_payloads.take(entry.uid) {
            return Source::Arrival(payload);
        }
        let bytes = until_stored("reading a payload", || self.store.payload_bytes(entry.uid)).await;
        let place = self.payload_budget.enter(usize::try_from(bytes).unwrap_or(usize::MAX)).await;
        let parts = until_stored("reading a payload", || self.store.payload(entry.uid)).await;
        Source::Stored { parts, place }
    }

    async fn publish(&self, mut group: Vec<Prepared>) -> Deciding {
        let Some(last) = group.last() else { return Deciding::Stored };
        let end = TaskUid(last.decided.entry.uid.0 + 1);
        // What was decided names members: if they are others by now it is decided again.
        let Some(_unchanged) = self.admission.keep(&self.members).await else { return Deciding::Overtaken };
        let decisions: Vec<_> =
            group.iter().map(|work| (work.decided.entry.uid, work.decided.decision.clone())).collect();
        let arrivals: Vec<_> = group.iter_mut().flat_map(Prepared::take_arrivals).collect();
        let decide = || self.store.decide(decisions.clone(), arrivals.clone());
        if until_stored("decisions", decide).await == Deciding::Overtaken {
            return Deciding::Overtaken;
        }
        self.sure_books.note(&arrivals);
        for begun in self.add(&group) {
            until_stored("a change of settings", || self.store.save_broadcast(begun.clone())).await;
        }
        for work in group {
            self.shelf.put(work);
        }
        self.decided.send_replace(end);
        // The committer ends only together with this.
        let _ = self.events.send(Event::Decided).await;
        Deciding::Stored
    }

    /// Takes decisions into the ledger. Answers the changes of settings among them, which are to be stored before any lane
    /// hears of them.
    fn add(&self, group: &[Prepared]) -> Vec<Broadcast> {
        let view = self.view.load();
        let mut ledger = self.ledger();
        let mut begun = Vec::new();
        for work in group {
            let index = &work.decided.entry.index_uid;
            let now = OffsetDateTime::now_utc();
            let before =
                ledger.head.index(index, std::iter::empty(), now).filter(|_| ledger.head.has_index(index));
            ledger.add(&work.decided, None);
            if is_rollout(&work.decided)
                && let Some(next) = ledger.head.index(index, std::iter::empty(), now)
            {
                let task = work.decided.entry.uid;
                let mixes = before.is_some_and(|before| before.settings != next.settings);
                let readable = mixes.then(|| view.in_sync_for(&next.physical));
                begun.push(self.broadcasts.begin(task, next, readable.as_ref()));
            }
        }
        begun
    }

    /// Whether the index holds documents: at least one, or none on some replica of every shard. The log waits for the
    /// answer, so it does not wait for ever.
    async fn count_documents(&self, index: &IndexEntry) -> Option<u64> {
        let mut backoff = Backoff::new();
        let began = Instant::now();
        while began.elapsed() < COUNTING {
            let mut empty: BTreeSet<ShardId> = BTreeSet::new();
            for node in index.placement.nodes() {
                match self.count_on(node, index).await {
                    Some(0) => empty.extend(index.placement.shards_of(node)),
                    Some(count) => return Some(count),
                    None => {}
                }
            }
            if index.shards.shards().all(|shard| empty.contains(&shard)) {
                return Some(0);
            }
            backoff.pause().await;
        }
        None
    }

    async fn count_on(&self, node: &NodeId, index: &IndexEntry) -> Option<u64> {
        self.view.load().in_sync_for(&index.physical).get(node)?;
        let question = questions::index_stats(&index.physical, InternalSizes::Hide);
        let stats = self.membership.node(node)?.ask(question, QUESTION).await.ok()?;
        stats.get("numberOfDocuments")?.as_u64()
    }
}

/// The documents of an entry, where they are.
enum Source {
    None,
    Arrival(Payload),
    Stored { parts: Vec<Bytes>, place: MemoryPermit },
}

impl Source {
    async fn read(self) -> Result<Loaded, PayloadError> {
        match self {
            Self::None => Ok(Loaded { payload: None, place: None }),
            Self::Arrival(payload) => Ok(Loaded { payload: Some(payload), place: None }),
            Self::Stored { parts, place } => {
                let read = tokio::task::spawn_blocking(move || Payload::restore(parts));
                let payload = read.await.expect("reading does not panic")?;
                Ok(Loaded { payload: Some(payload), place: Some(place) })
            }
        }
    }
}

/// The documents of an entry, and their place in memory, if they need one.
struct Loaded {
    payload: Option<Payload>,
    place: Option<MemoryPermit>,
}

/// An entry, and all that it is judged by but the documents that exist.
struct Case {
    entry: LogEntry,
    payload: Option<Payload>,
    /// Given back when the documents are judged and most of them dropped.
    place: Option<MemoryPermit>,
    index: Option<IndexEntry>,
    documents: u64,
    readable: BTreeSet<NodeId>,
    policy: Arc<NewIndexPolicy>,
    /// The name on the nodes of an index that the entry creates.
    physical: Option<PhysicalUid>,
    /// Dynamic search rules that nodes must get anew, if the entry changes names.
    renamed: Vec<Step>,
    now: OffsetDateTime,
}

/// What a case comes to.
enum Judged {
    Decided(Box<Prepared>),
    /// It depends on which of these documents exist.
    DependsOn(Box<Case>, BTreeSet<String>),
}

impl Case {
    async fn judge(self, existing: Option<BTreeSet<String>>) -> Judged {
        let entry = self.entry.clone();
        let judged = tokio::task::spawn_blocking(move || self.judge_whole(existing.as_ref()));
        judged.await.unwrap_or_else(|error| {
            let judgement = internal_error(error.to_string());
            Judged::Decided(Box::new(Prepared::new(entry, judgement, None)))
        })
    }

    /// What should be impossible (a placement that was good when it was checked, a panic) fails the task, not the log.
    fn judge_whole(self, existing: Option<&BTreeSet<String>>) -> Judged {
        let circumstances = Circumstances {
            index: self.index.as_ref(),
            documents: self.documents,
            existing: existing.map_or(Existing::Unknown, Existing::These),
            readable: &self.readable,
            policy: &self.policy,
            now: self.now,
        };
        let judged = judge(&self.entry, self.payload.as_ref(), circumstances);
        let mut judgement = judged.unwrap_or_else(|error| internal_error(error.to_string()));
        if !judgement.depends_on.is_empty() {
            let asked = std::mem::take(&mut judgement.depends_on);
            return Judged::DependsOn(Box::new(self), asked);
        }
        if let Some(physical) = &self.physical {
            judgement = judgement.with_physical(physical);
        }
        let judgement = judgement.with_rules(self.renamed);
        let prepared = Prepared::new(self.entry, judgement, self.payload);
        drop(self.place);
        Judged::Decided(Box::new(prepared))
    }
}

pub(super) fn internal_error(reason: String) -> Judgement {
    Judgement::refused(ResponseError::new(ErrorCode::Internal, reason))
}

pub(super) fn same_index<'a>(
    group: &'a [Prepared],
    index: &'a IndexUid,
) -> impl Iterator<Item = &'a LogEntry> {
    group.iter().map(|work| &work.decided.entry).filter(move |entry| entry.index_uid == *index)
}

fn nobody_counts(index: &IndexEntry) -> ResponseError {
    let uid = &index.uid;
    let message = format!(
        "Index `{uid}`: its primary key can't be changed now: no replica of some shard tells whether there are documents."
    );
    ResponseError::new(ErrorCode::MiroirShardUnavailable, message)
}
