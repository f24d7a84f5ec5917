//! Connections to the database: how each engine is opened, and with which settings.

pub(super) mod postgres;
pub(super) mod session;
pub(super) mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use session::{Session, Sessions};

/// How long a caller waits for a connection of a pool.
///
/// On SQLite, longer than the longest write, as all writes of a process use one connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(120);

/// Connections of one pool: those that write, or those that read.
#[derive(Clone, Debug)]
pub(super) enum Connections {
    Sqlite(DatabaseConnection),
    Postgres(Sessions),
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// To write. On SQLite with `BEGIN IMMEDIATE`: a transaction that reads first and takes the lock later fails where
    /// another process wrote in between.
    Write,
    /// To read what was there at one moment, with several statements.
    Snapshot,
}

impl Connections {
    pub(super) const fn engine(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// The same connections for what a test has sea-orm execute itself.
    #[cfg(test)]
    pub(super) fn patient(&self) -> DatabaseConnection {
        match self {
            Self::Sqlite(connection) => connection.clone(),
            Self::Postgres(sessions) => sessions.patient(),
        }
    }

    /// The rows of a single statement.
    pub(super) async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Sqlite(connection) => connection.query_all_raw(statement).await,
            Self::Postgres(sessions) => sessions.session().await?.query_all_raw(statement).await,
        }
    }

    pub(super) async fn begin(&self, what: Begin) -> Result<Transaction, DbErr> {
        match self {
            Self::Sqlite(connection) => {
                let mode = match what {
                    Begin::Write => SqliteTransactionMode::Immediate,
                    Begin::Snapshot => SqliteTransactionMode::Deferred,
                };
                let options =
                    TransactionOptions { sqlite_transaction_mode: Some(mode), ..Default::default() };
                connection.begin_with_options(options).await.map(Transaction::Driver)
            }
            Self::Postgres(sessions) => {
                let statement = match what {
                    Begin::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
                    Begin::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                };
                sessions.begin(statement).await.map(Transaction::Session)
            }
        }
    }

    pub(super) async fn close(&self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(connection) => connection.close_by_ref().await,
            Self::Postgres(sessions) => {
                sessions.close().await;
                Ok(())
            }
        }
    }
}

/// A transaction. Dropped without a commit, it leaves no trace.
#[derive(Debug)]
pub(super) enum Transaction {
    /// Of sea-orm's.
    Driver(DatabaseTransaction),
    /// Of PostgreSQL, whose answers come in time.
    Session(Session),
}

/// What ends a transaction.
#[async_trait]
pub(super) trait Commit: ConnectionTrait {
    /// Makes what was written last.
    async fn commit(self) -> Result<(), DbErr>;
}

#[async_trait]
impl Commit for Transaction {
    async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Driver(transaction) => transaction.commit().await,
            Self::Session(session) => session.commit().await,
        }
    }
}

#[async_trait]
impl Commit for DatabaseTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        self.commit().await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Driver(transaction) => transaction.get_database_backend(),
            Self::Session(session) => session.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Driver(transaction) => transaction.execute_raw(statement).await,
            Self::Session(session) => session.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Driver(transaction) => transaction.execute_unprepared(sql).await,
            Self::Session(session) => session.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Driver(transaction) => transaction.query_one_raw(statement).await,
            Self::Session(session) => session.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Driver(transaction) => transaction.query_all_raw(statement).await,
            Self::Session(session) => session.query_all_raw(statement).await,
        }
    }
}

/// A database without tables, for a test.
#[cfg(test)]
pub(super) async fn empty(engine: musehub_test_services::Engine) -> sea_orm::DatabaseConnection {
    use musehub_test_services::{Engine, postgres};
    match engine {
        Engine::Sqlite => sqlite::in_memory().await.unwrap(),
        Engine::Postgres => sea_orm::Database::connect(postgres::database().await).await.unwrap(),
    }
}
