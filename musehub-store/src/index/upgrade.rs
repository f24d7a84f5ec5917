//! Brings the schema of a database up to date, all migrations that are lacking or none, and makes sure that what is there
//! then is what is declared. Of several processes one migrates, the others wait for it.

use musehub_core::port::BackendError;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use super::begin;
use super::migration::Migrator;
use super::schema::{self, SchemaError};
use super::sql::{self, Row};

const ACTION: &str = "bringing the schema of the index up to date";

/// Migrates, and refuses what is not as declared then.
pub(super) async fn migrate(writer: &DatabaseConnection) -> Result<(), BackendError> {
    match writer.get_database_backend() {
        DbBackend::Postgres => postgres(writer).await?,
        _ => sqlite(writer).await?,
    }
    verified(writer).await
}

/// Refuses a database that is not as declared.
pub(super) async fn verified(connection: &impl ConnectionTrait) -> Result<(), BackendError> {
    let report = schema::check(connection).await;
    let report = report.map_err(|error| sql::failure(ACTION, error))?.map_err(refused)?;
    if report.differences.is_empty() {
        Ok(())
    } else {
        Err(refused(SchemaError::Drifted(report.differences)))
    }
}

fn refused(error: SchemaError) -> BackendError {
    BackendError::unavailable(ACTION, error)
}

async fn sqlite(writer: &DatabaseConnection) -> Result<(), BackendError> {
    let failed = |error| sql::failure(ACTION, error);
    if schema::pending(writer).await.map_err(failed)?.map_err(refused)?.is_empty() {
        return Ok(());
    }
    without_foreign_keys::<Migrator>(writer).await
}

/// Applies migrations in a transaction, which is alone in the file, while SQLite enforces no foreign keys: what drops a table
/// to put another into its place would delete all rows that refer to it. In the end they must be whole.
///
/// The setting is one of the connection, of which a writer has one, and takes no effect inside of a transaction.
pub(super) async fn without_foreign_keys<M: MigratorTrait>(
    writer: &DatabaseConnection,
) -> Result<(), BackendError> {
    let enforce = async |whether: &str| {
        let set = writer.execute_unprepared(&format!("PRAGMA foreign_keys = {whether}")).await;
        set.map(drop).map_err(|error| sql::failure(ACTION, error))
    };
    enforce("OFF").await?;
    let migrated = in_transaction::<M>(writer).await;
    enforce("ON").await?;
    migrated
}

const ORPHANS: &str = "\
    SELECT \"table\", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1";

async fn in_transaction<M: MigratorTrait>(writer: &DatabaseConnection) -> Result<(), BackendError> {
    let write = begin(writer, ACTION).await?;
    M::up(write.transaction(), None).await.map_err(|error| sql::failure(ACTION, error))?;
    let orphans = sql::rows(write.transaction(), ACTION, ORPHANS, []).await?;
    if let Some(row) = orphans.first() {
        let row = Row::of("pragma_foreign_key_check", row);
        let (table, parent, rows) = (row.get(0, "table")?, row.get(1, "parent")?, row.get(2, "count")?);
        return Err(refused(SchemaError::Orphans { table, parent, rows }));
    }
    write.commit().await
}

/// Any number that nobody else locks.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7889537283942051)";

/// A migration may take its time, and so may waiting for another process's.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";

/// Texts compare by code point, as on SQLite, whatever language the database was made for: names come in the same order
/// everywhere, and an update of the system's collations breaks no index.
pub(super) const COLLATE: &str = r#"
    DO $$
    DECLARE
        alteration text;
    BEGIN
        FOR alteration IN
            SELECT format('ALTER TABLE %I ', class.relname) || string_agg(format('ALTER COLUMN %I TYPE %s COLLATE "C"',
                attribute.attname, format_type(attribute.atttypid, attribute.atttypmod)), ', ')
            FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
            WHERE class.relnamespace = quote_ident(current_schema())::regnamespace AND class.relkind = 'r'
                AND starts_with(class.relname, 'musehub_') AND attribute.attnum > 0 AND NOT attribute.attisdropped
                AND attribute.attcollation NOT IN (0, (SELECT oid FROM pg_collation WHERE collname = 'C'))
            GROUP BY class.relname
        LOOP
            EXECUTE alteration;
        END LOOP;
    END $$
"#;

/// On PostgreSQL processes that start at once would meet in the middle, even of making the table of migrations.
async fn postgres(writer: &DatabaseConnection) -> Result<(), BackendError> {
    let failed = |error| sql::failure(ACTION, error);
    let write = begin(writer, ACTION).await?;
    write.execute_script(PATIENCE).await?;
    write.execute_script(LOCK).await?;
    if schema::pending(write.transaction()).await.map_err(failed)?.map_err(refused)?.is_empty() {
        return write.commit().await;
    }
    Migrator::up(write.transaction(), None).await.map_err(failed)?;
    write.execute_script(COLLATE).await?;
    write.commit().await
}
