//! A file of SQLite's beside another one, whose place it takes.

use std::path::{Path, PathBuf};

use musehub_core::port::BackendError;
use sea_orm::ConnectionTrait;

use crate::index::connect::sqlite;
use crate::index::{SqlIndex, opening};

/// Begins a database beside a file, whose last user must be gone; what an earlier try left is removed.
pub(super) async fn begin(database: &Path) -> Result<SqlIndex, BackendError> {
    require_unused(database).await?;
    let beside = beside(database, "rebuilding");
    remove(&beside)?;
    SqlIndex::open(&beside).await
}

/// Puts the file that was begun, and is closed, in the place of the old one; under which name that one stays, if there was one.
pub(super) async fn swap(database: &Path) -> Result<Option<PathBuf>, BackendError> {
    let new = beside(database, "rebuilding");
    // Both become single files, so that moving one moves all of it.
    require_unused(&new).await?;
    require_unused(database).await?;
    let failed = |error| BackendError::unavailable("putting the new database in place", error);
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    sync(&new).map_err(failed)?;
    let mut kept = None;
    if database.exists() {
        let old = beside(database, "before-rebuild");
        remove(&old)?;
        // A second name first: at no moment is there no database.
        step("keeping the old database", || std::fs::hard_link(database, &old)).map_err(failed)?;
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
async fn require_unused(database: &Path) -> Result<(), BackendError> {
    if !database.exists() {
        return Ok(());
    }
    let alone = sqlite::alone(database).await.map_err(opening)?;
    let turned = alone.execute_unprepared("PRAGMA journal_mode = DELETE").await;
    let closed = alone.close().await;
    turned.map_err(|error| {
        BackendError::unavailable("taking the database, which must not be in use,", error)
    })?;
    closed.map_err(opening)
}

fn beside(database: &Path, what: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// Removes a database with the files of its log.
fn remove(database: &Path) -> Result<(), BackendError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BackendError::unavailable("removing what an earlier try left", error));
            }
            _ => {}
        }
    }
    Ok(())
}
