//! What a lane does in the cases that matter, step by step. See [`walk`] for every pair of state and event, and
//! [`random`] for what holds however events come.

mod random;
mod walk;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::error::ErrorCode;
use crate::ids::PhysicalUid;

/// A lane on its way, with what it wants now.
#[derive(Debug, Clone)]
struct Driven {
    lane: Lane,
    action: LaneAction,
}

impl Driven {
    fn begin(next_node_task: Option<u64>) -> Self {
        Self::begin_at(LaneStart {
            cursor: TaskUid(0),
            received: BTreeSet::new(),
            ahead: None,
            next_node_task,
        })
    }

    fn begin_at(start: LaneStart) -> Self {
        let (lane, action) = Lane::begin(start);
        Self { lane, action }
    }

    fn at(self, millis: u64, event: LaneEvent) -> Self {
        let (lane, action) = self.lane.next(event, Duration::from_millis(millis));
        Self { lane, action }
    }

    fn on(self, events: impl IntoIterator<Item = LaneEvent>) -> Self {
        events.into_iter().fold(self, |driven, event| driven.at(0, event))
    }

    /// Up to where this entry is begun.
    fn with_entry(self, entry: LaneEntry) -> Self {
        self.on([
            observed(99, 0),
            LaneEvent::Fetched(Some(entry)),
            LaneEvent::Begun { holds: 0, is_held: false },
        ])
    }

    fn state(&self) -> &'static str {
        self.lane.state.name()
    }
}

const fn observed(decided: u64, holds: u64) -> LaneEvent {
    LaneEvent::Observed { decided: TaskUid(decided), holds }
}

fn documents(mark: &str) -> LaneRequest {
    let identity = Identity::Mark(mark.to_owned());
    LaneRequest { index: PhysicalUid::new("x"), identity, is_repeatable: true }
}

fn settings() -> LaneRequest {
    let identity = Identity::Kind("settingsUpdate");
    LaneRequest { index: PhysicalUid::new("x"), identity, is_repeatable: true }
}

fn entry<const N: usize>(uid: u64, requests: [LaneRequest; N]) -> LaneEntry {
    LaneEntry { uid: TaskUid(uid), requests: requests.into() }
}

fn read(tasks: impl IntoIterator<Item = serde_json::Value>, end: u64) -> LaneEvent {
    let tasks = tasks.into_iter().collect::<VecDeque<_>>();
    LaneEvent::QueueRead { replay: Replay { tasks, end }, repairs: BTreeSet::new(), some_lost: false }
}

fn enqueued(number: u64) -> LaneEvent {
    LaneEvent::Answered(NodeAnswer::Final(Taken::Enqueued(number)))
}

fn not_now() -> LaneEvent {
    LaneEvent::Answered(NodeAnswer::NotNow("no space left".to_owned()))
}

fn error() -> ResponseError {
    ResponseError::new(ErrorCode::InvalidSettingsRankingRules, "no")
}

fn receipt(entry: u64, op: usize, taken: Taken) -> Receipt {
    Receipt { entry: TaskUid(entry), op, taken }
}

/// The first entry's only request is at the node under number 7, and not stored; nothing is unknown.
fn received_one() -> Driven {
    let sending = Driven::begin(Some(7)).with_entry(entry(0, [documents("a")])).on([
        LaneEvent::Prepared,
        read([], 7),
        read([], 7),
    ]);
    sending.on([enqueued(7), LaneEvent::Counted])
}

#[test]
fn a_lane_that_begins_looks_twice_into_the_queue_and_then_sends_and_expects_a_straggler() {
    let reading = Driven::begin(Some(7)).with_entry(entry(0, [documents("a")])).on([LaneEvent::Prepared]);
    let first = LaneAction::ReadQueue { after: Duration::ZERO, from: 7, counts_lost: false };
    assert_eq!(reading.action, first);
    let again = reading.on([read([], 7)]);
    assert_eq!(again.action, LaneAction::ReadQueue { after: STRAGGLING, from: 7, counts_lost: true });
    let sending = again.on([read([], 7)]);
    assert_eq!(sending.action, LaneAction::Send { op: 0 });
    let counting = sending.on([enqueued(7)]);
    assert_eq!(counting.action, LaneAction::Count { number: 7, straggler: Some(documents("a")) });
    // From now on everything is known: the next is sent at once, and nothing of it is expected to come again.
    let next = counting
        .on([LaneEvent::Counted])
        .with_entry(entry(1, [documents("b")]))
        .on([LaneEvent::Prepared, enqueued(8)]);
    assert_eq!(next.action, LaneAction::Count { number: 8, straggler: None });
}

#[test]
fn what_the_queue_holds_is_not_sent_and_the_queue_is_not_read_for_what_follows_in_it() {
    let task = |uid: u64, mark: &str| json!({ "uid": uid, "indexUid": "x", "customMetadata": mark });
    let found = Driven::begin(Some(7))
        .with_entry(entry(0, [documents("a"), documents("b")]))
        .on([LaneEvent::Prepared, read([task(7, "a"), task(9, "b")], 10)]);
    assert_eq!(found.action, LaneAction::Count { number: 7, straggler: None });
    let second = found.on([LaneEvent::Counted, LaneEvent::Prepared]);
    assert_eq!(second.action, LaneAction::ListRepairs);
    let second = second.on([LaneEvent::RepairsListed(BTreeSet::new())]);
    assert_eq!(second.action, LaneAction::Count { number: 9, straggler: None });
    let third = second
        .on([LaneEvent::Counted])
        .with_entry(entry(1, [documents("c")]))
        .on([LaneEvent::Prepared, LaneEvent::RepairsListed(BTreeSet::new())]);
    assert_eq!(third.action, LaneAction::ReadQueue { after: Duration::ZERO, from: 10, counts_lost: true });
}

#[test]
fn a_request_that_did_not_reach_the_node_is_sent_again_without_a_look_and_one_without_an_answer_is_not() {
    let sending = received_one().with_entry(entry(1, [documents("b")])).on([LaneEvent::Prepared]);
    assert_eq!(sending.action, LaneAction::Send { op: 0 });
    let resent = sending.clone().on([LaneEvent::NotReached, LaneEvent::Stored, LaneEvent::Paused]);
    assert_eq!(resent.action, LaneAction::Send { op: 0 });
    let reading = sending.on([LaneEvent::AnswerLost, LaneEvent::Stored, LaneEvent::Paused]);
    assert_eq!(reading.action, LaneAction::ReadQueue { after: Duration::ZERO, from: 8, counts_lost: true });
}

#[test]
fn a_queue_or_a_number_below_what_is_accounted_for_means_that_the_node_lost_its_data() {
    let begun = Driven::begin(Some(7)).with_entry(entry(0, [documents("a")])).on([LaneEvent::Prepared]);
    let short = begun.on([read([], 6)]);
    assert_eq!(short.action, LaneAction::End(LaneEnd::HistoryLost));
    let low = received_one().with_entry(entry(1, [documents("b")])).on([LaneEvent::Prepared, enqueued(7)]);
    assert_eq!(low.action, LaneAction::End(LaneEnd::HistoryLost));
    assert_eq!(low.on([LaneEvent::Prepared]).action, LaneAction::End(LaneEnd::HistoryLost));
}

#[test]
fn the_second_refusal_is_told_and_later_ones_are_not_and_an_accepted_write_takes_it_back() {
    let reason = || "no space left".to_owned();
    let telling =
        |is_lasting| LaneAction::TellRefusal { refusal: Refusal::Write, reason: reason(), is_lasting };
    let mut lane = received_one().with_entry(entry(1, [documents("b")])).on([LaneEvent::Prepared, not_now()]);
    assert_eq!(lane.action, telling(false));
    lane = lane.on([LaneEvent::Told, LaneEvent::Stored, LaneEvent::Paused, not_now()]);
    assert_eq!(lane.action, telling(true));
    lane = lane.on([LaneEvent::Told, LaneEvent::Paused, not_now()]);
    assert_eq!(lane.state(), "Pausing");
    lane = lane.on([LaneEvent::Paused, enqueued(8), LaneEvent::Counted]);
    assert_eq!(lane.action, LaneAction::TellTaking);
    // The next request begins without refusals.
    lane = lane.on([LaneEvent::Told]).with_entry(entry(2, [documents("c")]));
    assert_eq!(lane.on([LaneEvent::Prepared, not_now()]).action, telling(false));
}

#[test]
fn pauses_double_up_to_two_seconds_and_begin_anew_when_the_node_returns() {
    let mut lane = received_one().with_entry(entry(1, [documents("b")])).on([LaneEvent::Prepared]);
    lane = lane.on([LaneEvent::NotReached, LaneEvent::Stored]);
    let mut lengths = Vec::new();
    for ended in [const { LaneEvent::Paused }; 7].into_iter().chain([LaneEvent::NodeReturned]) {
        let LaneAction::Pause { length, until: PauseEnd::TimeOrReturn } = lane.action else {
            panic!("{:?}", lane.action)
        };
        lengths.push(length.as_millis());
        lane = lane.on([ended, LaneEvent::NotReached]);
    }
    assert_eq!(lengths, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    let first = LaneAction::Pause { length: Duration::from_millis(50), until: PauseEnd::TimeOrReturn };
    assert_eq!(lane.action, first);
}

#[test]
fn receipts_are_stored_in_groups_after_a_moment_and_before_the_lane_stands() {
    let one = || vec![receipt(0, 0, Taken::Enqueued(7))];
    let stored = LaneAction::Store { cursor: TaskUid(1), receipts: one(), ahead: None };
    let idle = received_one().on([observed(1, 0)]);
    assert_eq!(idle.action, stored);
    assert_eq!(idle.on([LaneEvent::Stored]).action, LaneAction::Stand);

    let later = received_one().with_entry(entry(1, []));
    assert_eq!(later.action, LaneAction::Observe, "it was received just now");
    let later = later.on([observed(9, 0), LaneEvent::Fetched(Some(entry(2, [])))]);
    let later = later.at(20, LaneEvent::Begun { holds: 0, is_held: false });
    assert_eq!(later.action, LaneAction::Store { cursor: TaskUid(3), receipts: one(), ahead: None });

    let mut many = received_one();
    for uid in 1..32 {
        assert_eq!(many.action, LaneAction::Observe);
        many = many.with_entry(entry(uid, [documents("m")]));
        many = many.on([LaneEvent::Prepared, enqueued(7 + uid), LaneEvent::Counted]);
    }
    let LaneAction::Store { cursor, receipts, .. } = many.action else { panic!("{:?}", many.action) };
    assert_eq!((cursor, receipts.len()), (TaskUid(32), 32));
}

#[test]
fn while_it_waits_only_whole_entries_are_stored() {
    let half = received_one().with_entry(entry(3, [documents("b"), settings()])).on([
        LaneEvent::Prepared,
        enqueued(8),
        LaneEvent::Counted,
    ]);
    assert_eq!(half.action, LaneAction::LookAtWave { entry: TaskUid(3) });
    let waiting = half.on([LaneEvent::WaveClosed]);
    let receipts = vec![receipt(0, 0, Taken::Enqueued(7))];
    assert_eq!(waiting.action, LaneAction::Store { cursor: TaskUid(3), receipts, ahead: None });
    let waiting = waiting.on([LaneEvent::Stored]);
    assert_eq!(waiting.action, LaneAction::AwaitWave { entry: TaskUid(3) });
    // The change is taken back: the node never hears of it, and its share is over.
    let skipped = waiting.at(20, LaneEvent::WaveOpen { skipped: Some(error()) });
    let receipts = vec![receipt(3, 0, Taken::Enqueued(8)), receipt(3, 1, Taken::Refused(error()))];
    assert_eq!(skipped.action, LaneAction::Store { cursor: TaskUid(4), receipts, ahead: None });
}

#[test]
fn entries_that_are_held_are_set_aside_and_what_is_sent_ahead_of_them_is_stored_before_and_after() {
    let begun = |driven: Driven, holds, is_held| driven.on([LaneEvent::Begun { holds, is_held }]);
    let fetched = |driven: Driven, uid| {
        driven.on([observed(9, 3), LaneEvent::Fetched(Some(entry(uid, [documents("m")])))])
    };
    let aside = begun(fetched(received_one(), 2), 3, true);
    assert_eq!((aside.lane.cursor(), &aside.action), (TaskUid(2), &LaneAction::Observe));
    let ahead = begun(fetched(aside, 4), 3, false);
    let receipts = vec![receipt(0, 0, Taken::Enqueued(7))];
    assert_eq!(ahead.action, LaneAction::Store { cursor: TaskUid(2), receipts, ahead: Some(TaskUid(4)) });
    let delivered = ahead.on([LaneEvent::Stored, LaneEvent::Prepared, enqueued(8), LaneEvent::Counted]);
    let receipts = vec![receipt(4, 0, Taken::Enqueued(8))];
    assert_eq!(delivered.action, LaneAction::Store { cursor: TaskUid(2), receipts, ahead: None });
    // While the same is held it goes on; as soon as something else is, it goes back, and passes what it has delivered.
    let stored = delivered.on([LaneEvent::Stored]);
    assert_eq!(stored.clone().on([observed(9, 3)]).action, LaneAction::Fetch { from: TaskUid(5) });
    let back = stored.on([observed(9, 4)]);
    assert_eq!(back.action, LaneAction::Fetch { from: TaskUid(2) });
    let late = begun(back.on([LaneEvent::Fetched(Some(entry(2, [documents("m")])))]), 4, false);
    let late = late.on([LaneEvent::Prepared, enqueued(9), LaneEvent::Counted]);
    let passed = begun(fetched(late, 4), 3, false);
    assert_eq!((passed.lane.cursor(), &passed.action), (TaskUid(5), &LaneAction::Observe));
}

#[test]
fn what_was_about_to_be_sent_ahead_comes_first_after_a_crash_unless_it_is_not_owed_any_more() {
    let start = LaneStart {
        cursor: TaskUid(2),
        received: BTreeSet::new(),
        ahead: Some(TaskUid(4)),
        next_node_task: Some(7),
    };
    let begun = Driven::begin_at(start).on([observed(9, 0)]);
    assert_eq!(begun.action, LaneAction::Fetch { from: TaskUid(4) });
    let gone = begun.clone().on([LaneEvent::Fetched(Some(entry(5, [documents("m")]))), observed(9, 0)]);
    assert_eq!(gone.action, LaneAction::Fetch { from: TaskUid(2) });
    // It is not held back: it may be there.
    let found = json!({ "uid": 7, "indexUid": "x", "customMetadata": "m" });
    let found = begun.on([
        LaneEvent::Fetched(Some(entry(4, [documents("m")]))),
        LaneEvent::Begun { holds: 0, is_held: true },
        LaneEvent::Prepared,
        read([found], 8),
        LaneEvent::Counted,
        LaneEvent::Stored,
        observed(9, 0),
    ]);
    assert_eq!(found.action, LaneAction::Fetch { from: TaskUid(2) });
}

#[test]
fn a_lane_that_does_not_know_what_is_in_flight_waits_for_what_is_held() {
    let held = Driven::begin(Some(7)).on([
        observed(9, 1),
        LaneEvent::Fetched(Some(entry(4, [documents("a")]))),
        LaneEvent::Begun { holds: 1, is_held: true },
    ]);
    assert_eq!((held.state(), held.lane.cursor(), &held.action), ("Idle", TaskUid(4), &LaneAction::Stand));
    assert_eq!(held.on([observed(9, 2)]).action, LaneAction::Fetch { from: TaskUid(4) });
}

#[test]
fn entries_that_a_node_has_from_before_are_passed_and_earlier_ones_than_asked_for_are_a_fault() {
    let start =
        LaneStart { cursor: TaskUid(3), received: [TaskUid(4)].into(), ahead: None, next_node_task: Some(7) };
    let passed = Driven::begin_at(start.clone()).with_entry(entry(4, [documents("a")]));
    assert_eq!((passed.lane.cursor(), &passed.action), (TaskUid(5), &LaneAction::Observe));
    let wrong = Driven::begin_at(start).with_entry(entry(2, [documents("a")]));
    assert!(matches!(wrong.action, LaneAction::End(LaneEnd::OutOfStep { .. })), "{wrong:?}");
}

#[test]
fn the_right_to_send_settings_is_held_from_the_first_look_until_the_number_is_counted() {
    let mut lane = Driven::begin(Some(7)).with_entry(entry(0, [settings()]));
    let mut held = Vec::new();
    for event in [
        LaneEvent::WaveOpen { skipped: None },
        LaneEvent::Prepared,
        read([], 7),
        read([], 7),
        LaneEvent::NotReached,
        LaneEvent::Paused,
        LaneEvent::RepairsListed(BTreeSet::new()),
        read([json!({ "uid": 7, "indexUid": "x", "type": "settingsUpdate" })], 8),
        LaneEvent::Counted,
    ] {
        held.push((lane.state(), lane.lane.needs_settings_right()));
        lane = lane.on([event]);
    }
    let needing: Vec<_> = held.iter().filter(|(_, needs)| *needs).map(|(state, _)| *state).collect();
    let expected =
        ["Replaying::First", "Replaying::Second", "Sending", "Recalling", "Replaying::First", "Counting"];
    assert_eq!(needing, expected);
    assert!(
        !received_one()
            .with_entry(entry(1, [documents("b")]))
            .on([LaneEvent::Prepared])
            .lane
            .needs_settings_right()
    );
}

#[test]
fn repairs_are_known_from_the_first_look_on_and_again_after_some_were_lost() {
    let task = |uid: u64| json!({ "uid": uid, "indexUid": "x", "type": "settingsUpdate" });
    let reading = Driven::begin(Some(7))
        .with_entry(entry(0, [settings()]))
        .on([LaneEvent::WaveOpen { skipped: None }, LaneEvent::Prepared]);
    // Number 7 may be a repair that an earlier process has sent; 8 can't be one of this process.
    let again = reading.on([read([task(7)], 8)]);
    assert_eq!(again.state(), "Replaying::Second");
    assert_eq!(
        again.clone().on([read([task(7), task(8)], 9)]).action,
        LaneAction::Count { number: 8, straggler: None }
    );
    let replay = Replay { tasks: [task(7), task(8)].into(), end: 9 };
    let unsure = again.on([LaneEvent::QueueRead { replay, repairs: BTreeSet::new(), some_lost: true }]);
    assert_eq!(unsure.action, LaneAction::Send { op: 0 });
}

#[test]
fn a_new_node_is_asked_where_its_queue_ends_until_it_says_so() {
    let refused = Driven::begin(None).on([LaneEvent::QueueNotTold("no".to_owned())]);
    let telling =
        LaneAction::TellRefusal { refusal: Refusal::QueueEnd, reason: "no".to_owned(), is_lasting: true };
    assert_eq!(refused.action, telling);
    // It is told once.
    let again = refused.on([LaneEvent::Told, LaneEvent::Paused, LaneEvent::QueueNotTold("no".to_owned())]);
    let pause = LaneAction::Pause { length: Duration::from_millis(100), until: PauseEnd::Time };
    assert_eq!(again.action, pause);
    let met = again.on([LaneEvent::Paused, LaneEvent::QueueEndsAt(4)]);
    assert_eq!(met.action, LaneAction::StoreMeeting { next_node_task: 4 });
    let told = met.on([LaneEvent::Stored]);
    assert_eq!(told.action, LaneAction::TellTaking);
    let begun = told.on([LaneEvent::Told]).with_entry(entry(0, [documents("a")])).on([LaneEvent::Prepared]);
    assert_eq!(begun.action, LaneAction::ReadQueue { after: Duration::ZERO, from: 4, counts_lost: false });
}
