//! The plans of the queries that must be fast, and what the index makes of statements and damaged rows.

use musehub_core::name::{BranchName, RepoId};
use musehub_core::port::{
    BackendError, BreakageFilter, BreakageGrouping, HistoryIndex, RepositoryIndex, Severity,
};
use sea_orm::ConnectionTrait;

use super::entity::object as o;
use super::{SqlIndex, history, identity, job, places, repository, sql};

#[tokio::test]
async fn hot_queries_search_an_index_and_never_scan_a_table() {
    let repo = RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    let issues = |issue_type: Option<&str>, severity| {
        let issue_type = issue_type.map(str::to_owned);
        let filter = BreakageFilter { issue_type, severity, limit: 20, ..BreakageFilter::default() };
        super::intel::issues_query(&repo, &filter).0
    };
    let groups = |by| super::intel::groups_query(&repo, by, &BreakageFilter::default(), 5).0;
    let queries: [(String, &str); 26] = [
        (repository::BY_NAME.into(), "ux_repos_name (owner_key=? AND slug_key=?)"),
        (repository::BY_ID.into(), "(repo_id=?)"),
        (
            repository::PUBLIC.into(),
            "ix_repos_listing (visibility=? AND deleted=? AND (owner_key,slug_key)>(?,?))",
        ),
        (history::BRANCHES.into(), "PRIMARY KEY (repo_id=?)"),
        (history::BRANCH.into(), "PRIMARY KEY (repo_id=? AND name=?)"),
        (history::NODES.into(), "edge USING PRIMARY KEY (repo_id=? AND commit_id=?)"),
        (history::NODES.into(), "node USING PRIMARY KEY (repo_id=? AND commit_id=?)"),
        (history::COMMITS.into(), "(repo_id=? AND commit_id=?)"),
        (history::SNAPSHOTS.into(), "PRIMARY KEY (repo_id=? AND snapshot_id=?)"),
        (history::BLOBS.into(), "r USING PRIMARY KEY (repo_id=? AND object_id=?)"),
        (history::COMMIT_COUNT.into(), "COVERING INDEX"),
        (places::BLOBS.into(), "PRIMARY KEY (object_id=?)"),
        (places::SNAPSHOTS.into(), "ix_snapshots_id (snapshot_id=?)"),
        (places::COMMITS.into(), "ix_commits_id (commit_id=?)"),
        (identity::OWNER.into(), "PRIMARY KEY (token_hash=?)"),
        (job::CLAIM.into(), "INDEX ix_background_jobs_claim"),
        (job::LATEST.into(), "ix_background_jobs_latest (repo_id=? AND job_type=?)"),
        (super::intel::META.into(), "(repo_id=?)"),
        (super::intel::HISTORY.into(), "(repo_id=?)"),
        (groups(BreakageGrouping::File), "ix_intel_breakage_issues_repo"),
        (groups(BreakageGrouping::Subject), "ix_intel_breakage_issues_repo"),
        (super::intel::FACTS.into(), "(kind=? AND blob_id=?)"),
        (issues(None, None), "ix_intel_breakage_issues_repo"),
        (issues(None, Some(Severity::Error)), "ix_intel_breakage_issues_repo"),
        (
            issues(Some("stale_import"), None),
            "ix_intel_breakage_issues_repo_type (repo_id=? AND issue_type=?)",
        ),
        (issues(Some("stale_import"), Some(Severity::Error)), "ix_intel_breakage_issues_repo_type"),
    ];
    let database = SqlIndex::in_memory().await.unwrap().writer;
    for (query, expected) in queries {
        let explain = format!("EXPLAIN QUERY PLAN {query}");
        let rows = sql::rows(&database, "explaining", &explain, []).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        assert!(plan.iter().any(|step| step.contains(expected)), "{query}\n{plan:#?}");
        // What is scanned otherwise: the ids asked, the walk, a subquery's rows, and the index of jobs to be claimed.
        let harmless = [
            "json_each",
            "walk",
            "nearest",
            "page",
            "matching",
            "families",
            "counted",
            "members",
            "numbered",
            "(subquery",
            "USING INDEX ix_background_jobs_claim",
        ];
        for step in plan.iter().filter(|step| step.starts_with("SCAN")) {
            assert!(harmless.iter().any(|harmless| step.contains(harmless)), "{query}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn what_only_reads_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let index = SqlIndex::open(&directory.path().join("musehub.db")).await.unwrap();
    assert!(index.reader.execute_unprepared("DELETE FROM musehub_repos").await.is_err());
    assert!(index.writer.execute_unprepared("DELETE FROM musehub_repos").await.is_ok());
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
    let spoil = async |statement: &str| index.writer.execute_unprepared(statement).await.unwrap();
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
