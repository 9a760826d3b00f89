//! One group's table while it is being made: nodes as positions, loads counted along, so that the steps of [`assign`]
//! and [`rebalance`] are single comparisons.
//!
//! [`assign`]: super::assign()
//! [`rebalance`]: super::rebalance()

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::iter::successors;

use super::{Members, PlacementError, ReplicationFactor};
use crate::hash::score;
use crate::ids::{GroupId, NodeId, PhysicalUid, ShardCount, ShardId};

/// A node's position in [`Draft::nodes`].
type Slot = usize;
/// A shard's number as a position.
type Row = usize;

#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// By name.
    nodes: Vec<&'a NodeId>,
    rows: Vec<DraftRow>,
    /// How many shards each node holds.
    load: Vec<usize>,
}

#[derive(Debug)]
struct DraftRow {
    scores: Vec<u64>,
    held: Vec<bool>,
    /// What was held at first: such a copy costs nothing to keep.
    held_before: Vec<bool>,
}

/// One copy's way from a node that holds it to one that does not.
#[derive(Debug, Clone, Copy)]
struct Step {
    row: Row,
    from: Slot,
    to: Slot,
}

/// What a step adds to the copies that must be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Nothing: the copy is still to be made, or comes back to where it was.
    Free,
    /// One more.
    Copy,
}

impl DraftRow {
    fn cost(&self, from: Slot, to: Slot) -> Cost {
        if self.held_before[from] && !self.held_before[to] { Cost::Copy } else { Cost::Free }
    }

    fn copies(&self) -> usize {
        self.held.iter().filter(|&&held| held).count()
    }
}

/// The nodes of each group, by name; an error if a group can't keep the copies that are asked for.
pub(super) fn check_groups(
    members: &Members,
    factor: ReplicationFactor,
) -> Result<BTreeMap<GroupId, Vec<&NodeId>>, PlacementError> {
    let mut groups: BTreeMap<GroupId, Vec<&NodeId>> = BTreeMap::new();
    for (node, &group) in members {
        groups.entry(group).or_default().push(node);
    }
    if groups.is_empty() {
        return Err(PlacementError::NoNodes);
    }
    for (&group, nodes) in &groups {
        if nodes.len() < factor.copies() {
            return Err(PlacementError::TooFewNodes { group, nodes: nodes.len(), copies: factor.get() });
        }
    }
    Ok(groups)
}

impl<'a> Draft<'a> {
    /// An empty table over the nodes, which come by name.
    pub(super) fn new(index: &PhysicalUid, shards: ShardCount, nodes: Vec<&'a NodeId>) -> Self {
        let row = |shard| DraftRow {
            scores: nodes.iter().map(|node| score(index, shard, node)).collect(),
            held: vec![false; nodes.len()],
            held_before: vec![false; nodes.len()],
        };
        let rows = shards.shards().map(row).collect();
        let load = vec![0; nodes.len()];
        Self { nodes, rows, load }
    }

    /// Takes over a copy that exists already, unless its node is gone.
    pub(super) fn keep(&mut self, shard: ShardId, node: &NodeId) {
        if let Ok(slot) = self.nodes.binary_search(&node) {
            let row = shard.0 as usize;
            self.rows[row].held_before[slot] = true;
            self.place(row, slot);
        }
    }

    /// The nodes that hold the shard, by falling score.
    pub(super) fn replicas(&self, shard: ShardId) -> Vec<&'a NodeId> {
        let row = &self.rows[shard.0 as usize];
        let mut slots: Vec<Slot> = (0..self.nodes.len()).filter(|&slot| row.held[slot]).collect();
        slots.sort_by_key(|&slot| (Reverse(row.scores[slot]), slot));
        slots.into_iter().map(|slot| self.nodes[slot]).collect()
    }

    /// Gives every shard its copies by score, no node beyond its share. Where every node with room holds the shard
    /// already, the least loaded of the others takes it; [`Self::balance`] repairs that.
    pub(super) fn fill_by_score(&mut self, copies: usize) {
        let share = (self.rows.len() * copies).div_ceil(self.nodes.len());
        for row in 0..self.rows.len() {
            for _ in self.rows[row].copies()..copies {
                let with_room = self.vacant(row).filter(|&slot| self.load[slot] < share);
                let best = with_room.max_by_key(|&slot| (self.rows[row].scores[slot], Reverse(slot)));
                let slot = best.or_else(|| self.least_loaded_vacant(row));
                self.place(row, slot.expect("a group has no fewer nodes than copies"));
            }
        }
    }

    /// Gives every shard the copies that it lacks, each to the least loaded node.
    pub(super) fn fill_by_load(&mut self, copies: usize) {
        for row in 0..self.rows.len() {
            for _ in self.rows[row].copies()..copies {
                let slot = self.least_loaded_vacant(row);
                self.place(row, slot.expect("a group has no fewer nodes than copies"));
            }
        }
    }

    /// Takes away the copies that are too many, each from the fullest node that holds the shard.
    pub(super) fn trim(&mut self, copies: usize) {
        for row in 0..self.rows.len() {
            for _ in copies..self.rows[row].copies() {
                let holders = (0..self.nodes.len()).filter(|&slot| self.rows[row].held[slot]);
                let fullest =
                    holders.max_by_key(|&slot| (self.load[slot], Reverse(self.rows[row].scores[slot]), slot));
                self.remove(row, fullest.expect("a shard with too many copies has one"));
            }
        }
    }

    /// Moves single copies from the fullest to the emptiest nodes until their loads differ by at most one. That always
    /// ends: a node that holds two shards more than another holds one that the other has not, and each round
    /// brings two loads closer.
    pub(super) fn balance(&mut self) {
        while let Some(steps) = self.next_steps() {
            for Step { row, from, to } in steps {
                self.remove(row, from);
                self.place(row, to);
            }
        }
    }

    /// What brings one fullest and one emptiest node closer. Copies that are still to be made can go elsewhere for
    /// nothing, also from node to node along a chain; only where no chain leads, a copy that exists must move.
    fn next_steps(&self) -> Option<Vec<Step>> {
        let (&most, &least) = (self.load.iter().max()?, self.load.iter().min()?);
        if most - least < 2 {
            return None;
        }
        let slots_with =
            |load: usize| (0..self.nodes.len()).filter(move |&slot| self.load[slot] == load).collect();
        let (fullest, emptiest): (Vec<Slot>, Vec<Slot>) = (slots_with(most), slots_with(least));
        match self.best_step(&fullest, &emptiest)? {
            (Cost::Free, step) => Some(vec![step]),
            (Cost::Copy, step) => self.free_chain(&fullest, &emptiest).or_else(|| Some(vec![step])),
        }
    }

    /// The cheapest step between the nodes, then the one whose shard scores highest on its new node and lowest on its
    /// old one.
    fn best_step(&self, sources: &[Slot], targets: &[Slot]) -> Option<(Cost, Step)> {
        let mut best = None;
        for (at, row) in self.rows.iter().enumerate() {
            for &from in sources.iter().filter(|&&from| row.held[from]) {
                for &to in targets.iter().filter(|&&to| !row.held[to]) {
                    let scores = (row.scores[to], Reverse(row.scores[from]));
                    let rank = (Reverse(row.cost(from, to)), scores, Reverse((at, from, to)));
                    best = best.max(Some(rank));
                }
            }
        }
        best.map(|(Reverse(cost), _, Reverse((row, from, to)))| (cost, Step { row, from, to }))
    }

    /// The shortest chain of free steps from one of the sources to one of the targets.
    fn free_chain(&self, sources: &[Slot], targets: &[Slot]) -> Option<Vec<Step>> {
        let mut unseen: Vec<Slot> = (0..self.nodes.len()).filter(|slot| !sources.contains(slot)).collect();
        let mut reached_by: Vec<Option<Step>> = vec![None; self.nodes.len()];
        let mut queue: VecDeque<Slot> = sources.iter().copied().collect();
        while let Some(from) = queue.pop_front() {
            if targets.contains(&from) {
                let mut chain: Vec<Step> =
                    successors(reached_by[from], |step| reached_by[step.from]).collect();
                chain.reverse();
                return Some(chain);
            }
            unseen.retain(|&to| {
                let step = self.best_step(&[from], &[to]).filter(|(cost, _)| *cost == Cost::Free);
                reached_by[to] = step.map(|(_, step)| step);
                let is_reached = reached_by[to].is_some();
                queue.extend(is_reached.then_some(to));
                !is_reached
            });
        }
        None
    }

    fn vacant(&self, row: Row) -> impl Iterator<Item = Slot> {
        (0..self.nodes.len()).filter(move |&slot| !self.rows[row].held[slot])
    }

    fn least_loaded_vacant(&self, row: Row) -> Option<Slot> {
        let scores = &self.rows[row].scores;
        self.vacant(row).min_by_key(|&slot| (self.load[slot], Reverse(scores[slot]), slot))
    }

    fn place(&mut self, row: Row, slot: Slot) {
        self.rows[row].held[slot] = true;
        self.load[slot] += 1;
    }

    fn remove(&mut self, row: Row, slot: Slot) {
        self.rows[row].held[slot] = false;
        self.load[slot] -= 1;
    }
}
