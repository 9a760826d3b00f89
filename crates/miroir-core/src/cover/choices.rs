//! One group's readable copies of the wanted shards, and how the shards are spread over the nodes chosen from them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::hash::draw;
use crate::ids::{NodeId, ShardId};
use crate::placement::GroupPlacement;

/// A node's position in [`Choices::nodes`].
pub(super) type Slot = usize;

/// The shards that a group can answer for, each with the nodes that could.
#[derive(Debug)]
pub(super) struct Choices<'a> {
    /// The nodes of the group, by name.
    pub(super) nodes: &'a [NodeId],
    /// What the seed gives each node: between equals, the highest is taken.
    pub(super) draws: Vec<u64>,
    /// By shard, each with the readable nodes that hold it; none without one.
    pub(super) shards: Vec<(ShardId, Vec<Slot>)>,
}

impl<'a> Choices<'a> {
    pub(super) fn new(
        table: &'a GroupPlacement,
        wanted: &[ShardId],
        readable: &BTreeSet<NodeId>,
        seed: u64,
    ) -> Self {
        let nodes = table.nodes();
        let draws = nodes.iter().map(|node| draw(seed, node.as_str().as_bytes())).collect();
        let can_answer: Vec<bool> = nodes.iter().map(|node| readable.contains(node)).collect();
        let slots = |&shard: &ShardId| {
            let slots = table.replica_slots(shard).iter().copied();
            let slots: Vec<Slot> = slots.filter(|&slot| can_answer[slot]).collect();
            (!slots.is_empty()).then_some((shard, slots))
        };
        let shards = wanted.iter().filter_map(slots).collect();
        Self { nodes, draws, shards }
    }

    pub(super) fn has(&self, shard: ShardId) -> bool {
        self.shards.binary_search_by_key(&shard, |&(shard, _)| shard).is_ok()
    }

    /// Gives each shard to one of the chosen nodes that hold it, as evenly as single shards can be shifted. The
    /// chosen nodes must hold every shard between them.
    pub(super) fn spread(&self, chosen: &[bool]) -> impl Iterator<Item = (&'a NodeId, Vec<ShardId>)> {
        let mut load = vec![0_usize; self.nodes.len()];
        let mut taker: Vec<Slot> = vec![0; self.shards.len()];
        let options: Vec<Vec<Slot>> = self
            .shards
            .iter()
            .map(|(_, slots)| slots.iter().copied().filter(|&slot| chosen[slot]).collect())
            .collect();
        let mut order: Vec<usize> = (0..options.len()).collect();
        order.sort_by_key(|&at| options[at].len());
        for at in order {
            let least = options[at].iter().min_by_key(|&&slot| (load[slot], Reverse(self.draws[slot]), slot));
            taker[at] = *least.expect("a cover has a node for every shard");
            load[taker[at]] += 1;
        }
        while let Some((at, to)) = find_shift(&options, &taker, &load) {
            load[taker[at]] -= 1;
            load[to] += 1;
            taker[at] = to;
        }
        let mut shards: Vec<Vec<ShardId>> = vec![Vec::new(); self.nodes.len()];
        for (slot, (shard, _)) in taker.into_iter().zip(&self.shards) {
            shards[slot].push(*shard);
        }
        self.nodes.iter().zip(shards).filter(|(_, shards)| !shards.is_empty())
    }
}

/// A shard that could go to a node with at least two shards fewer. Each such shift makes the loads more even, so they
/// come to an end.
fn find_shift(options: &[Vec<Slot>], taker: &[Slot], load: &[usize]) -> Option<(usize, Slot)> {
    taker.iter().zip(options).enumerate().find_map(|(at, (&from, slots))| {
        slots.iter().find(|&&to| load[to] + 2 <= load[from]).map(|&to| (at, to))
    })
}
