//! A database that is not what the hub declares: named line by line, and never served. On both engines.

use std::process::Command;

use musehub_test_services::postgres;
use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

use crate::process::{Ran, musehub};

/// A data directory, and a database in it or on a server.
struct Hub {
    data: TempDir,
    database: String,
}

impl Hub {
    /// One over each engine, with a repository.
    async fn over_each_engine() -> [Self; 2] {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = format!("sqlite://{}/musehub.db", one.path().display());
        let hubs =
            [Self { data: one, database: file }, Self { data: other, database: postgres::database().await }];
        for hub in &hubs {
            let _ = hub.run(&["repo", "create", "alice/tunes"]).expect(0);
        }
        hubs
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = musehub(arguments);
        command.env("MUSEHUB_DATABASE", &self.database).arg("--data").arg(self.data.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// What comes of a server that is to be refused.
    fn serve(&self) -> Ran {
        self.run(&["serve", "--listen", "127.0.0.1:0"])
    }

    /// Changes the database behind the hub's back.
    async fn alter(&self, script: &str) {
        let database = Database::connect(&self.database).await.unwrap();
        database.execute_unprepared(script).await.unwrap();
        database.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_as_declared_passes_the_check() {
    for hub in Hub::over_each_engine().await {
        let checked = hub.run(&["schema", "check"]).expect(0);
        assert!(checked.out.ends_with("tables are as declared\n"), "{checked:?}");
        assert_eq!(checked.err, "");
    }
}

#[tokio::test]
async fn every_difference_is_a_line_and_the_server_does_not_start() {
    for hub in Hub::over_each_engine().await {
        hub.alter("DROP INDEX ix_commits_id; ALTER TABLE musehub_objects ADD COLUMN mode bigint").await;
        let lines = "musehub_commits: index ix_commits_id is missing, should be (commit_id)\n\
                     musehub_objects: column mode is not declared, is bigint null\n";
        let checked = hub.run(&["schema", "check"]).expect(3);
        assert!(checked.out.starts_with(lines), "{checked:?}");
        for refused in [hub.serve(), hub.run(&["repo", "create", "alice/other"])] {
            let refused = refused.expect(3);
            let error = "error: the schema of the database is not what this hub declares:\n";
            assert_eq!(refused.err, format!("{error}{lines}"));
        }

        hub.alter(
            "CREATE INDEX ix_commits_id ON musehub_commits (commit_id); ALTER TABLE musehub_objects DROP COLUMN mode",
        )
        .await;
        let _ = hub.run(&["schema", "check"]).expect(0);
        let _ = hub.run(&["repo", "create", "alice/other"]).expect(0);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_hub_is_refused() {
    for hub in Hub::over_each_engine().await {
        hub.alter("INSERT INTO seaql_migrations VALUES ('m9999_from_the_future', 0)").await;
        let sentence =
            "error: the database was made by a newer hub: this one does not know m9999_from_the_future\n";
        for refused in [hub.serve(), hub.run(&["schema", "check"])] {
            assert_eq!(refused.expect(3).err, sentence);
        }
    }
}

#[tokio::test]
async fn a_check_changes_nothing_and_makes_no_database() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("nothing/there");
    let checked = Ran::of(musehub(&["schema", "check", "--data"]).arg(&data)).expect(2);
    assert!(checked.err.starts_with("error: "), "{checked:?}");
    assert!(!data.exists());

    let empty = Hub { data: parent, database: postgres::database().await };
    for _ in 0..2 {
        let checked = empty.run(&["schema", "check"]).expect(3);
        assert!(checked.out.starts_with("migration m0001_first_schema is not applied"), "{checked:?}");
    }
    let none = Hub { database: format!("{}_gone", empty.database), ..empty };
    let checked = none.run(&["schema", "check"]).expect(2);
    assert!(checked.err.contains("does not exist"), "{checked:?}");
}
