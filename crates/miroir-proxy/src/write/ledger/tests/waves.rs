//! Whom a change of settings waits for, wave by wave.

use miroir_core::settings::{Broadcast, Canonical, NodeEvent, Strategy};

use super::*;

struct Rolling {
    bench: Bench,
    broadcast: Broadcast,
}

impl Rolling {
    /// A change of settings in these waves.
    fn new(waves: Vec<BTreeSet<NodeId>>) -> Self {
        let mut bench = Bench::new();
        bench.add(0, "x");
        let hash =
            Canonical::of_client(&bench.ledger.head.targets(&PhysicalUid::new("x"))[0].settings).hash();
        let what = (TaskUid(0), PhysicalUid::new("x"));
        let now = OffsetDateTime::UNIX_EPOCH;
        Self { bench, broadcast: Broadcast::begin(what, Strategy::TwoPhase, hash, waves, now) }
    }

    /// Whether it waits for work, and whether for nodes to be read back.
    fn waits(&mut self) -> (bool, bool) {
        let away = self.bench.away.borrow().clone();
        let is_reachable = |node: &NodeId| !away.contains(node);
        let (date, instant) = (OffsetDateTime::UNIX_EPOCH, self.bench.instant);
        let now = Now { is_reachable: &is_reachable, date, instant, max_lag: MAX_LAG };
        let ledger = &mut self.bench.ledger;
        let waits = (
            ledger.is_waiting_for_work(&self.broadcast, &now),
            ledger.is_waiting_for_reading(&self.broadcast, &now),
        );
        let awaits = waits.0 || waits.1 || !self.broadcast.is_open_for_all();
        self.bench.awaits.insert(TaskUid(0), awaits);
        waits
    }

    fn apply(&mut self, node: &NodeId) {
        self.bench.ledger.note(node, TaskUid(0), 0, done());
        self.broadcast.note(node, NodeEvent::Applied);
    }

    fn refuse(&mut self, node: &NodeId, code: ErrorCode) {
        self.bench.ledger.note(node, TaskUid(0), 0, failed(code));
        self.broadcast.note(node, NodeEvent::Refused);
    }

    fn is_refused(&self) -> bool {
        self.bench.ledger.is_refused(&self.broadcast)
    }

    fn verify(&mut self, node: &NodeId) {
        self.bench.ledger.tasks.note_verified(TaskUid(0), node);
        self.broadcast.note(node, NodeEvent::Verified);
    }
}

#[test]
fn a_wave_waits_for_those_that_answer_and_for_the_slow_only_so_long() {
    let mut rolling = Rolling::new(vec![[a(), b()].into()]);
    assert_eq!(rolling.waits(), (true, false));
    rolling.apply(&a());
    assert_eq!(rolling.waits(), (true, true));
    rolling.bench.away.borrow_mut().insert(b());
    assert_eq!(rolling.waits(), (false, true));
    rolling.bench.away.borrow_mut().clear();
    rolling.bench.instant += MAX_LAG;
    assert_eq!(rolling.waits(), (false, true), "b is late");
    rolling.bench.instant += MAX_LAG * 10;
    assert!(rolling.waits().1, "reading back ends by itself, so that everybody's verdict is heard");
    assert!(rolling.bench.ended().is_empty());
    rolling.verify(&a());
    assert_eq!(rolling.waits(), (false, false));
    assert_eq!(rolling.bench.settle().commit.nodes, [(b(), SyncState::Behind)]);
}

#[test]
fn a_later_wave_has_the_time_that_its_own_nodes_need() {
    let mut rolling = Rolling::new(vec![[a()].into(), [b()].into()]);
    rolling.waits();
    rolling.apply(&a());
    rolling.verify(&a());
    assert_eq!(rolling.waits(), (false, false));
    rolling.broadcast.open_next();
    assert!(rolling.waits().0);
    for _ in 0..10 {
        rolling.bench.instant += MAX_LAG * 4 / 5;
        rolling.bench.ledger.nodes.note_sign(&b(), rolling.bench.instant);
        assert!(rolling.waits().0, "it works on it, and nobody knows how long that takes");
        assert!(rolling.bench.ended().is_empty());
    }
    rolling.apply(&b());
    rolling.verify(&b());
    rolling.waits();
    let outcome = rolling.bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Succeeded)]);
    assert_eq!(outcome.commit.nodes, []);
}

#[test]
fn a_node_that_shows_no_sign_of_work_is_not_waited_for_though_it_is_the_only_one_of_its_wave() {
    let mut rolling = Rolling::new(vec![[a()].into(), [b()].into()]);
    assert!(rolling.waits().0);
    rolling.bench.instant += MAX_LAG;
    assert!(!rolling.waits().0);
    rolling.broadcast.open_next();
    rolling.apply(&b());
    rolling.verify(&b());
    assert_eq!(rolling.waits(), (false, false));
    let outcome = rolling.bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Succeeded)]);
    assert_eq!(outcome.commit.nodes, [(a(), SyncState::Behind)]);
}

#[test]
fn a_lane_that_stands_at_an_earlier_change_is_not_taken_for_a_node_that_does_nothing() {
    let mut rolling = Rolling::new(vec![[a()].into(), [b()].into()]);
    let broadcast = Broadcast { task: TaskUid(1), ..rolling.broadcast.clone() };
    rolling.bench.add(1, "x");
    rolling.broadcast = broadcast;
    rolling.bench.instant += MAX_LAG * 3;
    assert!(rolling.waits().0);
    rolling.bench.instant += MAX_LAG * 3;
    assert!(rolling.waits().0, "the first change is not done");
    rolling.bench.ledger.note(&a(), TaskUid(0), 0, done());
    assert!(!rolling.waits().0);
}

#[test]
fn a_change_is_refused_when_no_copy_of_some_shard_has_it_or_may_still_get_it() {
    let client = ErrorCode::InvalidVectorDimensions;
    let mut rolling = Rolling::new(vec![[a()].into(), [b()].into()]);
    assert!(!rolling.is_refused());
    rolling.refuse(&a(), client);
    assert!(!rolling.is_refused(), "the other copy is not asked yet");
    rolling.broadcast.open_next();
    assert!(rolling.is_refused(), "the other copy is away, or would be waited for");
    rolling.apply(&b());
    assert!(!rolling.is_refused(), "the other copy has it");
    let mut rolling = Rolling::new(vec![[a(), b()].into()]);
    rolling.refuse(&a(), ErrorCode::NoSpaceLeftOnDevice);
    assert!(!rolling.is_refused(), "a full disk says nothing of the change");
    rolling.refuse(&b(), client);
    assert!(rolling.is_refused());
    assert_eq!(rolling.bench.ledger.tasks.refusal(TaskUid(0)).unwrap().code, client);
    let mut rolling = Rolling::new(vec![[a(), b()].into()]);
    rolling.apply(&b());
    rolling.bench.ledger.nodes.lose(&b());
    rolling.refuse(&a(), client);
    assert!(rolling.is_refused(), "what a damaged node has counts for nothing");
}

#[test]
fn nobody_knows_what_a_node_has_that_was_not_read_back_before_the_next_change() {
    let mut rolling = Rolling::new(vec![[a(), b()].into()]);
    rolling.apply(&a());
    rolling.verify(&a());
    rolling.bench.away.borrow_mut().insert(b());
    rolling.waits();
    assert_eq!(rolling.bench.ended(), [0]);
    assert_eq!(rolling.bench.ledger.tasks.take_unread(), []);
    rolling.bench.add(1, "x");
    assert_eq!(rolling.bench.ledger.tasks.take_unread(), [(PhysicalUid::new("x"), b())]);
    assert_eq!(rolling.bench.ledger.tasks.take_unread(), []);
}

#[test]
fn a_node_that_comes_late_to_what_was_taken_back_and_rewrote_its_documents_is_damaged() {
    for (result, sync) in [(done(), SyncState::Damaged), (failed(ErrorCode::Internal), SyncState::InSync)] {
        let mut bench = Bench::new();
        bench.away.borrow_mut().insert(b());
        let patch = Map::from_iter([("embedders".to_owned(), json!({"m": {"source": "userProvided"}}))]);
        let (origin, missing_index) = (SettingsOrigin::Update, MissingIndex::Create);
        bench.write(0, "x", Mutation::Settings { patch, origin, missing_index });
        bench.note(&a(), 0, failed(ErrorCode::InvalidVectorDimensions));
        let error = bench.ledger.tasks.refusal(TaskUid(0)).unwrap();
        bench.take_back(TaskUid(0), error);
        assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Behind)]);
        bench.ledger.note(&b(), TaskUid(0), 0, result);
        bench.ledger.tasks.note_verified(TaskUid(0), &b());
        assert_eq!(bench.settle().commit.nodes, [(b(), sync)]);
    }
}
