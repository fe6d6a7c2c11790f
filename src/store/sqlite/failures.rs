//! SQLite: its errors in plain English for the operator, and whether a retry may succeed.

use rusqlite::ErrorCode;

use crate::store::contract::Error;

pub(super) fn damaged() -> Error {
    Error::new("the file doorbell.db in the data folder is damaged; move it away, and start from a backup or with an empty folder", false)
}

pub(super) fn no_disk() -> Error {
    Error::new("the disk of the data folder reported an error", true)
}

/// A SQLite error in plain English.
pub(super) fn error(e: rusqlite::Error) -> Error {
    let words = |m: &str, transient| Error::new(m, transient);
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => words("the disk of the data folder is full; free some space on it", true),
        Some(ErrorCode::ReadOnly) => words("the data folder is read-only; check its owner and permissions", true),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => words("the data folder is busy", true),
        Some(ErrorCode::SystemIoFailure) => no_disk(),
        Some(ErrorCode::CannotOpen) => words("the data folder cannot be opened; check its owner and permissions", true),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(),
        None if matches!(e, rusqlite::Error::FromSqlConversionFailure(..)) => {
            words(&format!("data in the store is damaged: {e}; restore a backup of the data folder"), false)
        }
        _ => Error::new(e.to_string(), false),
    }
}
