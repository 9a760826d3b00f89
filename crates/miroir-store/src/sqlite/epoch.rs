//! Who takes the steps of the write path.

use miroir_core::ids::Epoch;
use rusqlite::Connection;

use super::log::{counter, set_counter};
use crate::StoreError;

const EPOCH: &str = "epoch";

pub(super) fn begin(db: &Connection) -> Result<Epoch, StoreError> {
    let epoch = counter(db, EPOCH)? + 1;
    set_counter(db, EPOCH, epoch)?;
    Ok(Epoch(epoch.unsigned_abs()))
}

/// Refuses a step of another epoch than this one. In the step's own transaction: none begins while it runs. (Where
/// transactions don't wait for each other, this is a `SELECT … FOR SHARE`.)
pub(super) fn check(db: &Connection, epoch: Epoch) -> Result<(), StoreError> {
    let current = Epoch(counter(db, EPOCH)?.unsigned_abs());
    if current == epoch { Ok(()) } else { Err(StoreError::Superseded { epoch, current }) }
}
