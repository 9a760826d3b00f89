//! What can be decided from what indexes are called: swaps, renames, and dynamic search rules, which name indexes.

use miroir_core::ids::{IndexUid, PhysicalUid};
use miroir_core::placement::Members;
use miroir_core::task::{
    Judgement, LogEntry, Mutation, Step, Swap, judge_rename, judge_rules, judge_swap, rules_naming,
};
use time::OffsetDateTime;

use super::ledger::{Head, name_on_nodes};
use super::prepared::Prepared;
use super::sequencer::internal_error;

/// See the module.
pub(super) struct Names<'a> {
    pub(super) head: &'a Head,
    pub(super) members: &'a Members,
    pub(super) now: OffsetDateTime,
}

impl Names<'_> {
    /// Where names change everything before is over, so the catalog is as it will be.
    pub(super) fn judge(&self, entry: &LogEntry, group: &[Prepared]) -> Option<Judgement> {
        let exists = |uid: &IndexUid| self.head.has_index(uid);
        let on_nodes =
            |uid: &str| self.head.name_on_nodes(uid, group.iter().map(|work| &*work.decided), self.now);
        let judged = match &entry.mutation {
            Mutation::Rules { change } => judge_rules(change, self.members, on_nodes),
            Mutation::SwapIndexes { swaps } => {
                let judgement = judge_swap(swaps, exists);
                judgement.with_rules_everywhere(self.rules_after_swap(swaps, on_nodes), self.members)
            }
            Mutation::RenameIndex { old_uid, new_uid, .. } if exists(old_uid) && old_uid != new_uid => {
                return Some(Judgement::refused(judge_rename(new_uid, exists)?));
            }
            _ => return None,
        };
        Some(judged.unwrap_or_else(|error| internal_error(error.to_string())))
    }

    /// After a swap an index is what the other one was before.
    fn rules_after_swap(&self, swaps: &[Swap], on_nodes: impl Fn(&str) -> String) -> Vec<Step> {
        let pairs = swaps.iter().map(|swap| (swap.indexes.0.as_str(), swap.indexes.1.as_str()));
        let pairs: Vec<(&str, &str)> = pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect();
        let renamed: Vec<&str> = pairs.iter().map(|(uid, _)| *uid).collect();
        rules_naming(self.head.rules(), &renamed, |uid| {
            on_nodes(pairs.iter().find(|(it, _)| *it == uid).map_or(uid, |(_, other)| *other))
        })
    }

    /// What nodes have to be told of rules when the entry gives its index a name: another one, or its first one. `physical`
    /// is what nodes call the index.
    pub(super) fn rules_after(
        &self,
        entry: &LogEntry,
        physical: &PhysicalUid,
        group: &[Prepared],
    ) -> Vec<Step> {
        let own = entry.index_uid.as_str();
        let (new, renamed) = match &entry.mutation {
            Mutation::RenameIndex { old_uid, new_uid, .. } => {
                (new_uid.as_str(), vec![old_uid.as_str(), new_uid.as_str()])
            }
            _ => (own, vec![own]),
        };
        let earlier = || group.iter().map(|work| &*work.decided);
        rules_naming(self.head.rules(), &renamed, |uid| {
            if uid == new {
                physical.to_string()
            } else if renamed.contains(&uid) {
                name_on_nodes(self.head.catalog(), uid, None)
            } else {
                self.head.name_on_nodes(uid, earlier(), self.now)
            }
        })
    }
}
