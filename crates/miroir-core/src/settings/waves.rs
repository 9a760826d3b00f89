//! In which order the nodes get a change of settings, so that meanwhile some nodes with equal settings can answer every
//! search.
//!
//! While the first wave changes, all others still have the old settings; while the last one changes, all others have the
//! new ones. So the first wave must leave a cover, and so must the last. Nodes that belong to neither go in between, all
//! at once: then, and only then, no uniform cover may exist. With two groups, or with copies that can be divided in two
//! halves that each hold everything, there are two waves and nothing in between; with one copy there is one wave.

use std::collections::BTreeSet;

use crate::ids::NodeId;
use crate::placement::IndexPlacement;

/// The waves, first to last; each node of the placement is in one of them. Nodes that can't be read go with the first
/// wave: nobody misses them.
pub fn plan_waves(placement: &IndexPlacement, readable: &BTreeSet<NodeId>) -> Vec<BTreeSet<NodeId>> {
    let present: Vec<&NodeId> =
        by_group(placement).into_iter().filter(|node| readable.contains(*node)).collect();
    let all: BTreeSet<&NodeId> = present.iter().copied().collect();
    let covers = |nodes: &BTreeSet<&NodeId>| covers_as_well(placement, nodes, &all);
    let can_spare = |wave: &BTreeSet<&NodeId>| covers(&all.difference(wave).copied().collect());
    let mut first: BTreeSet<&NodeId> = BTreeSet::new();
    for &node in &present {
        first.insert(node);
        if !can_spare(&first) {
            first.remove(node);
        } else if covers(&first) {
            break;
        }
    }
    let mut last: BTreeSet<&NodeId> = BTreeSet::new();
    for &node in present.iter().rev().filter(|node| !first.contains(*node)) {
        last.insert(node);
        if !can_spare(&last) {
            last.remove(node);
        }
    }
    let between = all.iter().copied().filter(|node| !first.contains(node) && !last.contains(node)).collect();
    let absent = placement.nodes().filter(|node| !all.contains(node));
    let mut waves = vec![first, between, last];
    waves.retain(|wave| !wave.is_empty());
    if waves.is_empty() {
        waves.push(BTreeSet::new());
    }
    waves[0].extend(absent);
    waves.into_iter().map(|wave| wave.into_iter().cloned().collect()).collect()
}

/// Every node once, group by group.
fn by_group(placement: &IndexPlacement) -> Vec<&NodeId> {
    let mut nodes: Vec<&NodeId> = Vec::new();
    for node in placement.groups().flat_map(|(_, table)| table.nodes()) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

/// Whether these nodes hold every shard that `all` hold.
fn covers_as_well(placement: &IndexPlacement, nodes: &BTreeSet<&NodeId>, all: &BTreeSet<&NodeId>) -> bool {
    placement.shard_count().shards().all(|shard| {
        placement.all_replicas(shard).any(|node| nodes.contains(node))
            || !placement.all_replicas(shard).any(|node| all.contains(node))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupId, PhysicalUid, ShardCount};
    use crate::placement::{Members, ReplicationFactor, assign};

    fn placement(groups: u32, nodes: u32, factor: u32) -> IndexPlacement {
        let members: Members = (0..groups * nodes)
            .map(|number| (NodeId::new(format!("n{number}")), GroupId(number / nodes)))
            .collect();
        let factor = ReplicationFactor::new(factor).unwrap();
        assign(&PhysicalUid::new("films"), ShardCount::new(12).unwrap(), factor, &members).unwrap()
    }

    fn waves(placement: &IndexPlacement, away: &[&str]) -> Vec<Vec<String>> {
        let readable = placement.nodes().filter(|node| !away.contains(&node.as_str())).cloned().collect();
        let waves = plan_waves(placement, &readable);
        waves.iter().map(|wave| wave.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn groups_change_one_after_the_other() {
        assert_eq!(waves(&placement(2, 2, 1), &[]), [vec!["n0", "n1"], vec!["n2", "n3"]]);
        assert_eq!(waves(&placement(3, 1, 1), &[]), [vec!["n0"], vec!["n1", "n2"]]);
    }

    #[test]
    fn copies_that_hold_everything_change_one_after_the_other() {
        assert_eq!(waves(&placement(1, 2, 2), &[]), [vec!["n0"], vec!["n1"]]);
        assert_eq!(waves(&placement(1, 3, 3), &[]), [vec!["n0"], vec!["n1", "n2"]]);
    }

    #[test]
    fn a_node_that_neither_half_can_spare_changes_in_between() {
        assert_eq!(waves(&placement(1, 3, 2), &[]), [["n0"], ["n1"], ["n2"]]);
    }

    #[test]
    fn without_copies_all_nodes_change_at_once() {
        assert_eq!(waves(&placement(1, 3, 1), &[]), [["n0", "n1", "n2"]]);
    }

    #[test]
    fn nodes_that_are_not_read_change_first_and_nobody_counts_on_them() {
        assert_eq!(waves(&placement(2, 1, 1), &["n1"]), [["n0", "n1"]]);
        assert_eq!(waves(&placement(1, 2, 2), &["n0", "n1"]), [["n0", "n1"]]);
    }

    #[test]
    fn while_a_wave_other_than_the_middle_one_changes_the_rest_still_covers_everything() {
        for (groups, nodes, factor) in [(1, 4, 2), (1, 5, 3), (2, 3, 2), (3, 2, 1), (1, 6, 2)] {
            let placement = placement(groups, nodes, factor);
            let all: BTreeSet<NodeId> = placement.nodes().cloned().collect();
            let waves = plan_waves(&placement, &all);
            assert_eq!(waves.iter().map(BTreeSet::len).sum::<usize>(), all.len());
            for wave in [&waves[0], &waves[waves.len() - 1]] {
                let rest: BTreeSet<&NodeId> = all.difference(wave).collect();
                let covered = covers_as_well(&placement, &rest, &all.iter().collect());
                assert!(
                    covered || waves.len() == 1,
                    "{groups} groups of {nodes}, {factor} copies: {waves:?}"
                );
            }
        }
    }
}
