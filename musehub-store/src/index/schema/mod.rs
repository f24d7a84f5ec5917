//! Whether the database is what this hub declares: before anything is read or written, and on demand.
//!
//! Two catalogues are compared: what the entities say and what the database itself says. The
//! migrations are no source of either, so what they forget is a difference too.

mod benign;
pub(super) mod catalogue;
pub(super) mod declared;
mod diff;
mod expression;
mod postgres;
mod sqlite;
mod sqlite_text;

#[cfg(test)]
mod tests;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;

use super::migration::Migrator;
use catalogue::Catalogue;

pub use diff::{Difference, Item};

/// Where the applied migrations are recorded.
const VERSIONS: &str = "seaql_migrations";

/// Why a database is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It was migrated by a newer hub, whose changes this one does not know.
    #[error("the database was made by a newer hub: this one does not know {}", .unknown.join(", "))]
    Newer {
        /// The migrations that are unknown.
        unknown: Vec<String>,
    },
    /// It has a migration, but not one that comes before it.
    #[error("the database has {later} but not {missing}, which comes before it")]
    OutOfOrder {
        /// The migration that is missing.
        missing: String,
        /// The first one after it that is there.
        later: String,
    },
    /// It has tables of a hub, but no record of how they were made.
    #[error("the database has tables of a hub ({table} is one) but no record of migrations")]
    Unrecorded {
        /// One of the tables.
        table: String,
    },
    /// After the migrations, which were taken back, rows would refer to others that are not there.
    #[error("{rows} rows of {table} would refer to rows of {parent} that are not there")]
    Orphans {
        /// The table that refers.
        table: String,
        /// The table that it refers to.
        parent: String,
        /// How many rows.
        rows: i64,
    },
    /// It is not what this hub declares.
    #[error("the schema of the database is not what this hub declares:{}", lines(.0))]
    Drifted(Vec<Difference>),
}

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("\n{difference}")).collect()
}

/// How a database compares with what this hub declares.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SchemaReport {
    /// How many tables are declared.
    pub tables: usize,
    /// The newest migration that was applied; none in an empty database.
    pub version: Option<String>,
    /// Migrations that were not applied yet, oldest first. Opening the index applies them.
    pub pending: Vec<String>,
    /// What differs, in the order of tables.
    pub differences: Vec<Difference>,
    /// What differs without meaning anything, and why it means nothing.
    pub benign: Vec<(Difference, &'static str)>,
}

impl SchemaReport {
    /// Whether the database can be served as it is.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && self.differences.is_empty()
    }
}

/// The migrations of a database that were not applied yet, oldest first.
///
/// # Errors
/// In the inner result, what keeps them from being applied.
pub(super) async fn pending(
    connection: &impl ConnectionTrait,
) -> Result<Result<Vec<String>, SchemaError>, DbErr> {
    let live = read(connection).await?;
    let applied = applied(connection, &live).await?;
    Ok(lacking(&live, &applied))
}

/// Compares a database with what is declared.
///
/// # Errors
/// In the inner result, a version that makes a comparison meaningless.
pub(super) async fn check(
    connection: &impl ConnectionTrait,
) -> Result<Result<SchemaReport, SchemaError>, DbErr> {
    let live = read(connection).await?;
    let applied = applied(connection, &live).await?;
    let pending = match lacking(&live, &applied) {
        Ok(pending) => pending,
        Err(error) => return Ok(Err(error)),
    };
    let declared = declared::catalogue(connection.get_database_backend());
    let mut report = SchemaReport {
        tables: declared.tables.len(),
        version: applied.last().cloned(),
        pending,
        differences: Vec::new(),
        benign: Vec::new(),
    };
    for difference in diff::diff(&live, &declared) {
        match benign::reason(&difference) {
            Some(reason) => report.benign.push((difference, reason)),
            None => report.differences.push(difference),
        }
    }
    Ok(Ok(report))
}

/// What the database itself says that it consists of.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Catalogue, DbErr> {
    match connection.get_database_backend() {
        DbBackend::Sqlite => sqlite::read(connection).await,
        DbBackend::Postgres => postgres::read(connection).await,
        other => Err(DbErr::Custom(format!("{other:?} is no database of the hub"))),
    }
}

/// The applied migrations, oldest first.
async fn applied(connection: &impl ConnectionTrait, live: &Catalogue) -> Result<Vec<String>, DbErr> {
    if !live.tables.contains_key(VERSIONS) {
        return Ok(Vec::new());
    }
    let query = format!("SELECT version FROM {VERSIONS} ORDER BY version");
    let query = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(query).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// What is not applied of the migrations that this hub knows.
fn lacking(live: &Catalogue, applied: &[String]) -> Result<Vec<String>, SchemaError> {
    let known: Vec<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let unknown: Vec<String> = applied.iter().filter(|name| !known.contains(name)).cloned().collect();
    if !unknown.is_empty() {
        return Err(SchemaError::Newer { unknown });
    }
    let ours = live.tables.keys().find(|table| table.starts_with(benign::PREFIX));
    if let (true, Some(table)) = (applied.is_empty(), ours) {
        return Err(SchemaError::Unrecorded { table: table.clone() });
    }
    let missing: Vec<String> = known.into_iter().filter(|name| !applied.contains(name)).collect();
    match missing.first().and_then(|first| Some((first, applied.iter().find(|name| *name > first)?))) {
        Some((missing, later)) => {
            Err(SchemaError::OutOfOrder { missing: missing.clone(), later: later.clone() })
        }
        None => Ok(missing),
    }
}
