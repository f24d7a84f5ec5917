//! The index: core's queryable ports over a SQL database, through sea-orm.
//!
//! Everything here but identities and tokens is derived from the object store and can be made anew from it, so it never
//! decides anything: the ref log does. Tables carry the names of the upstream hub. The schema changes only by a
//! [migration]; [entity] says what each table is for.
//!
//! Statements are SQL that SQLite and PostgreSQL read alike; what only one of them understands is in [sql] and
//! [connect].

mod connect;
mod entity;
mod history;
#[cfg(test)]
mod hot_queries;
mod identity;
mod intel;
mod job;
mod maintenance;
mod migration;
mod places;
mod repository;
pub mod schema;
mod sql;

#[cfg(test)]
mod tests;

use std::path::Path;

use musehub_core::port::BackendError;
use sea_orm::{
    DatabaseConnection, DbErr, QueryResult, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    Value,
};
use sea_orm_migration::MigratorTrait;

use schema::{SchemaError, SchemaReport};
use sql::Write;

/// The index in a SQLite database. Clones share its connections.
///
/// Several processes may use one file at a time: readers never wait, writers wait for each other.
#[derive(Clone, Debug)]
pub struct SqlIndex {
    /// One connection, so that the writers of this process queue here, in order, and not at the lock of the file.
    writer: DatabaseConnection,
    /// Connections that cannot write. The writer itself where the database is in memory.
    reader: DatabaseConnection,
}

impl SqlIndex {
    /// Opens the database in a file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where the file cannot be opened or is no database. Its source is a
    /// [`SchemaError`] where the database was made by a newer hub or is not what this one declares.
    pub async fn open(path: &Path) -> Result<Self, BackendError> {
        let writer = connect::writer(path).await.map_err(opening)?;
        migrate(&writer).await?;
        let reader = connect::reader(path).await.map_err(opening)?;
        Ok(Self { writer, reader })
    }

    /// A database that is gone with the last clone.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where SQLite fails.
    pub async fn in_memory() -> Result<Self, BackendError> {
        let writer = connect::in_memory().await.map_err(opening)?;
        migrate(&writer).await?;
        Ok(Self { reader: writer.clone(), writer })
    }

    /// Compares the database in a file with what this hub declares, and changes nothing.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where the file is not there or is no database. Its source is a [`SchemaError`]
    /// where the database was made by a newer hub.
    pub async fn check_schema(path: &Path) -> Result<SchemaReport, BackendError> {
        const ACTION: &str = "checking the schema of the index";
        let reader = connect::reader(path).await.map_err(opening)?;
        let report = schema::check(&reader).await.map_err(|error| sql::failure(ACTION, error))?;
        report.map_err(|error| BackendError::unavailable(ACTION, error))
    }

    /// Waits for running statements and closes the connections of all clones.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where the driver fails.
    pub async fn close(&self) -> Result<(), BackendError> {
        let closing = |error: DbErr| BackendError::unavailable("closing the index", error);
        self.reader.close_by_ref().await.map_err(closing)?;
        self.writer.close_by_ref().await.map_err(closing)
    }

    /// Begins a write transaction, the one way in which anything is written. Dropped without a commit, it leaves no
    /// trace.
    async fn write(&self, action: &'static str) -> Result<Write, BackendError> {
        begin(&self.writer, action).await
    }

    /// The rows of a query.
    async fn rows(
        &self,
        action: &'static str,
        query: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<Vec<QueryResult>, BackendError> {
        sql::rows(&self.reader, action, query, values).await
    }
}

/// Begins with `BEGIN IMMEDIATE`: a transaction that reads first and takes the lock later fails where another process
/// wrote in between.
async fn begin(writer: &DatabaseConnection, action: &'static str) -> Result<Write, BackendError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction =
        writer.begin_with_options(options).await.map_err(|error| sql::failure(action, error))?;
    Ok(Write::new(transaction, action))
}

/// Applies the migrations that are lacking, all or none, and makes sure that what is there then is what is declared. Of
/// several processes one migrates, the others wait for it.
async fn migrate(writer: &DatabaseConnection) -> Result<(), BackendError> {
    const ACTION: &str = "bringing the schema of the index up to date";
    let failed = |error| sql::failure(ACTION, error);
    let refused = |error: SchemaError| BackendError::unavailable(ACTION, error);
    if !schema::pending(writer).await.map_err(failed)?.map_err(refused)?.is_empty() {
        let write = begin(writer, ACTION).await?;
        migration::Migrator::up(write.transaction(), None).await.map_err(failed)?;
        write.commit().await?;
    }
    let report = schema::check(writer).await.map_err(failed)?.map_err(refused)?;
    if report.differences.is_empty() {
        Ok(())
    } else {
        Err(refused(SchemaError::Drifted(report.differences)))
    }
}

fn opening(error: DbErr) -> BackendError {
    BackendError::unavailable("opening the index", error)
}
