//! What a lane keeps to however things go: a node that loses answers, processes that stop, indexes that are
//! held and let go.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::walk::{events, is_state};
use super::*;

/// The number that the node's next task gets at first: it has had others.
const FIRST: u64 = 7;

/// What a request of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Documents,
    Settings,
}

/// A log, a node and a store around a lane.
#[derive(Debug)]
struct World {
    log: Vec<Vec<Kind>>,
    /// Which indexes are held, and from which entry on.
    held: BTreeMap<&'static str, u64>,
    /// How often that has changed.
    holds: u64,
    /// Entries before this one may have been begun.
    begun: u64,
    /// What the node's queue holds, from [`FIRST`] on, and what of the log it is for.
    queue: Vec<(Value, (u64, usize))>,
    stored_cursor: TaskUid,
    stored_ahead: Option<TaskUid>,
    stored: BTreeMap<(u64, usize), Taken>,
    counted: u64,
    now: Duration,
    driven: Driven,
    /// The entry under way.
    fetched: u64,
    /// Whether its index was held when it was begun, and it was not in flight before.
    is_held: bool,
    /// What was sent last may have arrived, and the queue was not read since.
    is_unknown: bool,
}

impl World {
    fn new(log: Vec<Vec<Kind>>) -> Self {
        let driven = Driven::begin(Some(FIRST));
        Self {
            log,
            held: BTreeMap::new(),
            holds: 0,
            begun: 0,
            queue: Vec::new(),
            stored_cursor: TaskUid(0),
            stored_ahead: None,
            stored: BTreeMap::new(),
            counted: FIRST,
            now: Duration::ZERO,
            driven,
            fetched: 0,
            is_held: false,
            is_unknown: true,
        }
    }

    /// The process stops, and another one begins with what is stored.
    fn crash(&mut self) {
        let stored = self.stored.values().filter_map(|taken| match taken {
            Taken::Enqueued(number) => Some(number + 1),
            Taken::Refused(_) => None,
        });
        self.counted = stored.max().unwrap_or(FIRST);
        let received = self.stored.keys().map(|(entry, _)| TaskUid(*entry));
        let start = LaneStart {
            cursor: self.stored_cursor,
            received: received.filter(|entry| *entry >= self.stored_cursor).collect(),
            ahead: self.stored_ahead,
            next_node_task: Some(self.counted),
        };
        self.driven = Driven::begin_at(start);
        self.begun = self.begun.max(self.stored_ahead.map_or(0, |ahead| ahead.0 + 1));
        self.held.clear();
        (self.now, self.is_unknown) = (Duration::ZERO, true);
    }

    /// Does what the lane wants; `choice` says how it goes, 0 that it goes well.
    fn step(&mut self, choice: u8) {
        self.now += Duration::from_millis(u64::from(choice % 8));
        let before = self.driven.lane.cursor();
        let event = self.act(choice);
        let (lane, action) = self.driven.lane.clone().next(event, self.now);
        assert!(lane.cursor() >= before, "the cursor went back");
        assert!(is_state(lane.state.name()), "{} is not walked", lane.state.name());
        assert!(!matches!(action, LaneAction::End(_)), "{action:?} after {:?}", self.driven);
        self.driven = Driven { lane, action };
    }

    fn act(&mut self, choice: u8) -> LaneEvent {
        let observed = observed(self.log.len() as u64, self.holds);
        match self.driven.action.clone() {
            LaneAction::Observe => observed,
            LaneAction::Stand => {
                self.assert_stored_before(self.driven.lane.cursor());
                observed
            }
            LaneAction::Fetch { from } => {
                self.fetched = from.0;
                let requests = self.log[usize::try_from(from.0).unwrap()].iter().enumerate();
                let requests = requests.map(|(op, kind)| request(*kind, from.0, op)).collect();
                LaneEvent::Fetched(Some(LaneEntry { uid: from, requests }))
            }
            LaneAction::Begin { entry } => {
                assert_eq!(entry, TaskUid(self.fetched));
                self.begun = self.begun.max(entry.0 + 1);
                let is_held = self.held.get(index_of(entry.0)).is_some_and(|from| entry.0 >= *from);
                self.is_held = is_held && self.stored_ahead != Some(entry);
                LaneEvent::Begun { holds: self.holds, is_held }
            }
            LaneAction::LookAtWave { .. } if choice % 3 == 1 => LaneEvent::WaveClosed,
            // What was taken back once stays so.
            LaneAction::LookAtWave { entry } | LaneAction::AwaitWave { entry } => {
                LaneEvent::WaveOpen { skipped: (entry.0 % 5 == 4).then(error) }
            }
            LaneAction::Prepare { .. } => LaneEvent::Prepared,
            LaneAction::ListRepairs => LaneEvent::RepairsListed(BTreeSet::new()),
            LaneAction::ReadQueue { from, .. } => self.read_queue(from, choice),
            LaneAction::Send { op } => self.send(op, choice),
            LaneAction::Count { number, .. } => {
                assert!(number >= self.counted, "numbers of a queue only grow");
                self.counted = number + 1;
                LaneEvent::Counted
            }
            LaneAction::TellTaking | LaneAction::TellRefusal { .. } => LaneEvent::Told,
            LaneAction::Store { cursor, receipts, ahead } => {
                assert!(cursor >= self.stored_cursor, "the stored cursor went back");
                for Receipt { entry, op, taken } in receipts {
                    let is_whole = entry < cursor || self.stored_ahead == Some(entry);
                    assert!(is_whole, "part of an entry that is not delivered was stored");
                    assert_eq!(self.stored.insert((entry.0, op), taken), None, "stored twice");
                }
                (self.stored_cursor, self.stored_ahead) = (cursor, ahead);
                self.assert_stored_before(cursor);
                LaneEvent::Stored
            }
            LaneAction::Pause { .. } if choice % 4 == 3 => LaneEvent::NodeReturned,
            LaneAction::Pause { .. } => LaneEvent::Paused,
            action @ (LaneAction::AskQueueEnd | LaneAction::StoreMeeting { .. } | LaneAction::End(_)) => {
                panic!("{action:?}")
            }
        }
    }

    fn read_queue(&mut self, from: u64, choice: u8) -> LaneEvent {
        assert_eq!(from, self.counted);
        match choice % 5 {
            1 => return LaneEvent::AnswerLost,
            2 => return LaneEvent::NotReached,
            3 => return LaneEvent::QueueNotTold("no".to_owned()),
            _ => {}
        }
        self.is_unknown = false;
        let tasks = self.queue.iter().map(|(task, _)| task.clone());
        read(tasks.filter(|task| task["uid"].as_u64() >= Some(from)), FIRST + self.queue.len() as u64)
    }

    fn send(&mut self, op: usize, choice: u8) -> LaneEvent {
        assert!(!self.is_unknown, "sent without a look");
        assert!(!self.is_held, "sent though its index is held");
        let of = (self.fetched, op);
        assert!(!self.stored.contains_key(&of), "sent again though it is received and stored");
        // What a node refuses for good it refuses again. Settings are not: a refusal leaves no trace in a queue, where the
        // next change of settings would be taken for them after a crash.
        let is_marked = self.log[usize::try_from(of.0).unwrap()][of.1] == Kind::Documents;
        let is_refused = is_marked && (3 * of.0 + of.1 as u64) % 5 == 4;
        match choice % 7 {
            1 | 2 => {
                self.is_unknown = true;
                if choice % 7 == 1 && !is_refused {
                    self.enqueue(of);
                }
                LaneEvent::AnswerLost
            }
            3 => LaneEvent::NotReached,
            4 => not_now(),
            _ if is_refused => LaneEvent::Answered(NodeAnswer::Final(Taken::Refused(error()))),
            _ => enqueued(self.enqueue(of)),
        }
    }

    fn enqueue(&mut self, of: (u64, usize)) -> u64 {
        let number = FIRST + self.queue.len() as u64;
        let kind = self.log[usize::try_from(of.0).unwrap()][of.1];
        let task = match kind {
            Kind::Documents => {
                json!({ "uid": number, "indexUid": index_of(of.0), "customMetadata": mark("log", TaskUid(of.0), of.1) })
            }
            Kind::Settings => json!({ "uid": number, "indexUid": index_of(of.0), "type": "settingsUpdate" }),
        };
        // A change of settings may come again, with those that follow it, but never behind documents that follow it.
        for (task, before) in &self.queue {
            let is_harmless = kind == Kind::Settings && task["type"] == "settingsUpdate";
            let is_other = *before != of && index_of(before.0) != index_of(of.0);
            assert!(*before < of || is_other || is_harmless, "{of:?} came twice, or behind {before:?}");
        }
        self.queue.push((task, of));
        number
    }

    /// A cursor never passes what was not received and stored.
    fn assert_stored_before(&self, cursor: TaskUid) {
        for (uid, requests) in self.log.iter().enumerate().take(usize::try_from(cursor.0).unwrap()) {
            for op in 0..requests.len() {
                assert!(self.stored.contains_key(&(uid as u64, op)), "request {op} of {uid} is not stored");
            }
        }
    }

    /// Holds an index from some entry on that no lane has begun.
    fn hold(&mut self, choice: u8) {
        let from = self.begun + u64::from(choice % 3);
        self.held.insert(index_of(u64::from(choice)), from);
        self.holds += 1;
    }

    fn let_go(&mut self) {
        self.held.clear();
        self.holds += 1;
    }

    /// From now on all goes well: the lane delivers everything, and stands.
    fn finish(&mut self) {
        self.let_go();
        let end = TaskUid(self.log.len() as u64);
        for _ in 0..60 * (self.log.len() + 1) {
            if self.driven.state() == "Idle" && self.driven.lane.cursor() == end {
                break;
            }
            self.step(0);
        }
        assert_eq!(self.driven.action, LaneAction::Stand);
        assert_eq!(self.driven.lane.cursor(), end);
        self.assert_stored_before(end);
        for (of, taken) in &self.stored {
            let Taken::Enqueued(number) = taken else { continue };
            let (task, there) = &self.queue[usize::try_from(number - FIRST).unwrap()];
            let is_settings = task["type"] == "settingsUpdate";
            assert!(there == of || is_settings, "number {number} is the number of {there:?}, not of {of:?}");
        }
    }
}

fn request(kind: Kind, entry: u64, op: usize) -> LaneRequest {
    let request = match kind {
        Kind::Documents => documents(&mark("log", TaskUid(entry), op)),
        Kind::Settings => settings(),
    };
    LaneRequest { index: PhysicalUid::new(index_of(entry)), ..request }
}

/// The index that an entry is about.
const fn index_of(entry: u64) -> &'static str {
    if entry % 3 == 1 { "y" } else { "x" }
}

fn log() -> impl Strategy<Value = Vec<Vec<Kind>>> {
    let kind = prop_oneof![4 => Just(Kind::Documents), 1 => Just(Kind::Settings)];
    vec(vec(kind, 0..3), 1..8)
}

proptest! {
    #[test]
    fn whatever_fails_all_is_delivered_in_order_and_stored_and_nothing_twice_or_while_it_is_held(
        log in log(),
        choices in vec((0_u8..12, any::<u8>()), 0..200),
    ) {
        let mut world = World::new(log);
        for (kind, choice) in choices {
            match kind {
                0 => world.crash(),
                1 => world.hold(choice),
                2 => world.let_go(),
                // Well, more often than not.
                3..7 => world.step(0),
                _ => world.step(choice),
            }
        }
        world.finish();
    }

    #[test]
    fn a_lane_has_an_action_whatever_it_is_told_and_stays_at_its_end(
        chosen in vec(any::<prop::sample::Index>(), 0..40),
        is_new in any::<bool>(),
    ) {
        let events = events();
        let mut driven = Driven::begin((!is_new).then_some(FIRST));
        for index in chosen {
            let (_, event) = index.get(&events).clone();
            let before = driven.clone();
            driven = driven.on([event]);
            prop_assert!(driven.lane.cursor() >= before.lane.cursor());
            let is_over = driven.state() == "Over";
            prop_assert_eq!(is_over, matches!(driven.action, LaneAction::End(_)));
            if matches!(before.action, LaneAction::End(_)) {
                prop_assert_eq!(driven.action.clone(), before.action);
            }
        }
    }
}
