//! A database that is not what the hub declares: named line by line, and never served.

use std::path::Path;

use sea_orm::{ConnectionTrait, Database};

use crate::process::{Ran, musehub, run};

/// Changes the database below a data directory behind the hub's back.
fn alter(data: &Path, script: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::connect(format!("sqlite://{}/musehub.db", data.display())).await.unwrap();
        database.execute_unprepared(script).await.unwrap();
        database.close().await.unwrap();
    });
}

fn serve(data: &Path) -> Ran {
    Ran::of(musehub(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data))
}

#[test]
fn a_database_as_declared_passes_the_check_which_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    let checked = run(data.path(), &["schema", "check"]).expect(0);
    assert!(checked.out.ends_with("tables are as declared\n"), "{checked:?}");
    assert_eq!(checked.err, "");
}

#[test]
fn every_difference_is_a_line_and_the_server_does_not_start() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    alter(data.path(), "DROP INDEX ix_commits_id; ALTER TABLE musehub_objects ADD COLUMN path text");
    let lines = "musehub_commits: index ix_commits_id is missing, should be (commit_id)\n\
                 musehub_objects: column path is not declared, is text null\n";
    let checked = run(data.path(), &["schema", "check"]).expect(3);
    assert!(checked.out.starts_with(lines), "{checked:?}");
    for refused in [serve(data.path()), run(data.path(), &["repo", "create", "alice/other"])] {
        let refused = refused.expect(3);
        let error = "error: the schema of the database is not what this hub declares:\n";
        assert_eq!(refused.err, format!("{error}{lines}"));
    }

    alter(
        data.path(),
        "CREATE INDEX ix_commits_id ON musehub_commits (commit_id); ALTER TABLE musehub_objects DROP COLUMN path",
    );
    let _ = run(data.path(), &["schema", "check"]).expect(0);
    let _ = run(data.path(), &["repo", "create", "alice/other"]).expect(0);
}

#[test]
fn a_database_of_a_newer_hub_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    alter(data.path(), "INSERT INTO seaql_migrations VALUES ('m9999_from_the_future', 0)");
    let sentence =
        "error: the database was made by a newer hub: this one does not know m9999_from_the_future\n";
    for refused in [serve(data.path()), run(data.path(), &["schema", "check"])] {
        assert_eq!(refused.expect(3).err, sentence);
    }
}

#[test]
fn a_check_makes_no_database() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("nothing/there");
    let checked = run(&data, &["schema", "check"]).expect(2);
    assert!(checked.err.starts_with("error: "), "{checked:?}");
    assert!(!data.exists());
}
