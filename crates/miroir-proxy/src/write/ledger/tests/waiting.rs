//! What a task says of the nodes that it waits for.

use super::*;
use crate::write::ledger::{ShareState, WaitReason};

impl Bench {
    /// What the task says of `b`.
    fn said_of_b(&self, task: u64) -> (ShareState, bool, Option<Duration>, WaitReason) {
        let is_reachable = |node: &NodeId| !self.away.borrow().contains(node);
        let date = OffsetDateTime::UNIX_EPOCH;
        let now = Now { is_reachable: &is_reachable, date, instant: self.instant, max_lag: MAX_LAG };
        let said = self.ledger.task_on_nodes(TaskUid(task), &now);
        let b = said.into_iter().find(|it| it.node == b()).unwrap();
        let left = b.waited_for_until.map(|until| Duration::try_from(until - date).unwrap());
        (b.state, b.waited_for, left, b.reason)
    }

    fn clear(&mut self, uid: u64) {
        self.write(uid, "x", Mutation::DeleteDocuments { deletion: Deletion::All });
    }
}

#[test]
fn a_task_says_for_which_node_it_waits_and_how_long_or_why_it_does_not() {
    let mut bench = Bench::new();
    bench.clear(0);
    bench.settle();
    assert_eq!(bench.said_of_b(0), (ShareState::Open, true, None, WaitReason::NoCopyHasIt));
    bench.apply_on(&a(), [0]);
    bench.settle();
    assert_eq!(bench.said_of_b(0), (ShareState::Open, true, Some(MAX_LAG), WaitReason::InSync));
    bench.instant += MAX_LAG / 5;
    assert_eq!(bench.said_of_b(0), (ShareState::Open, true, Some(MAX_LAG * 4 / 5), WaitReason::InSync));
    bench.away.borrow_mut().insert(b());
    assert_eq!(bench.said_of_b(0), (ShareState::Open, false, None, WaitReason::Unreachable));
    bench.settle();
    assert_eq!(bench.said_of_b(0), (ShareState::Open, false, None, WaitReason::TaskEnded));
    bench.away.borrow_mut().clear();
    bench.settle();
    bench.instant += Duration::from_mins(1);
    bench.clear(1);
    bench.clear(2);
    bench.apply_on(&a(), [1]);
    assert_eq!(bench.ended(), [1]);
    assert_eq!(bench.said_of_b(2), (ShareState::Open, true, None, WaitReason::NoCopyHasIt));
    bench.apply_on(&a(), [2]);
    bench.apply_on(&b(), [0]);
    assert!(bench.ended().is_empty());
    let moment = Some(Duration::from_secs(1));
    assert_eq!(bench.said_of_b(2), (ShareState::Open, true, moment, WaitReason::NearlyCaughtUp));
}
