//! The smallest set of nodes that holds every wanted shard: searched exactly for small groups, greedily for big ones.

use std::cmp::Reverse;

use super::choices::{Choices, Slot};
use crate::hash::draw;

/// Up to this many nodes the smallest cover is found by looking at all: 4,096 sets at the most.
pub const EXACT_NODES: usize = 12;

/// A set of nodes, by position.
type Mask = u32;

impl Choices<'_> {
    /// For each node, whether it is in the chosen cover. Every node of it is needed: without it some shard has none.
    pub(super) fn fewest(&self) -> Vec<bool> {
        if self.nodes.len() > EXACT_NODES {
            return self.fewest_greedy();
        }
        let chosen = self.fewest_exact();
        (0..self.nodes.len()).map(|slot| chosen & bit(slot) != 0).collect()
    }

    fn fewest_exact(&self) -> Mask {
        let mut holders: Vec<Mask> =
            self.shards.iter().map(|(_, slots)| slots.iter().map(|&slot| bit(slot)).sum()).collect();
        holders.sort_unstable();
        holders.dedup();
        let forced = holders.iter().filter(|mask| mask.is_power_of_two()).fold(0, |all, mask| all | mask);
        holders.retain(|mask| mask & forced == 0);
        let free = holders.iter().fold(0, |all, mask| all | mask);
        // No set bigger than the greedy one needs a look; the greedy one is among those that are looked at.
        let greedy = self.fewest_greedy().into_iter().filter(|&chosen| chosen).count();
        let mut smallest = greedy.saturating_sub(forced.count_ones() as usize);
        let mut best = (Reverse(smallest), 0, free);
        // Counts through all subsets of the free nodes: from each to the next smaller one, down to none.
        let mut set = free;
        loop {
            let size = set.count_ones() as usize;
            if size <= smallest && holders.iter().all(|mask| mask & set != 0) {
                smallest = size;
                best = best.max((Reverse(size), self.draw_set(forced | set), set));
            }
            if set == 0 {
                return forced | best.2;
            }
            set = (set - 1) & free;
        }
    }

    /// Sums what the seed gives the nodes, so that the draw depends on who is in the set, not on positions.
    fn draw_set(&self, set: Mask) -> u64 {
        let members = self.draws.iter().enumerate().filter(|&(slot, _)| set & bit(slot) != 0);
        let sum = members.fold(0_u64, |sum, (_, draw)| sum.wrapping_add(*draw));
        draw(0, &sum.to_le_bytes())
    }

    /// Takes the node that adds the most shards until none is left, then leaves out those that others made needless.
    fn fewest_greedy(&self) -> Vec<bool> {
        let mut chosen = vec![false; self.nodes.len()];
        let mut open: Vec<&[Slot]> = self.shards.iter().map(|(_, slots)| slots.as_slice()).collect();
        let mut order = Vec::new();
        while !open.is_empty() {
            let mut gain = vec![0_usize; self.nodes.len()];
            open.iter().copied().flatten().for_each(|&slot| gain[slot] += 1);
            let best = (0..gain.len()).max_by_key(|&slot| (gain[slot], self.draws[slot], slot));
            let best = best.expect("a shard that is listed has a node");
            chosen[best] = true;
            order.push(best);
            open.retain(|slots| !slots.contains(&best));
        }
        for slot in order {
            let is_needed = |slots: &[Slot]| slots.iter().all(|&other| other == slot || !chosen[other]);
            let needed = self.shards.iter().any(|(_, slots)| slots.contains(&slot) && is_needed(slots));
            chosen[slot] = needed;
        }
        chosen
    }
}

fn bit(slot: Slot) -> Mask {
    1 << slot
}
