//! Verification names whatever is wrong with a row that is made from the object store, on either engine.

use std::path::Path;

use musehub_core::hub::recovery::{Event, VerifyOptions};
use musehub_test_services::postgres;
use musehub_test_support::history::write;
use musehub_test_support::{History, TestApp, set, text};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend};

use crate::rebuild::TABLES;

/// Surgery on rows, and words that one line of a verification has then. `{alice}` and `{bob}` are ids of repositories, `{root}`
/// and `{both}` commits that both have, `{own}` one that alice alone has; `{tree}` and `{own tree}` are the snapshots of the latter two;
/// `{shared}` is a blob of both, `{private}` one of alice's alone; and `{nothing}` is the digest of nothing that is there.
type Case = (&'static str, &'static [&'static str]);

const REPOSITORIES: &[Case] = &[
    ("DELETE FROM musehub_repos WHERE repo_id = '{bob}'", &["object-without-row bob/copy", "no row"]),
    (
        "INSERT INTO musehub_repos (repo_id, owner, slug, owner_key, slug_key, version, visibility, description, \
             settings, created_at, deleted) \
         SELECT '00000000-0000-4000-8000-00000000000e', 'eve', 'more', 'eve', 'more', version, visibility, description, \
             settings, created_at, deleted FROM musehub_repos WHERE repo_id = '{bob}'",
        &["row-without-object eve/more", "no record"],
    ),
    (
        "UPDATE musehub_repos SET visibility = 'private' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy", "its record"],
    ),
    (
        "UPDATE musehub_repos SET description = 'x' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy", "its record"],
    ),
    ("UPDATE musehub_repos SET version = 9 WHERE repo_id = '{bob}'", &["wrong-row bob/copy", "its record"]),
    (
        "UPDATE musehub_repos SET slug_key = 'x' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy", "by its name"],
    ),
    ("UPDATE musehub_repos SET owner = '?' WHERE repo_id = '{bob}'", &["wrong-row bob/copy", "owner"]),
];

const BRANCHES: &[Case] = &[
    ("DELETE FROM musehub_branches WHERE repo_id = '{bob}'", &["stale-branch bob/copy branch main"]),
    (
        "INSERT INTO musehub_branches (repo_id, name, head_commit_id, sequence, moved_at) SELECT repo_id, 'more', head_commit_id, 0, moved_at FROM musehub_branches \
         WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy branch more", "its log has no move"],
    ),
    (
        "INSERT INTO musehub_branches (repo_id, name, head_commit_id, sequence, moved_at) SELECT repo_id, 'more', head_commit_id, 3, moved_at FROM musehub_branches \
         WHERE repo_id = '{bob}'",
        &["log-gap bob/copy branch more"],
    ),
    (
        "UPDATE musehub_branches SET head_commit_id = '{root}' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy branch main", "its head by the index"],
    ),
    (
        "UPDATE musehub_branches SET head_commit_id = 'sha256:{nothing}' WHERE repo_id = '{bob}'",
        &["missing-head bob/copy branch main", "{nothing}"],
    ),
    (
        "UPDATE musehub_branches SET head_commit_id = 'x' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy", "head"],
    ),
    (
        "UPDATE musehub_branches SET sequence = sequence - 1 WHERE repo_id = '{bob}'",
        &["stale-branch bob/copy branch main"],
    ),
    (
        "UPDATE musehub_branches SET sequence = sequence + 1 WHERE repo_id = '{bob}'",
        &["log-gap bob/copy branch main"],
    ),
    (
        "UPDATE musehub_branches SET moved_at = moved_at + 1 WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy branch main", "another time"],
    ),
];

const COMMITS: &[Case] = &[
    (
        "DELETE FROM musehub_commits WHERE repo_id = '{bob}' AND commit_id = '{root}'",
        &["object-without-row bob/copy commit {root}"],
    ),
    (
        "DELETE FROM musehub_commits WHERE repo_id = '{bob}' AND commit_id = '{root}'",
        &["missing-parent bob/copy commit {both}", "{root}"],
    ),
    (
        "DELETE FROM musehub_commits WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["missing-head bob/copy branch main commit {both}"],
    ),
    (
        "INSERT INTO musehub_commits (repo_id, commit_id, snapshot_id, author, message, committed_at, agent_id, branch, size, \
             storage_uri, record, id_opaque) SELECT '{bob}', commit_id, snapshot_id, author, message, committed_at, agent_id, \
             branch, size, storage_uri, record, id_opaque FROM musehub_commits \
         WHERE repo_id = '{alice}' AND commit_id = '{own}'",
        &["wrong-row bob/copy commit {own}", "no move brought it"],
    ),
    (
        "INSERT INTO musehub_commits (repo_id, commit_id, snapshot_id, author, message, committed_at, agent_id, branch, size, \
             storage_uri, record, id_opaque) SELECT '{bob}', commit_id, snapshot_id, author, message, committed_at, agent_id, \
             branch, size, NULL, NULL, id_opaque FROM musehub_commits \
         WHERE repo_id = '{alice}' AND commit_id = '{own}'",
        &["wrong-row bob/copy commit {own}", "neither a place nor a record"],
    ),
    (
        "UPDATE musehub_commits SET snapshot_id = 'sha256:{nothing}' WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["missing-snapshot bob/copy commit {both}", "{nothing}"],
    ),
    (
        "UPDATE musehub_commits SET snapshot_id = 'sha256:{nothing}' WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}", "its record"],
    ),
    (
        "UPDATE musehub_commits SET author = 'eve' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET message = 'eve' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET committed_at = 'eve' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET agent_id = 'eve' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET branch = 'eve' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET size = size + 1 WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET id_opaque = NOT id_opaque WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET storage_uri = (SELECT o.storage_uri FROM musehub_commits AS o WHERE o.repo_id = '{bob}' \
             AND o.commit_id = '{root}') WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["row-without-object bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commits SET storage_uri = NULL WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}", "neither a place nor a record"],
    ),
    (
        "UPDATE musehub_commits SET storage_uri = NULL, record = '{}' WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}", "and a move brought it"],
    ),
    (
        "UPDATE musehub_commits SET storage_uri = 'x' WHERE repo_id = '{bob}'",
        &["wrong-row bob/copy", "storage_uri"],
    ),
];

const GRAPH: &[Case] = &[
    (
        "DELETE FROM musehub_commit_graph WHERE repo_id = '{bob}' AND commit_id = '{root}'",
        &["wrong-row bob/copy commit {root}"],
    ),
    (
        "DELETE FROM musehub_commit_graph WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "INSERT INTO musehub_commit_graph (repo_id, commit_id, position, parent_id, generation) \
         VALUES ('{bob}', '{own}', 0, '{both}', 3)",
        &["wrong-row bob/copy commit {own}", "place in the graph"],
    ),
    (
        "INSERT INTO musehub_commit_graph (repo_id, commit_id, position, parent_id, generation) \
         VALUES ('{bob}', '{both}', 1, '{root}', 2)",
        &["wrong-row bob/copy commit {both}"],
    ),
    (
        "UPDATE musehub_commit_graph SET generation = 7 WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}", "generation"],
    ),
    (
        "UPDATE musehub_commit_graph SET parent_id = 'sha256:{nothing}' WHERE repo_id = '{bob}' AND commit_id = '{both}'",
        &["wrong-row bob/copy commit {both}", "its record"],
    ),
];

const SNAPSHOTS: &[Case] = &[
    (
        "DELETE FROM musehub_snapshots WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["missing-snapshot bob/copy commit {both}"],
    ),
    (
        "DELETE FROM musehub_snapshots WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["object-without-row bob/copy snapshot {tree}"],
    ),
    (
        "INSERT INTO musehub_snapshots (repo_id, snapshot_id, entry_count, size, storage_uri) \
         SELECT '{bob}', snapshot_id, entry_count, size, storage_uri FROM musehub_snapshots \
         WHERE repo_id = '{alice}' AND snapshot_id = '{own tree}'",
        &["wrong-row bob/copy snapshot {own tree}", "no move brought it"],
    ),
    (
        "UPDATE musehub_snapshots SET entry_count = 9 WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["wrong-row bob/copy snapshot {tree}"],
    ),
    (
        "UPDATE musehub_snapshots SET size = size + 1 WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["wrong-row bob/copy snapshot {tree}"],
    ),
    (
        "UPDATE musehub_snapshots SET storage_uri = (SELECT c.storage_uri FROM musehub_commits AS c \
             WHERE c.repo_id = '{bob}' AND c.commit_id = '{root}') WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["row-without-object bob/copy snapshot {tree}"],
    ),
    (
        "UPDATE musehub_snapshots SET storage_uri = NULL WHERE repo_id = '{bob}' AND snapshot_id = '{tree}'",
        &["wrong-row bob/copy snapshot {tree}", "neither a place nor a record"],
    ),
];

const OBJECTS: &[Case] = &[
    ("DELETE FROM musehub_objects WHERE object_id = '{shared}'", &["missing-blob bob/copy", "{shared}"]),
    (
        "DELETE FROM musehub_objects WHERE object_id = '{shared}'",
        &["object-without-row alice/demo blob {shared}"],
    ),
    (
        "INSERT INTO musehub_objects (object_id, size, storage_uri) SELECT 'sha256:{nothing}', size, storage_uri FROM musehub_objects \
         WHERE object_id = '{shared}'",
        &["row-without-object blob sha256:{nothing}"],
    ),
    (
        "UPDATE musehub_objects SET size = size + 1 WHERE object_id = '{shared}'",
        &["row-without-object bob/copy blob {shared}"],
    ),
    (
        "UPDATE musehub_objects SET storage_uri = (SELECT o.storage_uri FROM musehub_objects AS o \
             WHERE o.object_id = '{private}') WHERE object_id = '{shared}'",
        &["row-without-object bob/copy blob {shared}"],
    ),
];

const MEMBERSHIPS: &[Case] = &[
    (
        "DELETE FROM musehub_object_refs WHERE repo_id = '{bob}' AND object_id = '{shared}'",
        &["missing-blob bob/copy", "{shared}"],
    ),
    (
        "INSERT INTO musehub_object_refs (repo_id, object_id) VALUES ('{bob}', '{private}')",
        &["wrong-row bob/copy blob {private}", "no move brought it"],
    ),
    (
        "INSERT INTO musehub_object_refs (repo_id, object_id) VALUES ('{bob}', 'sha256:{nothing}')",
        &["wrong-row bob/copy blob sha256:{nothing}", "said to hold it"],
    ),
    (
        "UPDATE musehub_object_refs SET object_id = '{private}' WHERE repo_id = '{bob}' AND object_id = '{shared}'",
        &["missing-blob bob/copy", "{shared}"],
    ),
];

/// Two repositories in one database, and a way to undo what is done to their rows.
struct Rows {
    app: TestApp,
    database: DatabaseConnection,
    /// What stands in a case, and what for.
    names: Vec<(&'static str, String)>,
}

impl Rows {
    async fn new(directory: &Path, url: &str) -> Self {
        let app = TestApp::open_with_database(directory, url).await;
        let mut history = History::new();
        let root = history.commit_file("main", "one", "a.txt");
        let both = history.commit("main", "two", |tree| write(tree, "shared.txt", "of both"));
        // Who wrote this one only the log says: whoever pushed it.
        set(history.commits.get_mut(&both).unwrap(), "author", "");
        let mut alice = app.repository("alice", "demo").await;
        alice.push(&history, "main", false).await.unwrap();
        app.repository("bob", "copy").await.push(&history, "main", false).await.unwrap();
        let own = history.commit("main", "three", |tree| write(tree, "private.txt", "of alice"));
        alice.push(&history, "main", false).await.unwrap();
        let [alice, bob] = [app.record("alice", "demo").await, app.record("bob", "copy").await];
        app.app.close().await.unwrap();

        let tree_of = |commit: &str| text(&history.commits[commit], "snapshot_id").to_owned();
        let blob_of = |content: &str| {
            let found = history.objects.iter().find(|(_, bytes)| &bytes[..] == content.as_bytes());
            found.unwrap().0.clone()
        };
        let id = |hex: String| format!("sha256:{hex}");
        let names = vec![
            ("{alice}", alice.repo_id.to_string()),
            ("{bob}", bob.repo_id.to_string()),
            ("{tree}", id(tree_of(&both))),
            ("{own tree}", id(tree_of(&own))),
            ("{root}", id(root)),
            ("{both}", id(both)),
            ("{own}", id(own)),
            ("{shared}", id(blob_of("of both"))),
            ("{private}", id(blob_of("of alice"))),
            ("{nothing}", "5".repeat(64)),
        ];
        // Another one, which remembers nothing of what was pushed.
        let app = TestApp::open_with_database(directory, url).await;
        let mut options = ConnectOptions::new(url);
        options.max_connections(1);
        let database = Database::connect(options).await.unwrap();
        let rows = Self { app, database, names };
        // Rows are taken apart that belong together.
        rows.execute(match rows.database.get_database_backend() {
            DbBackend::Postgres => "SET session_replication_role = replica",
            _ => "PRAGMA foreign_keys = OFF",
        })
        .await;
        for table in TABLES {
            rows.execute(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
        rows
    }

    async fn execute(&self, text: &str) -> u64 {
        let done = self.database.execute_unprepared(text).await;
        done.unwrap_or_else(|error| panic!("{text}: {error}")).rows_affected()
    }

    fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    async fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut note = |event| {
            if let Event::Problem(problem) = event {
                problems.push(problem.to_string());
            }
        };
        self.app.app.recovery.verify(&VerifyOptions::default(), &mut note).await.unwrap();
        problems
    }

    /// Does what a case says, and verifies; gives what is not as the case says.
    async fn fails(&self, (surgery, words): &Case) -> Option<String> {
        let surgery = self.fill(surgery);
        assert!(self.execute(&surgery).await > 0, "{surgery} does nothing");
        let problems = self.problems().await;
        for table in TABLES {
            self.execute(&format!("DELETE FROM {table}")).await;
            self.execute(&format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
        }
        let words: Vec<String> = words.iter().map(|word| self.fill(word)).collect();
        let named = problems.iter().any(|problem| words.iter().all(|word| problem.contains(word)));
        (!named).then(|| format!("{surgery}\n  nothing says {words:?} in\n    {}", problems.join("\n    ")))
    }
}

async fn every_case_is_named(url: &str) {
    let directory = tempfile::tempdir().unwrap();
    let url = if url.is_empty() {
        format!("sqlite://{}", directory.path().join("musehub.db").display())
    } else {
        url.to_owned()
    };
    let rows = Rows::new(directory.path(), &url).await;
    assert_eq!(rows.problems().await, Vec::<String>::new());
    let mut failures = Vec::new();
    for case in [REPOSITORIES, BRANCHES, COMMITS, GRAPH, SNAPSHOTS, OBJECTS, MEMBERSHIPS].concat() {
        failures.extend(rows.fails(&case).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(rows.problems().await, Vec::<String>::new(), "everything was undone");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_row_is_named_in_sqlite() {
    every_case_is_named("").await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_row_is_named_in_postgresql() {
    every_case_is_named(&postgres::database().await).await;
}
