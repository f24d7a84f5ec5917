//! A new database beside the one in use, and the moment in which it takes its place.

mod files;
mod tables;

use std::fmt;
use std::path::PathBuf;

use musehub_core::port::{BackendError, IndexPages, RepositoryIndex};

use super::SqlIndex;
use super::backup::BackupError;
use super::url::{DatabaseUrl, Place};
use files::Unreadable;
use tables::Tables;

/// Repositories of one page.
const REPOSITORIES: u32 = 1000;

/// A database that is being made from the object store.
///
/// It is made beside the one that it will replace: a file of SQLite's beside the file, tables of PostgreSQL's in a schema beside
/// the tables. A crash before [`swap`](Self::swap) leaves the old database as it was, and what was begun is removed by the
/// next try. Into an empty database of PostgreSQL's it can be made directly.
#[derive(Debug)]
pub struct Replacement {
    target: Target,
    index: SqlIndex,
}

#[derive(Debug)]
enum Target {
    /// The file to replace.
    File(PathBuf, Unreadable),
    /// The tables to replace.
    Tables(Box<Tables>),
    /// A database that had no rows: nothing is replaced.
    Empty,
}

/// Where a database that was replaced is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// In this file.
    File(PathBuf),
    /// In this schema of the database.
    Schema(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Schema(schema) => write!(f, "in schema {schema}, until it is dropped"),
        }
    }
}

impl Replacement {
    /// Begins a database that will replace the file of a URL, which need not be there; or, with `replace`, the tables of
    /// PostgreSQL's. Without `replace`, takes a database of PostgreSQL's that is empty.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where somebody else uses the old database, a new one cannot be made, or a database of
    /// PostgreSQL's has rows that nobody said to replace.
    pub async fn begin(database: &DatabaseUrl, replace: bool) -> Result<Self, BackendError> {
        Self::start(database, replace, Unreadable::Refused).await
    }

    /// As [`begin`](Self::begin), for a database from which nothing will be carried over: a file that SQLite cannot read is
    /// put aside as it is. Whether somebody still has it open is for the caller to know.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn begin_discarding(database: &DatabaseUrl, replace: bool) -> Result<Self, BackendError> {
        Self::start(database, replace, Unreadable::PutAside).await
    }

    async fn start(
        database: &DatabaseUrl,
        replace: bool,
        unreadable: Unreadable,
    ) -> Result<Self, BackendError> {
        match &database.0 {
            Place::Sqlite(file) => {
                let index = files::begin(file, unreadable).await?;
                Ok(Self { index, target: Target::File(file.clone(), unreadable) })
            }
            Place::Postgres(options) if replace => {
                let (tables, index) = Tables::begin(options).await?;
                Ok(Self { index, target: Target::Tables(Box::new(tables)) })
            }
            Place::Postgres(_) => {
                let index = SqlIndex::connect(database).await?;
                require_empty(&index).await?;
                Ok(Self { index, target: Target::Empty })
            }
        }
    }

    /// The new index.
    #[must_use]
    pub const fn index(&self) -> &SqlIndex {
        &self.index
    }

    /// The old index; none where there is nothing to replace.
    async fn old(&self) -> Result<Option<SqlIndex>, BackendError> {
        match &self.target {
            Target::File(file, _) if file.exists() => SqlIndex::open(file).await.map(Some),
            Target::Tables(tables) if tables.are_there() => SqlIndex::connect(&tables.old()).await.map(Some),
            _ => Ok(None),
        }
    }

    /// How many commits, snapshots and branches of the old database are in no object store, so that a new one would lack them.
    ///
    /// # Errors
    /// [`BackendError`] where the old database cannot be read.
    pub async fn unstored_rows(&self) -> Result<u64, BackendError> {
        let Some(old) = self.old().await? else {
            return Ok(0);
        };
        let unstored = old.unstored_rows().await;
        old.close().await?;
        unstored
    }

    /// The repositories that the old database shows and that are not in the new one, as `owner/slug`: the object store has
    /// lost what it had of them. To be asked once the new one is made.
    ///
    /// # Errors
    /// [`BackendError`] where either database cannot be read.
    pub async fn lost_repositories(&self) -> Result<Vec<String>, BackendError> {
        let Some(old) = self.old().await? else {
            return Ok(Vec::new());
        };
        let lost = self.shown_only_by(&old).await;
        old.close().await?;
        lost
    }

    async fn shown_only_by(&self, old: &SqlIndex) -> Result<Vec<String>, BackendError> {
        let mut lost = Vec::new();
        let mut after = None;
        loop {
            let page = old.repository_page(after.as_ref(), REPOSITORIES).await?;
            let Some(last) = page.last() else {
                return Ok(lost);
            };
            after = Some(last.clone());
            for repo in page {
                if self.index.repository_by_id(&repo).await?.is_none()
                    && let Some(row) = old.repository_by_id(&repo).await?.filter(|row| !row.deleted)
                {
                    lost.push(format!("{}/{}", row.owner, row.slug));
                }
            }
        }
    }

    /// Copies what the old database alone holds; how many rows there were, none where there is no old database.
    ///
    /// # Errors
    /// [`BackupError`] where the old database cannot be read.
    pub async fn carry_over(&self) -> Result<Option<u64>, BackupError> {
        let Some(old) = self.old().await? else {
            return Ok(None);
        };
        let rows = self.index.carry_over(&old).await;
        old.close().await?;
        rows.map(Some)
    }

    /// Puts the new database in the place of the old one, which is kept where it is said; none where there was none.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where somebody else uses the old one, or a file or table cannot be moved.
    pub async fn swap(self) -> Result<Option<Kept>, BackendError> {
        self.index.close().await?;
        match self.target {
            Target::File(file, unreadable) => Ok(files::swap(&file, unreadable).await?.map(Kept::File)),
            Target::Tables(tables) => Ok(tables.swap().await?.map(Kept::Schema)),
            Target::Empty => Ok(None),
        }
    }
}

/// Refuses a database that has anything in it already.
async fn require_empty(index: &SqlIndex) -> Result<(), BackendError> {
    for table in ["musehub_repos", "musehub_identities"] {
        let action = "looking whether the database is empty";
        if !index.rows(action, &format!("SELECT 1 FROM {table} LIMIT 1"), []).await?.is_empty() {
            let reason =
                format!("{table} has rows: stop the servers and give --replace, or name an empty database");
            return Err(BackendError::unavailable("rebuilding the index", reason));
        }
    }
    Ok(())
}
