//! SQLite: the database file and its connections.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::failures::error;
use super::sealing;
use super::search;
use crate::secret::Key;
use crate::store::contract::{Error, Result};

pub(super) const FILE: &str = "doorbell.db";

/// The database file of a data folder.
pub(super) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Whether the file is shorter than its header says. If there is a log next to it, the missing part may be in the log.
pub(super) fn is_cut_off(data: &Path) -> bool {
    let log = std::fs::metadata(data.join(format!("{FILE}-wal"))).map_or(0, |m| m.len());
    let (mut head, length) = ([0; 32], std::fs::metadata(file(data)).map_or(0, |m| m.len()));
    let read = File::open(file(data)).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head));
    // The page size and the page count (the SQLite file format, 1.3).
    let page = u64::from(u16::from_be_bytes([head[16], head[17]]));
    let page = if page == 1 { 1 << 16 } else { page };
    log == 0 && read.is_ok() && length < page * u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]))
}

/// Opens a new connection.
pub(super) fn connect(data: &Path, create: bool, key: &Key) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(file(data), flags).map_err(error)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4000;";
    connection.execute_batch(settings).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise SQLite may prepare a statement again whenever a value is bound, to plan for that value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error)?;
    sealing::register(&connection, key)?;
    search::register(&connection).map_err(error)?;
    Ok(connection)
}

/// The database's files as they were when opened. If files were moved away or replaced, whatever is written to the old
/// ones is lost when the process ends, so nothing is stored any more after that.
pub(super) struct Files {
    numbers: [(PathBuf, u64); 2],
    /// A second handle on the log, never written to. (It holds none of SQLite's locks, which closing a file would release.)
    pub(super) log: File,
}

impl Files {
    pub(super) fn of(data: &Path) -> std::io::Result<Self> {
        let number = |name: &str| std::fs::metadata(data.join(name)).map(|m| (data.join(name), m.ino()));
        let log = format!("{FILE}-wal");
        Ok(Self { numbers: [number(FILE)?, number(&log)?], log: File::options().append(true).open(data.join(log))? })
    }

    pub(super) fn are_there(&self) -> Result<()> {
        let is_same = |(path, number): &(PathBuf, u64)| std::fs::metadata(path).is_ok_and(|m| m.ino() == *number);
        match self.numbers.iter().find(|file| !is_same(file)) {
            None => Ok(()),
            Some((path, _)) => {
                let said = format!(
                    "the file {} was moved, deleted or replaced while Doorbell was using it; put it back, or restart Doorbell",
                    path.display()
                );
                Err(Error::new(said, true))
            }
        }
    }
}
