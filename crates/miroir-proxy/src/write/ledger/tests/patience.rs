//! Who is waited for, and how often.

use super::*;

impl Bench {
    /// Another task, which `a` has done.
    fn add_done(&mut self, uid: u64, index: &str) {
        self.add(uid, index);
        self.apply_on(&a(), [uid]);
    }

    /// As many tasks, one after the other, each ended when this returns; how long each took.
    fn waits<const N: usize>(&mut self, tasks: [u64; N], index: &str) -> [Duration; N] {
        tasks.map(|task| {
            self.add_done(task, index);
            let began = self.instant;
            while self.ended() != [task] {
                assert!(self.instant < began + MAX_LAG * 3, "task {task} does not end");
                self.instant += Duration::from_millis(100);
            }
            self.instant - began
        })
    }
}

#[test]
fn only_the_first_task_waits_for_a_node_that_hangs_whatever_index_the_others_are_about() {
    let mut bench = Bench::new();
    assert_eq!(bench.waits([0], "x"), [MAX_LAG]);
    assert_eq!(bench.waits([1, 2, 3], "x"), [Duration::ZERO; 3]);
    assert_eq!(bench.waits([4, 5], "y"), [Duration::ZERO; 2]);
}

#[test]
fn tasks_that_wait_together_end_together_when_the_first_of_them_has_waited_enough() {
    let mut bench = Bench::new();
    bench.add_done(0, "x");
    assert!(bench.ended().is_empty());
    bench.instant += MAX_LAG.saturating_sub(Duration::from_millis(100));
    bench.add_done(1, "y");
    assert!(bench.ended().is_empty());
    bench.instant += Duration::from_millis(200);
    assert_eq!(bench.ended(), [0, 1]);
}

#[test]
fn a_node_that_owes_nothing_any_more_is_waited_for_again() {
    let mut bench = Bench::new();
    assert_eq!(bench.waits([0], "x"), [MAX_LAG]);
    bench.note(&b(), 0, done());
    bench.add_done(1, "x");
    let outcome = bench.settle();
    assert_eq!((outcome.ended, outcome.commit.nodes), (vec![], vec![(b(), SyncState::InSync)]));
    bench.note(&b(), 1, done());
    assert_eq!(bench.ended(), [1]);
}

#[test]
fn tasks_wait_together_for_a_node_that_nearly_caught_up_and_no_longer_than_a_moment() {
    let mut bench = Bench::new();
    bench.waits([0, 1, 2], "x");
    bench.note(&b(), 0, done());
    let waits = bench.waits([3, 4, 5], "x");
    assert_eq!(waits.iter().sum::<Duration>(), Duration::from_millis(500), "{waits:?}");
    // It moves on, and no task waits: the pause is not over.
    bench.note(&b(), 1, done());
    assert_eq!(bench.waits([6], "x"), [Duration::ZERO]);
}

#[test]
fn a_node_that_catches_up_in_its_moment_is_in_sync_while_writes_go_on() {
    let mut bench = Bench::new();
    bench.waits([0, 1], "x");
    bench.note(&b(), 0, done());
    bench.add_done(2, "x");
    assert!(bench.ended().is_empty());
    bench.note(&b(), 1, done());
    let outcome = bench.settle();
    assert_eq!((outcome.ended, outcome.commit.nodes), (vec![], vec![(b(), SyncState::InSync)]));
}

#[test]
fn waiting_for_a_node_that_is_always_a_little_late_takes_little_of_the_time() {
    let mut bench = Bench::new();
    let mut waited = bench.waits([0, 1], "x").iter().sum::<Duration>();
    assert_eq!(waited, MAX_LAG);
    let began = bench.instant;
    for task in 2..2000 {
        bench.note(&b(), task - 2, done());
        waited += bench.waits([task], "x")[0];
        bench.instant += Duration::from_millis(200);
    }
    let (waited, whole) = (waited.saturating_sub(MAX_LAG), bench.instant - began);
    assert!(waited > Duration::from_secs(10) && waited * 8 < whole, "{waited:?} of {whole:?}");
}

#[test]
fn tasks_wait_a_moment_for_a_node_that_answers_again() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    assert_eq!(bench.waits([0, 1], "x"), [Duration::ZERO; 2]);
    bench.away.borrow_mut().clear();
    let waits = bench.waits([2, 3], "x");
    assert_eq!(waits, [Duration::from_millis(500), Duration::ZERO]);
}

#[test]
fn a_moment_is_as_long_as_two_tasks_take() {
    let mut bench = Bench::new();
    bench.waits([0, 1], "x");
    bench.add(2, "x");
    assert!(bench.ended().is_empty());
    bench.instant += MAX_LAG / 5;
    bench.apply_on(&a(), [2]);
    assert_eq!(bench.ended(), [2]);
    bench.note(&b(), 0, done());
    assert_eq!(bench.waits([3], "x"), [MAX_LAG * 2 / 5]);
}

#[test]
fn nobody_waits_for_a_node_that_owes_much_however_fast_it_moves() {
    let mut bench = Bench::new();
    bench.waits([0], "x");
    for task in 1..40 {
        bench.add_done(task, "x");
    }
    assert_eq!(bench.ended().len(), 39);
    for task in 0..20 {
        bench.note(&b(), task, done());
    }
    assert_eq!(bench.waits([40], "x"), [Duration::ZERO]);
}
