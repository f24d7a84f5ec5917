//! Statements, rows and failures: what every port of the index needs of the database.

use std::fmt::Display;
use std::str::FromStr;

use musehub_core::port::{BackendError, Timestamp};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, QueryResult, SqlErr, Statement, TryGetable,
    Value,
};

use super::connect::{Commit, Transaction};
use super::{dialect, text};

/// The most values of one statement: SQLite's limit; PostgreSQL's is 65,535.
pub(super) const BIND_LIMIT: usize = 32_766;

/// Rows of one insert. More are no faster, and a longer statement costs memory.
pub(super) const ROWS_PER_INSERT: usize = 500;

/// The value for [`among!`]: a JSON array of texts that need no escapes.
pub(super) fn id_array<T: Display>(ids: impl IntoIterator<Item = T>) -> Value {
    let mut json = String::from("[");
    for id in ids {
        let separator = if json.len() == 1 { "\"" } else { ",\"" };
        json.push_str(separator);
        json.push_str(&id.to_string());
        json.push('"');
    }
    json.push(']');
    json.into()
}

/// The value for [`among!`]: a JSON array of any texts.
pub(super) fn text_array(texts: &[&str]) -> Value {
    text::kept_array(texts).into()
}

/// Rows to insert, made as they are needed.
pub(super) type Rows<'a, const COLUMNS: usize> =
    Box<dyn Iterator<Item = Result<[Value; COLUMNS], BackendError>> + Send + 'a>;

/// A write transaction.
#[derive(Debug)]
pub(super) struct Write<T = Transaction> {
    transaction: T,
    action: &'static str,
}

impl<T: Commit> Write<T> {
    pub(super) fn new(transaction: T, action: &'static str) -> Self {
        Self { transaction, action }
    }

    /// For what sea-orm executes itself.
    pub(super) fn transaction(&self) -> &T {
        &self.transaction
    }

    /// Runs statements without values, as they stand.
    pub(super) async fn execute_script(&self, script: &str) -> Result<(), BackendError> {
        let done = self.transaction.execute_unprepared(script).await;
        done.map(drop).map_err(|error| failure(self.action, error))
    }

    /// Runs a statement; how many rows it wrote.
    pub(super) async fn execute(
        &self,
        statement: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<u64, BackendError> {
        self.try_execute(statement, values).await.map_err(|error| failure(self.action, error))
    }

    /// Runs a statement whose failure the caller tells apart.
    pub(super) async fn try_execute(
        &self,
        statement: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<u64, DbErr> {
        let statement = prepared(self.transaction.get_database_backend(), statement, values);
        Ok(self.transaction.execute_raw(statement).await?.rows_affected())
    }

    /// The rows of a statement whose failure the caller tells apart.
    pub(super) async fn try_rows(
        &self,
        statement: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let statement = prepared(self.transaction.get_database_backend(), statement, values);
        self.transaction.query_all_raw(statement).await
    }

    /// The rows of a query, or of a statement that returns what it wrote.
    pub(super) async fn rows(
        &self,
        query: &str,
        values: impl IntoIterator<Item = Value> + Send,
    ) -> Result<Vec<QueryResult>, BackendError> {
        rows(&self.transaction, self.action, query, values).await
    }

    /// Inserts rows where there is none of the same key; how many those are. They are made as they are needed, a statement at
    /// a time. They should come by order of key: two transactions that insert the same rows in different orders wait for
    /// each other.
    pub(super) async fn insert_new<E: EntityTrait, const COLUMNS: usize>(
        &self,
        columns: [E::Column; COLUMNS],
        rows: impl IntoIterator<Item = Result<[Value; COLUMNS], BackendError>, IntoIter: Send> + Send,
    ) -> Result<u64, BackendError> {
        self.insert::<E, COLUMNS>(columns, rows, "ON CONFLICT DO NOTHING").await
    }

    /// Inserts rows; what becomes of one whose key is there is said by a clause. How many were written.
    pub(super) async fn insert<E: EntityTrait, const COLUMNS: usize>(
        &self,
        columns: [E::Column; COLUMNS],
        rows: impl IntoIterator<Item = Result<[Value; COLUMNS], BackendError>, IntoIter: Send> + Send,
        on_conflict: &str,
    ) -> Result<u64, BackendError> {
        let columns = columns.map(|column| column.as_str());
        let most = rows_per_insert(COLUMNS);
        let whole = insert_text::<E>(&columns, most, on_conflict);
        let mut rows = rows.into_iter();
        let mut written = 0;
        loop {
            let mut values = Vec::new();
            for row in rows.by_ref().take(most) {
                values.extend(row?);
            }
            let count = values.len() / COLUMNS;
            if count == most {
                written += self.execute(&whole, values).await?;
                continue;
            }
            if count > 0 {
                written += self.execute(&insert_text::<E>(&columns, count, on_conflict), values).await?;
            }
            return Ok(written);
        }
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<(), BackendError> {
        #[cfg(feature = "failpoints")]
        let point = crate::failpoints::Transaction::before_commit(self.action)?;
        self.transaction.commit().await.map_err(|error| failure(self.action, error))?;
        #[cfg(feature = "failpoints")]
        point.after_commit(self.action)?;
        Ok(())
    }
}

const fn rows_per_insert(columns: usize) -> usize {
    let most = BIND_LIMIT / columns;
    if most < ROWS_PER_INSERT { most } else { ROWS_PER_INSERT }
}

fn insert_text<E: EntityTrait>(columns: &[&str], rows: usize, on_conflict: &str) -> String {
    let table = E::default();
    let mut text = format!("INSERT INTO {} ({}) VALUES ", table.table_name(), columns.join(", "));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            let separator = if column == 0 { "$" } else { ", $" };
            text.push_str(separator);
            text.push_str(&(row * columns.len() + column + 1).to_string());
        }
        text.push(')');
    }
    text.push(' ');
    text.push_str(on_conflict);
    text
}

/// A statement as the engine reads it, with its values as they are kept.
pub(super) fn prepared(
    engine: DbBackend,
    statement: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let values = values.into_iter().map(text::kept_value);
    Statement::from_sql_and_values(engine, dialect::text(engine, statement), values)
}

/// The rows of a query.
pub(super) async fn rows(
    connection: &impl ConnectionTrait,
    action: &'static str,
    query: &str,
    values: impl IntoIterator<Item = Value> + Send,
) -> Result<Vec<QueryResult>, BackendError> {
    let statement = prepared(connection.get_database_backend(), query, values);
    connection.query_all_raw(statement).await.map_err(|error| failure(action, error))
}

/// What a caller can act on of a failure of the database.
pub(super) fn failure(action: &'static str, error: DbErr) -> BackendError {
    match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
            BackendError::Missing { what: format!("what {action} refers to") }
        }
        _ => BackendError::unavailable(action, error),
    }
}

/// A number as the database keeps it.
pub(super) fn integer(number: u64) -> Result<i64, BackendError> {
    i64::try_from(number).map_err(|error| BackendError::unavailable("keeping a number above 2^63", error))
}

/// What a column may hold.
pub(super) trait Kept: TryGetable {
    /// What was kept, as it was.
    fn read(self) -> Self {
        self
    }
}

impl Kept for bool {}
impl Kept for i64 {}
impl Kept for Option<i64> {}

impl Kept for String {
    fn read(self) -> Self {
        text::read(self)
    }
}

impl Kept for Option<String> {
    fn read(self) -> Self {
        self.map(text::read)
    }
}

/// One row of a table, read by position.
pub(super) struct Row<'a> {
    row: &'a QueryResult,
    table: &'static str,
}

impl<'a> Row<'a> {
    pub(super) fn of(table: &'static str, row: &'a QueryResult) -> Self {
        Self { row, table }
    }

    /// A column.
    pub(super) fn get<T: Kept>(&self, at: usize, column: &'static str) -> Result<T, BackendError> {
        self.row.try_get_by_index(at).map(T::read).map_err(|error| damaged(self.table, column, error))
    }

    /// A column that holds the text form of something.
    pub(super) fn parse<T: FromStr<Err: Display>>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<T, BackendError> {
        parse(self.table, column, &self.get::<String>(at, column)?)
    }

    /// A column that holds the text form of something, or NULL.
    pub(super) fn parse_nullable<T: FromStr<Err: Display>>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<T>, BackendError> {
        let text: Option<String> = self.get(at, column)?;
        text.map(|text| parse(self.table, column, &text)).transpose()
    }

    /// A count, a size or a position.
    pub(super) fn number<T: TryFrom<i64, Error: Display>>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<T, BackendError> {
        number(self.table, column, self.get(at, column)?)
    }

    /// A moment.
    pub(super) fn moment(&self, at: usize, column: &'static str) -> Result<Timestamp, BackendError> {
        self.get(at, column).map(Timestamp::from_millis)
    }
}

/// Reads the text form of something.
pub(super) fn parse<T: FromStr<Err: Display>>(
    table: &'static str,
    column: &'static str,
    text: &str,
) -> Result<T, BackendError> {
    text.parse().map_err(|error| damaged(table, column, error))
}

/// Reads a count or a size.
pub(super) fn number<T: TryFrom<i64, Error: Display>>(
    table: &'static str,
    column: &'static str,
    stored: i64,
) -> Result<T, BackendError> {
    T::try_from(stored).map_err(|error| damaged(table, column, error))
}

/// A column holds what was never written there.
pub(super) fn damaged(table: &'static str, column: &'static str, reason: impl Display) -> BackendError {
    BackendError::Damaged { what: format!("column {column} of {table}"), reason: reason.to_string() }
}
