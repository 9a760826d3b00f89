//! Nodes of which nobody knows which settings they have. They answer alone, or with a warning, until they were read.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::ids::{NodeId, PhysicalUid};
use miroir_core::settings::SettingsUnknown;
use miroir_store::SettingsChange;
use time::OffsetDateTime;

use super::{Broadcasts, State};

impl Broadcasts {
    /// Keeps a node out of uniform covers of an index until its settings are known again. Nothing if the index is gone.
    pub fn doubt(&self, index: &PhysicalUid, node: &NodeId, why: SettingsUnknown) {
        let mut state = self.state();
        if self.has(index, node) {
            state.doubt(index, node, why);
            self.show(&state);
        }
    }

    /// What a node has is a copy of what its peers have, or what it had long ago: nothing is known of the settings of any of
    /// its indexes before they were read, and what was read before says nothing. Answers what is to be stored of that.
    pub fn doubt_all(&self, node: &NodeId) -> Vec<SettingsChange> {
        self.sending.forget_repairs(node);
        let mut state = self.state();
        let view = self.view.load();
        let held = view.indexes.values().filter(|entry| entry.placement.shard_count_of(node) > 0);
        let indexes: Vec<PhysicalUid> = held.map(|entry| entry.physical.clone()).collect();
        for index in &indexes {
            state.generation(index, &[node.clone()].into());
            state.doubt(index, node, SettingsUnknown::Astray);
        }
        self.show(&state);
        let doubted =
            |index| SettingsChange::Doubted { index, node: node.clone(), why: SettingsUnknown::Astray };
        indexes.into_iter().map(doubted).collect()
    }

    /// Whether the catalog says that the node has a part of the index. That changes only by [`Self::end`].
    pub fn has(&self, index: &PhysicalUid, node: &NodeId) -> bool {
        let view = self.view.load();
        let mut known = view.indexes.values();
        known.any(|entry| entry.physical == *index && entry.placement.shard_count_of(node) > 0)
    }

    /// A node that was to be read back will not be: nobody knows its settings. Answers what is to be stored of that.
    pub fn lose_sight(&self, index: PhysicalUid, node: NodeId) -> SettingsChange {
        let why = SettingsUnknown::Astray;
        self.doubt(&index, &node, why);
        SettingsChange::Doubted { index, node, why }
    }

    /// How often a node has begun to change its settings of an index.
    pub fn generation(&self, index: &PhysicalUid, node: &NodeId) -> u64 {
        self.state().versions.indexes.get(index).map_or(0, |versions| versions.generation(node))
    }

    /// Why nobody knows what a node has, if nobody does.
    pub fn doubt_of(&self, index: &PhysicalUid, node: &NodeId) -> Option<SettingsUnknown> {
        self.state().versions.indexes.get(index)?.doubtful.get(node).copied()
    }

    /// What it means that a node was seen, in this generation, to have what the catalog says. It is not true, and does not show,
    /// before [`Self::end`]. Nothing if that is known, or if the node has begun to change since.
    pub fn plan_trust(&self, index: &PhysicalUid, node: &NodeId, generation: u64) -> Option<SettingsChange> {
        let state = self.state();
        let versions = state.versions.indexes.get(index).filter(|versions| versions.rolling.is_none())?;
        if versions.generation(node) != generation {
            return None;
        }
        let (index, node) = (index.clone(), node.clone());
        match versions.committed().filter(|version| versions.nodes.get(&node) != Some(version)) {
            Some(version) => {
                Some(SettingsChange::Advanced { index, node, version, at: OffsetDateTime::now_utc() })
            }
            None if versions.doubtful.contains_key(&node) => Some(SettingsChange::Trusted { index, node }),
            None => None,
        }
    }

    /// How many nodes are known to differ, by index.
    pub fn divergence(&self) -> BTreeMap<PhysicalUid, usize> {
        let state = self.state();
        let mut nodes: BTreeMap<PhysicalUid, BTreeSet<NodeId>> = BTreeMap::new();
        for (index, versions) in &state.versions.indexes {
            nodes.entry(index.clone()).or_default().extend(versions.doubtful.keys().cloned());
        }
        for (task, live) in &state.live {
            // Those of a change that is over are doubted, as long as they differ, or come late.
            let is_over = live.broadcast.phase.is_over();
            let differing = live.broadcast.differing().filter(|_| !is_over).map(|(node, _)| node.clone());
            let put_off = state.put_off.keys().filter(|(other, _)| other == task);
            let differing = differing.chain(put_off.map(|(_, node)| node.clone()));
            nodes.entry(live.broadcast.index.clone()).or_default().extend(differing);
        }
        nodes.into_iter().map(|(index, nodes)| (index, nodes.len())).collect()
    }
}

impl State {
    pub(super) fn doubt(&mut self, index: &PhysicalUid, node: &NodeId, why: SettingsUnknown) {
        self.versions.change(index, |versions| {
            if !versions.doubtful.contains_key(node) {
                versions.begin_turns([node]);
            }
            versions.nodes.remove(node);
            versions.doubt(node, why);
        });
    }
}
