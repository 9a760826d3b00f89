//! The order in which the documents of a small index arrived.
//!
//! One Meilisearch lists documents by their internal numbers. A document that is new takes the lowest number that is free,
//! keeps it through replacements and updates, and gives it back when it is deleted. Each node numbers only its own part of
//! an index, so Miroir keeps a book of such numbers, its *places*, beside the log: it changes together with the decision
//! about a write, and so says how the index is listed when the log up to there is applied.
//!
//! Every task counts for itself. One Meilisearch may take several at once, and then gives no number away that one of them
//! has freed.
//!
//! Two things are decided without knowing which documents they concern: deletions by a filter and edits by a function. The
//! documents that are gone keep their places then, and the book is in doubt, until somebody says what is left.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::document::DocumentIds;

#[cfg(test)]
mod tests;

/// The most documents that a book is kept for. A listing asks for the ids of all documents that match, so that many ids
/// must be little work for nodes, and a book is written as a whole whenever it changes. Whoever looks at a listing from
/// its beginning to its end, in the order in which the documents came, has fewer.
pub const MOST_DOCUMENTS: usize = 1000;

/// The most bytes of ids in a book, for the same reason. A thousand UUIDs have 36,000.
const MOST_BYTES: usize = 64 << 10;

/// Which document has which place, as long as there are few.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrivalBook {
    /// The id at each place; none where a document was deleted. The last one is taken.
    places: Vec<Option<String>>,
    /// Whether some of the documents may be gone.
    is_in_doubt: bool,
}

/// What a decision means for the book of its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalChange {
    /// The index is new, or was emptied.
    Begin,
    /// These documents are there from now on, in this order; some may have been there before.
    Add(DocumentIds),
    /// These documents are gone, whether they were there or not.
    Remove(Vec<String>),
    /// Some documents may be gone, and nobody knows yet which.
    Doubt,
    /// Of the documents in the book these are left.
    Keep(BTreeSet<String>),
    /// The index is too large for a book, or gone.
    Close,
}

impl ArrivalBook {
    /// The book after a change. There is none of an index that was once too large, until it is emptied.
    #[must_use]
    pub fn after(book: Option<Self>, change: &ArrivalChange) -> Option<Self> {
        let begins = matches!(change, ArrivalChange::Begin);
        let mut book = if begins { Self::default() } else { book? };
        match change {
            ArrivalChange::Add(ids) => book.add(ids),
            ArrivalChange::Remove(ids) => {
                let gone: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
                book.retain(|id| !gone.contains(id));
            }
            ArrivalChange::Doubt => book.is_in_doubt = true,
            ArrivalChange::Keep(ids) => {
                book.retain(|id| ids.contains(id));
                book.is_in_doubt = false;
            }
            ArrivalChange::Begin => {}
            ArrivalChange::Close => return None,
        }
        book.is_small().then_some(book)
    }

    /// The documents in it. Those of a book in doubt may be fewer.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.places.iter().flatten().map(String::as_str)
    }

    /// The place of each document.
    pub fn places(&self) -> HashMap<&str, usize> {
        let taken = self.places.iter().enumerate();
        taken.filter_map(|(place, id)| Some((id.as_deref()?, place))).collect()
    }

    /// Whether it may hold documents that are gone.
    pub const fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    fn is_small(&self) -> bool {
        self.ids().count() <= MOST_DOCUMENTS && self.ids().map(str::len).sum::<usize>() <= MOST_BYTES
    }

    fn add(&mut self, ids: &DocumentIds) {
        let known: BTreeSet<String> = self.ids().map(str::to_owned).collect();
        let mut new = BTreeSet::new();
        let mut free = 0;
        for id in ids.iter().filter(|id| !known.contains(*id)) {
            if !new.insert(id) {
                continue;
            }
            while self.places.get(free).is_some_and(Option::is_some) {
                free += 1;
            }
            match self.places.get_mut(free) {
                Some(place) => *place = Some(id.to_owned()),
                None => self.places.push(Some(id.to_owned())),
            }
        }
    }

    fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        for place in &mut self.places {
            place.take_if(|id| !stays(id));
        }
        let end = self.places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.places.truncate(end);
    }
}
