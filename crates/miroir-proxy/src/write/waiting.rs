//! Which entries of the log have to wait until earlier ones are over, and which of a frozen index fail.

use miroir_core::error::ResponseError;
use miroir_core::ids::IndexUid;
use miroir_core::task::{LogEntry, Mutation};
use miroir_core::view::IndexEntry;

/// Whether a primary key is replaced by another one, which only an index without documents allows.
pub(super) fn changes_key(mutation: &Mutation, index: &IndexEntry) -> bool {
    let key = primary_key_of(mutation);
    key.is_some_and(|key| index.primary_key.as_ref().is_some_and(|known| known != key))
}

/// The primary key that the client gives an index which may have one.
fn primary_key_of(mutation: &Mutation) -> Option<&String> {
    match mutation {
        Mutation::UpdateIndex { primary_key } | Mutation::RenameIndex { primary_key, .. } => {
            primary_key.as_ref()
        }
        _ => None,
    }
}

/// Why an entry fails because it would change a frozen index. Documents may still go to it: they were accepted before,
/// and wait for their end.
pub(super) fn is_stopped(entry: &LogEntry, frozen: &[(IndexUid, ResponseError)]) -> Option<ResponseError> {
    let error_of = |index: &IndexUid| Some(frozen.iter().find(|(it, _)| it == index)?.1.clone());
    match &entry.mutation {
        _ if frozen.is_empty() => None,
        Mutation::AddDocuments { .. }
        | Mutation::DeleteDocuments { .. }
        | Mutation::EditDocuments { .. }
        | Mutation::Rules { .. }
        | Mutation::Errand { .. } => None,
        Mutation::SwapIndexes { swaps } => {
            swaps.iter().find_map(|swap| error_of(&swap.indexes.0).or_else(|| error_of(&swap.indexes.1)))
        }
        Mutation::RenameIndex { new_uid, .. } => error_of(&entry.index_uid).or_else(|| error_of(new_uid)),
        Mutation::Settings { .. }
        | Mutation::CreateIndex { .. }
        | Mutation::UpdateIndex { .. }
        | Mutation::DeleteIndex => error_of(&entry.index_uid),
    }
}

/// Whether `entry` can only be decided, or delivered, when `earlier`, of the same index, is over.
pub(super) fn must_wait(entry: &LogEntry, earlier: &LogEntry) -> bool {
    let both_settings = matches!(
        (&entry.mutation, &earlier.mutation),
        (Mutation::Settings { .. }, Mutation::Settings { .. })
    );
    // Whether nodes take it is not known, nor by which settings to judge what follows. Where some have taken it and others
    // have not it is undone first, documents included: nothing may come between.
    let is_risky = earlier.mutation.is_risky_settings();
    // What a change is to be read back from must not go away meanwhile.
    let deletes_changed = matches!(entry.mutation, Mutation::DeleteIndex)
        && matches!(earlier.mutation, Mutation::Settings { .. });
    // One change of an index's settings at a time: it has to be verified before the next one.
    primary_key_of(&entry.mutation).is_some() || both_settings || is_risky || deletes_changed
}
