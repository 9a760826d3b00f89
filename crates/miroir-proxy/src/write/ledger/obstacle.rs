//! What has to be over before a node that is rebuilt can go on, and what of that can't be over soon.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{IndexUid, NodeId, ShardId, TaskUid};
use miroir_core::rules::RULES_UID;
use miroir_core::task::SyncState;

use super::{Ledger, Nodes, Open, Share, Stage};

/// A task that can't end as things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::write) enum Obstacle {
    /// It is about a frozen index.
    Frozen {
        /// The index.
        index: IndexUid,
    },
    /// No node that answers, takes writes and can be trusted may still do its part of this shard.
    NoReplica {
        /// The task.
        task: TaskUid,
        /// The index that it is about.
        index: IndexUid,
        /// The shard.
        shard: ShardId,
    },
}

impl Ledger {
    /// A task that has to do with what the node holds and can't end soon.
    pub(in crate::write) fn obstacle(
        &self,
        node: &NodeId,
        frozen: &BTreeSet<IndexUid>,
        is_reachable: impl Fn(&NodeId) -> bool,
    ) -> Option<Obstacle> {
        self.unsettled_of(node).find_map(|(task, open)| {
            let index = open.index.clone();
            if frozen.contains(&index) {
                return Some(Obstacle::Frozen { index });
            }
            let shard = open.stuck_shard(&self.nodes, &is_reachable)?;
            Some(Obstacle::NoReplica { task, index, shard })
        })
    }

    fn unsettled_of(&self, node: &NodeId) -> impl Iterator<Item = (TaskUid, &Open)> {
        let unsettled = self.head.unsettled.values().flat_map(BTreeMap::keys);
        let open = unsettled.filter_map(|task| Some((*task, self.tasks.open.get(task)?)));
        let holds = |open: &Open| {
            let index = self.head.catalog.get(&open.index);
            index.is_some_and(|index| index.placement.shard_count_of(node) > 0)
        };
        // What every node has a node that has just come has to have too, though it has no part in tasks of before.
        open.filter(move |(_, open)| open.is_of_rules() || open.shares.contains_key(node) || holds(open))
    }
}

impl Open {
    /// A shard of which nobody has done what it has to, and nobody is about to.
    fn stuck_shard(&self, nodes: &Nodes, is_reachable: impl Fn(&NodeId) -> bool) -> Option<ShardId> {
        let Stage::Unsettled { touched, .. } = &self.stage else { return None };
        let may_serve = |(node, share): (&NodeId, &Share)| {
            let state = nodes.get(node).filter(|state| state.sync != SyncState::Damaged);
            state.is_some_and(|state| {
                if share.is_done() { !share.has_broken() } else { !state.refuses && is_reachable(node) }
            })
        };
        let served = |shard: &ShardId| {
            self.shares.iter().any(|(node, share)| share.shards.contains(shard) && may_serve((node, share)))
        };
        touched.iter().find(|shard| !served(shard)).copied()
    }

    /// Whether it is about what every node has: dynamic search rules.
    fn is_of_rules(&self) -> bool {
        self.physical.as_str() == RULES_UID
    }
}
