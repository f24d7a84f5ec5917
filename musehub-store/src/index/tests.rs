//! What the index makes of statements and damaged rows.

use std::path::Path;

use musehub_core::name::{BranchName, RepoId};
use musehub_core::port::{BackendError, HistoryIndex, RepositoryIndex};
use musehub_test_services::postgres;
use sea_orm::{ConnectionTrait, Statement};

use super::entity::object as o;
use super::{DatabaseUrl, SqlIndex, sql};

#[tokio::test]
async fn what_only_reads_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let urls = [
        DatabaseUrl::sqlite(directory.path().join("musehub.db")),
        postgres::database().await.parse().unwrap(),
    ];
    for url in urls {
        let index = SqlIndex::connect(&url).await.unwrap();
        let statement = || Statement::from_string(index.reader.engine(), "DELETE FROM musehub_repos");
        let refused = index.reader.query(statement()).await.unwrap_err().to_string();
        assert!(refused.contains("readonly") || refused.contains("read-only"), "{url}: {refused}");
        let refused = index.reader.patient().execute_unprepared("DELETE FROM musehub_repos").await;
        assert!(refused.is_err(), "{url}");
        index.writer.query(statement()).await.unwrap();
    }
}

/// Whoever writes does so within what is repeated where the database gives a transaction up.
#[test]
fn every_write_is_repeated_where_the_database_gives_it_up() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/index");
    let mut writes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("self.write(\"")) {
            let before = lines[at.saturating_sub(3)..at].join(" ");
            assert!(before.contains("retry::transaction("), "{}:{}: {line}", path.display(), at + 1);
            writes += 1;
        }
    }
    assert!(writes > 40, "{writes} writes were found");
}

#[tokio::test]
async fn inserts_of_any_length_are_whole() {
    let index = SqlIndex::in_memory().await.unwrap();
    for rows in [0, 1, sql::ROWS_PER_INSERT - 1, sql::ROWS_PER_INSERT, sql::ROWS_PER_INSERT + 1, 1_700] {
        let write = index.write("testing").await.unwrap();
        write.execute("DELETE FROM musehub_objects", []).await.unwrap();
        let objects =
            (0..rows).map(|n| Ok([n.to_string().into(), 1_i64.into(), "".into()])).collect::<Vec<_>>();
        use o::object::Column as C;
        write
            .insert_new::<o::object::Entity, 3>([C::ObjectId, C::Size, C::StorageUri], objects)
            .await
            .unwrap();
        let count = write.rows("SELECT COUNT(*) FROM musehub_objects", []).await.unwrap();
        assert_eq!(count[0].try_get_by_index::<i64>(0).unwrap(), i64::try_from(rows).unwrap());
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_never_written_there_is_named() {
    let index = SqlIndex::in_memory().await.unwrap();
    let repo = RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    let spoil = async |statement: &str| index.writer.patient().execute_unprepared(statement).await.unwrap();
    spoil(&format!(
        "INSERT INTO musehub_repos VALUES ('{repo}', 'a', 'b', 'a', 'b', 1, 'public', '', 'flat-v9', NULL, 0, FALSE, '{{}}')"
    ))
    .await;
    spoil(&format!("INSERT INTO musehub_branches VALUES ('{repo}', 'main', 'sha256:no id', 1, 0)")).await;

    let damage = |error: BackendError| match error {
        BackendError::Damaged { what, .. } => what,
        other => panic!("{other:?}"),
    };
    let scheme = damage(index.repository_by_id(&repo).await.unwrap_err());
    assert_eq!(scheme, "column scheme of musehub_repos");
    let head = damage(index.branches(&repo).await.unwrap_err());
    assert_eq!(head, "column head_commit_id of musehub_branches");
    spoil("UPDATE musehub_branches SET head_commit_id = NULL, sequence = -1").await;
    let sequence = damage(index.branch(&repo, &BranchName::parse("main").unwrap()).await.unwrap_err());
    assert_eq!(sequence, "column sequence of musehub_branches");
}
