//! The index: core's queryable ports over a SQL database, through sea-orm.
//!
//! Everything here but identities, tokens and proposals is derived from the object store and can be made anew from it, so it never
//! decides anything: the ref log does. Tables carry the names of the upstream hub. The schema changes only by a
//! [migration]; [entity] says what each table is for.
//!
//! Each statement is one text that SQLite and PostgreSQL read alike; [dialect] says where they part.

mod access;
pub(crate) mod backup;
mod branch_claims;
mod connect;
mod dialect;
mod entity;
mod fetch_packs;
mod history;
#[cfg(test)]
mod hot_queries;
mod identity;
mod intel;
mod job;
mod job_control;
mod maintenance;
mod migration;
mod pages;
mod places;
mod proposal;
mod proposal_conversation;
mod rate_limits;
pub(crate) mod rebuild;
mod release;
mod repository;
mod retry;
pub mod schema;
mod sql;
mod text;
mod unstored;
mod upgrade;
mod url;

#[cfg(test)]
mod tests;

use std::path::Path;

use musehub_core::port::BackendError;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, Value,
};

use connect::{Begin, Connections, Transaction};
use schema::SchemaReport;
use sql::Write;
use upgrade::migrate;
use url::Place;
pub use url::{DatabaseUrl, DatabaseUrlError};

/// The index in a SQL database: SQLite or PostgreSQL. Clones share its connections.
///
/// Several processes may use one database at a time. On SQLite readers never wait and writers wait for each other; on
/// PostgreSQL only those wait that write the same rows.
#[derive(Clone, Debug)]
pub struct SqlIndex {
    /// On SQLite one connection, so that the writers of this process queue here, in order, and not at the lock of the
    /// file.
    writer: Connections,
    /// Connections that cannot write. The writer itself where the database is in memory.
    reader: Connections,
}

impl SqlIndex {
    /// Opens a database and brings its schema up to date. A file of SQLite's is made where there is none; a database of
    /// PostgreSQL's must be there.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where it cannot be opened or is no database; names the database, and never a
    /// password. Its source is a [`schema::SchemaError`] where the database was made by a newer hub or is not what this one
    /// declares.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, BackendError> {
        match &url.0 {
            Place::Sqlite(path) => Self::open(path).await,
            Place::Postgres(options) => {
                let (writer, reader) = connect::postgres::pools(options).await?;
                migrate(&writer.patient()).await?;
                Ok(Self { writer: Connections::Postgres(writer), reader: Connections::Postgres(reader) })
            }
        }
    }

    /// Opens the SQLite database in a file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn open(path: &Path) -> Result<Self, BackendError> {
        let writer = connect::sqlite::writer(path).await.map_err(opening)?;
        migrate(&writer).await?;
        let reader = connect::sqlite::reader(path).await.map_err(opening)?;
        Ok(Self { writer: Connections::Sqlite(writer), reader: Connections::Sqlite(reader) })
    }

    /// A SQLite database that is gone with the last clone.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where SQLite fails.
    pub async fn in_memory() -> Result<Self, BackendError> {
        let writer = connect::sqlite::in_memory().await.map_err(opening)?;
        migrate(&writer).await?;
        let writer = Connections::Sqlite(writer);
        Ok(Self { reader: writer.clone(), writer })
    }

    /// Compares a database with what this hub declares, and changes nothing.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where it is not there or is no database. Its source is a [`schema::SchemaError`]
    /// where the database was made by a newer hub.
    pub async fn check_schema(url: &DatabaseUrl) -> Result<SchemaReport, BackendError> {
        const ACTION: &str = "checking the schema of the index";
        let reader = match &url.0 {
            Place::Sqlite(path) => connect::sqlite::reader(path).await.map_err(opening)?,
            Place::Postgres(options) => connect::postgres::pools(options).await?.1.patient(),
        };
        let report = schema::check(&reader).await.map_err(|error| sql::failure(ACTION, error))?;
        report.map_err(|error| BackendError::unavailable(ACTION, error))
    }

    /// Whether other machines may use the same database: whether what must be counted once is to be counted there.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.writer.engine() == DbBackend::Postgres
    }

    /// Waits for running statements and closes the connections of all clones.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where the driver fails.
    pub async fn close(&self) -> Result<(), BackendError> {
        let closing = |error: DbErr| BackendError::unavailable("closing the index", error);
        self.reader.close().await.map_err(closing)?;
        self.writer.close().await.map_err(closing)
    }

    /// Begins a write transaction, the one way in which anything is written. Dropped without a commit, it leaves no
    /// trace.
    async fn write(&self, action: &'static str) -> Result<Write, BackendError> {
        let transaction = self.writer.begin(Begin::Write).await;
        Ok(Write::new(transaction.map_err(|error| sql::failure(action, error))?, action))
    }

    /// Begins a transaction that sees one moment, however many statements it reads with.
    async fn snapshot(&self, action: &'static str) -> Result<Transaction, BackendError> {
        self.reader.begin(Begin::Snapshot).await.map_err(|error| sql::failure(action, error))
    }

    /// The rows of a query.
    async fn rows(
        &self,
        action: &'static str,
        query: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<Vec<QueryResult>, BackendError> {
        let statement = sql::prepared(self.reader.engine(), query, values);
        self.reader.query(statement).await.map_err(|error| sql::failure(action, error))
    }
}

/// Begins a write transaction of sea-orm's own, whose statements may take as long as they need: for migrations, and what is as
/// rare.
async fn begin(
    writer: &DatabaseConnection,
    action: &'static str,
) -> Result<Write<DatabaseTransaction>, BackendError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction =
        writer.begin_with_options(options).await.map_err(|error| sql::failure(action, error))?;
    Ok(Write::new(transaction, action))
}

fn opening(error: DbErr) -> BackendError {
    BackendError::unavailable("opening the index", error)
}
