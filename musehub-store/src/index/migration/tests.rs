//! Migrations: from nothing, from the previous release with rows in every table, and never back.

use std::path::Path;

use musehub_core::name::RepoId;
use musehub_core::port::{BreakageIndex, HistoryIndex, JobQueue, RepositoryIndex};
use musehub_test_services::{Engine, postgres};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use super::Migrator;
use crate::index::upgrade::COLLATE;
use crate::index::{DatabaseUrl, SqlIndex, connect, schema, sql};

const FIXTURES: [(Engine, &str); 2] = [
    (Engine::Sqlite, include_str!("../../../tests/fixtures/m0001.sqlite.sql")),
    (Engine::Postgres, include_str!("../../../tests/fixtures/m0001.postgres.sql")),
];

/// All rows of a table as text, of these columns.
async fn rows(database: &DatabaseConnection, table: &str, columns: &[String]) -> Vec<Vec<Option<String>>> {
    let texts: Vec<String> = columns.iter().map(|column| format!("CAST(\"{column}\" AS TEXT)")).collect();
    let order: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
    let query = format!("SELECT {} FROM {table} ORDER BY {}", texts.join(", "), order.join(", "));
    let rows = sql::rows(database, "reading rows", &query, []).await.unwrap();
    rows.iter().map(|row| (0..columns.len()).map(|at| row.try_get_by_index(at).unwrap()).collect()).collect()
}

/// Applies some of the migrations that are lacking, as a start applies all.
async fn up(database: &DatabaseConnection, steps: u32) {
    Migrator::up(database, Some(steps)).await.unwrap();
    if database.get_database_backend() == DbBackend::Postgres {
        database.execute_unprepared(COLLATE).await.unwrap();
    }
}

/// A database of the previous release, and where it is.
async fn previous(engine: Engine, directory: &Path, fixture: &str) -> (DatabaseConnection, DatabaseUrl) {
    let (database, url) = match engine {
        Engine::Sqlite => {
            let path = directory.join("musehub.db");
            (connect::sqlite::writer(&path).await.unwrap(), DatabaseUrl::sqlite(path))
        }
        Engine::Postgres => {
            let url = postgres::database().await;
            (Database::connect(&url).await.unwrap(), url.parse().unwrap())
        }
    };
    database.execute_unprepared(fixture).await.unwrap();
    (database, url)
}

#[tokio::test]
async fn the_previous_release_is_migrated_and_keeps_every_row() {
    for (engine, fixture) in FIXTURES {
        let directory = tempfile::tempdir().unwrap();
        let (before, url) = previous(engine, directory.path(), fixture).await;
        let mut kept = Vec::new();
        for (table, columns) in schema::read(&before).await.unwrap().tables {
            let columns: Vec<String> = columns.columns.into_keys().collect();
            let rows = rows(&before, &table, &columns).await;
            assert!(!rows.is_empty(), "{table} of the fixture has no rows");
            kept.push((table, columns, rows));
        }

        let index = SqlIndex::connect(&url).await.unwrap();
        let report = schema::check(&index.writer.patient()).await.unwrap().unwrap();
        assert!(report.is_clean(), "{report:?}");
        for (table, columns, before) in kept.into_iter().filter(|(table, ..)| table.starts_with("musehub_")) {
            assert_eq!(rows(&index.writer.patient(), &table, &columns).await, before, "{table}");
        }
        reads(&index).await;
    }
}

/// What reads it, reads it.
async fn reads(index: &SqlIndex) {
    let repo = RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    assert_eq!(index.repository_by_id(&repo).await.unwrap().unwrap().description, "It's about \"tunes\" — é");
    assert_eq!(index.branches(&repo).await.unwrap().len(), 1);
    assert_eq!(index.commit_count(&repo).await.unwrap(), 2);
    assert_eq!(index.latest(&repo, "intel.code.breakage").await.unwrap().unwrap().attempts, 1);
    let history = index.breakage_history(&repo, 10).await.unwrap();
    assert_eq!(history, [index.breakage_meta(&repo).await.unwrap().unwrap()]);
}

#[tokio::test]
async fn the_fixtures_are_what_the_first_migration_makes() {
    for (engine, fixture) in FIXTURES {
        let directory = tempfile::tempdir().unwrap();
        let (fixture, _) = previous(engine, directory.path(), fixture).await;
        let made = connect::empty(engine).await;
        up(&made, 1).await;
        assert_eq!(schema::read(&fixture).await.unwrap(), schema::read(&made).await.unwrap());
    }
}

#[tokio::test]
async fn migrations_go_one_by_one_in_the_order_of_their_names_and_never_back() {
    let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = connect::empty(engine).await;
        for name in &names {
            up(&database, 1).await;
            let report = schema::check(&database).await.unwrap().unwrap();
            assert_eq!(report.version.as_ref(), Some(name));
        }
        assert!(schema::check(&database).await.unwrap().unwrap().is_clean());
        assert!(Migrator::down(&database, Some(1)).await.is_err());
        assert!(schema::check(&database).await.unwrap().unwrap().is_clean());
    }
}
