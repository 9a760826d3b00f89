//! What stands in the way of a node that is rebuilt, and what changed meanwhile.

use super::*;

/// Two nodes with one copy and one shard, and an index on each: the first one's name, and the second one's.
fn apart() -> (Bench, String, String) {
    let mut bench = Bench::new();
    bench.policy.factor = ReplicationFactor::new(1).unwrap();
    bench.policy.shards.default = ShardCount::new(1).unwrap();
    let entry =
        |name: &str| bench.policy.entry(&IndexUid::new(name), None, OffsetDateTime::UNIX_EPOCH).unwrap();
    let on = |node: &NodeId| {
        let names = (0..100).map(|number| format!("index{number}"));
        let mut there = names.filter(|name| entry(name).placement.shard_count_of(node) > 0);
        there.next().unwrap()
    };
    let (of_a, of_b) = (on(&a()), on(&b()));
    let nodes = [(a(), SyncState::InSync), (b(), SyncState::InSync)];
    bench.ledger =
        Ledger::new(vec![entry(&of_a), entry(&of_b)], RuleBook::default(), nodes, bench.changes.clone());
    (bench, of_a, of_b)
}

fn obstacle(bench: &Bench, node: &NodeId, frozen: &[&str]) -> Option<Obstacle> {
    let frozen = frozen.iter().copied().map(IndexUid::new).collect();
    bench.ledger.obstacle(node, &frozen, |node| !bench.away.borrow().contains(node))
}

#[test]
fn only_tasks_about_the_index_are_waited_for() {
    let (mut bench, of_a, of_b) = apart();
    let (first, second) = (PhysicalUid::new(of_a.as_str()), PhysicalUid::new(of_b.as_str()));
    bench.add(0, &of_a);
    let end = TaskUid(1);
    assert!(bench.ledger.tasks.is_over_before(end, &second));
    assert!(!bench.ledger.tasks.is_over_before(end, &first));
    assert!(bench.ledger.tasks.is_over_before(TaskUid(0), &first), "it stands after the end");
    assert!(bench.ledger.tasks.has_done_of(&second, &a(), end));
    assert!(!bench.ledger.tasks.has_done_of(&first, &a(), end));
    assert!(bench.ledger.tasks.has_done_of(&first, &b(), end), "it has no share");
    let waiting = (TaskUid(0), IndexUid::new(of_a.as_str()), vec![a()]);
    assert_eq!(bench.ledger.tasks.first_before(end, &first, &b()), Some(waiting));
    bench.note(&a(), 0, done());
    assert!(bench.ledger.tasks.has_done_of(&first, &a(), end));
    assert_eq!(bench.ended(), [0]);
    assert_eq!(bench.ledger.tasks.first_before(end, &first, &b()), None);
}

#[test]
fn a_copied_node_owes_of_each_index_what_stands_from_its_line_on() {
    let mut bench = Bench::new();
    bench.away.borrow_mut().insert(b());
    for (uid, index) in [(0, "x"), (1, "y"), (2, "x"), (3, "y"), (4, "z")] {
        bench.add(uid, index);
    }
    bench.apply_on(&a(), [0, 1, 2, 3, 4]);
    bench.settle();
    bench.ledger.nodes.lose(&b());
    // x was copied up to 1, y up to 4, and z was made while that went on.
    let lines = [("x", 1), ("y", 4)].map(|(index, line)| (PhysicalUid::new(index), TaskUid(line)));
    let copied = Copied { node: b(), lines: lines.into(), next_node_task: 5 };
    let (rebuilt, forgotten) = bench.ledger.begin_anew(&copied);
    let covered = [TaskUid(3)].into();
    assert_eq!(rebuilt, Rebuilt { node: b(), cursor: TaskUid(2), covered, next_node_task: 5 });
    assert_eq!(forgotten, [0, 1, 3].map(TaskUid));
    assert_eq!(bench.ledger.progress()[&b()].entries, 2);
    // With nothing owed its lane begins at the last line.
    let lines = [("x", 3), ("y", 4), ("z", 5)].map(|(index, line)| (PhysicalUid::new(index), TaskUid(line)));
    let copied = Copied { node: b(), lines: lines.into(), next_node_task: 6 };
    let (rebuilt, _) = bench.ledger.begin_anew(&copied);
    assert_eq!((rebuilt.cursor, rebuilt.covered.len()), (TaskUid(5), 0));
}

#[test]
fn a_task_that_nobody_may_end_is_in_the_way_of_the_nodes_that_it_is_about() {
    let (mut bench, of_a, of_b) = apart();
    bench.add(0, &of_a);
    assert_eq!(obstacle(&bench, &a(), &[]), None, "its node answers");
    bench.away.borrow_mut().insert(a());
    let index = IndexUid::new(of_a.as_str());
    let expected = Obstacle::NoReplica { task: TaskUid(0), index: index.clone(), shard: ShardId(0) };
    assert_eq!(obstacle(&bench, &a(), &[]), Some(expected));
    assert_eq!(obstacle(&bench, &b(), &[]), None);
    assert_eq!(obstacle(&bench, &a(), &[&of_a]), Some(Obstacle::Frozen { index }));
    assert_eq!(obstacle(&bench, &b(), &[&of_a]), None);
    bench.add(1, &of_b);
    bench.ledger.nodes.lose(&b());
    assert!(obstacle(&bench, &b(), &[]).is_some(), "a damaged node ends nothing");
}

#[test]
fn a_replica_that_takes_no_writes_is_none_until_it_has_done_its_share() {
    let mut bench = Bench::new();
    bench.add(0, "x");
    bench.ledger.nodes.lose(&b());
    assert_eq!(obstacle(&bench, &b(), &[]), None);
    bench.ledger.nodes.note_taking(&a(), false);
    assert!(obstacle(&bench, &b(), &[]).is_some());
    bench.note(&a(), 0, done());
    assert_eq!(obstacle(&bench, &b(), &[]), None);
}

#[test]
fn what_is_open_or_decided_during_a_watch_is_touched_and_nothing_else() {
    let (mut bench, of_a, of_b) = apart();
    let entry = |bench: &Bench, name: &str| bench.ledger.head.catalog()[&IndexUid::new(name)].clone();
    let (first, second) = (entry(&bench, &of_a), entry(&bench, &of_b));
    assert!(bench.ledger.head.watch_touched().is_none(), "nobody watched");
    bench.add(0, &of_a);
    let touched = bench.ledger.head.watch_touched().unwrap();
    assert!(touched.contains(&first) && !touched.contains(&second));
    let renamed = IndexEntry { uid: IndexUid::new("other"), ..first.clone() };
    assert!(touched.contains(&renamed), "nodes call it the same");
    bench.note(&a(), 0, done());
    assert_eq!(bench.ended(), [0]);
    assert!(bench.ledger.head.watch_touched().unwrap().contains(&first), "it was open when this watch began");
    assert!(!bench.ledger.head.watch_touched().unwrap().contains(&first), "it was over before this watch");
    bench.add(1, &of_a);
    assert!(bench.ledger.head.stop_watching().unwrap().contains(&first), "it was decided meanwhile");
    assert!(bench.ledger.head.watch_touched().is_none());
    assert!(bench.ledger.head.stop_watching().unwrap().contains(&first), "it is open");
}
