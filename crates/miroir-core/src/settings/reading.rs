//! Which nodes may answer one search together: nodes with equal settings, as new as the client wants them, wherever that
//! leaves a copy of every shard.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::versions::{IndexVersions, Side};
use crate::ids::{NodeId, SettingsVersion};
use crate::placement::IndexPlacement;
use crate::view::{IndexEntry, View};

/// The nodes to choose from for one search, and the index as they have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The index with the settings of these nodes.
    pub entry: Arc<IndexEntry>,
    /// The nodes that may be asked.
    pub pool: BTreeSet<NodeId>,
    versions: Option<Arc<IndexVersions>>,
}

/// No cover is as new as the client wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Nothing was ever committed with so high a version.
    NeverCommitted,
    /// Some shards have no readable copy that is so new.
    NotThereYet,
}

/// Chooses for an index of this view. During a change of its settings the nodes that have the new ones are preferred, as
/// soon as they hold everything; then those that have the old ones. If neither do, all are in the pool, and
/// [`Reading::is_uniform`] tells whether the answer is a mixture.
pub fn choose_reading(
    view: &View,
    entry: &Arc<IndexEntry>,
    floor: Option<SettingsVersion>,
) -> Result<Reading, Stale> {
    let versions = view.settings.indexes.get(&entry.physical);
    let mut fresh = view.readable.clone();
    if let Some(floor) = floor {
        if floor.0 > view.settings.last.map_or(0, |last| last.0) {
            return Err(Stale::NeverCommitted);
        }
        if let Some(needed) = versions.and_then(|versions| versions.needed_for(floor)) {
            let has =
                |node: &NodeId| versions.and_then(|it| it.nodes.get(node)).is_some_and(|it| *it >= needed);
            fresh.retain(has);
            if uncovered(&entry.placement, &fresh) > uncovered(&entry.placement, &view.readable) {
                return Err(Stale::NotThereYet);
            }
        }
    }
    let reading = |entry: &Arc<IndexEntry>, pool| Reading {
        entry: Arc::clone(entry),
        pool,
        versions: versions.map(Arc::clone),
    };
    let Some(versions) = versions.filter(|versions| !versions.is_calm()) else {
        return Ok(reading(entry, fresh));
    };
    let best = uncovered(&entry.placement, &fresh);
    let of = |side: Side| -> BTreeSet<NodeId> {
        fresh.iter().filter(|node| versions.side(node) == side).cloned().collect()
    };
    if let Some(rolling) = &versions.rolling {
        let new = of(Side::New);
        if uncovered(&entry.placement, &new) <= best {
            return Ok(reading(&rolling.next, new));
        }
    }
    let old = of(Side::Old);
    Ok(reading(entry, if uncovered(&entry.placement, &old) <= best { old } else { fresh }))
}

impl Reading {
    /// The nodes of the pool that hold a part of the index.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.entry.placement.nodes().filter(|node| self.pool.contains(*node))
    }

    /// Whether these nodes hold all that the pool holds.
    pub fn covers_with(&self, nodes: &BTreeSet<NodeId>) -> bool {
        uncovered(&self.entry.placement, nodes) <= uncovered(&self.entry.placement, &self.pool)
    }

    /// Whether these nodes, asked together, answer with the same settings.
    pub fn is_uniform<'a>(&self, asked: impl IntoIterator<Item = &'a NodeId>) -> bool {
        let Some(versions) = self.versions.as_ref().filter(|versions| !versions.is_calm()) else {
            return true;
        };
        let sides: Vec<Side> = asked.into_iter().map(|node| versions.side(node)).collect();
        match sides.as_slice() {
            [] | [_] => true,
            [first, others @ ..] => *first != Side::Unknown && others.iter().all(|side| side == first),
        }
    }

    /// Whether one of these nodes has begun to change since: what it answered may be of either settings.
    pub fn has_moved<'a>(&self, now: &View, asked: impl IntoIterator<Item = &'a NodeId>) -> bool {
        let now = now.settings.indexes.get(&self.entry.physical);
        let turn = |versions: Option<&Arc<IndexVersions>>, node: &NodeId| {
            versions.and_then(|versions| versions.turns.get(node)).copied().unwrap_or(0)
        };
        asked.into_iter().any(|node| turn(now, node) != turn(self.versions.as_ref(), node))
    }

    /// The last commit of the index.
    pub fn version(&self) -> Option<SettingsVersion> {
        self.versions.as_ref()?.committed()
    }
}

/// How many shards have no copy on these nodes.
fn uncovered(placement: &IndexPlacement, nodes: &BTreeSet<NodeId>) -> usize {
    let is_held = |shard| placement.all_replicas(shard).any(|node| nodes.contains(node));
    placement.shard_count().shards().filter(|&shard| !is_held(shard)).count()
}
