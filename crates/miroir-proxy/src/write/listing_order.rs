//! The order in which documents arrived: what decisions mean for it, and what nodes have to be asked for it.
//!
//! The store changes the book of an index together with a decision. Deletions by a filter and edits by a function leave it in
//! doubt. Before documents are added then, and before more doubt comes, nodes are asked which documents are left, so that
//! new ones take the places of those that are gone, as on one server. But the log does not wait for that: while earlier
//! writes to the index are not over, gaps stay, which only the order of later documents shows.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::PhysicalUid;
use miroir_core::task::{Deletion, LogEntry, Mutation};
use time::OffsetDateTime;

use super::existing::find_existing;
use super::prepared::Prepared;
use super::retry::until_stored;
use super::sequencer::{QUESTION, Sequencer, same_index};

/// Indexes of which it is known that their book is not in doubt, or that they have none.
#[derive(Debug, Default)]
pub(super) struct SureBooks(Mutex<BTreeSet<PhysicalUid>>);

impl SureBooks {
    fn set(&self) -> std::sync::MutexGuard<'_, BTreeSet<PhysicalUid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These changes are stored.
    pub(super) fn note(&self, changes: &[(PhysicalUid, ArrivalChange)]) {
        for (index, change) in changes {
            match change {
                ArrivalChange::Doubt | ArrivalChange::Close => self.set().remove(index),
                ArrivalChange::Begin | ArrivalChange::Keep(_) => self.set().insert(index.clone()),
                ArrivalChange::Add(_) | ArrivalChange::Remove(_) => false,
            };
        }
    }
}

impl Sequencer {
    /// What is left of the documents in the book of the entry's index, if it is to be known now and can be.
    pub(super) async fn survey(&self, entry: &LogEntry, group: &[Prepared]) -> Option<ArrivalChange> {
        if !matters(&entry.mutation) || same_index(group, &entry.index_uid).next().is_some() {
            return None;
        }
        let index = {
            let ledger = self.ledger();
            let is_quiet = ledger.head.unsettled(&entry.index_uid).next().is_none();
            let index = ledger.head.index(&entry.index_uid, std::iter::empty(), OffsetDateTime::now_utc());
            index.filter(|index| is_quiet && index.shards.get() > 1 && index.primary_key.is_some())?
        };
        if self.sure_books.set().contains(&index.physical) {
            return None;
        }
        let book =
            until_stored("an order of arrival", || self.store.arrival_book(index.physical.clone())).await;
        let Some(book) = book.filter(ArrivalBook::is_in_doubt) else {
            self.sure_books.set().insert(index.physical);
            return None;
        };
        let ids: BTreeSet<String> = book.ids().map(str::to_owned).collect();
        let readable = self.view.load().in_sync_for(&index.physical);
        let existing = find_existing(&self.membership, &readable, QUESTION, &index, &ids).await;
        existing.unknown.is_empty().then_some(ArrivalChange::Keep(existing.found))
    }
}

/// Whether the entry gives places away, or may make them free without saying which.
fn matters(mutation: &Mutation) -> bool {
    match mutation {
        Mutation::AddDocuments { .. } | Mutation::EditDocuments { .. } => true,
        Mutation::DeleteDocuments { deletion } => matches!(deletion, Deletion::ByFilter(_)),
        Mutation::Settings { .. }
        | Mutation::CreateIndex { .. }
        | Mutation::UpdateIndex { .. }
        | Mutation::RenameIndex { .. }
        | Mutation::SwapIndexes { .. }
        | Mutation::DeleteIndex
        | Mutation::Rules { .. }
        | Mutation::Errand { .. } => false,
    }
}
