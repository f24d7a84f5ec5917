//! Brings the schema of a database up to date, all migrations that are lacking or none, and makes sure that what is there
//! then is what is declared. Of several processes one migrates, the others wait for it.

use musehub_core::port::BackendError;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use super::migration::Migrator;
use super::schema::{self, SchemaError};
use super::{begin, sql};

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

/// The transaction of a writer is alone in the file.
async fn sqlite(writer: &DatabaseConnection) -> Result<(), BackendError> {
    let failed = |error| sql::failure(ACTION, error);
    if schema::pending(writer).await.map_err(failed)?.map_err(refused)?.is_empty() {
        return Ok(());
    }
    let write = begin(writer, ACTION).await?;
    Migrator::up(write.transaction(), None).await.map_err(failed)?;
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
