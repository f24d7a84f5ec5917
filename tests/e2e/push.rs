//! A client pushes and clones over TCP, with restarts between.

use musehub_test_support::History;
use musehub_test_support::history::{Tree, noise, write};
use tempfile::TempDir;

use crate::http::{client, get};
use crate::process::{PATIENCE, Server, create_token, lose_database, run};

/// A data directory with one repository, and its owner's token.
pub(crate) fn repository() -> (TempDir, String) {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    let token = create_token(data.path(), "alice");
    (data, token)
}

/// Checks that a clone has the branches of a history, their commits and their files, byte for byte.
#[track_caller]
pub(crate) fn assert_same(clone: &History, source: &History) {
    assert_eq!(clone.branches, source.branches);
    for (branch, head) in &source.branches {
        let commits = |history: &History| history.walk(head, &Default::default());
        assert_eq!(commits(clone), commits(source), "commits of {branch}");
        assert_eq!(clone.tree(head), source.tree(head), "files of {branch}");
    }
}

fn first_files(tree: &mut Tree) {
    write(tree, "README.md", "# Tunes\n");
    write(tree, "empty", "");
    write(tree, "ünïcode/Größe 🎵.txt", "la\r\nla");
    write(tree, "deep/er/and/deeper/file.bin", vec![0, 255, 10, 13]);
    write(tree, "large.bin", noise(1, 300_000));
    write(tree, "src/tune.py", "def play():\n    pass\n");
}

#[tokio::test]
async fn a_clone_equals_what_was_pushed_through_restarts() {
    let (data, token) = repository();
    let mut source = History::new();
    let root = source.commit("main", "first", first_files);
    for number in 0..20 {
        let _ =
            source.commit_file("main", &format!("change {number}"), &format!("src/file_{}.py", number % 5));
    }

    let server = Server::start(data.path());
    let mut remote = client(&server, "alice", "tunes", Some(&token));
    let first = remote.push(&source, "main", false).await.unwrap();
    // The empty file is everywhere from the beginning.
    assert_eq!(first.missing.len(), source.objects.len() - 1);
    assert!(remote.push(&source, "main", false).await.unwrap().up_to_date);
    assert_same(&remote.clone_repository().await.unwrap(), &source);
    server.process.signal("TERM");
    assert!(server.process.wait().0.success());

    // Incremental, on a new branch, and a merge, each to a server of its own.
    source.branch("side/line", &root);
    let _ = source.commit("side/line", "aside", |tree| write(tree, "aside.txt", "psst"));
    let _ = source.commit("main", "onwards", |tree| tree.retain(|path, _| path != "empty"));
    for branch in ["main", "side/line"] {
        let mut server = Server::start(data.path());
        let report =
            client(&server, "alice", "tunes", Some(&token)).push(&source, branch, false).await.unwrap();
        assert!(report.missing.len() <= 1, "{branch}: {:?} were asked for again", report.missing);
        server.process.kill();
    }
    let _ = source.merge("main", "side/line");
    let server = Server::start(data.path());
    let remote = &mut client(&server, "alice", "tunes", Some(&token));
    let _ = remote.push(&source, "main", false).await.unwrap();
    assert_same(&remote.clone_repository().await.unwrap(), &source);
}

#[tokio::test]
async fn a_database_that_is_lost_is_made_again_from_the_object_store() {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let mut remote = client(&server, "alice", "tunes", Some(&token));
    let mut source = History::new();
    // Each branch builds on another: their moves can be read again in one order only.
    let _ = source.commit("main", "first", first_files);
    for (branch, from) in [("zebra", "main"), ("ant", "zebra"), ("main", "ant"), ("ant", "main")] {
        let from = source.head(from).to_owned();
        source.branch(branch, &from);
        let _ = source.commit_file(branch, &format!("{branch} on"), "song.txt");
        let _ = remote.push(&source, branch, false).await.unwrap();
    }
    server.process.signal("TERM");
    assert!(server.process.wait().0.success());
    lose_database(data.path());
    let server = Server::start(data.path());
    let clone = client(&server, "alice", "tunes", None).clone_repository().await.unwrap();
    assert_same(&clone, &source);
    // Tokens went with the database; a new one works, and so does the next push.
    let token = create_token(data.path(), "alice");
    let _ = source.commit_file("main", "afterwards", "song.txt");
    let _ = client(&server, "alice", "tunes", Some(&token)).push(&source, "main", false).await.unwrap();
}

#[tokio::test]
async fn a_fetch_brings_what_another_client_pushed() {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let mut alice = client(&server, "alice", "tunes", Some(&token));
    let mut source = History::new();
    let _ = source.commit("main", "first", first_files);
    let _ = alice.push(&source, "main", false).await.unwrap();

    let mut bob = client(&server, "alice", "tunes", None);
    let mut copy = bob.clone_repository().await.unwrap();
    for number in 0..3 {
        let _ = source.commit_file("main", &format!("news {number}"), "news.txt");
    }
    let _ = alice.push(&source, "main", false).await.unwrap();
    assert_eq!(bob.pull(&mut copy, "main").await.unwrap(), 3);
    copy.branch("main", source.head("main"));
    assert_same(&copy, &source);
}

#[tokio::test]
async fn a_push_that_is_refused_leaves_the_branch_and_a_forced_one_moves_it() {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let mut remote = client(&server, "alice", "tunes", Some(&token));
    let mut ours = History::new();
    let root = ours.commit_file("main", "root", "song.txt");
    let mut theirs = ours.clone();
    let _ = ours.commit_file("main", "ours", "song.txt");
    let _ = theirs.commit_file("main", "theirs", "song.txt");
    let _ = remote.push(&ours, "main", false).await.unwrap();

    let mut other = client(&server, "alice", "tunes", Some(&token));
    let refused = other.push(&theirs, "main", false).await.unwrap_err();
    assert_eq!((refused.status, refused.call), (409, "push"), "{refused}");
    assert_eq!(remote.refs().await.unwrap().branch_heads["main"], ours.head("main"));
    let _ = other.push(&theirs, "main", true).await.unwrap();
    let clone = remote.clone_repository().await.unwrap();
    assert_same(&clone, &theirs);
    assert!(clone.commits.contains_key(&root));
}

#[tokio::test]
async fn the_page_of_stale_imports_follows_a_push() {
    let (data, token) = repository();
    let server = Server::start(data.path());
    let mut remote = client(&server, "alice", "tunes", Some(&token));
    let mut source = History::new();
    let _ = source.commit("main", "first", |tree| {
        write(tree, "ship/__init__.py", "");
        write(tree, "ship/engine.py", "def ignite():\n    pass\n");
        write(tree, "ship/bridge.py", "from ship.engine import ignite\n");
    });
    let _ = remote.push(&source, "main", false).await.unwrap();
    wait_for_page(&server, |page| page.contains(">0</dd>")).await;
    let _ = source.commit("main", "rename", |tree| {
        write(tree, "ship/engine.py", "def start():\n    pass\n");
    });
    let _ = remote.push(&source, "main", false).await.unwrap();
    wait_for_page(&server, |page| page.contains("ship/bridge.py") && page.contains("ignite")).await;
}

/// Waits until the breakage page is as it should be: the worker takes its time.
async fn wait_for_page(server: &Server, done: impl Fn(&str) -> bool) {
    let started = std::time::Instant::now();
    loop {
        let page = get(server, "/alice/tunes/intel/breakage", None).await.expect(200).text();
        if done(&page) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "the page stays as it is: {page}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
