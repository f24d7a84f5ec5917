//! What is PostgreSQL's alone: how it is reached, what it is asked to keep to, and what is said where it fails.

use std::time::Duration;

use futures::future::join_all;
use musehub_core::port::{BackendError, HistoryIndex, MaintenanceIndex, RepositoryIndex, RepositoryRecord};
use musehub_store::{DatabaseUrl, Kept, Replacement, SqlIndex};
use musehub_test_services::postgres;
use musehub_test_services::relay::Relay;
use sea_orm::sqlx::{Connection, Executor, PgConnection, Row};

use crate::index_fixtures::{bare, branch, commit_id, create_repositories, entry, record, repo};

const PASSWORD: &str = "correct-horse-battery";

/// Everything that an error says, and what a debugger shows of it.
fn said(error: &BackendError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

async fn refused(url: &str) -> String {
    let url: DatabaseUrl = url.parse().unwrap();
    said(&SqlIndex::connect(&url).await.unwrap_err())
}

#[tokio::test]
async fn a_password_is_shown_nowhere() {
    let url = postgres::database().await;
    let role = format!("stranger_{}", std::process::id());
    postgres::execute(&url, &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await;
    let database = url.rsplit('/').next().unwrap();
    let grant =
        format!("GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {database} TO {role}");
    postgres::execute(&url, &grant).await;

    let theirs = url.replace("musehub@", &format!("{role}:{PASSWORD}@"));
    let parsed: DatabaseUrl = theirs.parse().unwrap();
    let index = SqlIndex::connect(&parsed).await.unwrap();
    index.close().await.unwrap();
    let replacement = Replacement::begin(&parsed, true).await.unwrap();
    for shown in
        [format!("{parsed}"), format!("{parsed:?}"), format!("{index:?}"), format!("{replacement:?}")]
    {
        assert!(!shown.contains(PASSWORD), "{shown}");
    }
    assert!(parsed.to_string().contains(&role) && parsed.to_string().contains(database), "{parsed}");
    replacement.index().close().await.unwrap();

    let wrong = refused(&theirs.replace(PASSWORD, "wrong-horse")).await;
    assert!(wrong.contains("password authentication failed") && wrong.contains(database), "{wrong}");
    assert!(!wrong.contains("wrong-horse"), "{wrong}");
    postgres::execute(&url, &format!("DROP OWNED BY {role}")).await;
    postgres::execute(&url, &format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn where_nobody_answers_the_error_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().display().to_string();
    let error = refused(&format!("postgres://alice:{PASSWORD}@localhost/hub?host={socket}")).await;
    assert!(error.contains(&format!("postgres://alice@localhost/hub?host={socket}")), "{error}");
    assert!(error.contains("No such file") && !error.contains(PASSWORD), "{error}");

    // A port that nobody listens on: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("postgres://alice:{PASSWORD}@127.0.0.1:{port}/hub")).await;
    assert!(error.contains(&format!("postgres://alice@127.0.0.1:{port}/hub")), "{error}");
    assert!(error.contains("refused") && !error.contains(PASSWORD), "{error}");

    let missing = refused(&format!("{}_gone", postgres::database().await)).await;
    assert!(missing.contains("does not exist"), "{missing}");
}

#[tokio::test]
async fn what_is_no_url_is_refused_without_repeating_it() {
    let malformed = [
        format!("mysql://alice:{PASSWORD}@host/hub"),
        format!("alice:{PASSWORD}@host/hub"),
        format!("postgres://alice:{PASSWORD}@host:port/hub"),
        format!("postgres://alice:{PASSWORD}@host/hub?passwrod={PASSWORD}"),
        format!("postgres://alice:pass?{PASSWORD}@host/hub"),
        format!("postgres://alice@host/hub?sslmode=prefer&{PASSWORD}"),
        "sqlite://".to_owned(),
        "sqlite://musehub.db?mode=ro".to_owned(),
    ];
    for url in malformed {
        let error = url.parse::<DatabaseUrl>().expect_err(&url);
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error:?}");
    }
    assert_eq!("sqlite://a b/%20.db".parse::<DatabaseUrl>().unwrap().to_string(), "sqlite://a b/%20.db");
}

#[tokio::test]
async fn names_come_in_one_order_whatever_language_the_database_is_of() {
    let url = postgres::database_of_a_language().await;
    let mut connection = postgres::connect(&url).await;
    let row = connection.fetch_one("SELECT 'a' < 'B' AND 'B' < 'z'").await.unwrap();
    assert!(row.get::<bool, _>(0), "the database itself orders as a dictionary does");

    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    for name in ["b", "B", "a", "Z", "_", "é", "a-b", "a/b", "ab"] {
        let mut made = bare(entry(1, 1, Some(commit_id(1))));
        made.entry.branch = branch(&format!("x{name}"));
        index.record_move(made).await.unwrap();
    }
    let names: Vec<String> =
        index.branches(&repo(1)).await.unwrap().iter().map(|row| row.name.to_string()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);

    let unsorted = "SELECT table_name || '.' || column_name FROM information_schema.columns \
        WHERE table_name LIKE 'musehub%' AND data_type IN ('text', 'character varying') \
            AND collation_name IS DISTINCT FROM 'C'";
    let rows = connection.fetch_all(unsorted).await.unwrap();
    let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(left.is_empty(), "{left:?}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let error = refused(&postgres::database_in_latin1().await).await;
    assert!(error.contains("LATIN1") && error.contains("UTF8"), "{error}");
}

/// However much a repository holds, no statement about its end is long: each would meet the statement time-out.
#[tokio::test]
async fn a_large_repository_is_forgotten_in_statements_that_each_remove_some_rows() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    let many = |table: &str, columns: &str, values: &str| {
        let repo = repo(1);
        format!(
            "INSERT INTO {table} (repo_id, {columns}) SELECT '{repo}', {values} FROM generate_series(1, 12000) AS i"
        )
    };
    for statement in [
        many("musehub_object_refs", "object_id", "'blob' || i"),
        many("musehub_snapshots", "snapshot_id, entry_count, size", "'snapshot' || i, 1, 1"),
        "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            IF (SELECT COUNT(*) FROM removed) > 5000 THEN RAISE EXCEPTION 'too many at once'; END IF; RETURN NULL; END $$"
            .to_owned(),
    ] {
        postgres::execute(&url, &statement).await;
    }
    for table in ["musehub_object_refs", "musehub_snapshots"] {
        let trigger = format!(
            "CREATE TRIGGER few AFTER DELETE ON {table} REFERENCING OLD TABLE AS removed \
             FOR EACH STATEMENT EXECUTE FUNCTION few()"
        );
        postgres::execute(&url, &trigger).await;
    }
    index.forget_repository(&repo(1)).await.unwrap();
    assert_eq!(index.repository_by_id(&repo(1)).await.unwrap(), None);
    assert!(index.repository_by_id(&repo(2)).await.unwrap().is_some());
    let mut connection = postgres::connect(&url).await;
    let left = "SELECT (SELECT COUNT(*) FROM musehub_object_refs) + (SELECT COUNT(*) FROM musehub_snapshots)";
    assert_eq!(connection.fetch_one(left).await.unwrap().get::<i64, _>(0), 0);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_session_keeps_to_limits_that_the_url_may_change() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&format!("{url}?options[lock_timeout]=7s").parse().unwrap()).await.unwrap();
    index.put_repository(&record(1, "owner", "name")).await.unwrap();

    // Somebody holds the row: the write waits as long as was said, and fails.
    let mut other = postgres::connect(&url).await;
    other.execute("BEGIN; SELECT 1 FROM musehub_repos FOR UPDATE").await.unwrap();
    let impatient =
        SqlIndex::connect(&format!("{url}?options[lock_timeout]=1ms").parse().unwrap()).await.unwrap();
    let newer = musehub_core::port::RepositoryRecord { version: 2, ..record(1, "owner", "name") };
    let error = said(&impatient.put_repository(&newer).await.unwrap_err());
    assert!(error.contains("lock timeout"), "{error}");

    let waiting = tokio::spawn(async move { index.put_repository(&newer).await });
    other.execute("ROLLBACK").await.unwrap();
    waiting.await.unwrap().unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_schema_whose_name_has_capitals_is_served_checked_and_rebuilt() {
    let url = postgres::database().await;
    postgres::execute(&url, "CREATE SCHEMA \"Hub\"; CREATE SCHEMA hub").await;
    let parsed: DatabaseUrl = format!("{url}?options[search_path]=%22Hub%22").parse().unwrap();
    let index = SqlIndex::connect(&parsed).await.unwrap();
    index.put_repository(&record(1, "owner", "name")).await.unwrap();
    index.close().await.unwrap();
    assert!(SqlIndex::check_schema(&parsed).await.unwrap().is_clean());

    let replacement = Replacement::begin(&parsed, true).await.unwrap();
    let kept = replacement.swap().await.unwrap();
    assert_eq!(kept, Some(Kept::Schema("Hub_before_rebuild".to_owned())));
    let index = SqlIndex::connect(&parsed).await.unwrap();
    let repository = index.repository_by_id(&repo(1)).await.unwrap();
    assert!(repository.is_none(), "the tables are new ones: {repository:?}");
    index.close().await.unwrap();
    let before = format!("{url}?options[search_path]=%22Hub_before_rebuild%22").parse().unwrap();
    let index = SqlIndex::connect(&before).await.unwrap();
    assert_eq!(index.repository_by_id(&repo(1)).await.unwrap(), Some(record(1, "owner", "name")));
    index.close().await.unwrap();

    postgres::execute(&url, "DROP INDEX \"Hub\".ix_commits_id").await;
    let report = SqlIndex::check_schema(&parsed).await.unwrap();
    let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["musehub_commits: index ix_commits_id is missing, should be (commit_id)"]);
}

#[tokio::test]
async fn what_a_session_keeps_to_is_what_is_documented_unless_the_url_says_otherwise() {
    let url = postgres::database().await;
    let settings = "statement_timeout, lock_timeout, idle_in_transaction_session_timeout";
    let limits = async |url: &str| {
        // What the sessions of the index were told, as they see it.
        let witness = "CREATE TABLE witness AS SELECT ''::text AS told; \
            CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                UPDATE witness SET told = concat_ws(' ', current_setting('statement_timeout'), \
                    current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), \
                    current_setting('transaction_isolation')); \
                RETURN NULL; \
            END $$; \
            CREATE TRIGGER witness BEFORE INSERT ON musehub_repos FOR EACH STATEMENT EXECUTE FUNCTION witness()";
        let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
        postgres::execute(url, witness).await;
        index.put_repository(&record(1, "owner", "name")).await.unwrap();
        index.close().await.unwrap();
        let mut connection = postgres::connect(url).await;
        let told: String = connection.fetch_one("SELECT told FROM witness").await.unwrap().get(0);
        connection.execute("DROP TABLE witness; DROP FUNCTION witness CASCADE").await.unwrap();
        connection.close().await.unwrap();
        told
    };
    assert_eq!(limits(&url).await, "1min 30s 1min read committed", "{settings}, isolation");
    let chosen = "?options[statement_timeout]=50s&options[lock_timeout]=7s&\
        options[idle_in_transaction_session_timeout]=9s&options[default_transaction_isolation]=serializable";
    assert_eq!(limits(&format!("{url}{chosen}")).await, "50s 7s 9s read committed", "{settings}, isolation");
}

/// Waits until so many of others wait for a lock.
async fn wait_for_waiting(observer: &mut PgConnection, sessions: i64) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while observer.fetch_one(waiting).await.unwrap().get::<i64, _>(0) < sessions {
        tokio::task::yield_now().await;
    }
}

/// As many as a process has connections of each kind.
const CONNECTIONS: u64 = 8;
/// However slow the machine is, whoever waits longer waits for ever.
const FOR_EVER: Duration = Duration::from_secs(100);

/// An index behind a relay, and somebody who keeps it waiting for answers, over all its connections.
async fn everybody_waits() -> (Relay, SqlIndex, PgConnection, PgConnection) {
    let database = postgres::database().await;
    SqlIndex::connect(&database.parse().unwrap()).await.unwrap().close().await.unwrap();
    let relay = Relay::start(&database).await;
    let url = format!("{}&options[statement_timeout]=4s", relay.url());
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    let mut other = postgres::connect(&database).await;
    other.execute("BEGIN; LOCK TABLE musehub_repos").await.unwrap();
    (relay, index, other, postgres::connect(&database).await)
}

async fn write(index: SqlIndex, n: u64) -> Result<(), BackendError> {
    index.put_repository(&record(n, "owner", &format!("name-{n}"))).await
}

async fn read(index: SqlIndex) -> Result<Option<RepositoryRecord>, BackendError> {
    index.repository_by_id(&repo(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_given_up_and_its_connections_with_it() {
    let (relay, index, mut other, mut observer) = everybody_waits().await;
    let writing: Vec<_> = (0..CONNECTIONS).map(|n| tokio::spawn(write(index.clone(), n))).collect();
    let reading: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(read(index.clone()))).collect();
    wait_for_waiting(&mut observer, 16).await;
    relay.fall_silent();
    other.execute("ROLLBACK").await.unwrap();

    let written = tokio::time::timeout(FOR_EVER, join_all(writing)).await.expect("a write has an end");
    let read_back = tokio::time::timeout(FOR_EVER, join_all(reading)).await.expect("a read has an end");
    let errors = written.into_iter().map(|done| done.unwrap().unwrap_err());
    for error in errors.chain(read_back.into_iter().map(|done| done.unwrap().unwrap_err())) {
        assert!(said(&error).contains("did not answer within"), "{error:?}");
    }
    relay.speak_again();
    let after = async { (write(index.clone(), 9).await, read(index.clone()).await) };
    let (written, read_back) = tokio::time::timeout(FOR_EVER, after).await.expect("connections are free");
    written.unwrap();
    read_back.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_leave_no_connection_to_a_silent_server() {
    let (relay, index, mut other, mut observer) = everybody_waits().await;
    let writing: Vec<_> = (0..CONNECTIONS).map(|n| tokio::spawn(write(index.clone(), n))).collect();
    let reading: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(read(index.clone()))).collect();
    wait_for_waiting(&mut observer, 16).await;
    relay.fall_silent();
    for task in writing {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    for task in reading {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    other.execute("ROLLBACK").await.unwrap();
    relay.speak_again();
    let after = async { (write(index.clone(), 9).await, read(index.clone()).await) };
    let (written, read_back) = tokio::time::timeout(FOR_EVER, after).await.expect("connections are free");
    written.unwrap();
    read_back.unwrap();
}
