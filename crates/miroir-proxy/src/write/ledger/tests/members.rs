//! Nodes that come and go.

use miroir_core::rules::{RULES_UID, RuleChange, RuleUpdate};
use miroir_core::task::judge_rules;

use super::*;

fn c() -> NodeId {
    NodeId::new("c")
}

impl Bench {
    /// A dynamic search rule, for these nodes.
    fn rule(&mut self, uid: u64, nodes: &[NodeId]) {
        let change = RuleChange::Put { uid: "rule".to_owned(), update: RuleUpdate::new(&Map::new()) };
        let members = nodes.iter().map(|node| (node.clone(), GroupId(0))).collect();
        let decision = judge_rules(&change, &members, str::to_owned).unwrap().decision;
        let (index_uid, enqueued_at) = (IndexUid::new("rules"), OffsetDateTime::UNIX_EPOCH);
        let entry =
            LogEntry { uid: TaskUid(uid), index_uid, mutation: Mutation::Rules { change }, enqueued_at };
        self.ledger.add(&Arc::new(Decided { entry, decision }), None);
    }
}

#[test]
fn a_node_holds_an_index_as_soon_as_that_is_decided_and_until_it_is_gone() {
    let mut bench = Bench::new();
    let held = |bench: &Bench| bench.ledger.head.held_by(&b()).map(|index| index.to_string());
    assert_eq!(held(&bench).as_deref(), Some("x"));
    bench.write(0, "x", Mutation::DeleteIndex);
    assert_eq!(held(&bench).as_deref(), Some("x"));
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    assert_eq!(bench.ended(), [0]);
    assert_eq!(held(&bench), None);
    bench.rule(1, &[a(), b()]);
    assert_eq!(held(&bench), None, "every node has the rules");
    bench.write(2, "y", Mutation::CreateIndex { primary_key: None });
    assert_eq!(held(&bench).as_deref(), Some("y"));
    assert_eq!(bench.ledger.head.held_by(&c()), None);
}

#[test]
fn a_node_that_comes_is_damaged_until_it_is_like_the_others_and_owes_nothing_once_it_has_left() {
    let mut bench = Bench::new();
    bench.ledger.nodes.join(c());
    assert!(bench.ledger.nodes.has_joined(&a()) && !bench.ledger.nodes.has_joined(&c()));
    assert_eq!(bench.ledger.progress()[&c()].sync, SyncState::Damaged);
    bench.ledger.begin_anew(&copied_to(c(), [RULES_UID], 0));
    assert!(bench.ledger.nodes.has_joined(&c()));
    assert_eq!(bench.settle().commit.nodes, [(c(), SyncState::InSync)]);
    bench.rule(0, &[a(), b(), c()]);
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    assert!(bench.ended().is_empty(), "the third is in sync");
    assert!(bench.ledger.leave(&c()).is_empty());
    let outcome = bench.settle();
    assert_eq!((outcome.ended.len(), outcome.commit.forgotten), (1, vec![TaskUid(0)]));
    assert!(outcome.behind.is_some(), "what nodes lack is told without it");
    assert!(!bench.ledger.progress().contains_key(&c()));
}

#[test]
fn entries_that_only_a_node_that_left_still_owes_are_forgotten() {
    let mut bench = Bench::new();
    bench.ledger.nodes.join(c());
    bench.ledger.begin_anew(&copied_to(c(), [RULES_UID], 0));
    bench.settle();
    bench.away.borrow_mut().insert(c());
    bench.rule(0, &[a(), b(), c()]);
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    assert_eq!(bench.ended(), [0]);
    assert_eq!(bench.ledger.leave(&c()), [TaskUid(0)]);
}

#[test]
fn a_change_of_rules_is_over_before_a_node_that_came_after_it_is_like_the_others() {
    let mut bench = Bench::new();
    bench.rule(0, &[a(), b()]);
    bench.ledger.nodes.join(c());
    assert!(!bench.ledger.tasks.is_over_before(TaskUid(1), &PhysicalUid::new(RULES_UID)));
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    assert_eq!(bench.ended(), [0]);
    assert!(bench.ledger.tasks.is_over_before(TaskUid(1), &PhysicalUid::new(RULES_UID)));
}

#[test]
fn what_was_decided_for_a_node_that_is_no_member_any_more_waits_for_nobody() {
    let mut bench = Bench::new();
    bench.rule(0, &[a(), b(), c()]);
    assert!(bench.ledger.forgive_strangers().is_empty(), "others have still to do it");
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    let outcome = bench.settle();
    assert_eq!((outcome.ended.len(), outcome.commit.forgotten), (1, vec![TaskUid(0)]));
}
