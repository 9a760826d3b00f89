use std::cell::RefCell;

use miroir_core::document::Existing;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::{GroupId, PhysicalUid, ShardCount};
use miroir_core::placement::ReplicationFactor;
use miroir_core::task::{
    Circumstances, Deletion, LogEntry, MissingIndex, Mutation, NewIndexPolicy, SettingsOrigin, ShardRules,
    judge,
};
use miroir_store::{Accepted, CatalogChange, NodeTask, Rebuilt, Relabelling};
use serde_json::{Map, json};

use super::fixture::Changes;
use super::*;

mod behind;
mod members;
mod patience;
mod rebuild;
mod waiting;
mod waves;

const MAX_LAG: Duration = Duration::from_secs(5);

/// Two nodes that both hold everything, and a clock.
struct Bench {
    ledger: Ledger,
    changes: Arc<Changes>,
    /// Changes of settings that were looked at, and whether they wait for nodes.
    awaits: BTreeMap<TaskUid, bool>,
    policy: NewIndexPolicy,
    away: RefCell<BTreeSet<NodeId>>,
    instant: Instant,
}

fn a() -> NodeId {
    NodeId::new("a")
}

fn b() -> NodeId {
    NodeId::new("b")
}

/// `b` has of these indexes what stands before the line.
fn copied<const N: usize>(indexes: [&str; N], line: u64) -> Copied {
    copied_to(b(), indexes, line)
}

fn copied_to<const N: usize>(node: NodeId, indexes: [&str; N], line: u64) -> Copied {
    let lines = indexes.map(|index| (PhysicalUid::new(index), TaskUid(line))).into();
    Copied { node, lines, next_node_task: 5 }
}

fn done() -> OpResult {
    OpResult::Done { deleted: None }
}

fn failed(code: ErrorCode) -> OpResult {
    OpResult::Failed(ResponseError::new(code, "no"))
}

impl Bench {
    fn new() -> Self {
        let policy = NewIndexPolicy {
            shards: ShardRules { default: ShardCount::new(2).unwrap(), patterns: Vec::new() },
            factor: ReplicationFactor::new(2).unwrap(),
            members: [(a(), GroupId(0)), (b(), GroupId(0))].into(),
        };
        let index = policy.entry(&IndexUid::new("x"), None, OffsetDateTime::UNIX_EPOCH).unwrap();
        let changes = Arc::new(Changes::default());
        let ledger = Ledger::new(
            vec![index],
            RuleBook::default(),
            [(a(), SyncState::InSync), (b(), SyncState::InSync)],
            changes.clone(),
        );
        Self {
            ledger,
            changes,
            awaits: BTreeMap::new(),
            policy,
            away: RefCell::default(),
            instant: Instant::now(),
        }
    }

    /// A settings change: one request to each node.
    fn add(&mut self, uid: u64, index: &str) {
        let patch = Map::from_iter([("stopWords".to_owned(), json!([uid.to_string()]))]);
        let mutation =
            Mutation::Settings { patch, origin: SettingsOrigin::Update, missing_index: MissingIndex::Create };
        self.write(uid, index, mutation);
    }

    fn write(&mut self, uid: u64, index: &str, mutation: Mutation) {
        let index_uid = IndexUid::new(index);
        let now = OffsetDateTime::UNIX_EPOCH;
        let entry = LogEntry { uid: TaskUid(uid), index_uid: index_uid.clone(), mutation, enqueued_at: now };
        let known = self.ledger.head.index(&index_uid, std::iter::empty(), now);
        let readable = BTreeSet::new();
        let circumstances = Circumstances {
            index: known.as_ref(),
            documents: 0,
            existing: Existing::Unknown,
            readable: &readable,
            policy: &self.policy,
            now,
        };
        let decision = judge(&entry, None, circumstances).unwrap().decision;
        self.ledger.add(&Arc::new(Decided { entry, decision }), None);
    }

    fn note(&mut self, node: &NodeId, uid: u64, result: OpResult) {
        self.ledger.note(node, TaskUid(uid), 0, result);
        self.ledger.tasks.note_verified(TaskUid(uid), node);
    }

    fn apply(&mut self, uid: u64) {
        for node in [a(), b()] {
            self.ledger.note(&node, TaskUid(uid), 0, done());
        }
    }

    /// The node has done these, and nobody has to read it back.
    fn apply_on<const N: usize>(&mut self, node: &NodeId, tasks: [u64; N]) {
        for task in tasks {
            // No task here has more requests to a node.
            for op in 0..3 {
                self.ledger.note(node, TaskUid(task), op, done());
            }
            self.ledger.tasks.note_verified(TaskUid(task), node);
        }
    }

    fn settle(&mut self) -> Outcome {
        let is_reachable = |node: &NodeId| !self.away.borrow().contains(node);
        let now = Now {
            is_reachable: &is_reachable,
            date: OffsetDateTime::UNIX_EPOCH,
            instant: self.instant,
            max_lag: MAX_LAG,
        };
        self.ledger.settle(&now, &self.awaits)
    }

    /// A change of settings is taken back.
    fn take_back(&mut self, task: TaskUid, error: ResponseError) {
        self.changes.all().held.remove(&task);
        self.changes.all().taken_back.insert(task, error);
        self.ledger.tasks.note_taken_back(task);
    }

    /// The tasks that end now.
    fn ended(&mut self) -> Vec<u64> {
        self.settle().ended.into_iter().map(|(task, _)| task.0).collect()
    }
}

#[test]
fn a_task_ends_when_every_node_in_sync_has_done_its_share() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    assert!(bench.ended().is_empty());
    bench.note(&a(), 0, done());
    assert!(bench.ended().is_empty());
    bench.note(&b(), 0, done());
    let outcome = bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Succeeded)]);
    assert_eq!(outcome.commit.forgotten, [TaskUid(0)]);
    assert!(outcome.commit.nodes.is_empty());
    assert!(bench.settle().commit.is_empty());
}

#[test]
fn tasks_of_one_index_end_in_the_order_of_the_log() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.add(1, "x");
    for node in [a(), b()] {
        bench.note(&node, 1, done());
    }
    assert!(bench.ended().is_empty());
    for node in [a(), b()] {
        bench.note(&node, 0, done());
    }
    let outcome = bench.settle();
    assert_eq!(outcome.ended.iter().map(|(task, _)| task.0).collect::<Vec<_>>(), [0, 1]);
    let Some(CatalogChange::Put(index)) = outcome.commit.catalog.last() else { panic!("{outcome:?}") };
    assert_eq!(index.settings.get("stopWords"), Some(&json!(["1"])));
}

#[test]
fn earlier_tasks_follow_an_index_to_its_new_name() {
    let mut bench = Bench::new();
    let (old_uid, new_uid) = (IndexUid::new("x"), IndexUid::new("y"));
    let rename =
        Mutation::RenameIndex { old_uid: old_uid.clone(), new_uid: new_uid.clone(), primary_key: None };
    bench.write(7, "x", rename);
    let outcome = bench.settle();
    assert_eq!(
        outcome.commit.relabelled,
        [Relabelling { before: TaskUid(7), pair: (old_uid.clone(), new_uid.clone()) }]
    );
    assert!(bench.ledger.head.has_index(&new_uid) && !bench.ledger.head.has_index(&old_uid));
}

#[test]
fn the_end_of_the_log_shows_what_is_decided_and_drops_what_failed() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    let index = IndexUid::new("x");
    let stop_words = |bench: &Bench| {
        let head = bench.ledger.head.index(&index, std::iter::empty(), OffsetDateTime::UNIX_EPOCH).unwrap();
        head.settings.get("stopWords").cloned()
    };
    assert_eq!(stop_words(&bench), Some(json!(["0"])));
    for node in [a(), b()] {
        bench.note(&node, 0, failed(ErrorCode::InvalidSettingsStopWords));
    }
    assert_eq!(bench.settle().ended, [(TaskUid(0), TaskStatus::Failed)]);
    assert_eq!(stop_words(&bench), None);
}

#[test]
fn a_node_that_is_away_is_left_behind_and_returns_when_it_owes_nothing() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    for uid in 0..2 {
        bench.add(uid, "x");
        bench.note(&a(), uid, done());
    }
    let outcome = bench.settle();
    assert_eq!(outcome.ended.len(), 2);
    assert_eq!(outcome.commit.nodes, [(b(), SyncState::Behind)]);
    assert!(outcome.commit.forgotten.is_empty());
    bench.away.borrow_mut().clear();
    bench.note(&b(), 0, done());
    let outcome = bench.settle();
    assert_eq!((outcome.commit.forgotten, outcome.commit.nodes), (vec![TaskUid(0)], vec![]));
    bench.note(&b(), 1, done());
    let outcome = bench.settle();
    assert_eq!(
        (outcome.commit.forgotten, outcome.commit.nodes),
        (vec![TaskUid(1)], vec![(b(), SyncState::InSync)])
    );
}

#[test]
fn nothing_ends_while_nobody_has_done_it_however_many_are_away() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().extend([a(), b()]);
    bench.add(0, "x");
    bench.instant += MAX_LAG * 10;
    assert!(bench.settle().commit.is_empty());
    bench.note(&b(), 0, done());
    assert_eq!(bench.settle().commit.nodes, [(a(), SyncState::Behind)]);
}

#[test]
fn a_slow_node_is_waited_for_only_so_long() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    assert!(bench.ended().is_empty());
    bench.instant += MAX_LAG / 2;
    assert!(bench.ended().is_empty());
    bench.instant += MAX_LAG;
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Behind)]);
}

#[test]
fn a_node_that_fails_alone_is_damaged_at_once_or_when_it_comes_to_it_late() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    bench.note(&b(), 0, failed(ErrorCode::NoSpaceLeftOnDevice));
    let outcome = bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Succeeded)]);
    assert_eq!(outcome.commit.nodes, [(b(), SyncState::Damaged)]);

    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    bench.settle();
    bench.note(&b(), 0, failed(ErrorCode::NoSpaceLeftOnDevice));
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Damaged)]);
}

#[test]
fn a_replica_that_breaks_decides_nothing_while_another_may_still_take_the_write() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, failed(ErrorCode::NoSpaceLeftOnDevice));
    bench.instant += MAX_LAG * 10;
    assert!(bench.settle().commit.is_empty());
    bench.note(&b(), 0, done());
    let outcome = bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Succeeded)]);
    assert_eq!(outcome.commit.nodes, [(a(), SyncState::Damaged)]);
}

#[test]
fn a_task_that_no_replica_can_take_fails_and_leaves_everybody_in_sync() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    for node in [a(), b()] {
        bench.note(&node, 0, failed(ErrorCode::NoSpaceLeftOnDevice));
    }
    let outcome = bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Failed)]);
    assert!(outcome.commit.nodes.is_empty());
}

#[test]
fn a_node_that_does_late_what_has_failed_on_its_peers_is_damaged() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, failed(ErrorCode::InvalidSettingsStopWords));
    let outcome = bench.settle();
    assert_eq!(outcome.ended, [(TaskUid(0), TaskStatus::Failed)]);
    assert_eq!(outcome.commit.nodes, [(b(), SyncState::Behind)]);
    bench.note(&b(), 0, done());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Damaged)]);
}

#[test]
fn a_rebuilt_node_owes_only_what_stands_after_its_cursor_and_that_from_the_beginning() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    for uid in 0..3 {
        bench.add(uid, "x");
        bench.note(&a(), uid, done());
    }
    bench.settle();
    bench.ledger.nodes.lose(&b());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Damaged)]);
    bench.note(&b(), 2, done());
    assert_eq!(bench.ledger.begin_anew(&copied(["x"], 1)).1, [TaskUid(0)]);
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Behind)]);
    assert!(!bench.ledger.tasks.has_done_before(&b(), TaskUid(2)));
    bench.note(&b(), 1, done());
    assert_eq!(bench.settle().commit.forgotten, [TaskUid(1)]);
    bench.note(&b(), 2, done());
    let outcome = bench.settle();
    assert_eq!(
        (outcome.commit.forgotten, outcome.commit.nodes),
        (vec![TaskUid(2)], vec![(b(), SyncState::InSync)])
    );
}

#[test]
fn settings_count_on_a_node_when_it_was_read_back_and_a_refusal_needs_no_reading() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.apply(0);
    assert_eq!(bench.ledger.tasks.rollout_news(TaskUid(0)).applied, [a(), b()]);
    assert!(bench.ended().is_empty());
    bench.ledger.tasks.note_verified(TaskUid(0), &a());
    assert!(bench.ended().is_empty());
    assert_eq!(bench.ledger.tasks.rollout_news(TaskUid(0)).applied, [b()]);
    bench.ledger.tasks.note_verified(TaskUid(0), &b());
    assert_eq!(bench.ended(), [0]);
    bench.add(1, "x");
    for node in [a(), b()] {
        bench.ledger.note(&node, TaskUid(1), 0, failed(ErrorCode::InvalidSettingsEmbedders));
    }
    assert_eq!(bench.ledger.tasks.rollout_news(TaskUid(1)).refused, [a(), b()]);
    assert_eq!(bench.settle().ended, [(TaskUid(1), TaskStatus::Failed)]);
}

#[test]
fn a_node_that_missed_several_changes_is_read_back_once_after_the_last_one() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    assert_eq!(bench.ended(), [0]);
    bench.add(1, "x");
    bench.note(&a(), 1, done());
    assert_eq!(bench.ended(), [1]);
    bench.ledger.note(&b(), TaskUid(0), 0, done());
    assert_eq!(bench.settle().commit.forgotten, [TaskUid(0)]);
    bench.ledger.note(&b(), TaskUid(1), 0, done());
    assert_eq!(bench.settle().commit.nodes, []);
    bench.ledger.tasks.note_verified(TaskUid(1), &b());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::InSync)]);
}

#[test]
fn a_change_that_is_held_does_not_end_and_one_that_is_taken_back_leaves_the_catalog_alone() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.changes.all().held.insert(TaskUid(0));
    bench.note(&a(), 0, done());
    bench.note(&b(), 0, done());
    assert!(bench.ended().is_empty());
    let error = ResponseError::new(ErrorCode::Internal, "taken back");
    bench.take_back(TaskUid(0), error.clone());
    assert!(bench.ended().is_empty(), "nodes have to be read back again");
    let index = PhysicalUid::new("x");
    assert_eq!(bench.ledger.head.targets(&index)[0].settings.get("stopWords"), None);
    bench.ledger.tasks.note_verified(TaskUid(0), &a());
    bench.ledger.tasks.note_verified(TaskUid(0), &b());
    let outcome = bench.settle();
    assert_eq!(outcome.commit.settled[0].error.as_ref(), Some(&error));
    assert_eq!(outcome.commit.catalog, []);
}

#[test]
fn a_node_that_comes_late_to_what_was_taken_back_is_read_back_and_not_damaged() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, failed(ErrorCode::InvalidSettingsEmbedders));
    let error = bench.ledger.tasks.refusal(TaskUid(0)).unwrap();
    assert_eq!(error.code, ErrorCode::InvalidSettingsEmbedders);
    bench.take_back(TaskUid(0), error.clone());
    let outcome = bench.settle();
    assert_eq!(outcome.commit.settled[0].error.as_ref(), Some(&error));
    assert_eq!(outcome.commit.nodes, [(b(), SyncState::Behind)], "who refused has what it should have");
    bench.away.borrow_mut().clear();
    bench.ledger.note(&b(), TaskUid(0), 0, done());
    assert_eq!(bench.settle().commit.nodes, [], "it has what was taken back");
    bench.ledger.tasks.note_verified(TaskUid(0), &b());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::InSync)]);
}

#[test]
fn a_node_whose_data_were_copied_anew_is_waited_for_again_though_it_took_no_writes_before() {
    let mut bench = Bench::new();
    bench.ledger.nodes.note_taking(&b(), false);
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    assert_eq!(bench.ended(), [0], "nobody waits for a node that takes no writes");
    bench.ledger.nodes.lose(&b());
    bench.ledger.begin_anew(&copied(["x"], 1));
    bench.settle();
    bench.add(1, "x");
    bench.note(&a(), 1, done());
    assert!(bench.ended().is_empty());
    bench.note(&b(), 1, done());
    assert_eq!(bench.ended(), [1]);
}

#[test]
fn a_node_that_is_taken_as_it_is_does_again_what_it_had_not_finished_and_nothing_else() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.add(1, "x");
    bench.add(2, "new");
    bench.ledger.nodes.lose(&b());
    bench.apply_on(&b(), [0, 2]);
    let of =
        |task, node, result| NodeTask { node, task: TaskUid(task), op: 0, node_task: Some(task), result };
    let received = [of(0, b(), Some(done())), of(1, b(), None), of(2, b(), Some(done())), of(0, a(), None)];
    let again = bench.ledger.to_do_again(&b(), &received);
    assert_eq!(again, BTreeSet::from([TaskUid(1), TaskUid(2)]), "nobody sees yet that `new` was created");
    bench.ledger.accept(&Accepted { node: b(), cursor: TaskUid(1), next_node_task: 0, again });
    bench.apply_on(&a(), [0, 1, 2]);
    assert_eq!(bench.ended(), [0], "what it had finished counts");
    bench.apply_on(&b(), [1, 2]);
    assert_eq!(bench.ended(), [2, 1]);
    assert_eq!(bench.ledger.progress()[&b()].sync, SyncState::InSync);
}

#[test]
fn a_node_that_has_everything_again_owes_what_it_owed() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    bench.add(0, "x");
    bench.note(&a(), 0, done());
    assert_eq!(bench.ended(), [0]);
    bench.ledger.nodes.lose(&b());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Damaged)]);
    bench.ledger.nodes.take_back_in(&b());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::Behind)]);
    bench.note(&b(), 0, done());
    assert_eq!(bench.settle().commit.nodes, [(b(), SyncState::InSync)]);
}

#[test]
fn a_node_must_have_the_indexes_that_it_holds_but_for_those_that_it_owes_or_that_are_going() {
    let mut bench = Bench::new();
    let x = BTreeSet::from([PhysicalUid::new("x")]);
    assert_eq!(bench.ledger.must_have(&b()), x);
    bench.add(0, "x");
    assert_eq!(bench.ledger.must_have(&b()), x);
    bench.away.borrow_mut().insert(b());
    bench.note(&a(), 0, done());
    assert_eq!(bench.ended(), [0]);
    assert_eq!((bench.ledger.must_have(&b()).len(), bench.ledger.must_have(&a())), (0, x));
    bench.write(1, "x", Mutation::DeleteIndex);
    assert!(bench.ledger.must_have(&a()).is_empty());
}
