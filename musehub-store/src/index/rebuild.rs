//! A new database beside the one in use, and the moment in which it takes its place.

use std::path::{Path, PathBuf};

use musehub_core::port::BackendError;
use sea_orm::ConnectionTrait;

use super::backup::BackupError;
use super::connect::sqlite;
use super::url::DatabaseUrl;
use super::{SqlIndex, opening};

/// A database that is being made from the object store.
///
/// One of SQLite's is made beside the one that it will replace: a crash before [`swap`](Self::swap) leaves the old database
/// as it was, and what was begun is removed by the next try. One of PostgreSQL's is made where the URL says, and has to be
/// empty.
#[derive(Debug)]
pub struct Replacement {
    /// The file to replace.
    replaced: Option<PathBuf>,
    index: SqlIndex,
}

impl Replacement {
    /// Begins an empty database that will replace the file of a URL, which need not be there; or takes an empty database
    /// of PostgreSQL's.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where somebody else has the old file open, a file cannot be made, or a database of
    /// PostgreSQL's has rows.
    pub async fn begin(database: &DatabaseUrl) -> Result<Self, BackendError> {
        let Some(file) = database.file() else {
            let index = SqlIndex::connect(database).await?;
            require_empty(&index).await?;
            return Ok(Self { replaced: None, index });
        };
        require_unused(file).await?;
        let beside = beside(file, "rebuilding");
        remove(&beside)?;
        Ok(Self { replaced: Some(file.to_owned()), index: SqlIndex::open(&beside).await? })
    }

    /// The new index.
    #[must_use]
    pub const fn index(&self) -> &SqlIndex {
        &self.index
    }

    /// How many commits and snapshots of the old file are in no object store, so that a new one would lack them.
    ///
    /// # Errors
    /// [`BackendError`] where the old database cannot be read.
    pub async fn unstored_rows(&self) -> Result<u64, BackendError> {
        let Some(replaced) = self.replaced.as_ref().filter(|replaced| replaced.exists()) else {
            return Ok(0);
        };
        let old = SqlIndex::open(replaced).await?;
        let unstored = old.unstored_rows().await;
        old.close().await?;
        unstored
    }

    /// Copies what the old file alone holds; how many rows there were, none where there is no old file.
    ///
    /// # Errors
    /// [`BackupError`] where the old database cannot be read.
    pub async fn carry_over(&self) -> Result<Option<u64>, BackupError> {
        let Some(replaced) = self.replaced.as_ref().filter(|replaced| replaced.exists()) else {
            return Ok(None);
        };
        let old = SqlIndex::open(replaced).await?;
        let rows = self.index.carry_over(&old).await;
        old.close().await?;
        rows.map(Some)
    }

    /// Puts the new file in the place of the old one, which stays beside it under the name given back; none where there
    /// was none.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where somebody else has the old one open, or a file cannot be moved.
    pub async fn swap(self) -> Result<Option<PathBuf>, BackendError> {
        self.index.close().await?;
        match &self.replaced {
            Some(replaced) => swap_files(replaced).await,
            None => Ok(None),
        }
    }
}

async fn swap_files(database: &Path) -> Result<Option<PathBuf>, BackendError> {
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
        std::fs::hard_link(database, &old).map_err(failed)?;
        kept = Some(old);
    }
    std::fs::rename(&new, database).map_err(failed)?;
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(directory.unwrap_or(Path::new("."))).map_err(failed)?;
    Ok(kept)
}

/// Refuses a database that has anything in it already.
async fn require_empty(index: &SqlIndex) -> Result<(), BackendError> {
    for table in ["musehub_repos", "musehub_identities"] {
        let action = "looking whether the database is empty";
        if !index.rows(action, &format!("SELECT 1 FROM {table} LIMIT 1"), []).await?.is_empty() {
            let reason =
                format!("{table} has rows: name an empty database, and restore a backup into it afterwards");
            return Err(BackendError::unavailable("rebuilding the index", reason));
        }
    }
    Ok(())
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
