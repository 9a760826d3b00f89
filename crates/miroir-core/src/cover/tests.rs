use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{plan_cover as plan_cover_by, plan_cover_of as plan_cover_of_by, *};
use crate::ids::{PhysicalUid, ShardCount};
use crate::placement::{Members, ReplicationFactor, assign};

fn node(number: u32) -> NodeId {
    NodeId::new(format!("node-{number:02}"))
}

fn nodes(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(node).collect()
}

fn shards(numbers: impl IntoIterator<Item = u32>) -> Vec<ShardId> {
    numbers.into_iter().map(ShardId).collect()
}

/// The cover by nodes of which none is behind.
fn plan_cover(placement: &IndexPlacement, in_sync: &BTreeSet<NodeId>, seed: u64) -> Cover {
    plan_cover_by(placement, &in_sync.clone().into(), seed)
}

fn plan_cover_of(
    placement: &IndexPlacement,
    shards: impl IntoIterator<Item = ShardId>,
    in_sync: &BTreeSet<NodeId>,
    seed: u64,
) -> Cover {
    plan_cover_of_by(placement, shards, &in_sync.clone().into(), seed)
}

/// `groups` groups of `size` nodes each: nodes 0 to `size - 1` are group 0, and so on.
fn placement(shard_count: u32, copies: u32, groups: u32, size: u32) -> IndexPlacement {
    let members: Members = (0..groups * size).map(|number| (node(number), GroupId(number / size))).collect();
    let copies = ReplicationFactor::new(copies).unwrap();
    assign(&PhysicalUid::new("movies"), ShardCount::new(shard_count).unwrap(), copies, &members).unwrap()
}

/// One group in which shard i is on the nodes of row i.
fn table(rows: &[&[u32]]) -> IndexPlacement {
    let rows: Vec<Vec<NodeId>> = rows.iter().map(|row| row.iter().copied().map(node).collect()).collect();
    let count = ShardCount::new(u32::try_from(rows.len()).unwrap()).unwrap();
    IndexPlacement::new(count, BTreeMap::from([(GroupId(0), GroupPlacement::new(rows))])).unwrap()
}

fn asked_nodes(cover: &Cover) -> BTreeSet<NodeId> {
    cover.parts.iter().map(|part| part.node.clone()).collect()
}

#[test]
fn a_node_that_holds_everything_answers_alone_and_without_a_filter() {
    let placement = placement(16, 3, 1, 3);
    let cover = plan_cover(&placement, &nodes(0..3), 1);
    let part = cover.single().unwrap();
    assert_eq!(part.shards, shards(0..16));
    assert!(part.holds_exactly);
    assert_eq!(part.because, CoverReason::WholeGroup);
}

#[test]
fn different_seeds_use_different_nodes_about_equally() {
    let placement = placement(16, 3, 2, 3);
    let mut asked: BTreeMap<NodeId, u32> = BTreeMap::new();
    for seed in 0..600 {
        let cover = plan_cover(&placement, &nodes(0..6), seed);
        *asked.entry(cover.single().unwrap().node.clone()).or_default() += 1;
    }
    assert_eq!(asked.len(), 6);
    assert!(asked.values().all(|count| (65..=135).contains(count)), "{asked:?}");
}

#[test]
fn different_seeds_choose_among_equally_small_covers() {
    // Four nodes in a ring, each shard on two neighbours: the two diagonals cover it.
    let placement = table(&[&[0, 1], &[1, 2], &[2, 3], &[3, 0]]);
    let mut asked: BTreeMap<BTreeSet<NodeId>, u32> = BTreeMap::new();
    for seed in 0..200 {
        *asked.entry(asked_nodes(&plan_cover(&placement, &nodes(0..4), seed))).or_default() += 1;
    }
    assert_eq!(asked.keys().cloned().collect::<Vec<_>>(), [nodes([0, 2]), nodes([1, 3])]);
    assert!(asked.values().all(|count| *count > 60), "{asked:?}");
}

#[test]
fn shards_with_a_choice_even_out_those_without() {
    let placement = table(&[&[0], &[0], &[0], &[1], &[0, 1], &[0, 1], &[0, 1], &[0, 1]]);
    let cover = plan_cover(&placement, &nodes(0..2), 7);
    let sizes: Vec<usize> = cover.parts.iter().map(|part| part.shards.len()).collect();
    assert_eq!(sizes, [4, 4]);
    assert!(cover.parts.iter().all(|part| !part.holds_exactly), "both nodes hold more than they are asked");
}

#[test]
fn a_group_that_can_answer_alone_is_preferred_to_one_that_lost_a_node() {
    let placement = placement(12, 1, 2, 3);
    for seed in 0..20 {
        let cover = plan_cover(&placement, &nodes([0, 1, 3, 4, 5]), seed);
        assert!(cover.is_complete());
        assert_eq!(asked_nodes(&cover), nodes(3..6));
        assert!(cover.parts.iter().all(|part| part.holds_exactly && part.because == CoverReason::WholeGroup));
    }
}

#[test]
fn what_no_group_can_answer_alone_is_put_together_from_several() {
    let placement = placement(12, 1, 2, 3);
    let lost: BTreeSet<ShardId> =
        placement.shards_of(&node(0)).union(&placement.shards_of(&node(1))).copied().collect();
    let cover = plan_cover(&placement, &nodes([2, 4, 5]), 3);
    let reasons: BTreeMap<NodeId, CoverReason> =
        cover.parts.iter().map(|part| (part.node.clone(), part.because)).collect();
    assert_eq!(reasons[&node(4)], CoverReason::FullestGroup);
    assert_eq!(reasons[&node(5)], CoverReason::FullestGroup);
    assert_eq!(reasons.get(&node(2)), Some(&CoverReason::OtherGroup));
    let expected: Vec<ShardId> = placement.shards_of(&node(3)).intersection(&lost).copied().collect();
    assert_eq!(cover.missing, expected);
    assert!(!expected.is_empty());
}

#[test]
fn a_failed_part_is_covered_again_by_the_other_replicas() {
    let placement = placement(12, 2, 1, 4);
    let cover = plan_cover(&placement, &nodes(0..4), 5);
    let failed = &cover.parts[0];
    let mut readable = nodes(0..4);
    readable.remove(&failed.node);
    let retry = plan_cover_of(&placement, failed.shards.iter().copied(), &readable, 5);
    assert!(retry.is_complete());
    let mut again: Vec<ShardId> = retry.parts.iter().flat_map(|part| part.shards.clone()).collect();
    again.sort_unstable();
    assert_eq!(again, failed.shards);
}

#[test]
fn shards_asked_for_twice_or_unknown_are_searched_once_or_missing() {
    let placement = placement(4, 1, 1, 1);
    let cover = plan_cover_of(&placement, shards([2, 9, 2]), &nodes(0..1), 0);
    assert_eq!(cover.parts[0].shards, shards([2]));
    assert!(!cover.parts[0].holds_exactly);
    assert_eq!(cover.missing, shards([9]));
    assert_eq!(cover.single(), None);
}

#[test]
fn nothing_readable_leaves_everything_missing_and_nothing_wanted_asks_nobody() {
    let placement = placement(3, 1, 1, 2);
    let nobody = plan_cover(&placement, &BTreeSet::new(), 0);
    assert_eq!(nobody, Cover { parts: Vec::new(), missing: shards(0..3) });
    let nothing = plan_cover_of(&placement, [], &nodes(0..2), 0);
    assert_eq!(nothing, Cover { parts: Vec::new(), missing: Vec::new() });
}

#[test]
fn a_node_that_is_changing_groups_is_asked_once() {
    let mut rows = BTreeMap::new();
    rows.insert(GroupId(0), GroupPlacement::new(vec![vec![node(0)], Vec::new(), Vec::new()]));
    rows.insert(GroupId(1), GroupPlacement::new(vec![Vec::new(), vec![node(0)], vec![node(1)]]));
    let placement = IndexPlacement::new(ShardCount::new(3).unwrap(), rows).unwrap();
    let cover = plan_cover(&placement, &nodes(0..2), 0);
    assert_eq!(cover.parts.len(), 2);
    assert_eq!(cover.parts[0].shards, shards(0..2));
    assert!(cover.parts[0].holds_exactly);
}

#[test]
fn a_copy_that_is_behind_is_asked_only_for_shards_of_which_no_other_is_left() {
    let placement = table(&[&[0, 1], &[1, 2], &[2, 0]]);
    let pool = |in_sync: &[u32], stale: &[u32]| Pool {
        in_sync: nodes(in_sync.iter().copied()),
        stale: nodes(stale.iter().copied()),
    };
    let stale_of = |pool: &Pool| {
        let cover = plan_cover_by(&placement, pool, 3);
        let stale = cover.parts.iter().filter(|part| part.is_stale());
        let stale: Vec<ShardId> = stale.flat_map(|part| part.shards.clone()).collect();
        (stale, cover.missing)
    };
    assert_eq!(stale_of(&pool(&[0, 1], &[2])), (vec![], vec![]));
    assert_eq!(stale_of(&pool(&[0], &[2])), (shards([1]), vec![]));
    assert_eq!(stale_of(&pool(&[0], &[])), (vec![], shards([1])));
    assert_eq!(stale_of(&pool(&[], &[2])), (shards([1, 2]), shards([0])));
}

#[test]
fn another_group_in_sync_is_asked_before_a_copy_that_is_behind() {
    let placement = placement(12, 1, 2, 3);
    let pool = Pool { in_sync: nodes([1, 2, 3, 4, 5]), stale: nodes([0]) };
    for seed in 0..20 {
        let cover = plan_cover_by(&placement, &pool, seed);
        assert!(cover.is_complete() && !cover.parts.iter().any(CoverPart::is_stale), "{cover:?}");
    }
}

#[test]
fn a_cover_is_written_with_its_reasons() {
    let cover = plan_cover(&placement(2, 1, 1, 1), &nodes(0..1), 0);
    assert_eq!(
        serde_json::to_string(&cover).unwrap(),
        r#"{"parts":[{"node":"node-00","shards":[0,1],"holds_exactly":true,"because":"whole_group"}],"missing":[]}"#
    );
}

/// A cluster, and the numbers of its nodes that are readable.
fn some_cluster() -> impl Strategy<Value = (IndexPlacement, BTreeSet<NodeId>)> {
    (1..40_u32, 1..=3_u32, 1..=3_u32, 3..18_u32).prop_flat_map(|(shard_count, copies, groups, size)| {
        let placement = placement(shard_count, copies, groups, size);
        let all: Vec<u32> = (0..groups * size).collect();
        let readable = prop::sample::subsequence(all, 0..=(groups * size) as usize).prop_map(nodes);
        (Just(placement), readable)
    })
}

/// The size of the smallest set of readable nodes of group 0 that holds every shard, by trying all sets.
fn smallest_cover(placement: &IndexPlacement, readable: &[NodeId]) -> Option<u32> {
    (0..1_u32 << readable.len())
        .filter(|set| {
            placement.shard_count().shards().all(|shard| {
                let holds = |at: usize| placement.replicas(GroupId(0), shard).contains(&readable[at]);
                (0..readable.len()).any(|at| set & (1 << at) != 0 && holds(at))
            })
        })
        .map(u32::count_ones)
        .min()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_shard_is_asked_for_exactly_once_or_truly_nowhere(
        (placement, readable) in some_cluster(), seed in any::<u64>()
    ) {
        let cover = plan_cover(&placement, &readable, seed);
        let mut seen: Vec<ShardId> = cover.missing.clone();
        for part in &cover.parts {
            prop_assert!(readable.contains(&part.node), "{} is not readable", part.node);
            prop_assert!(!part.shards.is_empty());
            prop_assert!(part.shards.is_sorted());
            let held = placement.shards_of(&part.node);
            prop_assert!(part.shards.iter().all(|shard| held.contains(shard)));
            prop_assert_eq!(part.holds_exactly, held.into_iter().eq(part.shards.iter().copied()));
            seen.extend(&part.shards);
        }
        prop_assert!(cover.parts.is_sorted_by(|one, next| one.node < next.node));
        seen.sort_unstable();
        prop_assert_eq!(seen, placement.shard_count().shards().collect::<Vec<_>>());
        for &shard in &cover.missing {
            prop_assert!(!placement.all_replicas(shard).any(|node| readable.contains(node)), "{} is there", shard);
        }
    }

    #[test]
    fn what_nodes_in_sync_hold_is_asked_of_them_and_the_rest_of_those_behind_if_they_hold_it(
        (placement, usable) in some_cluster(), late in any::<u64>(), seed in any::<u64>()
    ) {
        let is_late = |node: &NodeId| draw(late, node.as_str().as_bytes()).is_multiple_of(3);
        let (stale, in_sync): (BTreeSet<_>, BTreeSet<_>) = usable.into_iter().partition(is_late);
        let pool = Pool { in_sync, stale };
        let cover = plan_cover_by(&placement, &pool, seed);
        let held_by = |shard, nodes: &BTreeSet<NodeId>| {
            placement.all_replicas(shard).any(|node| nodes.contains(node))
        };
        let mut seen: Vec<ShardId> = cover.missing.clone();
        for part in &cover.parts {
            prop_assert_eq!(part.is_stale(), pool.stale.contains(&part.node));
            prop_assert!(pool.contains(&part.node));
            for shard in &part.shards {
                prop_assert_eq!(part.is_stale(), !held_by(*shard, &pool.in_sync));
            }
            seen.extend(&part.shards);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, placement.shard_count().shards().collect::<Vec<_>>());
        for shard in &cover.missing {
            prop_assert!(!held_by(*shard, &pool.in_sync) && !held_by(*shard, &pool.stale));
        }
        prop_assert_eq!(
            plan_cover(&placement, &pool.in_sync, seed).parts,
            cover.parts.into_iter().filter(|part| !part.is_stale()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_same_seed_and_nodes_give_the_same_cover(
        (placement, readable) in some_cluster(), seed in any::<u64>()
    ) {
        let cover = plan_cover(&placement, &readable, seed);
        prop_assert_eq!(plan_cover(&placement.clone(), &readable.clone(), seed), cover.clone());
        // Nodes that are not asked and can't be chosen either (another group's, a stranger) don't matter.
        let mut with_stranger = readable;
        with_stranger.insert(NodeId::new("stranger"));
        prop_assert_eq!(plan_cover(&placement, &with_stranger, seed), cover);
    }

    #[test]
    fn no_smaller_cover_exists_in_a_small_group(
        shard_count in 1..30_u32, copies in 1..=3_u32, size in 3..9_u32, lost in 0..4_u32, seed in any::<u64>()
    ) {
        let placement = placement(shard_count, copies, 1, size);
        let readable = nodes((0..size).filter(|&number| number != lost));
        let cover = plan_cover(&placement, &readable, seed);
        let smallest = smallest_cover(&placement, &readable.into_iter().collect::<Vec<_>>());
        if cover.is_complete() {
            prop_assert_eq!(u32::try_from(cover.parts.len()).ok(), smallest);
        } else {
            prop_assert_eq!(smallest, None);
        }
    }

    #[test]
    fn no_shard_could_be_shifted_to_a_node_with_two_fewer(
        shard_count in 1..40_u32, copies in 1..=3_u32, size in 3..16_u32, seed in any::<u64>()
    ) {
        let placement = placement(shard_count, copies, 1, size);
        let cover = plan_cover(&placement, &nodes(0..size), seed);
        for from in &cover.parts {
            for to in cover.parts.iter().filter(|to| to.shards.len() + 2 <= from.shards.len()) {
                let held = placement.shards_of(&to.node);
                prop_assert!(!from.shards.iter().any(|shard| held.contains(shard)), "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn one_node_is_enough_when_there_are_as_many_copies_as_nodes(
        shard_count in 1..40_u32, size in 1..16_u32, seed in any::<u64>()
    ) {
        let placement = placement(shard_count, size, 1, size);
        let cover = plan_cover(&placement, &nodes(0..size), seed);
        prop_assert_eq!(cover.parts.len(), 1);
        prop_assert!(cover.single().is_some_and(|part| part.holds_exactly));
    }

    #[test]
    fn every_node_of_a_cover_is_needed_also_in_a_big_group(
        shard_count in 1..40_u32, copies in 2..=3_u32, size in 13..20_u32, seed in any::<u64>()
    ) {
        let placement = placement(shard_count, copies, 1, size);
        let cover = plan_cover(&placement, &nodes(0..size), seed);
        prop_assert!(cover.is_complete());
        let chosen = asked_nodes(&cover);
        for node in &chosen {
            let mut others = chosen.clone();
            others.remove(node);
            prop_assert!(!plan_cover(&placement, &others, seed).is_complete(), "{node} is needless");
        }
    }
}
