//! Migrations: from nothing, from the previous release with rows in every table, and never back.

use musehub_core::name::RepoId;
use musehub_core::port::{BreakageIndex, HistoryIndex, JobQueue, RepositoryIndex};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

use super::Migrator;
use crate::index::{SqlIndex, connect, schema, sql};

const FIXTURE: &str = include_str!("../../../tests/fixtures/m0001.sqlite.sql");

/// All rows of a table as text, of these columns.
async fn rows(database: &DatabaseConnection, table: &str, columns: &[String]) -> Vec<Vec<Option<String>>> {
    let texts: Vec<String> = columns.iter().map(|column| format!("CAST(\"{column}\" AS TEXT)")).collect();
    let order: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
    let query = format!("SELECT {} FROM {table} ORDER BY {}", texts.join(", "), order.join(", "));
    let rows = sql::rows(database, "reading rows", &query, []).await.unwrap();
    rows.iter().map(|row| (0..columns.len()).map(|at| row.try_get_by_index(at).unwrap()).collect()).collect()
}

#[tokio::test]
async fn the_previous_release_is_migrated_and_keeps_every_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("musehub.db");
    let before = connect::sqlite::writer(&path).await.unwrap();
    before.execute_unprepared(FIXTURE).await.unwrap();
    let mut kept = Vec::new();
    for (table, columns) in schema::read(&before).await.unwrap().tables {
        let columns: Vec<String> = columns.columns.into_keys().collect();
        let rows = rows(&before, &table, &columns).await;
        assert!(!rows.is_empty(), "{table} of the fixture has no rows");
        kept.push((table, columns, rows));
    }

    let index = SqlIndex::open(&path).await.unwrap();
    let report = schema::check(&index.writer).await.unwrap().unwrap();
    assert!(report.is_clean(), "{report:?}");
    for (table, columns, before) in kept.into_iter().filter(|(table, ..)| table.starts_with("musehub_")) {
        assert_eq!(rows(&index.writer, &table, &columns).await, before, "{table}");
    }

    // What reads it, reads it.
    let repo = RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    assert_eq!(index.repository_by_id(&repo).await.unwrap().unwrap().description, "It's about \"tunes\" — é");
    assert_eq!(index.branches(&repo).await.unwrap().len(), 1);
    assert_eq!(index.commit_count(&repo).await.unwrap(), 2);
    assert_eq!(index.latest(&repo, "intel.code.breakage").await.unwrap().unwrap().attempts, 1);
    let history = index.breakage_history(&repo, 10).await.unwrap();
    assert_eq!(history, [index.breakage_meta(&repo).await.unwrap().unwrap()]);
}

#[tokio::test]
async fn migrations_go_one_by_one_in_the_order_of_their_names_and_never_back() {
    let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let database = connect::in_memory().await.unwrap();
    for name in &names {
        Migrator::up(&database, Some(1)).await.unwrap();
        let report = schema::check(&database).await.unwrap().unwrap();
        assert_eq!(report.version.as_ref(), Some(name));
    }
    assert!(schema::check(&database).await.unwrap().unwrap().is_clean());
    assert!(Migrator::down(&database, Some(1)).await.is_err());
    assert!(schema::check(&database).await.unwrap().unwrap().is_clean());
}
