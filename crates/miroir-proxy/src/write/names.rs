//! What can be decided from what indexes are called: swaps, renames, and dynamic search rules, which name indexes.

use miroir_core::ids::IndexUid;
use miroir_core::placement::Members;
use miroir_core::task::{
    Judgement, LogEntry, Mutation, judge_rename, judge_rules, judge_swap, name_rules_anew,
};
use time::OffsetDateTime;

use super::ledger::Ledger;
use super::prepared::Prepared;
use super::sequencer::internal_error;

/// See the module.
pub(super) struct Names<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) members: &'a Members,
    pub(super) now: OffsetDateTime,
}

impl Names<'_> {
    /// Where names change everything before is over, so the catalog is as it will be.
    pub(super) fn judge(&self, entry: &LogEntry, group: &[Prepared]) -> Option<Judgement> {
        let exists = |uid: &IndexUid| self.ledger.has_index(uid);
        let on_nodes =
            |uid: &str| self.ledger.name_on_nodes(uid, group.iter().map(|work| &*work.decided), self.now);
        let judged = match &entry.mutation {
            Mutation::Rules { change } => judge_rules(change, self.members, on_nodes),
            Mutation::SwapIndexes { swaps } => {
                let mut judgement = judge_swap(swaps, exists);
                let pairs = swaps.iter().map(|swap| (swap.indexes.0.as_str(), swap.indexes.1.as_str()));
                let pairs: Vec<(&str, &str)> = pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect();
                let renamed: Vec<&str> = pairs.iter().map(|(uid, _)| *uid).collect();
                // After the swap an index is what the other one was before.
                let after = |uid: &str| {
                    let before = pairs.iter().find(|(it, _)| *it == uid).map_or(uid, |(_, other)| *other);
                    on_nodes(before)
                };
                let book = self.ledger.rules();
                name_rules_anew(&mut judgement, book, self.members, &renamed, after).map(|()| judgement)
            }
            Mutation::RenameIndex { old_uid, new_uid, .. } if exists(old_uid) => {
                return Some(Judgement::refused(judge_rename(new_uid, exists)?));
            }
            _ => return None,
        };
        Some(judged.unwrap_or_else(|error| internal_error(error.to_string())))
    }
}
