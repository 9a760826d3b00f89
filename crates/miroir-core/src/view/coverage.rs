//! Which shards can be read, over all indexes.

use std::collections::BTreeSet;

use crate::cover::Pool;
use crate::ids::{NodeId, ShardId};
use serde::Serialize;

use super::{IndexEntry, View};

/// Shards of all indexes, counted by what can be read of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// All shards.
    pub shards: u32,
    /// Those with a copy that cannot be read now, or is behind.
    pub degraded: u32,
    /// Those of which only copies are left that are behind, and asked.
    pub stale: u32,
    /// Those of which no copy can be read now.
    pub missing: u32,
    /// Nodes that answer and may be read.
    pub nodes: usize,
}

/// What can be read of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// A copy that has everything.
    Readable,
    /// A copy that is behind.
    Stale,
    /// None.
    Missing,
}

impl Coverage {
    /// Whether every search can be answered from every shard.
    pub fn is_full(self) -> bool {
        self.missing == 0
    }

    /// The part of all shards that can be read, from 0 to 1. Where there is no index it is 1, unless no node could tell.
    pub fn ratio(self) -> f64 {
        match self.shards {
            0 if self.nodes == 0 => 0.0,
            0 => 1.0,
            shards => f64::from(shards - self.missing) / f64::from(shards),
        }
    }
}

/// What the nodes of a pool have of a shard.
pub fn shard_state(entry: &IndexEntry, shard: ShardId, pool: &Pool) -> ShardState {
    let is_held =
        |nodes: &BTreeSet<NodeId>| entry.placement.all_replicas(shard).any(|node| nodes.contains(node));
    if is_held(&pool.in_sync) {
        ShardState::Readable
    } else if is_held(&pool.stale) {
        ShardState::Stale
    } else {
        ShardState::Missing
    }
}

/// Counts the shards of all indexes of the view.
pub fn coverage(view: &View) -> Coverage {
    let mut counted = Coverage { nodes: view.usable.len(), ..Coverage::default() };
    for entry in view.indexes.values() {
        let pool = view.readable_for(entry);
        for shard in entry.placement.shard_count().shards() {
            counted.shards += 1;
            let all = entry.placement.all_replicas(shard).all(|node| pool.in_sync.contains(node));
            counted.degraded += u32::from(!all);
            match shard_state(entry, shard, &pool) {
                ShardState::Readable => {}
                ShardState::Stale => counted.stale += 1,
                ShardState::Missing => counted.missing += 1,
            }
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::PhysicalUid;
    use crate::task::{Behind, Lack};
    use crate::view::fixture::two_shards_on_three as view;

    #[test]
    fn a_shard_is_degraded_with_its_first_lost_copy_and_missing_with_its_last() {
        let counted = |readable: &[&str]| {
            let counted = coverage(&view(readable));
            (counted.shards, counted.degraded, counted.missing)
        };
        assert_eq!(counted(&["a", "b", "c"]), (2, 0, 0));
        assert_eq!(counted(&["a", "c"]), (2, 2, 0));
        assert_eq!(counted(&["a", "b"]), (2, 1, 0));
        assert_eq!(counted(&["a"]), (2, 2, 1));
    }

    #[test]
    fn a_shard_is_stale_when_only_a_copy_is_left_that_is_behind_and_missing_if_that_is_not_asked() {
        let mut behind = Behind::default();
        behind.insert(&PhysicalUid::new("films"), &NodeId::new("c"), Lack::Documents);
        let late = View { behind: Arc::new(behind), asks_stale: true, ..view(&["a", "c"]) };
        let counted = coverage(&late);
        assert_eq!((counted.degraded, counted.stale, counted.missing), (2, 1, 0));
        let counted = coverage(&View { asks_stale: false, ..late });
        assert_eq!((counted.degraded, counted.stale, counted.missing), (2, 0, 1));
    }

    #[test]
    fn the_ratio_goes_from_nothing_to_everything_and_no_index_is_everything_while_a_node_is_there() {
        let ratio = |view: &View| format!("{:.1}", coverage(view).ratio());
        let ratios = [ratio(&view(&[])), ratio(&view(&["a"])), ratio(&view(&["b"])), ratio(&View::default())];
        assert_eq!(ratios, ["0.0", "0.5", "1.0", "0.0"]);
        assert_eq!(ratio(&View { usable: [NodeId::new("a")].into(), ..View::default() }), "1.0");
    }
}
