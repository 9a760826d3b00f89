use proptest::prelude::*;

use super::*;
use crate::ids::PhysicalUid;

const GROUP: GroupId = GroupId(0);

fn index(name: &str) -> PhysicalUid {
    PhysicalUid::new(name)
}

fn shards(count: u32) -> ShardCount {
    ShardCount::new(count).unwrap()
}

fn factor(copies: u32) -> ReplicationFactor {
    ReplicationFactor::new(copies).unwrap()
}

fn node(number: u32) -> NodeId {
    NodeId::new(format!("node-{number}"))
}

fn members(numbers: impl IntoIterator<Item = u32>) -> Members {
    numbers.into_iter().map(|number| (node(number), GROUP)).collect()
}

fn loads(placement: &IndexPlacement, members: &Members, group: GroupId) -> BTreeMap<NodeId, usize> {
    let mut loads: BTreeMap<NodeId, usize> =
        members.iter().filter(|&(_, &of)| of == group).map(|(node, _)| (node.clone(), 0)).collect();
    for shard in placement.shard_count().shards() {
        for node in placement.replicas(group, shard) {
            *loads.get_mut(node).expect("only members hold copies") += 1;
        }
    }
    loads
}

/// The promises that every finished table keeps.
fn check_promises(placement: &IndexPlacement, factor: ReplicationFactor, members: &Members) {
    let groups: BTreeSet<GroupId> = members.values().copied().collect();
    assert_eq!(placement.groups().map(|(group, _)| group).collect::<BTreeSet<_>>(), groups);
    for group in groups {
        for shard in placement.shard_count().shards() {
            let distinct: BTreeSet<&NodeId> = placement.replicas(group, shard).iter().collect();
            assert_eq!(distinct.len(), factor.get() as usize, "{group} {shard}");
            assert_eq!(placement.replicas(group, shard).len(), distinct.len(), "{group} {shard}");
        }
        let loads = loads(placement, members, group);
        let (most, least) = (loads.values().max().unwrap(), loads.values().min().unwrap());
        assert!(most - least <= 1, "{loads:?}");
    }
}

/// The copies that any way to a balanced table must make: what the nodes are short of when those that hold the most
/// already get the bigger shares.
fn fewest_copies(before: &IndexPlacement, factor: ReplicationFactor, members: &Members) -> usize {
    let mut kept: Vec<usize> = members
        .keys()
        .map(|node| {
            let holds = |&shard: &ShardId| before.replicas(GROUP, shard).contains(node);
            before.shard_count().shards().filter(holds).count()
        })
        .collect();
    kept.sort_unstable_by(|a, b| b.cmp(a));
    let total = (before.shard_count().get() * factor.get()) as usize;
    let (share, bigger) = (total / kept.len(), total % kept.len());
    kept.iter().enumerate().map(|(at, kept)| (share + usize::from(at < bigger)).saturating_sub(*kept)).sum()
}

fn copies_made(moves: &[Move]) -> usize {
    moves.iter().filter(|step| !matches!(step.action, Action::Drop { .. })).count()
}

/// Rebalances, checks what is promised of moves and table, and answers with the new table and the copies it took.
fn rebalanced(
    before: &IndexPlacement,
    factor: ReplicationFactor,
    members: &Members,
) -> (IndexPlacement, usize) {
    let index = index("movies");
    let moves = rebalance(&index, before, factor, members).unwrap();
    let mut after = before.clone();
    for step in &moves {
        after.apply(step).unwrap();
        for shard in after.shard_count().shards() {
            assert!(after.all_replicas(shard).next().is_some(), "{shard} is nowhere after {step:?}");
        }
    }
    check_promises(&after, factor, members);
    assert_eq!(
        rebalance(&index, &after, factor, members).unwrap(),
        [],
        "a second rebalance has nothing to do"
    );
    (after, copies_made(&moves))
}

#[test]
fn sixty_four_shards_on_twelve_nodes_stay_within_one_shard_of_the_mean() {
    let members = members(0..12);
    let placement = assign(&index("movies"), shards(64), factor(1), &members).unwrap();
    let loads = loads(&placement, &members, GROUP);
    assert!(loads.values().all(|load| (5..=6).contains(load)), "{loads:?}");
}

#[test]
fn from_three_nodes_to_twelve_and_back_no_copy_moves_for_nothing() {
    for (shard_count, copies) in [(64, 1), (64, 2), (16, 3)] {
        let factor = factor(copies);
        let mut placement = assign(&index("movies"), shards(shard_count), factor, &members(0..3)).unwrap();
        for count in (4..=12).chain((3..12).rev()) {
            let members = members(0..count);
            let fewest = fewest_copies(&placement, factor, &members);
            let (after, made) = rebalanced(&placement, factor, &members);
            assert_eq!(made, fewest, "{shard_count} shards, {copies} copies, {count} nodes");
            placement = after;
        }
    }
}

#[test]
fn indexes_of_one_shard_spread_over_the_nodes() {
    let members = members(0..4);
    let mut holders: BTreeMap<NodeId, u32> = BTreeMap::new();
    for number in 0..400 {
        let placement = assign(&index(&format!("index-{number}")), shards(1), factor(1), &members).unwrap();
        assert!(!placement.is_scattered());
        *holders.entry(placement.nodes().next().unwrap().clone()).or_default() += 1;
    }
    assert!(holders.values().all(|count| (60..=140).contains(count)), "{holders:?}");
}

#[test]
fn new_nodes_of_small_indexes_are_not_always_the_first_ones() {
    let mut holders: BTreeMap<NodeId, u32> = BTreeMap::new();
    for number in 0..200 {
        let index = index(&format!("index-{number}"));
        let placement = assign(&index, shards(4), factor(1), &members(0..3)).unwrap();
        for step in rebalance(&index, &placement, factor(1), &members(0..6)).unwrap() {
            if let Action::Replace { to, .. } = step.action {
                *holders.entry(to).or_default() += 1;
            }
        }
    }
    assert_eq!(holders.len(), 3, "{holders:?}");
    assert!(holders.values().all(|count| (40..=95).contains(count)), "{holders:?}");
}

#[test]
fn a_group_with_fewer_nodes_than_copies_is_refused() {
    let refused = assign(&index("movies"), shards(4), factor(3), &members(0..2));
    assert_eq!(refused, Err(PlacementError::TooFewNodes { group: GROUP, nodes: 2, copies: 3 }));
    assert_eq!(assign(&index("movies"), shards(4), factor(1), &Members::new()), Err(PlacementError::NoNodes));
}

#[test]
fn with_as_many_copies_as_nodes_every_node_holds_everything() {
    let placement = assign(&index("movies"), shards(5), factor(3), &members(0..3)).unwrap();
    assert!(!placement.is_scattered());
    assert_eq!(placement.nodes().count(), 3);
    assert_eq!(placement.shards_of(&node(1)), shards(5).shards().collect());
    let placement = assign(&index("movies"), shards(5), factor(2), &members(0..3)).unwrap();
    assert!(placement.is_scattered());
}

#[test]
fn a_node_that_leaves_gives_its_copies_to_others_and_the_reason_says_so() {
    let before = assign(&index("movies"), shards(6), factor(1), &members(0..3)).unwrap();
    let moves = rebalance(&index("movies"), &before, factor(1), &members(1..3)).unwrap();
    assert_eq!(moves.len(), 2);
    for step in moves {
        assert_eq!(step.because, Because::NodeLeft);
        assert!(matches!(step.action, Action::Replace { from, .. } if from == node(0)));
    }
}

#[test]
fn a_higher_factor_adds_copies_and_a_lower_one_drops_them() {
    let before = assign(&index("movies"), shards(6), factor(1), &members(0..3)).unwrap();
    let more = rebalance(&index("movies"), &before, factor(2), &members(0..3)).unwrap();
    let reasons: Vec<Because> = more.iter().map(|step| step.because).collect();
    assert_eq!(reasons, [Because::MissingCopy; 6]);
    let (doubled, made) = rebalanced(&before, factor(2), &members(0..3));
    assert_eq!(made, 6);
    let fewer = rebalance(&index("movies"), &doubled, factor(1), &members(0..3)).unwrap();
    let reasons: Vec<Because> = fewer.iter().map(|step| step.because).collect();
    assert_eq!(reasons, [Because::SurplusCopy; 6]);
}

#[test]
fn repairs_come_before_balance() {
    let before = assign(&index("movies"), shards(12), factor(2), &members(0..3)).unwrap();
    let moves = rebalance(&index("movies"), &before, factor(2), &members(1..6)).unwrap();
    let reasons: Vec<Because> = moves.iter().map(|step| step.because).collect();
    let first_balance = reasons.iter().position(|&because| because == Because::Balance).unwrap();
    assert_eq!(first_balance, 8, "node 0 held 8 of 24 copies");
    assert!(reasons[first_balance..].iter().all(|&because| because == Because::Balance), "{reasons:?}");
}

#[test]
fn a_group_is_replaced_by_another_one_copies_first() {
    let before = assign(&index("movies"), shards(8), factor(1), &members(0..2)).unwrap();
    let other: Members = (2..5).map(|number| (node(number), GroupId(1))).collect();
    let (after, made) = rebalanced(&before, factor(1), &other);
    assert_eq!(made, 8);
    assert_eq!(after.groups().map(|(group, _)| group).collect::<Vec<_>>(), [GroupId(1)]);
}

#[test]
fn a_move_may_be_applied_twice() {
    let mut placement = assign(&index("movies"), shards(6), factor(1), &members(0..2)).unwrap();
    for step in rebalance(&index("movies"), &placement, factor(1), &members(0..3)).unwrap() {
        placement.apply(&step).unwrap();
        let once = placement.clone();
        placement.apply(&step).unwrap();
        assert_eq!(placement, once);
    }
}

#[test]
fn a_move_for_another_table_is_refused_and_changes_nothing() {
    let before = assign(&index("movies"), shards(2), factor(1), &members(0..1)).unwrap();
    let mut placement = before.clone();
    let mut refused = |shard, action| {
        let step = Move { group: GROUP, shard: ShardId(shard), action, because: Because::Balance };
        placement.apply(&step).unwrap_err()
    };
    let (from, shard) = (node(7), ShardId(1));
    assert_eq!(
        refused(1, Action::Replace { from: from.clone(), to: node(8) }),
        PlacementError::OutdatedMove { shard, from }
    );
    assert_eq!(refused(2, Action::Copy { to: node(8) }), PlacementError::UnknownShard { shard: ShardId(2) });
    assert_eq!(refused(1, Action::Drop { from: node(0) }), PlacementError::LastCopy { shard, from: node(0) });
    assert_eq!(placement, before);
}

#[test]
fn a_table_survives_being_stored() {
    let placement = assign(&index("movies"), shards(2), factor(1), &members(0..1)).unwrap();
    let stored = serde_json::to_string(&placement).unwrap();
    assert_eq!(stored, r#"{"shards":2,"groups":{"0":[["node-0"],["node-0"]]}}"#);
    assert_eq!(serde_json::from_str::<IndexPlacement>(&stored).unwrap(), placement);
}

#[test]
fn a_stored_table_that_counts_wrong_is_refused() {
    for (stored, message) in [
        (r#"{"shards":2,"groups":{"0":[["a"]]}}"#, "has 1 shard(s) instead of 2"),
        (r#"{"shards":1,"groups":{"0":[["a","a"]]}}"#, "names node `a` twice for shard 0"),
    ] {
        let refused = serde_json::from_str::<IndexPlacement>(stored).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

/// A few nodes out of twenty, at least three, so that up to three copies always have room.
fn some_members() -> impl Strategy<Value = Members> {
    prop::collection::btree_set(0..20_u32, 3..12).prop_map(members)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_assignment_is_balanced_complete_and_final(
        shard_count in 1..80_u32, copies in 1..=3_u32, members in some_members(), name in "[a-z]{1,8}"
    ) {
        let placement = assign(&index(&name), shards(shard_count), factor(copies), &members).unwrap();
        check_promises(&placement, factor(copies), &members);
        prop_assert_eq!(rebalance(&index(&name), &placement, factor(copies), &members).unwrap(), []);
    }

    #[test]
    fn the_order_of_listing_nodes_does_not_matter(
        (listed, shuffled) in Just((0..8_u32).collect::<Vec<_>>())
            .prop_flat_map(|listed| (Just(listed.clone()), Just(listed).prop_shuffle()))
    ) {
        let place = |listed| assign(&index("movies"), shards(20), factor(2), &members(listed)).unwrap();
        prop_assert_eq!(place(listed), place(shuffled));
    }

    #[test]
    fn any_change_of_nodes_moves_the_theoretical_minimum(
        shard_count in 1..80_u32,
        copies in 1..=3_u32,
        crowds in prop::collection::vec(some_members(), 2..5),
    ) {
        let factor = factor(copies);
        let mut placement = assign(&index("movies"), shards(shard_count), factor, &crowds[0]).unwrap();
        for members in &crowds[1..] {
            let fewest = fewest_copies(&placement, factor, members);
            let (after, made) = rebalanced(&placement, factor, members);
            prop_assert_eq!(made, fewest);
            placement = after;
        }
    }

    #[test]
    fn groups_are_placed_independently_of_each_other(first in 2..6_u32, second in 2..6_u32) {
        let alone = members(0..first);
        let mut both = alone.clone();
        both.extend((0..second).map(|number| (node(100 + number), GroupId(1))));
        let one = assign(&index("movies"), shards(12), factor(2), &alone).unwrap();
        let two = assign(&index("movies"), shards(12), factor(2), &both).unwrap();
        check_promises(&two, factor(2), &both);
        prop_assert_eq!(one.groups().next(), two.groups().next());
    }
}
