//! What the database alone holds, as lines of JSON: written page by page, all of one moment, and read back in one transaction.
//!
//! [`tables`] is the one list of those tables. Everything else is in the object store, or is computed again from it.

use std::collections::HashMap;
use std::io::{BufRead, Seek};

use musehub_core::hub::mpack::INDEX_JOB;
use musehub_core::port::{BackendError, Timestamp};
use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, QueryResult, Value,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::SqlIndex;
use super::connect::Transaction;
use super::entity::{access, identity, intel, job, proposal, release};
use super::retry;
use super::sql::{self, Write};
use super::text;

#[cfg(test)]
mod tests;

/// The version of the form.
const FORMAT: u32 = 1;
const NAME: &str = "musehub-backup";
/// Rows of one page.
const PAGE: i64 = 500;
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 20;

/// Tables that cannot be made again from the object store. A row comes after those that it refers to.
fn tables() -> Vec<Table> {
    vec![
        Table::of::<identity::identity::Entity>(),
        Table::of::<identity::token::Entity>(),
        Table::of::<access::auth_key::Entity>(),
        Table::of::<access::collaborator::Entity>(),
        Table::of::<intel::breakage_scan::Entity>(),
        Table::of::<proposal::proposal::Entity>(),
        Table::of::<proposal::entry::Entity>(),
        Table::of::<proposal::review::Entity>(),
        Table::of::<release::release::Entity>(),
        Table::of::<release::tag::Entity>(),
        // What somebody asked for, and polls. Every other job is made again.
        Table::of::<job::background_job::Entity>().only(format!("job_type = '{INDEX_JOB}'")),
    ]
}

/// Those, and what a new database in the place of an old one needs to know, but no other hub: which proofs were used and count
/// no second time, and the secrets of what is on its way.
fn carried() -> Vec<Table> {
    let mut carried = tables();
    carried.push(Table::of::<access::spent_proof::Entity>());
    carried.push(Table::of::<access::secret::Entity>());
    carried
}

/// Why a backup is not written or read back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("the backup file cannot be read or written")]
    Io(#[from] std::io::Error),
    /// The file is no backup, or not a whole one.
    #[error("line {line} of the backup: {reason}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The database holds rows that would be overwritten.
    #[error("{table} has rows already: a backup goes into a fresh database, or replaces them when told to")]
    NotEmpty {
        /// The table.
        table: &'static str,
    },
    /// A row refers to what is not in the database.
    #[error("a row of {table} refers to what is not there: make the index anew from the object store first")]
    Dangling {
        /// The table.
        table: &'static str,
    },
    /// The database failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl retry::Failure for BackupError {
    fn backend(&self) -> Option<&BackendError> {
        match self {
            Self::Backend(error) => Some(error),
            _ => None,
        }
    }
}

/// How values of a column rest.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Integer,
    Boolean,
}

/// A table by its entity: names and types, so that no table needs code of its own.
#[derive(Debug)]
struct Table {
    name: &'static str,
    columns: Vec<(&'static str, Kind)>,
    key: Vec<&'static str>,
    /// The condition of its rows that are meant.
    only: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head { format: String, version: u32, created_at: Timestamp },
    Row { table: String, row: serde_json::Map<String, serde_json::Value> },
    End { rows: u64, blake3: String },
}

impl Table {
    fn of<E: EntityTrait>() -> Self {
        let kind = |column: &E::Column| match column.def().get_column_type() {
            ColumnType::BigInteger | ColumnType::Integer => Kind::Integer,
            ColumnType::Boolean => Kind::Boolean,
            _ => Kind::Text,
        };
        let key = <E::PrimaryKey as Iterable>::iter().map(|key| key.into_column().as_str());
        Self {
            // Entities' names are constants.
            name: E::default().table_name(),
            columns: E::Column::iter().map(|column| (column.as_str(), kind(&column))).collect(),
            key: key.collect(),
            only: "1 = 1".to_owned(),
        }
    }

    fn only(self, condition: String) -> Self {
        Self { only: condition, ..self }
    }

    fn column_names(&self) -> String {
        let quoted = self.columns.iter().map(|(name, _)| format!("\"{name}\""));
        quoted.collect::<Vec<_>>().join(", ")
    }

    /// Reads a page of rows in the order of the key, after `last`.
    async fn page(
        &self,
        snapshot: &Transaction,
        last: Option<&[Value]>,
    ) -> Result<Vec<Vec<Value>>, BackendError> {
        let key = self.key.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let (condition, mut values) = match last {
            None => (String::new(), Vec::new()),
            Some(last) => {
                let bound: Vec<String> = (1..=last.len()).map(|at| format!("${at}")).collect();
                (format!(" AND ({key}) > ({})", bound.join(", ")), last.to_vec())
            }
        };
        values.push(PAGE.into());
        let query = format!(
            "SELECT {} FROM {} WHERE {}{condition} ORDER BY {key} LIMIT ${}",
            self.column_names(),
            self.name,
            self.only,
            values.len()
        );
        let rows = sql::rows(snapshot, "reading a table", &query, values).await?;
        rows.iter().map(|row| self.values(row)).collect()
    }

    fn values(&self, row: &QueryResult) -> Result<Vec<Value>, BackendError> {
        let value = |(at, (name, kind)): (usize, &(&'static str, Kind))| {
            let read = match kind {
                Kind::Text => {
                    row.try_get_by_index::<Option<String>>(at).map(|kept| Value::from(kept.map(text::read)))
                }
                Kind::Integer => row.try_get_by_index::<Option<i64>>(at).map(Value::from),
                Kind::Boolean => row.try_get_by_index::<Option<bool>>(at).map(Value::from),
            };
            read.map_err(|error| sql::damaged(self.name, name, error))
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    fn key_of(&self, row: &[Value]) -> Vec<Value> {
        let position = |name| self.columns.iter().position(|(column, _)| *column == name);
        self.key.iter().filter_map(|name| position(*name).map(|at| row[at].clone())).collect()
    }

    fn print_row(&self, row: &[Value]) -> serde_json::Map<String, serde_json::Value> {
        let json = |value: &Value| match value {
            Value::String(Some(text)) => text.as_str().into(),
            Value::BigInt(Some(number)) => (*number).into(),
            Value::Bool(Some(truth)) => (*truth).into(),
            _ => serde_json::Value::Null,
        };
        self.columns.iter().zip(row).map(|((name, _), value)| ((*name).to_owned(), json(value))).collect()
    }

    /// The values of a row by column; one that the row does not name, as it is younger than the backup, has its default.
    fn parse_row(
        &self,
        row: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<(&'static str, Value)>, String> {
        if let Some(unknown) = row.keys().find(|key| !self.columns.iter().any(|(name, _)| name == *key)) {
            return Err(format!("{} has no column '{unknown}'", self.name));
        }
        let value = |(name, kind): &(&'static str, Kind), json: &serde_json::Value| {
            let wrong = || format!("column '{name}' of {} is of another type", self.name);
            match (kind, json) {
                (Kind::Text, serde_json::Value::Null) => Ok(Value::from(None::<String>)),
                (Kind::Integer, serde_json::Value::Null) => Ok(Value::from(None::<i64>)),
                (Kind::Boolean, serde_json::Value::Null) => Ok(Value::from(None::<bool>)),
                (Kind::Text, json) => json.as_str().map(Value::from).ok_or_else(wrong),
                (Kind::Integer, json) => json.as_i64().map(Value::from).ok_or_else(wrong),
                (Kind::Boolean, json) => json.as_bool().map(Value::from).ok_or_else(wrong),
            }
        };
        let named = self.columns.iter().filter_map(|column| Some((column, row.get(column.0)?)));
        named.map(|(column, json)| Ok((column.0, value(column, json)?))).collect()
    }

    async fn insert(
        &self,
        write: &Write,
        row: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Result<(), BackupError> {
        let (names, row): (Vec<String>, Vec<Value>) =
            row.into_iter().map(|(name, value)| (format!("\"{name}\""), value)).unzip();
        let bound: Vec<String> = (1..=row.len()).map(|at| format!("${at}")).collect();
        let statement =
            format!("INSERT INTO {} ({}) VALUES ({})", self.name, names.join(", "), bound.join(", "));
        match write.execute(&statement, row).await {
            Ok(_) => Ok(()),
            Err(BackendError::Missing { .. }) => Err(BackupError::Dangling { table: self.name }),
            Err(error) => Err(error.into()),
        }
    }
}

impl SqlIndex {
    /// Writes everything that the database alone holds as lines of JSON; how many rows there were. One page of rows is in
    /// memory at a time. All of it is of one moment, whatever is written meanwhile.
    ///
    /// # Errors
    /// [`BackupError`] where the database or the file fails.
    pub async fn backup(
        &self,
        out: &mut (dyn std::io::Write + Send),
        now: Timestamp,
    ) -> Result<u64, BackupError> {
        let mut out = Lines { out, hash: blake3::Hasher::new() };
        out.line(&Line::Head { format: NAME.to_owned(), version: FORMAT, created_at: now })?;
        let snapshot = self.moment().await?;
        let mut rows = 0;
        for table in tables() {
            let mut last = None;
            loop {
                let page = table.page(&snapshot, last.as_deref()).await?;
                let Some(row) = page.last() else {
                    break;
                };
                last = Some(table.key_of(row));
                rows += page.len() as u64;
                for row in &page {
                    out.line(&Line::Row { table: table.name.to_owned(), row: table.print_row(row) })?;
                }
            }
        }
        drop(snapshot);
        let blake3 = out.hash.finalize().to_hex().to_string();
        out.line(&Line::End { rows, blake3 })?;
        out.out.flush()?;
        Ok(rows)
    }

    /// A transaction that sees one moment for as long as it takes to write all of it down: a slow file keeps it waiting
    /// between two statements.
    async fn moment(&self) -> Result<Transaction, BackendError> {
        const ACTION: &str = "reading what the database alone holds";
        let snapshot = self.snapshot(ACTION).await?;
        if self.is_shared() {
            let patience = "SET LOCAL idle_in_transaction_session_timeout = 0";
            let done = snapshot.execute_unprepared(patience).await;
            done.map_err(|error| sql::failure(ACTION, error))?;
        }
        Ok(snapshot)
    }

    /// Reads a backup back, all of it or nothing; how many rows there were. With `replace`, what the tables hold goes first.
    /// The backup is read from its beginning, again where the database gives up what was done for others' sake.
    ///
    /// # Errors
    /// [`BackupError`]; then the database is as it was.
    pub async fn restore<B: BufRead + Seek + Send>(
        &self,
        backup: &mut B,
        replace: bool,
    ) -> Result<u64, BackupError> {
        let tables = tables();
        let by_name: HashMap<&str, &Table> = tables.iter().map(|table| (table.name, table)).collect();
        let backup = Mutex::new(backup);
        retry::transaction(|| async {
            let write = self.write("restoring a backup").await?;
            for table in tables.iter().rev() {
                let rows = format!("FROM {} WHERE {}", table.name, table.only);
                if replace {
                    write.execute(&format!("DELETE {rows}"), []).await?;
                } else if !write.rows(&format!("SELECT 1 {rows} LIMIT 1"), []).await?.is_empty() {
                    return Err(BackupError::NotEmpty { table: table.name });
                }
            }
            let mut backup = backup.lock().await;
            backup.rewind()?;
            let rows = read_rows(&mut **backup, &by_name, &write).await?;
            write.commit().await?;
            Ok(rows)
        })
        .await
    }

    /// Copies everything that another database alone holds into this one; how many rows there were.
    ///
    /// # Errors
    /// [`BackupError`]; then this database is as it was.
    pub async fn carry_over(&self, old: &Self) -> Result<u64, BackupError> {
        retry::transaction(|| async {
            let write = self.write("carrying rows over").await?;
            let snapshot = old.moment().await?;
            let mut rows = 0;
            for table in carried() {
                let mut last = None;
                loop {
                    let page = table.page(&snapshot, last.as_deref()).await?;
                    let Some(row) = page.last() else {
                        break;
                    };
                    last = Some(table.key_of(row));
                    rows += page.len() as u64;
                    for row in page {
                        let names = table.columns.iter().map(|(name, _)| *name);
                        table.insert(&write, names.zip(row)).await?;
                    }
                }
            }
            write.commit().await?;
            Ok(rows)
        })
        .await
    }
}

async fn read_rows(
    backup: &mut (impl BufRead + Send),
    tables: &HashMap<&str, &Table>,
    write: &Write,
) -> Result<u64, BackupError> {
    let mut hash = blake3::Hasher::new();
    let (mut number, mut rows) = (0, 0);
    let mut text = Vec::new();
    loop {
        number += 1;
        text.clear();
        std::io::Read::take(&mut *backup, MAX_LINE).read_until(b'\n', &mut text)?;
        let malformed = |reason: &str| BackupError::Malformed { line: number, reason: reason.to_owned() };
        if text.is_empty() {
            return Err(malformed("the backup ends before its last line"));
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| malformed(&error.to_string()))?;
        match line {
            Line::Head { format, version, .. } if number == 1 => {
                if format != NAME || version != FORMAT {
                    return Err(malformed(&format!("it has version {version}, this hub reads {FORMAT}")));
                }
            }
            _ if number == 1 => return Err(malformed("it is no backup")),
            Line::Row { table, row } => {
                let table = tables.get(&*table).ok_or_else(|| malformed("it is of a table unknown here"))?;
                table.insert(write, table.parse_row(&row).map_err(|reason| malformed(&reason))?).await?;
                rows += 1;
            }
            Line::End { rows: expected, blake3 } => {
                if rows != expected || blake3 != hash.finalize().to_hex().to_string() {
                    return Err(malformed("the checksum does not fit what comes before it"));
                }
                if !backup.fill_buf()?.is_empty() {
                    return Err(malformed("something comes after the last line"));
                }
                return Ok(rows);
            }
            Line::Head { .. } => return Err(malformed("a second first line")),
        }
        hash.update(&text);
    }
}

/// Lines on their way to a file and through a hash.
struct Lines<'a> {
    out: &'a mut (dyn std::io::Write + Send),
    hash: blake3::Hasher,
}

impl Lines<'_> {
    fn line(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.out.write_all(&text)
    }
}
