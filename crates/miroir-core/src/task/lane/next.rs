//! What follows from what: one function for each state.

use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use super::state::{Delivery, Look, Meeting, MeetingStep, State, Then};
use super::{
    Backoff, GATHERING, GROUP, InFlight, KnownRepairs, Lane, LaneAction, LaneEnd, LaneEntry, LaneEvent,
    NodeAnswer, PauseEnd, REFUSALS, Receipt, Refusal, Replay, STRAGGLING, Taken,
};
use crate::error::ResponseError;
use crate::ids::TaskUid;

impl Lane {
    /// Takes in the outcome of the last action, `now` since the lane began, and says what to do next.
    ///
    /// An event that is no outcome of that action ends the lane ([`LaneEnd::OutOfStep`]): to guess would be to send
    /// something twice. A lane that has ended stays so.
    #[must_use]
    pub fn next(mut self, event: LaneEvent, now: Duration) -> (Self, LaneAction) {
        let out_of_step = LaneEnd::OutOfStep { state: self.state.name(), event: event.name() };
        let state = mem::replace(&mut self.state, State::Over(out_of_step));
        let action = self.step(state, event, now).unwrap_or(LaneAction::End(out_of_step));
        (self, action)
    }

    /// None if the event is no outcome of what the state waits for.
    fn step(&mut self, state: State, event: LaneEvent, now: Duration) -> Option<LaneAction> {
        match state {
            State::Meeting(meeting) => self.meet(meeting, event),
            State::Observing => self.observed(&event, now),
            State::Idle => self.stood(&event, now),
            State::Fetching { end } => self.fetched(end, event, now),
            State::Beginning(entry) => self.begun(entry, &event, now),
            State::LookingAtWave(delivery) => self.seen_wave(delivery, event, now),
            State::WaitingForWave(delivery) => self.awaited_wave(delivery, event, now),
            State::Preparing(delivery) => self.prepared(delivery, &event),
            State::Recalling(delivery) => self.recalled(delivery, event),
            State::Replaying(delivery, look) => self.replayed(delivery, look, event),
            State::Sending(delivery) => self.sent(delivery, event, now),
            State::Counting(delivery, number) => self.counted(delivery, number, &event, now),
            State::TellingTaking(delivery, taken) => match event {
                LaneEvent::Told => Some(self.receive(delivery, taken, now)),
                _ => None,
            },
            State::TellingRefusal(delivery) => match event {
                LaneEvent::Told => Some(self.store_received(Then::Pause(delivery))),
                _ => None,
            },
            State::Storing(then) => match event {
                LaneEvent::Stored => Some(self.follow(then)),
                _ => None,
            },
            State::Pausing(delivery) => self.paused(delivery, &event),
            State::Over(end) => Some(self.end(end)),
        }
    }

    /// A node that is new says itself where its queue ends. Until then it gets nothing.
    fn meet(&mut self, mut meeting: Meeting, event: LaneEvent) -> Option<LaneAction> {
        let action = match (meeting.step, event) {
            (MeetingStep::Asking, LaneEvent::QueueEndsAt(next_node_task)) => {
                self.next_node_task = next_node_task;
                meeting.step = MeetingStep::Storing;
                LaneAction::StoreMeeting { next_node_task }
            }
            (MeetingStep::Asking, LaneEvent::QueueNotTold(reason)) if !meeting.is_refusal_told => {
                meeting.step = MeetingStep::TellingRefusal;
                meeting.is_refusal_told = true;
                LaneAction::TellRefusal { refusal: Refusal::QueueEnd, reason, is_lasting: true }
            }
            (
                MeetingStep::Asking,
                LaneEvent::QueueNotTold(_) | LaneEvent::NotReached | LaneEvent::AnswerLost,
            )
            | (MeetingStep::TellingRefusal, LaneEvent::Told) => {
                meeting.step = MeetingStep::Pausing;
                LaneAction::Pause { length: meeting.backoff.pause(), until: PauseEnd::Time }
            }
            (MeetingStep::Pausing, LaneEvent::Paused) => {
                meeting.step = MeetingStep::Asking;
                LaneAction::AskQueueEnd
            }
            (MeetingStep::Storing, LaneEvent::Stored) if meeting.is_refusal_told => {
                meeting.step = MeetingStep::TellingTaking;
                LaneAction::TellTaking
            }
            (MeetingStep::Storing, LaneEvent::Stored) | (MeetingStep::TellingTaking, LaneEvent::Told) => {
                return Some(self.observe());
            }
            _ => return None,
        };
        self.state = State::Meeting(meeting);
        Some(action)
    }

    fn observe(&mut self) -> LaneAction {
        self.state = State::Observing;
        LaneAction::Observe
    }

    fn observed(&mut self, event: &LaneEvent, now: Duration) -> Option<LaneAction> {
        let LaneEvent::Observed { decided, holds } = *event else { return None };
        if self.ahead.is_none() && self.aside.is_some_and(|aside| aside != holds) {
            self.go_back();
        }
        if self.at < decided {
            self.state = State::Fetching { end: decided };
            return Some(LaneAction::Fetch { from: self.at });
        }
        Some(self.store_all(Then::Idle, now))
    }

    /// Everything that was sent ahead is stored.
    fn go_back(&mut self) {
        (self.at, self.aside) = (self.cursor, None);
    }

    fn stood(&mut self, event: &LaneEvent, now: Duration) -> Option<LaneAction> {
        match event {
            LaneEvent::Closed => Some(self.end(LaneEnd::Closed)),
            _ => self.observed(event, now),
        }
    }

    fn fetched(&mut self, end: TaskUid, event: LaneEvent, now: Duration) -> Option<LaneAction> {
        match event {
            LaneEvent::Fetched(Some(entry)) if entry.uid < self.at => None,
            // The node does not owe it any more.
            LaneEvent::Fetched(entry)
                if self.ahead.is_some_and(|ahead| entry.as_ref().is_none_or(|it| it.uid != ahead)) =>
            {
                self.ahead = None;
                self.go_back();
                Some(self.observe())
            }
            LaneEvent::Fetched(Some(entry)) if entry.uid < end => {
                let action = LaneAction::Begin { entry: entry.uid };
                self.state = State::Beginning(entry);
                Some(action)
            }
            LaneEvent::Fetched(_) => Some(self.go_to(end, now)),
            _ => None,
        }
    }

    /// Others have seen that the entry is begun before this looks whether it is held: whoever holds an index counts what is
    /// begun.
    fn begun(&mut self, entry: LaneEntry, event: &LaneEvent, now: Duration) -> Option<LaneAction> {
        let LaneEvent::Begun { holds, is_held } = *event else { return None };
        let uid = entry.uid;
        if self.received.contains(&uid) {
            return Some(self.go_to(after(uid), now));
        }
        // One that may be in flight has been begun before anybody could hold its index.
        if self.ahead.is_none() {
            // What was set aside may be let go, and come first.
            if self.aside.is_some_and(|aside| aside != holds) {
                return Some(self.observe());
            }
            if is_held {
                return Some(self.set_aside(uid, holds, now));
            }
        }
        Some(match Delivery::begin(entry) {
            Some(delivery) if self.aside.is_some() && self.ahead.is_none() => self.send_ahead(delivery, now),
            Some(delivery) => self.approach(delivery),
            None => self.go_to(after(uid), now),
        })
    }

    /// Leaves the entry for later, if it is certain that the node does not have it.
    fn set_aside(&mut self, uid: TaskUid, holds: u64, now: Duration) -> LaneAction {
        if self.aside.is_none() {
            self.cursor = uid;
            self.at = uid;
            if self.in_flight != InFlight::Known {
                return self.store_all(Then::Idle, now);
            }
            self.aside = Some(holds);
        }
        self.at = after(uid);
        self.observe()
    }

    fn send_ahead(&mut self, delivery: Delivery, now: Duration) -> LaneAction {
        self.ahead = Some(delivery.entry);
        self.stored_at = now;
        let receipts = mem::take(&mut self.unstored);
        self.state = State::Storing(Then::Approach(delivery));
        LaneAction::Store { cursor: self.cursor, receipts, ahead: self.ahead }
    }

    /// A change of settings must be the node's turn; everything else may be sent at once.
    fn approach(&mut self, delivery: Delivery) -> LaneAction {
        let entry = delivery.entry;
        if delivery.request.is_settings() {
            self.state = State::LookingAtWave(delivery);
            return LaneAction::LookAtWave { entry };
        }
        self.prepare(delivery)
    }

    fn prepare(&mut self, delivery: Delivery) -> LaneAction {
        let op = delivery.op;
        self.state = State::Preparing(delivery);
        LaneAction::Prepare { op }
    }

    fn seen_wave(&mut self, delivery: Delivery, event: LaneEvent, now: Duration) -> Option<LaneAction> {
        match event {
            // Others may wait for the end of what was received before.
            LaneEvent::WaveClosed => Some(self.store_received(Then::AwaitWave(delivery))),
            LaneEvent::WaveOpen { skipped } => Some(self.enter_wave(delivery, skipped, now)),
            _ => None,
        }
    }

    fn awaited_wave(&mut self, delivery: Delivery, event: LaneEvent, now: Duration) -> Option<LaneAction> {
        match event {
            LaneEvent::WaveOpen { skipped } => Some(self.enter_wave(delivery, skipped, now)),
            _ => None,
        }
    }

    fn enter_wave(
        &mut self,
        delivery: Delivery,
        skipped: Option<ResponseError>,
        now: Duration,
    ) -> LaneAction {
        match skipped {
            Some(error) => self.receive(delivery, Taken::Refused(error), now),
            None => self.prepare(delivery),
        }
    }

    fn prepared(&mut self, delivery: Delivery, event: &LaneEvent) -> Option<LaneAction> {
        match event {
            LaneEvent::Prepared => Some(self.attempt(delivery)),
            _ => None,
        }
    }

    /// Sends only if it is known what is in flight; looks into the queue first if not.
    fn attempt(&mut self, delivery: Delivery) -> LaneAction {
        match self.in_flight {
            InFlight::Known => self.send(delivery),
            InFlight::Unknown => self.read_queue(delivery, Look::First),
            InFlight::Replayed(_) => {
                self.state = State::Recalling(delivery);
                LaneAction::ListRepairs
            }
        }
    }

    fn send(&mut self, delivery: Delivery) -> LaneAction {
        let op = delivery.op;
        self.state = State::Sending(delivery);
        LaneAction::Send { op }
    }

    fn read_queue(&mut self, delivery: Delivery, look: Look) -> LaneAction {
        let after = match look {
            Look::First => Duration::ZERO,
            Look::Second => STRAGGLING,
        };
        self.state = State::Replaying(delivery, look);
        let (from, counts_lost) = (self.next_node_task, self.repairs_known_from.is_some());
        LaneAction::ReadQueue { after, from, counts_lost }
    }

    fn recalled(&mut self, delivery: Delivery, event: LaneEvent) -> Option<LaneAction> {
        let LaneEvent::RepairsListed(repairs) = event else { return None };
        Some(match self.find(&delivery, repairs) {
            Some(number) => self.count(delivery, number, None),
            None => self.read_queue(delivery, Look::First),
        })
    }

    fn replayed(&mut self, delivery: Delivery, look: Look, event: LaneEvent) -> Option<LaneAction> {
        let (replay, repairs, some_lost) = match event {
            LaneEvent::QueueRead { replay, repairs, some_lost } => (replay, repairs, some_lost),
            LaneEvent::QueueNotTold(reason) => return Some(self.refused(delivery, reason)),
            event => return self.failed(delivery, &event),
        };
        if replay.end < self.next_node_task {
            return Some(self.end(LaneEnd::HistoryLost));
        }
        Some(match (self.take_in(replay, repairs, some_lost, &delivery), look) {
            (Some(number), _) => self.count(delivery, number, None),
            (None, Look::First) => self.read_queue(delivery, Look::Second),
            (None, Look::Second) => self.send(delivery),
        })
    }

    /// The number of the request in a queue that was just read.
    fn take_in(
        &mut self,
        replay: Replay,
        repairs: BTreeSet<u64>,
        some_lost: bool,
        delivery: &Delivery,
    ) -> Option<u64> {
        // What others sent before this is known only in part.
        if self.repairs_known_from.is_none() || some_lost {
            self.repairs_known_from = Some(replay.end);
        }
        self.in_flight = InFlight::Replayed(replay);
        self.find(delivery, repairs)
    }

    fn find(&mut self, delivery: &Delivery, numbers: BTreeSet<u64>) -> Option<u64> {
        let complete_from = self.repairs_known_from.unwrap_or(u64::MAX);
        match &mut self.in_flight {
            InFlight::Replayed(replay) => {
                replay.take(&delivery.request, &KnownRepairs { numbers, complete_from })
            }
            InFlight::Known | InFlight::Unknown => None,
        }
    }

    fn sent(&mut self, delivery: Delivery, event: LaneEvent, now: Duration) -> Option<LaneAction> {
        let answer = match event {
            LaneEvent::Answered(answer) => answer,
            event => return self.failed(delivery, &event),
        };
        Some(match answer {
            NodeAnswer::Final(Taken::Enqueued(number)) if number < self.next_node_task => {
                self.end(LaneEnd::HistoryLost)
            }
            NodeAnswer::Final(Taken::Enqueued(number)) => {
                // Nothing that comes later in the log can be in the queue already.
                let before = mem::replace(&mut self.in_flight, InFlight::Known);
                let straggler = (before != InFlight::Known).then(|| delivery.request.clone());
                self.count(delivery, number, straggler)
            }
            NodeAnswer::Final(refused @ Taken::Refused(_)) => self.settle(delivery, refused, now),
            NodeAnswer::NotNow(reason) => self.refused(delivery, reason),
        })
    }

    fn count(
        &mut self,
        delivery: Delivery,
        number: u64,
        straggler: Option<super::LaneRequest>,
    ) -> LaneAction {
        self.next_node_task = number.saturating_add(1);
        self.state = State::Counting(delivery, number);
        LaneAction::Count { number, straggler }
    }

    fn counted(
        &mut self,
        delivery: Delivery,
        number: u64,
        event: &LaneEvent,
        now: Duration,
    ) -> Option<LaneAction> {
        match event {
            LaneEvent::Counted => Some(self.settle(delivery, Taken::Enqueued(number), now)),
            _ => None,
        }
    }

    /// If it was told that the node refuses writes, this is over.
    fn settle(&mut self, delivery: Delivery, taken: Taken, now: Duration) -> LaneAction {
        if delivery.refusals >= REFUSALS {
            self.state = State::TellingTaking(delivery, taken);
            return LaneAction::TellTaking;
        }
        self.receive(delivery, taken, now)
    }

    fn receive(&mut self, delivery: Delivery, taken: Taken, now: Duration) -> LaneAction {
        let (entry, op) = (delivery.entry, delivery.op);
        self.unstored.push(Receipt { entry, op, taken });
        match delivery.proceed() {
            Some(delivery) => self.approach(delivery),
            None if self.ahead.take().is_some() => self.finish_ahead(entry, now),
            None => self.go_to(after(entry), now),
        }
    }

    /// Before anything else is sent it has to be known that this was.
    fn finish_ahead(&mut self, entry: TaskUid, now: Duration) -> LaneAction {
        self.received.insert(entry);
        self.at = after(entry);
        self.store_all(Then::Observe, now)
    }

    /// The node answers, and does not take the request for a reason of its own.
    fn refused(&mut self, mut delivery: Delivery, reason: String) -> LaneAction {
        delivery.refusals = delivery.refusals.saturating_add(1);
        if delivery.refusals > REFUSALS {
            return self.store_received(Then::Pause(delivery));
        }
        let is_lasting = delivery.refusals == REFUSALS;
        self.state = State::TellingRefusal(delivery);
        LaneAction::TellRefusal { refusal: Refusal::Write, reason, is_lasting }
    }

    fn failed(&mut self, delivery: Delivery, event: &LaneEvent) -> Option<LaneAction> {
        match event {
            LaneEvent::NotReached => {}
            LaneEvent::AnswerLost => self.in_flight = InFlight::Unknown,
            _ => return None,
        }
        Some(self.store_received(Then::Pause(delivery)))
    }

    fn paused(&mut self, mut delivery: Delivery, event: &LaneEvent) -> Option<LaneAction> {
        match event {
            LaneEvent::Paused => {}
            LaneEvent::NodeReturned => delivery.backoff = Backoff::default(),
            _ => return None,
        }
        Some(self.attempt(delivery))
    }

    /// Everything before this entry is delivered, but for what is set aside.
    fn go_to(&mut self, next: TaskUid, now: Duration) -> LaneAction {
        self.at = next;
        if self.aside.is_some() {
            return self.observe();
        }
        self.cursor = next;
        while self.received.first().is_some_and(|received| *received < next) {
            self.received.pop_first();
        }
        let waited = now.saturating_sub(self.stored_at);
        if self.unstored.len() >= GROUP || waited >= GATHERING {
            return self.store_all(Then::Observe, now);
        }
        self.observe()
    }

    /// Between two entries.
    fn store_all(&mut self, then: Then, now: Duration) -> LaneAction {
        self.stored_at = now;
        let receipts = mem::take(&mut self.unstored);
        self.store(self.cursor, receipts, then)
    }

    /// What was received of entries before the one that is not delivered as a whole: others may wait for its end.
    fn store_received(&mut self, then: Then) -> LaneAction {
        let begun = match &then {
            Then::AwaitWave(delivery) | Then::Pause(delivery) | Then::Approach(delivery) => delivery.entry,
            Then::Observe | Then::Idle => self.at,
        };
        let cursor = if self.aside.is_some() { self.cursor } else { begun };
        let whole = |receipt: &Receipt| receipt.entry < begun;
        let (receipts, begun) = mem::take(&mut self.unstored).into_iter().partition(whole);
        self.unstored = begun;
        self.store(cursor, receipts, then)
    }

    /// A cursor alone is not worth the disk.
    fn store(&mut self, cursor: TaskUid, receipts: Vec<Receipt>, then: Then) -> LaneAction {
        if receipts.is_empty() {
            return self.follow(then);
        }
        self.state = State::Storing(then);
        LaneAction::Store { cursor, receipts, ahead: self.ahead }
    }

    fn follow(&mut self, then: Then) -> LaneAction {
        match then {
            Then::Observe => self.observe(),
            Then::Idle => {
                self.state = State::Idle;
                LaneAction::Stand
            }
            Then::Approach(delivery) => self.approach(delivery),
            Then::AwaitWave(delivery) => {
                let entry = delivery.entry;
                self.state = State::WaitingForWave(delivery);
                LaneAction::AwaitWave { entry }
            }
            Then::Pause(mut delivery) => {
                let length = delivery.backoff.pause();
                self.state = State::Pausing(delivery);
                LaneAction::Pause { length, until: PauseEnd::TimeOrReturn }
            }
        }
    }

    fn end(&mut self, end: LaneEnd) -> LaneAction {
        self.state = State::Over(end);
        LaneAction::End(end)
    }
}

const fn after(entry: TaskUid) -> TaskUid {
    TaskUid(entry.0 + 1)
}
