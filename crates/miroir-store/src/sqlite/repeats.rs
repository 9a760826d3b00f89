//! Which steps were taken lately, so that one that is repeated is found. As many as are kept for certain, and no more: a
//! step is repeated within moments.

use miroir_core::ids::TaskUid;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{big, task_uid};
use crate::{KEPT_STEPS, StepId, StoreError};

/// A step that was taken.
pub(super) struct Done {
    /// The task that it made.
    pub(super) task: TaskUid,
    /// The task's details, if they don't follow from the step.
    pub(super) details: Option<String>,
}

pub(super) fn find(db: &Connection, id: StepId) -> Result<Option<Done>, StoreError> {
    let mut query = db.prepare_cached("SELECT task_uid, details FROM steps_taken WHERE id = ?1")?;
    let found = query.query_row([id.0.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(task, details)| Ok(Done { task: task_uid(task)?, details })).transpose()
}

pub(super) fn note(
    db: &Connection,
    id: StepId,
    task: TaskUid,
    details: Option<&str>,
) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO steps_taken (task_uid, id, details) VALUES (?1, ?2, ?3)")?
        .execute(params![big(task.0), id.0.to_string(), details])?;
    if let Some(old) = task.0.checked_sub(KEPT_STEPS) {
        db.prepare_cached("DELETE FROM steps_taken WHERE task_uid <= ?1")?.execute([big(old)])?;
    }
    Ok(())
}
