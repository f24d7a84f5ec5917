//! The tables of breakage as the specification numbers their tests: T01 to T05 and T31. The others of the 34 are in the server's
//! `breakage_page.rs`.

use musehub_core::port::{BreakageIndex, BreakageIssue, BreakageMeta, Help, Severity};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, FromQueryResult, Statement};

use crate::index_fixtures::{SqlIndex, at, blob_id, commit_id, create_repositories, repo};

/// An index in a file, and a connection beside it that sees the catalogue.
struct Catalogue {
    index: SqlIndex,
    beside: DatabaseConnection,
    _directory: tempfile::TempDir,
}

#[derive(Debug, PartialEq, Eq, FromQueryResult)]
struct Column {
    name: String,
    kind: String,
    required: bool,
    key: i64,
}

#[derive(FromQueryResult)]
struct Text {
    text: String,
}

impl Catalogue {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("musehub.db");
        let index = SqlIndex::open(&path).await.unwrap();
        create_repositories(&index).await;
        let beside = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
        Self { index, beside, _directory: directory }
    }

    async fn rows<R: FromQueryResult>(&self, query: &str) -> Vec<R> {
        let statement = Statement::from_string(self.beside.get_database_backend(), query);
        R::find_by_statement(statement).all(&self.beside).await.unwrap()
    }

    async fn columns(&self, table: &str) -> Vec<Column> {
        self.rows(&format!(
            "SELECT name, lower(type) AS kind, \"notnull\" AS required, pk AS key FROM pragma_table_info('{table}')"
        ))
        .await
    }

    async fn texts(&self, query: &str) -> Vec<String> {
        self.rows::<Text>(query).await.into_iter().map(|row| row.text).collect()
    }

    /// The scan of a repository with one issue, so that every table of breakage has rows.
    async fn scan(&self, number: u64) {
        let issue = BreakageIssue {
            issue_id: blob_id(number),
            issue_type: "stale_import".to_owned(),
            file_path: "a.py".to_owned(),
            line: 1,
            column: 1,
            subject: "b.gone".to_owned(),
            description: "imports 'gone'".to_owned(),
            severity: Severity::Warning,
            help: Help::default(),
        };
        let meta = BreakageMeta {
            commit: commit_id(number),
            total_issues: 1,
            warning_count: 1,
            error_count: 0,
            file_count: 3,
            scanned_at: at(0),
        };
        self.index.replace_breakage(&repo(number), &meta, &[issue]).await.unwrap();
    }

    async fn count(&self, table: &str, number: u64) -> usize {
        let query = format!("SELECT repo_id AS text FROM {table} WHERE repo_id = '{}'", repo(number));
        self.texts(&query).await.len()
    }
}

const ISSUES: &str = "musehub_intel_breakage_issues";
const META: &str = "musehub_intel_breakage_meta";
const SCANS: &str = "musehub_intel_breakage_scans";

fn text_column(name: &str, kind: &str) -> (String, String) {
    (name.to_owned(), kind.to_owned())
}

#[tokio::test]
async fn t01_the_table_of_issues_has_its_columns() {
    let catalogue = Catalogue::open().await;
    let columns: Vec<(String, String)> =
        catalogue.columns(ISSUES).await.into_iter().map(|column| (column.name, column.kind)).collect();
    for expected in [
        text_column("issue_id", "varchar(128)"),
        text_column("repo_id", "varchar(128)"),
        text_column("issue_type", "varchar(64)"),
        text_column("description", "text"),
        text_column("severity", "varchar(16)"),
        text_column("ref", "varchar(128)"),
        // A path may have 4,096 bytes.
        text_column("file_path", "text"),
        text_column("subject", "text"),
        text_column("help", "text"),
    ] {
        assert!(columns.contains(&expected), "{expected:?} in {columns:?}");
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"line") && names.contains(&"column_number"), "{names:?}");
}

#[tokio::test]
async fn t02_no_column_may_be_null() {
    let catalogue = Catalogue::open().await;
    for table in [ISSUES, META, SCANS] {
        let columns = catalogue.columns(table).await;
        assert!(!columns.is_empty(), "{table}");
        for column in columns {
            assert!(column.required, "{table}.{}", column.name);
        }
    }
}

#[tokio::test]
async fn t03_a_repository_takes_its_breakage_with_it() {
    let catalogue = Catalogue::open().await;
    catalogue.scan(1).await;
    catalogue.scan(2).await;
    for table in [ISSUES, META, SCANS] {
        assert_eq!((catalogue.count(table, 1).await, catalogue.count(table, 2).await), (1, 1), "{table}");
    }
    let delete = format!("DELETE FROM musehub_repos WHERE repo_id = '{}'", repo(1));
    catalogue.beside.execute_unprepared("PRAGMA foreign_keys = ON").await.unwrap();
    catalogue.beside.execute_unprepared(&delete).await.unwrap();
    for table in [ISSUES, META, SCANS] {
        assert_eq!((catalogue.count(table, 1).await, catalogue.count(table, 2).await), (0, 1), "{table}");
    }
}

#[tokio::test]
async fn t04_the_table_of_sums_has_one_row_for_a_repository() {
    let catalogue = Catalogue::open().await;
    let columns = catalogue.columns(META).await;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    for expected in
        ["repo_id", "total_issues", "warning_count", "error_count", "file_count", "ref", "scanned_at"]
    {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    let key: Vec<&Column> = columns.iter().filter(|column| column.key > 0).collect();
    assert!(key.len() == 1 && key[0].name == "repo_id", "{key:?}");
    catalogue.scan(1).await;
    catalogue.scan(1).await;
    assert_eq!(catalogue.count(META, 1).await, 1);
}

#[tokio::test]
async fn t05_both_indexes_are_there() {
    let catalogue = Catalogue::open().await;
    let columns = async |index: &str| {
        catalogue
            .texts(&format!("SELECT name AS text FROM pragma_index_info('{index}') ORDER BY seqno"))
            .await
    };
    assert_eq!(columns("ix_intel_breakage_issues_repo").await, ["repo_id"]);
    assert_eq!(columns("ix_intel_breakage_issues_repo_type").await, ["repo_id", "issue_type"]);
}

#[tokio::test]
async fn t31_issues_of_a_repository_are_found_by_index() {
    let catalogue = Catalogue::open().await;
    for (condition, index) in [
        ("repo_id = 'x'", "ix_intel_breakage_issues_repo"),
        ("repo_id = 'x' AND issue_type = 'stale_import'", "ix_intel_breakage_issues_repo_type"),
    ] {
        let query = format!("EXPLAIN QUERY PLAN SELECT * FROM {ISSUES} WHERE {condition}");
        let plan: Vec<Step> = catalogue.rows(&query).await;
        assert!(plan.iter().all(|step| step.detail.contains(index)), "{condition}: {:?}", plan[0].detail);
    }
}

/// A step of a query's plan.
#[derive(FromQueryResult)]
struct Step {
    detail: String,
}
