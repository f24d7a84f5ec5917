//! A file of SQLite's beside another one, whose place it takes.

use std::path::{Path, PathBuf};

use musehub_core::port::BackendError;
use sea_orm::{ConnectionTrait, DbErr};

use crate::index::SqlIndex;
use crate::index::connect::sqlite;

/// What SQLite keeps beside a database while it is open, and after a crash.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What becomes of an old file that SQLite cannot read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// It is refused.
    Refused,
    /// It is put aside as it is. Whether somebody still has it open cannot be found out.
    PutAside,
}

/// Begins a database beside a file, whose last user must be gone; what an earlier try left is removed.
pub(super) async fn begin(database: &Path, unreadable: Unreadable) -> Result<SqlIndex, BackendError> {
    require_unused(database, unreadable).await?;
    let beside = beside(database, "rebuilding");
    remove(&beside)?;
    SqlIndex::open(&beside).await
}

/// Puts the file that was begun, and is closed, in the place of the old one; under which name that one stays, if there was one.
pub(super) async fn swap(database: &Path, unreadable: Unreadable) -> Result<Option<PathBuf>, BackendError> {
    let new = beside(database, "rebuilding");
    // Both become single files, so that moving one moves all of it.
    require_unused(&new, Unreadable::Refused).await?;
    require_unused(database, unreadable).await?;
    let failed = |error| BackendError::unavailable("putting the new database in place", error);
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(&new).map_err(failed)?;
    let mut kept = None;
    if database.exists() {
        let old = beside(database, "before-rebuild");
        remove(&old)?;
        // A second name first: at no moment is there no database.
        step("keeping the old database", || std::fs::hard_link(database, &old)).map_err(failed)?;
        // Of one that could not be read: SQLite would take it for the log of the new one.
        for suffix in LOGS {
            let (log, aside) = (suffixed(database, suffix), suffixed(&old, suffix));
            if log.exists() {
                std::fs::rename(log, aside).map_err(failed)?;
            }
        }
        kept = Some(old);
    }
    step("putting the new database in place", || std::fs::rename(&new, database)).map_err(failed)?;
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(directory.unwrap_or(Path::new("."))).map_err(failed)?;
    Ok(kept)
}

/// A change of files, which tests of crashes strike.
fn step<T>(name: &str, change: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    #[cfg(feature = "failpoints")]
    return crate::failpoints::file(name, change);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = name;
        change()
    }
}

/// Refuses a database that somebody has open, by turning it from WAL to a single file, which only the last user can. The
/// next user turns it back.
async fn require_unused(database: &Path, unreadable: Unreadable) -> Result<(), BackendError> {
    if !database.exists() {
        return Ok(());
    }
    match turn_to_one_file(database).await {
        Err(error) if is_unreadable(&error) && unreadable == Unreadable::PutAside => Ok(()),
        Err(error) if is_unreadable(&error) => {
            Err(BackendError::unavailable("reading the old database, which --discard-old gives up,", error))
        }
        Err(error) => Err(BackendError::unavailable("taking the database, which must not be in use,", error)),
        Ok(()) => Ok(()),
    }
}

async fn turn_to_one_file(database: &Path) -> Result<(), DbErr> {
    let alone = sqlite::alone(database).await?;
    let turned = alone.execute_unprepared("PRAGMA journal_mode = DELETE").await;
    let closed = alone.close().await;
    turned?;
    closed
}

/// Whether SQLite says that a file is no database of its own, or a broken one.
fn is_unreadable(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("file is not a database") || text.contains("disk image is malformed")
}

fn beside(database: &Path, what: &str) -> PathBuf {
    suffixed(database, &format!(".{what}"))
}

fn suffixed(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a database with the files of its log.
fn remove(database: &Path) -> Result<(), BackendError> {
    for suffix in [""].iter().chain(&LOGS) {
        match std::fs::remove_file(suffixed(database, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BackendError::unavailable("removing what an earlier try left", error));
            }
            _ => {}
        }
    }
    Ok(())
}
