//! What a push was acknowledged for is there after a restart, with the index or without it.

use std::fs;
use std::path::Path;

use musehub_core::hub::CaughtUp;
use musehub_core::port::JobStatus;
use musehub_server::jobs::BREAKAGE;
use musehub_test_support::history::{noise, write};
use musehub_test_support::record::in_order;
use musehub_test_support::{History, MuseClient, TestApp};

fn project() -> History {
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        write(tree, "a.py", "import b\n");
        write(tree, "empty", "");
        write(tree, "large", noise(1, 200_000));
    });
    history.commit_file("main", "two", "b.py");
    history.fork("topic/x", "main");
    history.commit_file("topic/x", "three", "c.py");
    history.commit_file("main", "four", "d.py");
    history.merge("main", "topic/x");
    history
}

async fn push_all(client: &mut MuseClient, history: &History) {
    for branch in history.branches.keys() {
        client.push(history, branch, false).await.unwrap();
    }
}

async fn assert_cloned(client: &MuseClient, history: &History) {
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.branches, history.branches);
    for (id, record) in &clone.commits {
        assert_eq!(in_order(record), in_order(history.record(id)));
        assert_eq!(clone.tree(id), history.tree(id));
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = project();
    let repo_id;
    {
        let app = TestApp::open(directory.path()).await;
        let mut client = app.repository("alice", "demo").await;
        push_all(&mut client, &history).await;
        app.private_repository("alice", "secret").await.push(&history, "main", false).await.unwrap();
        repo_id = client.refs().await.unwrap().repo_id;
    }
    let app = TestApp::open(directory.path()).await;
    let anonymous = app.client("alice", "demo", None).await;
    assert_cloned(&anonymous, &history).await;
    assert_eq!(anonymous.refs().await.unwrap().repo_id, repo_id);
    let _ = app.get("/alice/secret/refs").send().await.expect(404);
    let token = "mh_test_alice";
    let _ = app.get("/alice/secret/refs").bearer(token).send().await.expect(200);
    assert_eq!(app.run_jobs().await, 2, "work that was enqueued is still to be done");

    let mut client = app.client("alice", "demo", Some("alice")).await;
    history.commit_file("main", "after the restart", "e.py");
    client.push(&history, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn uploads_outlive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let history = project();
    let bundle = history.whole("main");
    {
        let app = TestApp::open(directory.path()).await;
        app.repository("alice", "demo").await.upload(&bundle).await.unwrap();
    }
    let app = TestApp::open(directory.path()).await;
    let client = app.client("alice", "demo", Some("alice")).await;
    let (missing, _) = client.upload(&bundle).await.unwrap();
    assert!(missing.is_empty());
    client.push_bundle(&bundle, "main", false).await.unwrap();
    assert_eq!(client.clone_repository().await.unwrap().branches["main"], history.head("main"));
}

#[tokio::test]
async fn a_lost_index_is_made_anew_from_the_store() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = project();
    let mut forced = History::new();
    let first = forced.commit_file("trunk", "kept", "a.txt");
    forced.commit_file("trunk", "lost by force", "b.txt");
    {
        let app = TestApp::open(old.path()).await;
        push_all(&mut app.repository("alice", "demo").await, &history).await;
        // The same objects in a second repository: its packs are the first one's.
        push_all(&mut app.repository("bob", "copy").await, &history).await;
        let mut client = app.private_repository("alice", "secret").await;
        client.push(&forced, "trunk", false).await.unwrap();
        forced.branch("trunk", &first);
        client.push(&forced, "trunk", true).await.unwrap();
        // Refused, so nothing of it comes back either.
        let mut refused = project();
        refused.commit_file("main", "never accepted", "z");
        let mut bundle = refused.whole("main");
        bundle.snapshots.clear();
        client.upload(&bundle).await.unwrap();
        client.push_bundle(&bundle, "main", false).await.unwrap_err();
        app.repository("alice", "unused").await;
        app.run_jobs().await;
    }
    copy(&old.path().join("store"), &new.path().join("store"));
    let app = TestApp::open(new.path()).await;
    let _ = app.get("/alice/demo/refs").send().await.expect(404);
    let done = app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    assert_eq!((done.repositories, done.moves), (4, 2 + 2 + 2));
    let again = app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    assert_eq!((again.repositories, again.moves), (4, 0));

    for (owner, slug) in [("alice", "demo"), ("bob", "copy")] {
        let client = app.client(owner, slug, None).await;
        assert_cloned(&client, &history).await;
        assert_eq!(client.refs().await.unwrap().default_branch, "main");
        let page = app.get(&format!("/{owner}/{slug}/commits/main")).send().await.expect(200).text();
        assert!(page.contains("four") && page.contains("Merge topic"), "{page}");
        let repo = app.record(owner, slug).await;
        let job = app.app.queue.latest(&repo.repo_id, BREAKAGE).await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Pending, "findings are of the index, so they are found anew");
    }
    let client = app.client("alice", "secret", Some("alice")).await;
    let refs = client.refs().await.unwrap();
    assert_eq!((refs.default_branch.as_str(), &refs.branch_heads), ("trunk", &forced.branches));
    let _ = app.get("/alice/secret/refs").send().await.expect(404);
    let _ = app.get("/alice/unused/refs").send().await.expect(200);
    app.run_jobs().await;

    // And it goes on from there.
    let mut history = history;
    history.commit_file("main", "five", "e.py");
    let mut client = app.client("alice", "demo", Some("alice")).await;
    let report = client.push(&history, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 1);
    assert_cloned(&client, &history).await;
}

/// A server that stopped after entries were written to the log and before their rows were: the index of before what
/// `then` pushes, the store of after.
async fn crashed(
    history: &mut History,
    then: impl AsyncFnOnce(&mut MuseClient, &mut History),
) -> (TestApp, tempfile::TempDir) {
    let (live, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    {
        let app = TestApp::open(live.path()).await;
        push_all(&mut app.repository("alice", "demo").await, history).await;
        app.run_jobs().await;
    }
    copy(live.path(), crashed.path());
    {
        let app = TestApp::open(live.path()).await;
        then(&mut app.client("alice", "demo", Some("alice")).await, history).await;
    }
    fs::remove_dir_all(crashed.path().join("store")).unwrap();
    copy(&live.path().join("store"), &crashed.path().join("store"));
    (TestApp::open(crashed.path()).await, crashed)
}

#[tokio::test]
async fn a_move_that_only_the_log_knows_is_made_good_by_a_retry() {
    let mut history = project();
    let before = history.clone();
    let (app, _directory) = crashed(&mut history, async |client, history| {
        history.commit_file("main", "unindexed", "u.py");
        history.commit_file("main", "unindexed too", "v.py");
        client.push(history, "main", false).await.unwrap();
    })
    .await;
    let mut client = app.client("alice", "demo", Some("alice")).await;
    assert_eq!(client.refs().await.unwrap().branch_heads, before.branches);
    client.push(&history, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
    assert_eq!(app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap().moves, 0);
    assert_eq!(app.run_jobs().await, 1, "the default branch moved");
    let page = app.get("/alice/demo/commits/main").send().await.expect(200).text();
    assert!(page.contains("unindexed too"));
}

#[tokio::test]
async fn moves_that_only_the_log_knows_are_made_good_at_the_start() {
    let mut history = project();
    let (app, _directory) = crashed(&mut history, async |client, history| {
        for at in 0..3 {
            history.commit_file("main", &format!("unindexed {at}"), "u.py");
            client.push(history, "main", false).await.unwrap();
        }
    })
    .await;
    assert_eq!(app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap().moves, 3);
    assert_cloned(&app.client("alice", "demo", None).await, &history).await;
}

/// The commits of one branch's move came with the move of another: neither order of names may matter.
#[tokio::test]
async fn moves_that_build_on_moves_of_other_branches_are_made_good() {
    for (first, second) in [("a", "z"), ("z", "a")] {
        let mut history = project();
        let (app, _directory) = crashed(&mut history, async |client, history| {
            history.fork(first, "main");
            history.commit_file(first, "unindexed", "u.py");
            client.push(history, first, false).await.unwrap();
            history.fork(second, first);
            history.commit_file(second, "on top of it", "v.py");
            client.push(history, second, false).await.unwrap();
            history.fork("main", second);
            client.push(history, "main", false).await.unwrap();
        })
        .await;
        let caught_up = app.app.hub.catch_up().await.and_then(CaughtUp::whole);
        assert!(caught_up.is_ok(), "{first} before {second}: {caught_up:?}");
        assert_cloned(&app.client("alice", "demo", None).await, &history).await;
    }
}

/// A push that is tried again after a crash is acknowledged only when it can be fetched.
#[tokio::test]
async fn a_retry_brings_the_moves_of_other_branches_too() {
    let mut history = project();
    let (app, _directory) = crashed(&mut history, async |client, history| {
        history.fork("late", "main");
        history.commit_file("late", "unindexed", "u.py");
        client.push(history, "late", false).await.unwrap();
        history.fork("main", "late");
        client.push(history, "main", false).await.unwrap();
    })
    .await;
    let mut client = app.client("alice", "demo", Some("alice")).await;
    client.push(&history, "main", false).await.unwrap();
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.branches["main"], history.head("main"));
    let _ = app.get("/alice/demo").send().await.expect(200);
    app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn a_lost_index_is_made_anew_whatever_the_branches_are_called() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut history = History::new();
    {
        let app = TestApp::open(old.path()).await;
        let mut client = app.repository("alice", "demo").await;
        let names = ["main", "zeta", "alpha", "mid", "main"];
        let mut last: Option<String> = None;
        for name in names {
            if let Some(last) = last {
                history.branch(name, &last);
            }
            last = Some(history.commit_file(name, name, name));
            client.push(&history, name, false).await.unwrap();
        }
    }
    copy(&old.path().join("store"), &new.path().join("store"));
    let app = TestApp::open(new.path()).await;
    let caught_up = app.app.hub.catch_up().await.and_then(CaughtUp::whole);
    assert!(caught_up.is_ok(), "{caught_up:?}");
    assert_cloned(&app.client("alice", "demo", None).await, &history).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_lost_a_race_is_not_found_again_in_the_store() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut history = History::new();
    let root = history.commit_file("main", "root", "a");
    {
        let app = TestApp::open(old.path()).await;
        let mut client = app.repository("alice", "demo").await;
        client.push(&history, "main", false).await.unwrap();
        let mut racers = Vec::new();
        for at in 0..6 {
            let mut own = history.clone();
            own.commit_file("main", &format!("racer {at}"), "b");
            let bundle = own.bundle(own.head("main"), &std::collections::BTreeSet::from([root.clone()]));
            client.upload(&bundle).await.unwrap();
            let client = client.clone();
            racers
                .push(tokio::spawn(async move { client.push_bundle(&bundle, "main", false).await.is_ok() }));
        }
        let mut won = 0;
        for racer in racers {
            won += usize::from(racer.await.unwrap());
        }
        assert_eq!(won, 1);
        history = client.clone_repository().await.unwrap();
        assert_eq!(history.commits.len(), 2);
    }
    copy(&old.path().join("store"), &new.path().join("store"));
    let app = TestApp::open(new.path()).await;
    app.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let clone = app.client("alice", "demo", None).await.clone_repository().await.unwrap();
    assert_eq!((clone.commits, clone.branches), (history.commits, history.branches));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_over_one_directory_agree() {
    let directory = tempfile::tempdir().unwrap();
    let one = TestApp::open(directory.path()).await;
    let two = TestApp::open(directory.path()).await;
    let mut history = History::new();
    history.commit_file("main", "root", "a");
    one.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
    for round in 0..15 {
        let at = history.head("main").to_owned();
        let mut racers = Vec::new();
        for (app, side) in [(&one, "left"), (&two, "right")] {
            let client = app.client("alice", "demo", Some("alice")).await;
            history.branch(side, &at);
            history.commit_file(side, &format!("{side} {round}"), side);
            let bundle = history.bundle(history.head(side), &std::collections::BTreeSet::from([at.clone()]));
            racers.push(tokio::spawn(async move {
                client.upload(&bundle).await.unwrap();
                client.push_bundle(&bundle, "main", false).await.map(|_| side)
            }));
        }
        let mut won = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(side) => won.push(side),
                Err(lost) => assert_eq!(lost.status, 409, "round {round}: {lost}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        history.fork("main", won[0]);
        for app in [&one, &two] {
            let client = app.client("alice", "demo", None).await;
            assert_eq!(
                client.refs().await.unwrap().branch_heads["main"],
                history.head("main"),
                "round {round}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_runs_learns_of_moves_whose_process_died_before_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    let writer = TestApp::open(directory.path()).await;
    let mut history = History::new();
    history.commit_file("main", "one", "one.txt");
    let mut client = writer.repository("alice", "demo").await;
    // To an index that was not told, every move is one whose rows are lacking.
    let other = format!("sqlite://{}", directory.path().join("other.db").display());
    let reader = TestApp::open_with_database(directory.path(), &other).await;
    reader.app.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    client.push(&history, "main", false).await.unwrap();
    let theirs = reader.client("alice", "demo", None).await;
    assert!(theirs.refs().await.unwrap().branch_heads.is_empty(), "reads show the state before it");
    musehub_server::jobs::upkeep(&reader.app).await;
    assert_eq!(theirs.refs().await.unwrap().branch_heads["main"], history.head("main"));
    assert_eq!(reader.run_jobs().await, 1, "its work is done, too");
}
