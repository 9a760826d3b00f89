//! From the stored table to the one that fits the nodes of today, as a list of single moves.
//!
//! The table asked for is drafted first (copies of nodes that left are dropped, missing ones go to the least loaded
//! nodes, then the fullest give to the emptiest); the moves are the difference, so no copy travels twice. Each move
//! is a step of its own: the copy is made, then [`IndexPlacement::apply`] changes the table. A node that left the members
//! stays in the table until its copies are elsewhere, which is what draining it means.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::draft::{Draft, check_groups};
use super::{GroupPlacement, IndexPlacement, Members, PlacementError, ReplicationFactor};
use crate::ids::{GroupId, NodeId, PhysicalUid, ShardId};

/// One change of one shard's nodes in one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The group whose table changes.
    pub group: GroupId,
    /// The shard whose copy is made or dropped.
    pub shard: ShardId,
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub because: Because,
}

/// What a move does.
///
/// A copy that a move takes out of the table may be deleted from the node only if [`IndexPlacement::holds`] no longer
/// says that the node holds the shard: it may hold it for another group too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The node gets a copy; nobody loses one.
    Copy {
        /// The node that gets it.
        to: NodeId,
    },
    /// One node gets a copy, and once it is complete another one's is dropped.
    Replace {
        /// The node that loses it.
        from: NodeId,
        /// The node that gets it.
        to: NodeId,
    },
    /// The node's copy is dropped.
    Drop {
        /// The node that loses it.
        from: NodeId,
    },
}

/// Why a move is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The shard has fewer copies than the replication factor asks for.
    MissingCopy,
    /// The node that held the copy is no longer a member of the group.
    NodeLeft,
    /// The node that held the copy was fuller than the one that gets it.
    Balance,
    /// The shard has more copies than the replication factor asks for.
    SurplusCopy,
}

/// The moves from the stored table to one that fits the members and the factor, the most urgent first: copies that are
/// missing or on a node that left (shards with the fewest other copies first), then balance, then what is only dropped.
/// Nothing when the table fits already.
pub fn rebalance(
    index: &PhysicalUid,
    current: &IndexPlacement,
    factor: ReplicationFactor,
    members: &Members,
) -> Result<Vec<Move>, PlacementError> {
    let mut wanted = check_groups(members, factor)?;
    let shards = current.shards;
    let groups: BTreeSet<GroupId> = wanted.keys().chain(current.groups.keys()).copied().collect();
    let mut moves = Vec::new();
    for group in groups {
        // A group without members wants no copies at all.
        let nodes = wanted.remove(&group).unwrap_or_default();
        let staying: BTreeSet<&NodeId> = nodes.iter().copied().collect();
        let copies = if nodes.is_empty() { 0 } else { factor.copies() };
        let mut draft = Draft::new(index, shards, nodes);
        for shard in shards.shards() {
            current.replicas(group, shard).iter().for_each(|node| draft.keep(shard, node));
        }
        draft.trim(copies);
        draft.fill_by_load(copies);
        draft.balance();
        for shard in shards.shards() {
            let row = Row { group, shard, staying: &staying };
            let after = draft.replicas(shard);
            let before = current.replicas(group, shard);
            let kept = before.iter().filter(|&node| staying.contains(node)).count();
            moves.extend(row.diff_moves(before, &after).into_iter().map(|step| (kept, step)));
        }
    }
    moves.sort_by_key(|(kept, step)| (phase(step), *kept));
    Ok(moves.into_iter().map(|(_, step)| step).collect())
}

/// Repairs, then balance, then drops. Copies come before drops, so that a whole group can be replaced by another one without
/// a moment in which a shard has no copy.
fn phase(step: &Move) -> u8 {
    match (&step.action, step.because) {
        (Action::Drop { .. }, _) => 2,
        (Action::Copy { .. } | Action::Replace { .. }, Because::MissingCopy | Because::NodeLeft) => 0,
        (Action::Copy { .. } | Action::Replace { .. }, Because::Balance | Because::SurplusCopy) => 1,
    }
}

/// One shard of one group, and the nodes of the group that are still members.
struct Row<'a> {
    group: GroupId,
    shard: ShardId,
    staying: &'a BTreeSet<&'a NodeId>,
}

impl Row<'_> {
    fn diff_moves(&self, before: &[NodeId], after: &[&NodeId]) -> Vec<Move> {
        let lost = before.iter().filter(|node| !after.contains(node));
        let (stayed, left): (Vec<_>, Vec<_>) = lost.partition(|&node| self.staying.contains(node));
        let mut lost = left.into_iter().chain(stayed);
        let gained = after.iter().filter(|&&node| !before.contains(node));
        let mut moves: Vec<Move> = gained
            .map(|&to| match lost.next() {
                Some(from) => {
                    let because = self.because(from, Because::Balance);
                    self.step(Action::Replace { from: from.clone(), to: to.clone() }, because)
                }
                None => self.step(Action::Copy { to: to.clone() }, Because::MissingCopy),
            })
            .collect();
        moves.extend(lost.map(|from| {
            let because = self.because(from, Because::SurplusCopy);
            self.step(Action::Drop { from: from.clone() }, because)
        }));
        moves
    }

    fn because(&self, from: &NodeId, if_it_stays: Because) -> Because {
        if self.staying.contains(from) { if_it_stays } else { Because::NodeLeft }
    }

    fn step(&self, action: Action, because: Because) -> Move {
        Move { group: self.group, shard: self.shard, action, because }
    }
}

impl IndexPlacement {
    /// Puts one finished move into the table. A move that is in it already changes nothing, so that whoever lost the
    /// answer may ask again; a move that was planned for another table, or would drop the last copy of a shard, is
    /// refused and changes nothing either.
    pub fn apply(&mut self, step: &Move) -> Result<(), PlacementError> {
        let Move { group, shard, ref action, .. } = *step;
        if shard.0 >= self.shards.get() {
            return Err(PlacementError::UnknownShard { shard });
        }
        match action {
            Action::Copy { to } => self.add_copy(group, shard, to),
            Action::Replace { from, to } => self.replace_copy(group, shard, from, to)?,
            Action::Drop { from } => self.drop_copy(group, shard, from)?,
        }
        Ok(())
    }

    fn add_copy(&mut self, group: GroupId, shard: ShardId, to: &NodeId) {
        if !self.replicas(group, shard).contains(to) {
            self.change_row(group, shard, |row| row.push(to.clone()));
        }
    }

    fn replace_copy(
        &mut self,
        group: GroupId,
        shard: ShardId,
        from: &NodeId,
        to: &NodeId,
    ) -> Result<(), PlacementError> {
        let row = self.replicas(group, shard);
        match (row.iter().position(|node| node == from), row.contains(to)) {
            (Some(old), false) => self.change_row(group, shard, |row| row[old] = to.clone()),
            (Some(old), true) => self.change_row(group, shard, |row| drop(row.remove(old))),
            (None, true) => {}
            (None, false) => return Err(PlacementError::OutdatedMove { shard, from: from.clone() }),
        }
        Ok(())
    }

    fn drop_copy(&mut self, group: GroupId, shard: ShardId, from: &NodeId) -> Result<(), PlacementError> {
        let Some(old) = self.replicas(group, shard).iter().position(|node| node == from) else {
            return Ok(());
        };
        if self.all_replicas(shard).nth(1).is_none() {
            return Err(PlacementError::LastCopy { shard, from: from.clone() });
        }
        self.change_row(group, shard, |row| drop(row.remove(old)));
        self.groups.retain(|_, table| !table.nodes().is_empty());
        Ok(())
    }

    fn change_row(&mut self, group: GroupId, shard: ShardId, change: impl FnOnce(&mut Vec<NodeId>)) {
        let shards = self.shards;
        let table = self.groups.entry(group).or_insert_with(|| GroupPlacement::empty(shards));
        table.change_row(shard, change);
    }
}
