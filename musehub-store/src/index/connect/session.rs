//! Sessions with PostgreSQL whose every answer comes in time, or which are closed.
//!
//! What a session keeps to is kept by the server. Where the server falls silent, as a host does whose address went to
//! another one, nobody says so: a connection that waits for its answer has nothing under way that a timer of TCP's would
//! run for, and waits for ever. So every answer is waited for a little longer than the server itself would let a statement
//! run, and a connection that did not give it is closed.
//!
//! A pool asks each connection that comes back whether it is well, without an end to its waiting. So sessions are given back
//! here, in a bounded time, and not by dropping what the pool gave.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgArguments;
use sea_orm::sqlx::{Arguments, AssertSqlSafe, Error, Executor, PgPool, Postgres, query_with};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, SqlxPostgresConnector, Statement, Value, Values,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A pool, and how long an answer is waited for.
#[derive(Clone, Debug)]
pub(in crate::index) struct Sessions {
    pool: PgPool,
    patience: Patience,
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Patience(Option<Duration>);

impl Patience {
    /// A tenth and a second more than a statement may run on the server, in milliseconds, so that as a rule it is the server that
    /// gives up and says so. For ever, where a statement may run for ever.
    pub(in crate::index) fn beyond(statement_timeout_millis: u64) -> Self {
        let limit = Duration::from_millis(statement_timeout_millis);
        Self((!limit.is_zero()).then(|| limit + limit / 10 + Duration::from_secs(1)))
    }

    /// What was asked, unless it takes too long.
    async fn wait<T>(self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        match self.0 {
            None => asked.await.map_err(Failure::Said),
            Some(limit) => {
                timeout(limit, asked).await.map_err(|_| Failure::Silence(limit))?.map_err(Failure::Said)
            }
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// The driver or the server says why.
    Said(Error),
    /// Nothing was said for so long.
    Silence(Duration),
}

/// A connection of a pool, until it is dropped.
#[derive(Debug)]
pub(in crate::index) struct Session {
    /// None once the server was silent.
    connection: Mutex<Option<PoolConnection<Postgres>>>,
    patience: Patience,
    /// Whether there is, or may be, something to roll back.
    in_transaction: bool,
}

impl Sessions {
    pub(super) const fn new(pool: PgPool, patience: Patience) -> Self {
        Self { pool, patience }
    }

    /// The same connections for what sea-orm executes itself, however long it takes.
    pub(in crate::index) fn patient(&self) -> DatabaseConnection {
        SqlxPostgresConnector::from_sqlx_postgres_pool(self.pool.clone())
    }

    /// A session for single statements.
    pub(in crate::index) async fn session(&self) -> Result<Session, DbErr> {
        let connection = self.pool.acquire().await.map_err(|error| match error {
            Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
        })?;
        Ok(Session {
            connection: Mutex::new(Some(connection)),
            patience: self.patience,
            in_transaction: false,
        })
    }

    /// A session in a transaction, which a statement begins.
    pub(in crate::index) async fn begin(&self, statement: &str) -> Result<Session, DbErr> {
        let mut session = self.session().await?;
        session.in_transaction = true;
        session.execute_unprepared(statement).await?;
        Ok(session)
    }

    /// Waits for running statements and closes all connections.
    pub(in crate::index) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Session {
    /// Makes what was written last.
    pub(in crate::index) async fn commit(mut self) -> Result<(), DbErr> {
        self.execute_unprepared("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }
}

/// What a caller gets of an answer; a connection that gave none is closed.
fn settle<T>(
    held: &mut Option<PoolConnection<Postgres>>,
    answer: Result<T, Failure>,
    said: impl FnOnce(RuntimeErr) -> DbErr,
) -> Result<T, DbErr> {
    answer.map_err(|failure| match failure {
        Failure::Said(error) => said(RuntimeErr::SqlxError(Arc::new(error))),
        Failure::Silence(limit) => {
            // Out of the pool, so that another can be made, and not with a word to a server that does not read.
            drop(held.take().map(PoolConnection::detach));
            let reason = format!("the server did not answer within {:.1} seconds", limit.as_secs_f64());
            DbErr::Conn(RuntimeErr::Internal(reason))
        }
    })
}

fn closed() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the session was closed, as the server did not answer".to_owned()))
}

/// The values of a statement as the driver takes them.
fn arguments(values: Option<Values>) -> Result<PgArguments, DbErr> {
    let mut arguments = PgArguments::default();
    for value in values.into_iter().flatten() {
        let added: Result<(), BoxDynError> = match value {
            Value::String(text) => arguments.add(text),
            Value::BigInt(number) => arguments.add(number),
            Value::Int(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
            other => Err(format!("no column holds {other:?}").into()),
        };
        added.map_err(|error| DbErr::Type(error.to_string()))?;
    }
    Ok(arguments)
}

#[async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut held = self.connection.lock().await;
        let connection = held.as_deref_mut().ok_or_else(closed)?;
        let asked = query_with(AssertSqlSafe(statement.sql), arguments(statement.values)?);
        let answer = self.patience.wait(asked.execute(connection)).await;
        settle(&mut held, answer, DbErr::Exec).map(ExecResult::from)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut held = self.connection.lock().await;
        let connection = held.as_deref_mut().ok_or_else(closed)?;
        let answer = self.patience.wait(connection.execute(AssertSqlSafe(sql.to_owned()))).await;
        settle(&mut held, answer, DbErr::Exec).map(ExecResult::from)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut held = self.connection.lock().await;
        let connection = held.as_deref_mut().ok_or_else(closed)?;
        let asked = query_with(AssertSqlSafe(statement.sql), arguments(statement.values)?);
        let answer = self.patience.wait(asked.fetch_all(connection)).await;
        let rows = settle(&mut held, answer, DbErr::Query)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

impl Drop for Session {
    /// Gives the connection back to its pool, with nothing begun, or closes it. A caller that went away in the middle of a
    /// statement leaves its answer to be read, too.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.get_mut().take() else {
            return;
        };
        let patience = self.patience;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // Nobody is left to wait for an answer.
            drop(connection.detach());
            return;
        };
        if !self.in_transaction {
            // What dropping it would do, but for the time-out, after which it is closed.
            let give_back = connection.return_to_pool();
            runtime.spawn(async move { patience.wait(give_back.map(Ok)).await.is_ok() });
            return;
        }
        runtime.spawn(async move {
            match patience.wait(connection.execute("ROLLBACK")).await {
                Ok(_) => patience.wait(connection.return_to_pool().map(Ok)).await.is_ok(),
                Err(_) => {
                    drop(connection.detach());
                    false
                }
            }
        });
    }
}
