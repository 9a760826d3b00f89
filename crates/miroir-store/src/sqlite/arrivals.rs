//! The order in which the documents of small indexes arrived. A row per index, since a book is read as a whole and, as
//! small as it is, written as a whole.

use std::collections::BTreeMap;

use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::PhysicalUid;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::json;
use crate::StoreError;

pub(super) fn book(db: &Connection, index: &PhysicalUid) -> Result<Option<ArrivalBook>, StoreError> {
    let mut query = db.prepare_cached("SELECT book FROM arrival_books WHERE index_uid = ?1")?;
    let text: Option<String> = query.query_row([index.as_str()], |row| row.get(0)).optional()?;
    Ok(text.as_deref().map(serde_json::from_str).transpose()?)
}

/// Each book is read once, however many of the changes are about it, and written if it is another one then.
pub(super) fn change(db: &Connection, changes: &[(PhysicalUid, ArrivalChange)]) -> Result<(), StoreError> {
    let mut by_index: BTreeMap<&PhysicalUid, Vec<&ArrivalChange>> = BTreeMap::new();
    for (index, change) in changes {
        by_index.entry(index).or_default().push(change);
    }
    for (index, changes) in by_index {
        let before = book(db, index)?;
        let after = changes.into_iter().fold(before.clone(), ArrivalBook::after);
        if after != before {
            put(db, index, after.as_ref())?;
        }
    }
    Ok(())
}

fn put(db: &Connection, index: &PhysicalUid, book: Option<&ArrivalBook>) -> Result<(), StoreError> {
    let Some(book) = book else {
        db.prepare_cached("DELETE FROM arrival_books WHERE index_uid = ?1")?.execute([index.as_str()])?;
        return Ok(());
    };
    db.prepare_cached(
        "INSERT INTO arrival_books (index_uid, book) VALUES (?1, ?2)
         ON CONFLICT (index_uid) DO UPDATE SET book = excluded.book",
    )?
    .execute(params![index.as_str(), json(book)?])?;
    Ok(())
}
