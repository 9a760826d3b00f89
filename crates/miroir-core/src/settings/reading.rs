//! Which nodes may answer one search together: nodes with equal settings, as new as the client wants them, wherever that
//! leaves a copy of every shard. Nodes that are behind are in the choice where their settings are known; whether one is asked is
//! the cover's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Canonical;
use super::versions::{IndexVersions, Side};
use crate::cover::Pool;
use crate::ids::{NodeId, SettingsVersion};
use crate::placement::IndexPlacement;
use crate::view::{IndexEntry, View};

/// The nodes to choose from for one search, and the index as they have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The index with the settings of these nodes.
    pub entry: Arc<IndexEntry>,
    /// The nodes that may be asked.
    pub pool: Pool,
    /// Of every fresh node; empty when all have what the catalog says.
    sides: BTreeMap<NodeId, Side>,
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

/// Changing nodes of an index that were seen to have the new settings, each with the generation in which that was.
pub type SeenNew = BTreeMap<NodeId, u64>;

/// Chooses for an index of this view. During a change of its settings the nodes that have the new ones are preferred, as
/// soon as they hold everything; then those that have the old ones; then those and nodes that change just now, which are
/// to be [looked at](Reading::presumed) afterwards. If none of these do, all are in the pool, and [`Reading::is_uniform`]
/// tells whether the answer is a mixture.
///
/// A node that changes answers with the old settings up to one moment, and with the new ones from then on. So a node that
/// shows the old ones *after* it has answered has answered with them, and one that has shown the new ones (`seen`) answers
/// with those.
pub fn choose_reading(
    view: &View,
    entry: &Arc<IndexEntry>,
    floor: Option<SettingsVersion>,
    seen: &SeenNew,
) -> Result<Reading, Stale> {
    let versions = view.settings.indexes.get(&entry.physical);
    let fresh = fresh_nodes(view, entry, floor)?;
    let reading = |entry: &Arc<IndexEntry>, pool, sides| Reading {
        entry: Arc::clone(entry),
        pool,
        sides,
        versions: versions.map(Arc::clone),
    };
    let Some(versions) = versions.filter(|versions| !versions.is_calm()) else {
        return Ok(reading(entry, fresh, BTreeMap::new()));
    };
    let sides = sides_of(versions, &fresh, seen);
    // One that is behind is asked only if its settings are known for sure.
    let is_known = |node: &NodeId| matches!(sides[node], Side::Old | Side::New);
    let fresh = fresh.filtered(|node| fresh.in_sync.contains(node) || is_known(node));
    let best = uncovered(&entry.placement, &fresh);
    let of = |wanted: &[Side]| -> Option<Pool> {
        let pool = fresh.filtered(|node| wanted.contains(&sides[node]));
        (uncovered(&entry.placement, &pool) <= best).then_some(pool)
    };
    if let Some(rolling) = &versions.rolling
        && let Some(new) = of(&[Side::New])
    {
        return Ok(reading(&rolling.next, new, sides));
    }
    let old = of(&[Side::Old]).or_else(|| of(&[Side::Old, Side::OldSoFar]));
    Ok(reading(entry, old.unwrap_or(fresh), sides))
}

/// The nodes that may be asked and are as new as the client wants them.
fn fresh_nodes(view: &View, entry: &IndexEntry, floor: Option<SettingsVersion>) -> Result<Pool, Stale> {
    let versions = view.settings.indexes.get(&entry.physical);
    let readable = view.readable_for(entry);
    let Some(floor) = floor else { return Ok(readable) };
    if floor.0 > view.settings.last.map_or(0, |last| last.0) {
        return Err(Stale::NeverCommitted);
    }
    let Some(needed) = versions.and_then(|versions| versions.needed_for(floor)) else { return Ok(readable) };
    let has = |node: &NodeId| versions.and_then(|it| it.nodes.get(node)).is_some_and(|it| *it >= needed);
    let fresh = readable.filtered(has);
    // A copy without that version is too old, whether it is read or not; a lost copy of the right version is not.
    let too_old = entry.placement.nodes().filter(|node| !has(node)).cloned();
    let with_too_old = Pool::from(fresh.nodes().cloned().chain(too_old).collect::<BTreeSet<_>>());
    if uncovered(&entry.placement, &fresh).0 > uncovered(&entry.placement, &with_too_old).0 {
        return Err(Stale::NotThereYet);
    }
    Ok(fresh)
}

fn sides_of(versions: &IndexVersions, pool: &Pool, seen: &SeenNew) -> BTreeMap<NodeId, Side> {
    let side = |node: &NodeId| match versions.side(node) {
        Side::OldSoFar if seen.get(node) == Some(&versions.generation(node)) => Side::New,
        side => side,
    };
    pool.nodes().map(|node| (node.clone(), side(node))).collect()
}

impl Reading {
    /// The nodes of the pool that hold a part of the index.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.entry.placement.nodes().filter(|node| self.pool.contains(node))
    }

    /// Those of them that may have begun to answer with the new settings, and are to be looked at after the answer.
    pub fn presumed(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes().filter(|node| self.sides.get(*node) == Some(&Side::OldSoFar))
    }

    /// Takes in what the presumed nodes, looked at after the answer, have: settings as they read. Answers those that have
    /// the new settings, each with its generation.
    pub fn take_looks(&mut self, looks: &BTreeMap<NodeId, Map<String, Value>>) -> SeenNew {
        let presumed: Vec<NodeId> = self.presumed().cloned().collect();
        let mut seen = SeenNew::new();
        for node in presumed {
            let side = looks.get(&node).map_or(Side::Unknown, |found| self.side_by(found));
            if side == Side::New {
                let generation = self.versions.as_ref().map_or(0, |versions| versions.generation(&node));
                seen.insert(node.clone(), generation);
            }
            // Whoever has the new settings now may have answered with either.
            self.sides.insert(node, if side == Side::Old { Side::Old } else { Side::Unknown });
        }
        seen
    }

    /// What nodes don't show as it was set may read alike before and after a change: then nobody knows.
    fn side_by(&self, found: &Map<String, Value>) -> Side {
        let next = self.versions.as_ref().and_then(|versions| versions.rolling.as_ref()).map(|it| &it.next);
        match (has_settings(found, &self.entry), next.is_some_and(|next| has_settings(found, next))) {
            (true, false) => Side::Old,
            (false, true) => Side::New,
            (true, true) | (false, false) => Side::Unknown,
        }
    }

    /// Whether these nodes, asked together, answer with the same settings.
    pub fn is_uniform<'a>(&self, asked: impl IntoIterator<Item = &'a NodeId>) -> bool {
        if self.sides.is_empty() {
            return true;
        }
        let side = |node: &NodeId| self.sides.get(node).copied().unwrap_or(Side::Unknown);
        let sides: Vec<Side> = asked.into_iter().map(side).collect();
        match sides.as_slice() {
            [] | [_] => true,
            [first, others @ ..] => {
                matches!(first, Side::Old | Side::New) && others.iter().all(|side| side == first)
            }
        }
    }

    /// Whether one of these nodes has begun to change since: what it answered may be of either settings.
    pub fn has_moved<'a>(&self, now: &View, asked: impl IntoIterator<Item = &'a NodeId>) -> bool {
        let now = now.settings.indexes.get(&self.entry.physical);
        let generation = |versions: Option<&Arc<IndexVersions>>, node: &NodeId| {
            versions.map_or(0, |versions| versions.generation(node))
        };
        asked.into_iter().any(|node| generation(now, node) != generation(self.versions.as_ref(), node))
    }

    /// The last commit of the index.
    pub fn version(&self) -> Option<SettingsVersion> {
        self.versions.as_ref()?.committed()
    }
}

/// Whether a node whose settings read like this has those of `entry`.
fn has_settings(found: &Map<String, Value>, entry: &IndexEntry) -> bool {
    Canonical::of_node(found, &entry.settings, entry.node_context()) == Canonical::of_client(&entry.settings)
}

/// How many shards have no copy on these nodes, and how many none on those of them that are in sync.
fn uncovered(placement: &IndexPlacement, pool: &Pool) -> (usize, usize) {
    let without = |holds: &dyn Fn(&NodeId) -> bool| {
        placement.shard_count().shards().filter(|&shard| !placement.all_replicas(shard).any(holds)).count()
    };
    (without(&|node| pool.contains(node)), without(&|node| pool.in_sync.contains(node)))
}
