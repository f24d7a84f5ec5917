//! A database made anew from the object store equals the one that it replaces, row for row.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use musehub_core::hub::CaughtUp;
use musehub_core::hub::recovery::VerifyOptions;
use musehub_core::port::{RefLogEntry, RefStore, RepositoryIndex, RepositoryRecord, Role};
use musehub_core::{BranchName, Handle, Slug};
use musehub_server::{App, Limits};
use musehub_store::{Backend, BackupError, DatabaseUrl, Kept, RefLog, Replacement, SqlIndex};
use musehub_test_services::postgres;
use musehub_test_support::history::write;
use musehub_test_support::{History, MuseClient, TestApp};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::Value;

/// The tables that come from the object store.
pub(crate) const TABLES: [&str; 7] = [
    "musehub_repos",
    "musehub_branches",
    "musehub_commits",
    "musehub_commit_graph",
    "musehub_snapshots",
    "musehub_objects",
    "musehub_object_refs",
];

fn url_of(database: &Path) -> String {
    format!("sqlite://{}", database.display())
}

/// Every row of those tables, all columns, in order; engines apart, the same rows are the same texts.
async fn dump(url: &str) -> BTreeMap<&'static str, Vec<String>> {
    let database = Database::connect(url).await.unwrap();
    let postgres = database.get_database_backend() == DbBackend::Postgres;
    let texts = async |query: String| -> Vec<String> {
        let statement = Statement::from_string(database.get_database_backend(), query);
        let rows = database.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    let mut dump = BTreeMap::new();
    for table in TABLES {
        let columns = texts(if postgres {
            format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY column_name COLLATE \"C\""
            )
        } else {
            format!("SELECT name FROM pragma_table_info('{table}') ORDER BY name")
        });
        let columns = columns.await;
        assert!(!columns.is_empty(), "{table} has columns");
        let columns = columns.join(", ");
        let rows = texts(if postgres {
            format!("SELECT json_build_array({columns})::text FROM {table}")
        } else {
            format!("SELECT json_array({columns}) FROM {table}")
        });
        let mut rows: Vec<String> = rows.await.iter().map(|row| plain(row)).collect();
        rows.sort_unstable();
        dump.insert(table, rows);
    }
    database.close().await.unwrap();
    dump
}

/// A row as both engines have it: truth is 0 or 1, and JSON in a column is text.
fn plain(row: &str) -> String {
    let values: Vec<Value> = serde_json::from_str(row).unwrap();
    let plain = values.into_iter().map(|value| match value {
        Value::Bool(truth) => i64::from(truth).into(),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Value::Object(map),
            _ => Value::String(text),
        },
        other => other,
    });
    plain.collect::<Value>().to_string()
}

/// A generator of numbers that gives the same ones for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// A repository on its way through some history.
struct Life {
    client: MuseClient,
    history: History,
    record: RepositoryRecord,
}

struct World {
    app: TestApp,
    log: RefLog,
    lives: Vec<Life>,
    dice: Dice,
}

const BRANCHES: [&str; 5] = ["main", "dev", "a/x", "zeta", "Ünï"];

impl World {
    async fn new(directory: &Path, seed: u64) -> Self {
        Self::over(TestApp::open(directory).await, directory, seed).await
    }

    async fn over(app: TestApp, directory: &Path, seed: u64) -> Self {
        let mut lives = Vec::new();
        for (owner, slug) in [("alice", "demo"), ("bob", "copy"), ("alice", "other")] {
            let client = app.repository(owner, slug).await;
            lives.push(Life { client, history: History::new(), record: app.record(owner, slug).await });
        }
        let log = RefLog::new(Backend::local(&directory.join("store")).unwrap());
        Self { app, log, lives, dice: Dice(seed) }
    }

    async fn step(&mut self) {
        let at = self.dice.roll(self.lives.len());
        let branch = BRANCHES[self.dice.roll(BRANCHES.len())];
        let known = self.lives[at].history.branches.contains_key(branch);
        match self.dice.roll(10) {
            0 if known => self.delete(at, branch).await,
            1 if known => self.force_back(at, branch).await,
            2 => self.change_default(at, branch).await,
            3 => self.take_over(at, branch).await,
            4 if known => self.fork_or_merge(at, branch).await,
            _ => self.commit(at, branch).await,
        }
    }

    /// Contents repeat within and between repositories, so that packs borrow of each other.
    async fn commit(&mut self, at: usize, branch: &str) {
        let contents = [self.dice.roll(6), self.dice.roll(30)];
        let message = format!("message {}", self.dice.roll(1000));
        let life = &mut self.lives[at];
        life.history.commit(branch, &message, |tree| {
            write(tree, "a.txt", format!("content {}", contents[0]));
            write(tree, &format!("{}.txt", contents[0]), format!("content {}", contents[1]));
        });
        life.client.push(&life.history, branch, true).await.unwrap();
    }

    async fn fork_or_merge(&mut self, at: usize, branch: &str) {
        let other = BRANCHES[self.dice.roll(BRANCHES.len())];
        let life = &mut self.lives[at];
        if life.history.branches.contains_key(other) && other != branch {
            life.history.merge(branch, other);
            life.client.push(&life.history, branch, false).await.unwrap();
        } else if other != branch {
            life.history.fork(other, branch);
            life.client.push(&life.history, other, false).await.unwrap();
        }
    }

    async fn force_back(&mut self, at: usize, branch: &str) {
        let life = &mut self.lives[at];
        let walk = life.history.walk(life.history.head(branch), &Default::default());
        let back = walk[self.dice.roll(walk.len())].clone();
        life.history.branch(branch, &back);
        life.client.push(&life.history, branch, true).await.unwrap();
    }

    /// The history of another repository, commits and all.
    async fn take_over(&mut self, at: usize, branch: &str) {
        let from = self.dice.roll(self.lives.len());
        let source = self.lives[from].history.clone();
        let Some(head) = source.branches.get("main") else {
            return;
        };
        let life = &mut self.lives[at];
        life.history.commits.extend(source.commits.clone());
        life.history.snapshots.extend(source.snapshots.clone());
        life.history.objects.extend(source.objects.clone());
        life.history.branch(branch, head);
        life.client.push(&life.history, branch, true).await.unwrap();
    }

    async fn delete(&mut self, at: usize, branch: &str) {
        let life = &mut self.lives[at];
        let name = BranchName::parse(branch).unwrap();
        let moves = self.log.history(&life.record.repo_id, &name, 0).await.unwrap();
        let last = moves.last().unwrap().clone();
        let deletion = RefLogEntry {
            sequence: last.sequence + 1,
            old: last.new,
            new: None,
            at: last.at.plus_millis(1),
            packs: Vec::new(),
            borrowed: Vec::new(),
            ..last
        };
        self.log.append(&deletion).await.unwrap();
        life.history.branches.remove(branch);
        self.app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    }

    async fn change_default(&mut self, at: usize, branch: &str) {
        let life = &self.lives[at];
        let present = self.app.record(life.record.owner.as_str(), life.record.slug.as_str()).await;
        if present.scheme.is_some() {
            let next = RepositoryRecord {
                version: present.version + 1,
                default_branch: Some(BranchName::parse(branch).unwrap()),
                ..present
            };
            self.log.put_repository(&next).await.unwrap();
            self.app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        }
    }
}

fn store(directory: &Path) -> (Backend, RefLog) {
    let backend = Backend::local(&directory.join("store")).unwrap();
    (backend.clone(), RefLog::new(backend))
}

async fn rebuild(directory: &Path) -> Option<u64> {
    let replacement =
        Replacement::begin(&DatabaseUrl::sqlite(directory.join("musehub.db")), false).await.unwrap();
    let (backend, refs) = store(directory);
    let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
    app.hub.catch_up_telling(&mut |_| {}).await.and_then(CaughtUp::whole).unwrap();
    let carried = replacement.carry_over().await.unwrap();
    drop(app);
    assert!(replacement.swap().await.unwrap().is_some());
    carried
}

#[tokio::test]
async fn a_rebuilt_index_is_the_old_one_row_for_row_after_any_history() {
    for seed in 1..=4 {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::new(directory.path(), seed).await;
        for _ in 0..60 {
            world.step().await;
        }
        let World { app, lives, .. } = world;
        app.run_jobs().await;
        app.app.close().await.unwrap();
        let before = dump(&url_of(&directory.path().join("musehub.db"))).await;
        assert!(before["musehub_commits"].len() > 30 && before["musehub_branches"].len() > 6);

        let carried = rebuild(directory.path()).await;
        assert!(carried.is_some_and(|rows| rows >= 4), "two identities, two tokens");
        let after = dump(&url_of(&directory.path().join("musehub.db"))).await;
        for table in TABLES {
            assert_eq!(after[table], before[table], "seed {seed}: {table}");
        }

        let app = TestApp::open(directory.path()).await;
        let options = VerifyOptions { objects: true, ..VerifyOptions::default() };
        let summary = app.app.recovery.verify(&options, &mut |event| println!("{event:?}")).await.unwrap();
        assert_eq!(summary.problems, 0, "seed {seed}");
        let ran = app.run_jobs().await;
        assert!(ran <= lives.len(), "findings of the present heads alone: {ran}");
        let mut history = lives.into_iter().next().unwrap().history;
        history.commit_file("main", "goes on", "on.txt");
        let mut client = app.client("alice", "demo", Some("alice")).await;
        client.push(&history, "main", true).await.unwrap();
    }
}

#[tokio::test]
async fn an_index_made_anew_in_postgresql_is_the_old_one_row_for_row_and_that_of_sqlite() {
    for seed in [11, 12] {
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = [postgres::database().await, postgres::database().await];
        let app = TestApp::open_with_database(directory.path(), &old).await;
        let mut world = World::over(app, directory.path(), seed).await;
        for _ in 0..40 {
            world.step().await;
        }
        let before = dump(&old).await;
        assert!(before["musehub_commits"].len() > 15 && before["musehub_branches"].len() > 4);

        let replacement = Replacement::begin(&new.parse().unwrap(), false).await.unwrap();
        let (backend, refs) = store(directory.path());
        let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
        app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert_eq!(replacement.carry_over().await.unwrap(), None, "a backup brings what is not in the store");
        assert_eq!(replacement.swap().await.unwrap(), None);
        let after = dump(&new).await;
        let sqlite = TestApp::open(directory.path()).await;
        sqlite.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        sqlite.app.close().await.unwrap();
        let in_sqlite = dump(&url_of(&directory.path().join("musehub.db"))).await;
        for table in TABLES {
            assert_eq!(after[table], before[table], "seed {seed}: {table}");
            assert_eq!(in_sqlite[table], before[table], "seed {seed}: {table} in SQLite");
        }
        Replacement::begin(&new.parse().unwrap(), false).await.unwrap_err();
    }
}

#[tokio::test]
async fn tables_of_postgresql_are_replaced_by_the_same_row_for_row_with_what_they_alone_held() {
    let directory = tempfile::tempdir().unwrap();
    let url = postgres::database().await;
    let parsed: DatabaseUrl = url.parse().unwrap();
    let app = TestApp::open_with_database(directory.path(), &url).await;
    let mut world = World::over(app, directory.path(), 21).await;
    for _ in 0..40 {
        world.step().await;
    }
    let app = world.app;
    app.run_jobs().await;
    let backup = async || {
        let index = SqlIndex::connect(&parsed).await.unwrap();
        let mut backup = Vec::new();
        index.backup(&mut backup, Default::default()).await.unwrap();
        index.close().await.unwrap();
        String::from_utf8(backup).unwrap()
    };
    let in_use = Replacement::begin(&parsed, true).await.unwrap_err();
    assert!(in_use.to_string().contains("must not be in use"), "{in_use:?}");
    app.app.close().await.unwrap();
    let (before, alone) = (dump(&url).await, backup().await);
    assert!(alone.lines().count() > 5, "{alone}");

    // Cut off before the swap; then to the end, twice.
    let begun = Replacement::begin(&parsed, true).await.unwrap();
    let (backend, refs) = store(directory.path());
    App::over(backend, refs, begun.index().clone(), Limits::default())
        .hub
        .catch_up()
        .await
        .and_then(CaughtUp::whole)
        .unwrap();
    begun.index().close().await.unwrap();
    drop(begun);
    assert_eq!(dump(&url).await, before, "nothing is replaced before the end");
    for round in 0..2 {
        let replacement = Replacement::begin(&parsed, true).await.unwrap();
        let (backend, refs) = store(directory.path());
        let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
        app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert!(replacement.carry_over().await.unwrap().is_some_and(|rows| rows >= 4), "round {round}");
        drop(app);
        let kept = replacement.swap().await.unwrap();
        assert_eq!(kept, Some(Kept::Schema("public_before_rebuild".to_owned())), "round {round}");
        let after = dump(&url).await;
        for table in TABLES {
            assert_eq!(after[table], before[table], "round {round}: {table}");
        }
        assert_eq!(backup().await, alone, "round {round}");
    }
    let report = SqlIndex::check_schema(&parsed).await.unwrap();
    assert!(report.differences.is_empty(), "{report:?}");
    let old = dump(&format!("{url}?options[search_path]=public_before_rebuild")).await;
    assert_eq!(old, before, "the old tables are kept");
}

#[tokio::test]
async fn a_database_in_use_is_not_replaced_and_an_interrupted_try_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("musehub.db");
    let app = TestApp::open(directory.path()).await;
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    app.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
    Replacement::begin(&DatabaseUrl::sqlite(database.clone()), false).await.unwrap_err();
    app.app.close().await.unwrap();

    // Cut off before the swap, twice, once with rows of its own.
    let begun = Replacement::begin(&DatabaseUrl::sqlite(database.clone()), false).await.unwrap();
    let (backend, refs) = store(directory.path());
    App::over(backend, refs, begun.index().clone(), Limits::default())
        .hub
        .catch_up()
        .await
        .and_then(CaughtUp::whole)
        .unwrap();
    begun.index().close().await.unwrap();
    drop(begun);
    let again = Replacement::begin(&DatabaseUrl::sqlite(database.clone()), false).await.unwrap();
    let left = again
        .index()
        .repository(&Handle::parse("alice").unwrap(), &Slug::parse("demo").unwrap())
        .await
        .unwrap();
    assert_eq!(left, None, "a second try begins with nothing");
    again.index().close().await.unwrap();
    drop(again);

    let before = dump(&url_of(&database)).await;
    assert_eq!(rebuild(directory.path()).await, Some(2));
    assert_eq!(dump(&url_of(&database)).await, before);
    std::fs::remove_file(&database).unwrap();
    let lost = Replacement::begin(&DatabaseUrl::sqlite(database.clone()), false).await.unwrap();
    assert_eq!(lost.carry_over().await.unwrap(), None, "nothing is there to carry over");
    lost.swap().await.unwrap();
}

#[tokio::test]
async fn repositories_of_which_the_store_has_lost_its_records_are_named_before_they_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::open(directory.path()).await;
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    for (owner, slug) in [("alice", "demo"), ("bob", "copy"), ("bob", "gone")] {
        app.repository(owner, slug).await.push(&history, "main", false).await.unwrap();
    }
    let gone = app.record("bob", "gone").await;
    let gone = RepositoryRecord { version: gone.version + 1, deleted: true, ..gone };
    app.app.repositories.put_repository(&gone).await.unwrap();
    app.app.close().await.unwrap();
    for lost in ["alice/demo", "bob/gone"] {
        std::fs::remove_dir_all(directory.path().join("store/repositories").join(lost)).unwrap();
    }
    let replacement =
        Replacement::begin(&DatabaseUrl::sqlite(directory.path().join("musehub.db")), false).await.unwrap();
    let (backend, refs) = store(directory.path());
    let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
    app.hub.catch_up().await.unwrap();
    let lost = replacement.lost_repositories().await.unwrap();
    assert_eq!(lost, ["alice/demo"], "one that nobody sees is not missed");
}

#[tokio::test]
async fn a_file_that_is_no_database_any_more_is_put_aside_by_whoever_gives_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("musehub.db");
    let app = TestApp::open(directory.path()).await;
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    app.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
    app.app.close().await.unwrap();
    let before = dump(&url_of(&database)).await;
    let mut broken = std::fs::read(&database).unwrap();
    broken[..100].fill(7);
    std::fs::write(&database, &broken).unwrap();
    std::fs::write(directory.path().join("musehub.db-wal"), "what a crash left").unwrap();

    let url = DatabaseUrl::sqlite(database.clone());
    let refused = Replacement::begin(&url, false).await.unwrap_err();
    assert!(refused.to_string().contains("--discard-old"), "{refused}");
    let replacement = Replacement::begin_discarding(&url, false).await.unwrap();
    let (backend, refs) = store(directory.path());
    let app = App::over(backend, refs, replacement.index().clone(), Limits::default());
    app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    drop(app);
    let Some(Kept::File(kept)) = replacement.swap().await.unwrap() else { panic!("the old file is kept") };
    assert_eq!(std::fs::read(&kept).unwrap(), broken);
    assert!(!directory.path().join("musehub.db-wal").exists(), "no log of the old one is beside the new one");
    assert_eq!(dump(&url_of(&database)).await, before);
}

#[tokio::test]
async fn a_backup_comes_back_whole_or_not_at_all() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let app = TestApp::open(old.path()).await;
    let mut history = History::new();
    history.commit_file("main", "one", "a.py");
    app.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
    let _ = app.token("bob").await;
    let (bob, alice) = (Handle::parse("bob").unwrap(), app.signer("alice", 1).await.handle);
    let repo = app.record("alice", "demo").await;
    app.app.hub.set_collaborator(&repo, &bob, Role::Write, &alice).await.unwrap();
    app.run_jobs().await;
    app.app.close().await.unwrap();
    let index = SqlIndex::open(&old.path().join("musehub.db")).await.unwrap();
    let mut backup = Vec::new();
    let rows = index.backup(&mut backup, Default::default()).await.unwrap();
    assert_eq!(rows, 7, "two identities, two tokens, a key, a collaborator, one scan");
    let text = String::from_utf8(backup.clone()).unwrap();
    assert!(!text.contains("mh_test_"), "tokens are not in it");

    let fresh = SqlIndex::open(&new.path().join("musehub.db")).await.unwrap();
    let dangling = fresh.restore(&mut Cursor::new(&backup[..]), false).await;
    assert!(matches!(dangling, Err(BackupError::Dangling { .. })), "{dangling:?}");
    let (backend, refs) = store(old.path());
    App::over(backend, refs, fresh.clone(), Limits::default())
        .hub
        .catch_up()
        .await
        .and_then(CaughtUp::whole)
        .unwrap();
    for length in [0, 10, backup.len() / 2, backup.len() - 2] {
        let cut = fresh.restore(&mut Cursor::new(&backup[..length]), false).await;
        assert!(matches!(cut, Err(BackupError::Malformed { .. })), "{length}: {cut:?}");
    }
    let changed = text.replacen("bob", "eve", 3).into_bytes();
    fresh.restore(&mut Cursor::new(&changed[..]), false).await.unwrap_err();
    assert_eq!(fresh.restore(&mut Cursor::new(&backup[..]), false).await.unwrap(), rows);
    let full = fresh.restore(&mut Cursor::new(&backup[..]), false).await;
    assert!(matches!(full, Err(BackupError::NotEmpty { .. })), "{full:?}");
    assert_eq!(fresh.restore(&mut Cursor::new(&backup[..]), true).await.unwrap(), rows);
    let mut again = Vec::new();
    fresh.backup(&mut again, Default::default()).await.unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), text);
    // One that was written before some columns were there has their defaults.
    let older = without(&text, &["scope", "expires_at", "spawned_by"]);
    assert_eq!(fresh.restore(&mut Cursor::new(older.as_bytes()), true).await.unwrap(), rows);
    let mut again = Vec::new();
    fresh.backup(&mut again, Default::default()).await.unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), text);
}

/// A backup without some columns, as an older hub writes it.
fn without(backup: &str, columns: &[&str]) -> String {
    let mut text = String::new();
    for line in backup.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(row) = line.get_mut("row").and_then(|row| row.as_object_mut()) {
            row.retain(|column, _| !columns.contains(&column.as_str()));
        }
        if line.get("blake3").is_some() {
            line["blake3"] = blake3::hash(text.as_bytes()).to_hex().to_string().into();
        }
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}
