//! For one search: which node is asked for which shards, so that every shard is searched exactly once.
//!
//! A search uses one replica group and as few of its nodes as possible, for every further node is one more request to
//! wait for; with as many copies as nodes that is a single one. Only for shards of which no node in sync has a copy one is
//! asked that is behind. The seed decides between equals: searches with
//! different seeds spread over groups and nodes, while one seed with one set of readable nodes always gets one cover, so
//! that pages and caches agree. Choices are drawn per group and node, so that a node which comes or goes leaves most other
//! choices as they were.
//!
//! Planning runs once per search. For 64 shards on 12 nodes, at any replication factor, it takes tens of microseconds
//! at most: up to [`EXACT_NODES`] nodes the smallest cover is searched for over bit masks, beyond that a greedy choice
//! is taken and pruned.

mod choices;
mod fewest;
mod policy;
mod pool;
mod shortfall;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use choices::Choices;
pub use fewest::EXACT_NODES;
pub use policy::UnavailableShardPolicy;
pub use pool::Pool;
pub use shortfall::Shortfall;

use crate::hash::draw;
use crate::ids::{GroupId, NodeId, ShardId};
use crate::placement::{GroupPlacement, IndexPlacement};

/// Who is asked for what. No shard is in two parts, none is both in a part and missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cover {
    /// By node; no node has two parts, and no part is empty.
    pub parts: Vec<CoverPart>,
    /// The shards of which no node that may be asked has a copy, in order.
    pub missing: Vec<ShardId>,
}

/// What one node is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoverPart {
    /// The node.
    pub node: NodeId,
    /// The shards it answers for, in order.
    pub shards: Vec<ShardId>,
    /// Whether these are all shards of the index that the placement gives the node. The shard filter can then be left
    /// out, as long as the node holds nothing else: no copy that is still being made, none that is yet to be deleted.
    pub holds_exactly: bool,
    /// Why it is asked.
    pub because: CoverReason,
}

/// Why a node takes part in a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CoverReason {
    /// Its group can answer for every shard alone, and the seed chose it among those that can.
    WholeGroup,
    /// No group can answer for every shard; its group can for the most.
    FullestGroup,
    /// It stands in for the search's group, which has no readable copy of these shards.
    OtherGroup,
    /// No node in sync has a copy of these shards. This one has, and is behind.
    Stale,
}

impl CoverPart {
    /// Whether the answer may lack what was written lately.
    pub fn is_stale(&self) -> bool {
        self.because == CoverReason::Stale
    }
}

impl Cover {
    /// Whether every shard is asked for.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The only part of a complete cover: the node that answers for everything, so that nothing needs to be merged.
    pub fn single(&self) -> Option<&CoverPart> {
        match self.parts.as_slice() {
            [part] if self.is_complete() => Some(part),
            _ => None,
        }
    }
}

/// The cover of a whole index by nodes that may be asked.
pub fn plan_cover(placement: &IndexPlacement, pool: &Pool, seed: u64) -> Cover {
    plan_cover_of(placement, placement.shard_count().shards(), pool, seed)
}

/// The cover of some shards only: when a part has failed, its shards are covered again without the node that failed.
/// Shards that the index has not are missing.
pub fn plan_cover_of(
    placement: &IndexPlacement,
    shards: impl IntoIterator<Item = ShardId>,
    pool: &Pool,
    seed: u64,
) -> Cover {
    let mut wanted: Vec<ShardId> = shards.into_iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut asked: BTreeMap<&NodeId, (Vec<ShardId>, CoverReason)> = BTreeMap::new();
    for (nodes, is_stale) in [(&pool.in_sync, false), (&pool.stale, true)] {
        let mut groups = by_draw(placement, seed);
        while !wanted.is_empty() {
            let Some((at, choices)) = choose_group(&groups, &wanted, nodes, seed) else { break };
            groups.remove(at);
            let because = match (asked.is_empty(), choices.shards.len() == wanted.len()) {
                _ if is_stale => CoverReason::Stale,
                (true, true) => CoverReason::WholeGroup,
                (true, false) => CoverReason::FullestGroup,
                (false, _) => CoverReason::OtherGroup,
            };
            wanted.retain(|&shard| !choices.has(shard));
            for (node, shards) in choices.spread(&choices.fewest()) {
                // A node that is changing groups can stand in two of them; it is asked once, for the first one's reason.
                asked.entry(node).or_insert_with(|| (Vec::new(), because)).0.extend(shards);
            }
        }
    }
    let part = |(node, (mut shards, because)): (&NodeId, (Vec<ShardId>, CoverReason))| {
        shards.sort_unstable();
        let holds_exactly = placement.shard_count_of(node) == shards.len();
        CoverPart { node: node.clone(), shards, holds_exactly, because }
    };
    Cover { parts: asked.into_iter().map(part).collect(), missing: wanted }
}

/// The groups in the order in which this seed would like to use them.
fn by_draw(placement: &IndexPlacement, seed: u64) -> Vec<&GroupPlacement> {
    let mut groups: Vec<(GroupId, &GroupPlacement)> = placement.groups().collect();
    groups.sort_by_key(|&(group, _)| (Reverse(draw(seed, &group.0.to_le_bytes())), group));
    groups.into_iter().map(|(_, table)| table).collect()
}

/// The first group that can answer for all shards, else the one that can for the most; `None` if none can for any.
fn choose_group<'a>(
    groups: &[&'a GroupPlacement],
    wanted: &[ShardId],
    readable: &BTreeSet<NodeId>,
    seed: u64,
) -> Option<(usize, Choices<'a>)> {
    let mut best: Option<(usize, Choices<'a>)> = None;
    for (at, table) in groups.iter().enumerate() {
        let choices = Choices::new(table, wanted, readable, seed);
        let most = best.as_ref().map_or(0, |(_, best)| best.shards.len());
        if choices.shards.len() > most {
            let is_whole = choices.shards.len() == wanted.len();
            best = Some((at, choices));
            if is_whole {
                break;
            }
        }
    }
    best
}
