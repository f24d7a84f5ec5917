//! Tables of PostgreSQL's in a schema beside others, whose place they take.

use std::fmt;
use std::time::{Duration, Instant};

use musehub_core::port::BackendError;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};

use crate::index::connect::postgres;
use crate::index::sql::{self, Row};
use crate::index::url::{DatabaseUrl, Place, described};
use crate::index::{SqlIndex, begin};

const ACTION: &str = "replacing the tables";

/// How long is waited for sessions that are about to end: those of a process that was killed outlive it for a moment.
const LEAVING: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The schema that unqualified names mean, and whether the hub's tables are in it.
const SERVED: &str = "\
    SELECT current_schema()::text, \
        EXISTS (SELECT FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname = 'musehub_repos')";

/// Sessions of the same role that are not of this rebuild.
const OTHERS: &str = "\
    SELECT COALESCE(string_agg(DISTINCT application_name, ', '), ''), COUNT(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND application_name <> $1";

/// The tables of a database, and the schema in which others are made that will take their place.
pub(super) struct Tables {
    /// Leads to the old tables; holds a password.
    options: PgConnectOptions,
    /// Under this name all sessions of the rebuild run.
    name: String,
    writer: DatabaseConnection,
    schema: String,
    there: bool,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("database", &described(&self.options)).finish_non_exhaustive()
    }
}

impl Tables {
    /// Begins an index in a schema of its own; what an earlier try left is removed.
    pub(super) async fn begin(options: &PgConnectOptions) -> Result<(Self, SqlIndex), BackendError> {
        // Another rebuild is somebody else.
        let name = format!("musehub rebuild {}", uuid::Uuid::new_v4().simple());
        let options = options.clone().application_name(&name);
        let (writer, reader) = postgres::pools(&options).await?;
        let writer = writer.patient();
        let rows = sql::rows(&reader.patient(), ACTION, SERVED, []).await?;
        reader.close().await;
        let row = Row::of("pg_class", rows.first().ok_or_else(nowhere)?);
        let schema: Option<String> = row.get(0, "current_schema")?;
        let tables =
            Self { options, name, writer, schema: schema.ok_or_else(nowhere)?, there: row.get(1, "exists")? };
        tables.require_unused(&tables.writer).await?;
        let beside = quoted(&tables.beside());
        let made = format!("DROP SCHEMA IF EXISTS {beside} CASCADE; CREATE SCHEMA {beside}");
        let made = tables.writer.execute_unprepared(&made).await;
        made.map_err(|error| sql::failure(ACTION, error))?;
        let inside = tables.options.clone().options([("search_path", beside)]);
        let index = SqlIndex::connect(&DatabaseUrl(Place::Postgres(Box::new(inside)))).await?;
        Ok((tables, index))
    }

    /// Whether there are tables to replace.
    pub(super) const fn are_there(&self) -> bool {
        self.there
    }

    /// Where the old tables are.
    pub(super) fn old(&self) -> DatabaseUrl {
        DatabaseUrl(Place::Postgres(Box::new(self.options.clone())))
    }

    fn beside(&self) -> String {
        format!("{}_rebuilding", self.schema)
    }

    /// Moves the old tables into a schema of their own, and the new ones into their place, all in one transaction; gives the
    /// name of that schema, if there were any.
    pub(super) async fn swap(self) -> Result<Option<String>, BackendError> {
        let before = format!("{}_before_rebuild", self.schema);
        let write = begin(&self.writer, ACTION).await?;
        write.execute_script("SET LOCAL statement_timeout = 0").await?;
        self.require_unused(write.transaction()).await?;
        let mut script = String::new();
        if self.there {
            let kept = quoted(&before);
            script.push_str(&format!("DROP SCHEMA IF EXISTS {kept} CASCADE; CREATE SCHEMA {kept}; "));
            script.push_str(&moving(&self.schema, &before));
        }
        script.push_str(&moving(&self.beside(), &self.schema));
        script.push_str(&format!("DROP SCHEMA {}", quoted(&self.beside())));
        write.execute_script(&script).await?;
        write.commit().await?;
        self.writer.close().await.map_err(|error| sql::failure(ACTION, error))?;
        Ok(self.there.then_some(before))
    }

    /// Refuses a database that others of the same role are connected to, servers above all.
    async fn require_unused(&self, connection: &impl ConnectionTrait) -> Result<(), BackendError> {
        let started = Instant::now();
        loop {
            let rows = sql::rows(connection, ACTION, OTHERS, [self.name.as_str().into()]).await?;
            let Some((names, sessions)) =
                rows.first().map(others).transpose()?.filter(|(_, sessions)| *sessions > 0)
            else {
                return Ok(());
            };
            if started.elapsed() > LEAVING {
                let reason = format!("{sessions} sessions are connected to it ({names})");
                return Err(BackendError::unavailable(
                    "taking the database, which must not be in use,",
                    reason,
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn others(row: &QueryResult) -> Result<(String, i64), BackendError> {
    let row = Row::of("pg_stat_activity", row);
    Ok((row.get(0, "application_name")?, row.get(1, "count")?))
}

fn nowhere() -> BackendError {
    BackendError::unavailable(ACTION, "the database has no schema in which unqualified names are looked for")
}

/// Moves the hub's tables, with their indexes, constraints and sequences, from one schema to another.
fn moving(from: &str, to: &str) -> String {
    format!(
        r"DO $$
        DECLARE
            alteration text;
        BEGIN
            FOR alteration IN
                SELECT format('ALTER TABLE %I.%I SET SCHEMA %I', {from}, relname, {to}) FROM pg_class
                WHERE relnamespace = quote_ident({from})::regnamespace AND relkind = 'r'
                    AND (starts_with(relname, 'musehub_') OR relname = 'seaql_migrations')
            LOOP
                EXECUTE alteration;
            END LOOP;
        END $$; ",
        from = literal(from),
        to = literal(to),
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
