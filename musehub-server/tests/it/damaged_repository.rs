//! What is damaged of one repository is in the way of no other, nor of the server's start.

use std::fs;
use std::path::{Path, PathBuf};

use musehub_core::hub::{CaughtUp, LeftBehind};
use musehub_core::port::{RefStore, RepositoryRecord};
use musehub_core::{Handle, Slug};
use musehub_server::{App, Limits};
use musehub_store::{Backend, RefLog, SqlIndex};
use musehub_test_support::{History, TestApp};

use crate::durability::copy;

/// Two repositories of three pushes each; the first has a second branch that stands on the first push.
async fn pushed(directory: &Path) -> (History, History, String) {
    let app = TestApp::open(directory).await;
    let (mut first, mut second) = (History::new(), History::new());
    let mut client = app.repository("alice", "first").await;
    for number in 0..3 {
        first.commit_file("main", &format!("first {number}"), "a.txt");
        client.push(&first, "main", false).await.unwrap();
        if number == 0 {
            first.fork("early", "main");
            client.push(&first, "early", false).await.unwrap();
        }
    }
    let mut client = app.repository("alice", "second").await;
    for number in 0..3 {
        second.commit_file("main", &format!("second {number}"), "b.txt");
        client.push(&second, "main", false).await.unwrap();
    }
    let id = app.record("alice", "first").await.repo_id.to_string();
    app.app.close().await.unwrap();
    (first, second, id)
}

fn entry(directory: &Path, repo: &str, number: u64) -> PathBuf {
    directory.join(format!("store/refs/{repo}/main/{number:012}.json"))
}

/// The pack that a move of the first repository's brought.
fn pack_of(directory: &Path, repo: &str, number: u64) -> PathBuf {
    let entry: serde_json::Value =
        serde_json::from_slice(&fs::read(entry(directory, repo, number)).unwrap()).unwrap();
    let pack = entry["packs"][0].as_str().unwrap();
    directory.join(format!("store/packs/{}/{pack}.pack", &pack[..2]))
}

/// Flips a byte of the first record: that of a commit.
fn damage_commit(pack: &Path) {
    let mut bytes = fs::read(pack).unwrap();
    bytes[70] ^= 1;
    fs::write(pack, bytes).unwrap();
}

/// The same store with a fresh index.
async fn rebuilt(directory: &Path) -> (TestApp, CaughtUp) {
    let backend = Backend::local(&directory.join("store")).unwrap();
    let refs = RefLog::new(backend.clone());
    let app = TestApp::of(App::over(backend, refs, SqlIndex::in_memory().await.unwrap(), Limits::default()));
    let done = app.app.hub.catch_up().await.unwrap();
    let _ = app.token("alice").await;
    (app, done)
}

async fn assert_whole(app: &TestApp, slug: &str, history: &History) {
    let clone = app.client("alice", slug, None).await.clone_repository().await.unwrap();
    assert_eq!(clone.branches, history.branches);
}

fn assert_left(done: &CaughtUp, what: &str) {
    let [LeftBehind { repository: Some((owner, slug)), error }] = &done.failed[..] else {
        panic!("{:?}", done.failed);
    };
    assert_eq!((owner.as_str(), slug.as_str()), ("alice", "first"));
    assert!(error.is_damage() && error.to_string().contains(what), "{error}");
}

#[tokio::test]
async fn a_damaged_entry_leaves_what_the_index_has_and_every_other_repository() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, repo) = pushed(directory.path()).await;
    fs::write(entry(directory.path(), &repo, 3), "{\"format\":1").unwrap();
    let app = TestApp::open(directory.path()).await;
    assert_left(&app.app.hub.catch_up().await.unwrap(), "main/000000000003.json");
    assert_whole(&app, "second", &second).await;
    assert_whole(&app, "first", &first).await;

    let (app, done) = rebuilt(directory.path()).await;
    assert_left(&done, "main/000000000003.json");
    assert_whole(&app, "second", &second).await;
    let client = app.client("alice", "first", None).await;
    let heads = client.refs().await.unwrap().branch_heads;
    let before = first.record(first.head("main"))["parent_commit_id"].as_str().unwrap();
    assert_eq!(heads["main"], before, "as far as the log can be read");
    assert_eq!(heads["early"], first.branches["early"]);
    let mut on = first.clone();
    on.branch("main", before);
    on.commit_file("main", "in the place of a move that is there", "c.txt");
    let refused = app.client("alice", "first", Some("alice")).await.push(&on, "main", false).await;
    let refused = refused.unwrap_err();
    assert!(refused.status == 500 && refused.body.contains("\"damaged\""), "{refused}");
    let mut next = second.clone();
    next.commit_file("main", "goes on", "c.txt");
    app.client("alice", "second", Some("alice")).await.push(&next, "main", false).await.unwrap();
}

#[tokio::test]
async fn a_damaged_commit_holds_up_what_stands_on_it_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, repo) = pushed(directory.path()).await;
    damage_commit(&pack_of(directory.path(), &repo, 2));
    let app = TestApp::open(directory.path()).await;
    assert_eq!(app.app.hub.catch_up().await.unwrap().failed.len(), 0, "the index has all of it");
    assert_whole(&app, "second", &second).await;
    let torn = app.client("alice", "first", None).await.clone_repository().await.unwrap_err();
    assert!(torn.status == 500 && torn.body.contains("\"damaged\""), "{torn}");

    let (app, done) = rebuilt(directory.path()).await;
    assert_left(&done, "damaged");
    assert_whole(&app, "second", &second).await;
    let heads = app.client("alice", "first", None).await.refs().await.unwrap().branch_heads;
    assert_eq!((&heads["main"], &heads["early"]), (&first.branches["early"], &first.branches["early"]));
    app.run_jobs().await;
}

#[tokio::test]
async fn a_repository_of_which_nothing_came_back_does_not_look_empty_until_it_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, repo) = pushed(directory.path()).await;
    let pack = pack_of(directory.path(), &repo, 1);
    let whole = fs::read(&pack).unwrap();
    damage_commit(&pack);
    let (app, done) = rebuilt(directory.path()).await;
    assert_left(&done, "damaged");
    assert_whole(&app, "second", &second).await;
    let refused = app.client("alice", "first", None).await.refs().await.unwrap_err();
    assert!(refused.status == 500 && refused.body.contains("\"damaged\""), "{refused}");

    fs::write(&pack, whole).unwrap();
    let (app, done) = rebuilt(directory.path()).await;
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    assert_whole(&app, "first", &first).await;
}

#[tokio::test]
async fn a_damaged_record_or_a_deleted_repository_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, repo) = pushed(directory.path()).await;
    let record = directory.path().join("store/repositories/alice/first/000000000003.json");
    let last = fs::read_dir(record.parent().unwrap()).unwrap().count();
    let record = record.with_file_name(format!("{last:012}.json"));
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let app = TestApp::open(directory.path()).await;
    let done = app.app.hub.catch_up().await.unwrap();
    assert_eq!(done.failed.len(), 1);
    assert!(done.failed[0].repository.is_none() && done.failed[0].error.to_string().contains("alice/first"));
    assert_whole(&app, "first", &first).await;
    let (app, _) = rebuilt(directory.path()).await;
    let _ = app.get("/alice/first/refs").send().await.expect(404);
    assert_whole(&app, "second", &second).await;

    let deleted = tempfile::tempdir().unwrap();
    copy(directory.path(), deleted.path());
    fs::write(deleted.path().join(record.strip_prefix(directory.path()).unwrap()), whole).unwrap();
    let log = RefLog::new(Backend::local(&deleted.path().join("store")).unwrap());
    let (owner, slug) = (Handle::parse("alice").unwrap(), Slug::parse("first").unwrap());
    let present = log.repository(&owner, &slug).await.unwrap().unwrap();
    let gone = RepositoryRecord { version: present.version + 1, deleted: true, ..present };
    log.put_repository(&gone).await.unwrap();
    fs::write(entry(deleted.path(), &repo, 3), "").unwrap();
    let (app, done) = rebuilt(deleted.path()).await;
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    assert_whole(&app, "second", &second).await;
}
