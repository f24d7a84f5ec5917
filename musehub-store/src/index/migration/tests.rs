//! Migrations: from nothing, from each version of which a database is kept, and never back.

mod fixture;
mod rebuilt;

use musehub_core::name::RepoId;
use musehub_core::port::{BreakageIndex, HistoryIndex, JobQueue, RepositoryIndex};
use musehub_test_services::Engine;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use super::Migrator;
use crate::index::upgrade::COLLATE;
use crate::index::{SqlIndex, connect, schema};
use fixture::FIXTURES;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// Applies some of the migrations that are lacking, as a start applies all.
async fn up(database: &DatabaseConnection, steps: u32) {
    Migrator::up(database, Some(steps)).await.unwrap();
    if database.get_database_backend() == DbBackend::Postgres {
        database.execute_unprepared(COLLATE).await.unwrap();
    }
}

#[tokio::test]
async fn every_kept_version_is_migrated_and_keeps_every_row() {
    for (fixture, engine) in FIXTURES.iter().flat_map(|fixture| ENGINES.map(|engine| (fixture, engine))) {
        let directory = tempfile::tempdir().unwrap();
        let (database, url) = fixture::load(engine, directory.path(), fixture.script(engine)).await;
        let before = fixture::tables(&database).await;
        for (table, (_, rows)) in &before {
            assert!(!rows.is_empty(), "{table} of {} has no rows", fixture.version);
        }

        let index = SqlIndex::connect(&url).await.unwrap();
        let writer = index.writer.patient();
        let report = schema::check(&writer).await.unwrap().unwrap();
        assert!(report.is_clean(), "{report:?}");
        for (table, (columns, before)) in before.iter().filter(|(table, _)| table.starts_with("musehub_")) {
            let after = fixture::rows(&writer, table, columns).await;
            assert_eq!(after.len(), before.len(), "{} {table}", fixture.version);
            assert_eq!(after, *before, "{} {table}", fixture.version);
        }
        assert_eq!(fixture::orphans(&writer).await, Default::default(), "{}", fixture.version);
        if fixture.version == "m0001_first_schema" {
            reads(&index).await;
        }
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
async fn the_fixtures_are_what_their_migrations_make() {
    for (fixture, engine) in FIXTURES.iter().flat_map(|fixture| ENGINES.map(|engine| (fixture, engine))) {
        let directory = tempfile::tempdir().unwrap();
        let (kept, _) = fixture::load(engine, directory.path(), fixture.script(engine)).await;
        let made = connect::empty(engine).await;
        up(&made, fixture.steps()).await;
        assert_eq!(
            schema::read(&kept).await.unwrap(),
            schema::read(&made).await.unwrap(),
            "{}",
            fixture.version
        );
    }
}

#[tokio::test]
async fn migrations_go_one_by_one_in_the_order_of_their_names_and_never_back() {
    let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for engine in ENGINES {
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
