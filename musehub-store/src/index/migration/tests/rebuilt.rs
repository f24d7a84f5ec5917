//! The way in which SQLite alters a table, a new one in its place, of a table that others refer to.

use musehub_test_services::Engine;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager};

use super::fixture::{self, FIXTURES};
use crate::index::migration::Migrator;
use crate::index::{migrate, schema, upgrade};

/// Puts a new table of repositories, with those that fulfil a condition, into the place of the old one.
struct Rebuild {
    name: &'static str,
    kept: &'static str,
}

impl MigrationName for Rebuild {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Rebuild {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let text = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'musehub_repos' AND sql IS NOT NULL ORDER BY type DESC";
        let query = Statement::from_string(connection.get_database_backend(), text);
        let mut statements: Vec<String> = Vec::new();
        for row in connection.query_all_raw(query).await? {
            statements.push(row.try_get_by_index(0)?);
        }
        let table = statements.remove(0).replacen("musehub_repos", "new_repos", 1);
        let script = format!(
            "{table}; INSERT INTO new_repos SELECT * FROM musehub_repos WHERE {}; DROP TABLE musehub_repos; \
             ALTER TABLE new_repos RENAME TO musehub_repos; {}",
            self.kept,
            statements.join("; ")
        );
        connection.execute_unprepared(&script).await.map(drop)
    }
}

/// The hub's migrations, and one that keeps all repositories.
struct KeepsAll;

impl MigratorTrait for KeepsAll {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = Migrator::migrations();
        migrations.push(Box::new(Rebuild { name: "m9001_keeps_all", kept: "TRUE" }));
        migrations
    }
}

/// The hub's migrations, and one that forgets a repository.
struct ForgetsOne;

impl MigratorTrait for ForgetsOne {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = Migrator::migrations();
        let kept = "repo_id <> '00000000-0000-4000-8000-000000000000'";
        migrations.push(Box::new(Rebuild { name: "m9001_forgets_one", kept }));
        migrations
    }
}

/// The newest database that is kept, of the head.
async fn migrated() -> (DatabaseConnection, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let script = FIXTURES.last().unwrap().script(Engine::Sqlite);
    let (database, _) = fixture::load(Engine::Sqlite, directory.path(), script).await;
    migrate(&database).await.unwrap();
    (database, directory)
}

async fn assert_foreign_keys_are_enforced(database: &DatabaseConnection) {
    let orphan =
        "INSERT INTO musehub_branch_claims (repo_id, name, claimed_until) VALUES ('nobody', 'main', 0)";
    let refused = database.execute_unprepared(orphan).await.unwrap_err().to_string();
    assert!(refused.contains("FOREIGN KEY constraint failed"), "{refused}");
}

#[tokio::test]
async fn a_table_that_others_refer_to_is_replaced_and_every_row_stays() {
    let (database, _directory) = migrated().await;
    let before = (schema::read(&database).await.unwrap(), fixture::tables(&database).await);
    upgrade::without_foreign_keys::<KeepsAll>(&database).await.unwrap();
    let applied = "DELETE FROM seaql_migrations WHERE version = 'm9001_keeps_all'";
    assert_eq!(database.execute_unprepared(applied).await.unwrap().rows_affected(), 1);
    assert_eq!(schema::read(&database).await.unwrap(), before.0);
    assert_eq!(fixture::tables(&database).await, before.1);
    assert_foreign_keys_are_enforced(&database).await;
}

#[tokio::test]
async fn a_migration_that_leaves_rows_without_what_they_refer_to_is_taken_back() {
    let (database, _directory) = migrated().await;
    let before = (schema::read(&database).await.unwrap(), fixture::tables(&database).await);
    let refused = upgrade::without_foreign_keys::<ForgetsOne>(&database).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(
        source,
        "3 rows of musehub_background_jobs would refer to rows of musehub_repos that are not there"
    );
    assert_eq!((schema::read(&database).await.unwrap(), fixture::tables(&database).await), before);
    assert_foreign_keys_are_enforced(&database).await;
}
