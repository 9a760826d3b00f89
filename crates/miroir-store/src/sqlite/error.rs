//! What the errors of `SQLite` mean.

use rusqlite::ErrorCode;

use crate::StoreError;

/// For errors of the file, as opposed to those of a query.
pub(super) const LOOK_AT_THE_DISK: &str = "Look at the disk of `task_store.path`, and at who may write there";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let engine = |advice| Self::Engine { message: error.to_string(), advice };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed,
            ) => engine(LOOK_AT_THE_DISK),
            _ => engine("Restart Miroir; if it comes back, the database is not as this version made it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn meaning(code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn errors_of_the_engine_become_what_a_caller_can_act_on() {
        assert_eq!(meaning(ffi::SQLITE_FULL), StoreError::Full);
        assert_eq!(meaning(ffi::SQLITE_BUSY), StoreError::Busy);
        assert!(matches!(meaning(ffi::SQLITE_CORRUPT), StoreError::Corrupt(_)));
        let broken = meaning(ffi::SQLITE_IOERR).to_string();
        assert!(broken.contains("task_store.path"), "{broken}");
        let other = meaning(ffi::SQLITE_MISMATCH);
        assert!(matches!(&other, StoreError::Engine { .. }) && other.may_pass(), "{other}");
    }
}
