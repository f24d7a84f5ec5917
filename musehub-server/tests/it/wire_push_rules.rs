//! Where a branch may move to.

use std::collections::BTreeSet;
use std::sync::Arc;

use musehub_test_support::history::{NewCommit, Tree};
use musehub_test_support::record::text;
use musehub_test_support::{Bundle, ClientError, History, MuseClient, TestApp};

async fn push(
    client: &MuseClient,
    bundle: &Bundle,
    branch: &str,
    force: bool,
) -> Result<String, ClientError> {
    client.upload(bundle).await?;
    let answer = client.push_bundle(bundle, branch, force).await?;
    Ok(text(&answer, "remote_head").to_owned())
}

async fn head_of(client: &MuseClient, branch: &str) -> Option<String> {
    client.refs().await.unwrap().branch_heads.get(branch).cloned()
}

/// A history with `main` at its second commit, and `fork`, which left it at the first.
fn diverged() -> History {
    let mut history = History::new();
    let root = history.commit_file("main", "root", "a");
    history.branch("fork", &root);
    history.commit_file("main", "ours", "b");
    history.commit_file("fork", "theirs", "c");
    history
}

#[tokio::test]
async fn a_diverged_push_is_409_and_force_makes_it_good() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = diverged();
    client.push(&history, "main", false).await.unwrap();
    let ours = history.head("main").to_owned();
    let theirs = history.head("fork").to_owned();
    history.branch("main", &theirs);

    let refused = client.push(&history, "main", false).await.unwrap_err();
    assert_eq!((refused.status, refused.call), (409, "push"));
    assert!(refused.body.contains("non-fast-forward"), "{refused}");
    assert_eq!(head_of(&client, "main").await.as_deref(), Some(&*ours));
    let unseen = client.fetch_bundle(std::slice::from_ref(&theirs), &[]).await.unwrap();
    assert!(unseen.commits.is_empty(), "nothing of a refused push is visible");

    client.push(&history, "main", true).await.unwrap();
    assert_eq!(head_of(&client, "main").await.as_deref(), Some(&*theirs));
    // Back again: force is no fast-forward either way.
    history.branch("main", &ours);
    let refused = client.push(&history, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 409);
}

#[tokio::test]
async fn force_may_move_a_branch_back() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let first = history.commit_file("main", "one", "a");
    let second = history.commit_file("main", "two", "b");
    client.push(&history, "main", false).await.unwrap();
    history.branch("main", &first);
    assert_eq!(client.push(&history, "main", false).await.unwrap_err().status, 409);
    client.push(&history, "main", true).await.unwrap();
    assert_eq!(head_of(&client, "main").await, Some(first.clone()));
    history.branch("main", &second);
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(head_of(&client, "main").await, Some(second));
}

#[tokio::test]
async fn a_fast_forward_may_go_through_commits_that_another_branch_brought() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let root = history.commit_file("main", "R", "r");
    client.push(&history, "main", false).await.unwrap();
    history.branch("dev", &root);
    for at in 0..3 {
        history.commit_file("dev", &format!("D{at}"), "d");
    }
    client.push(&history, "dev", false).await.unwrap();
    history.fork("main", "dev");
    let tip = history.commit_file("main", "X", "x");

    let have = BTreeSet::from([root.clone(), history.head("dev").to_owned()]);
    let bundle = history.bundle(&tip, &have);
    assert_eq!(bundle.commits.len(), 1, "the client sends X alone");
    assert_eq!(push(&client, &bundle, "main", false).await.unwrap(), tip);
    assert_eq!(client.clone_repository().await.unwrap().branches, history.branches);
}

#[tokio::test]
async fn a_bundle_that_holds_the_head_beside_a_diverged_tip_is_refused() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = diverged();
    client.push(&history, "main", false).await.unwrap();
    let ours = history.head("main").to_owned();

    // The head is in the bundle and is named as being on `main`, the diverged tip is on `fork`: nothing moves.
    let mut both = history.whole("fork");
    both.commits.push(history.record(&ours).clone());
    both.snapshots.extend(history.whole("main").snapshots);
    both.snapshots.dedup();
    match push(&client, &both, "main", false).await {
        Ok(head) => assert_eq!(head, ours),
        Err(refused) => assert!(matches!(refused.status, 409 | 422), "{refused}"),
    }
    assert_eq!(head_of(&client, "main").await, Some(ours.clone()));

    // Two tips on `main`, one of them the head: which one is meant cannot be told.
    let parents = vec![text(history.record(&ours), "parent_commit_id").to_owned()];
    let tree: Tree = [("z".to_owned(), "z".into())].into();
    let new = NewCommit {
        branch: "main",
        message: "diverged",
        committed_at: "2026-04-01T00:00:00+00:00",
        parents,
        tree,
    };
    let tip = history.add(new);
    let mut both = history.bundle(&tip, &BTreeSet::new());
    both.commits.push(history.record(&ours).clone());
    let refused = push(&client, &both, "main", false).await.unwrap_err();
    assert!(matches!(refused.status, 409 | 422), "{refused}");
    assert_eq!(head_of(&client, "main").await, Some(ours));
}

#[tokio::test]
async fn of_several_tips_the_one_on_the_branch_is_meant() {
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    let history = diverged();
    let mut bundle = history.whole("main");
    bundle.commits.push(history.record(history.head("fork")).clone());
    bundle.snapshots.extend(history.whole("fork").snapshots);
    bundle.objects.extend(history.whole("fork").objects);
    assert_eq!(push(&client, &bundle, "main", false).await.unwrap(), history.head("main"));
    let neither = push(&client, &bundle, "third", false).await.unwrap_err();
    assert_eq!(neither.status, 422);
    assert!(neither.body.contains("several tips"), "{neither}");
}

#[tokio::test]
async fn an_empty_bundle_leaves_a_branch_and_makes_none() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let history = diverged();
    client.push(&history, "main", false).await.unwrap();
    let head = push(&client, &Bundle::default(), "main", false).await.unwrap();
    assert_eq!(head, history.head("main"));
    let refused = push(&client, &Bundle::default(), "new", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    assert_eq!(client.refs().await.unwrap().branch_heads.len(), 1);
}

#[tokio::test]
async fn a_branch_below_a_branch_is_refused() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = diverged();
    let head = history.head("main").to_owned();
    for name in ["a", "a/b", "a-b", "ab/c", "x/y/z", "x", "x/y", "x/y/w"] {
        history.branch(name, &head);
    }
    for (name, fits) in [
        ("a", true),
        ("a/b", false),
        ("a-b", true),
        ("ab/c", true),
        ("x/y/z", true),
        ("x", false),
        ("x/y", false),
        ("x/y/w", true),
    ] {
        let pushed = client.push(&history, name, false).await;
        assert_eq!(pushed.is_ok(), fits, "{name}: {pushed:?}");
        if let Err(refused) = pushed {
            assert_eq!(refused.status, 422);
        }
    }
}

#[tokio::test]
async fn a_push_that_only_moves_a_branch_back_is_no_fast_forward() {
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let first = history.commit_file("main", "one", "a");
    history.commit_file("main", "two", "b");
    push(&client, &history.whole("main"), "main", false).await.unwrap();
    let old = history.bundle(&first, &BTreeSet::new());
    assert_eq!(push(&client, &old, "main", false).await.unwrap_err().status, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_racing_pushes_one_wins_and_one_is_409() {
    let app = TestApp::new().await;
    let client = Arc::new(app.repository("alice", "demo").await);
    let mut history = History::new();
    history.commit_file("main", "root", "a");
    push(&client, &history.whole("main"), "main", false).await.unwrap();
    for round in 0..40 {
        let at = history.head("main").to_owned();
        let tips: Vec<String> = ["left", "right"]
            .map(|side| {
                history.branch(side, &at);
                history.commit_file(side, &format!("{side} {round}"), &format!("{side}{round}"))
            })
            .into();
        let mut racers = Vec::new();
        for tip in &tips {
            let bundle = history.bundle(tip, &BTreeSet::from([at.clone()]));
            client.upload(&bundle).await.unwrap();
            let client = client.clone();
            racers.push(tokio::spawn(async move { client.push_bundle(&bundle, "main", false).await }));
        }
        let mut won = Vec::new();
        for (tip, racer) in tips.iter().zip(racers) {
            match racer.await.unwrap() {
                Ok(_) => won.push(tip.clone()),
                Err(lost) => assert_eq!(lost.status, 409, "{lost}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(head_of(&client, "main").await.as_ref(), Some(&won[0]));
        history.branch("main", &won[0]);
    }
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.commits.len(), 41, "what lost a race is in no clone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_pushes_to_many_branches_of_one_repository_all_succeed() {
    let app = TestApp::new().await;
    let client = Arc::new(app.repository("alice", "demo").await);
    let mut history = History::new();
    let root = history.commit_file("main", "root", "a");
    push(&client, &history.whole("main"), "main", false).await.unwrap();
    let mut racers = Vec::new();
    for at in 0..12 {
        let name = format!("branch-{at}");
        history.branch(&name, &root);
        history.commit_file(&name, &name, &name);
        let bundle = history.whole(&name);
        let client = client.clone();
        racers.push(tokio::spawn(async move { push(&client, &bundle, &name, false).await }));
    }
    for racer in racers {
        racer.await.unwrap().unwrap();
    }
    assert_eq!(client.clone_repository().await.unwrap().branches, history.branches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_first_pushes_leave_one_default_branch_and_every_branch() {
    for round in 0..10 {
        let app = TestApp::new().await;
        let client = Arc::new(app.repository("alice", "demo").await);
        let mut history = History::new();
        let mut racers = Vec::new();
        for name in ["one", "two", "three"] {
            history.commit_file(name, name, name);
            let bundle = history.whole(name);
            let client = client.clone();
            racers.push(tokio::spawn(async move { push(&client, &bundle, name, false).await }));
        }
        for racer in racers {
            racer.await.unwrap().unwrap();
        }
        let refs = client.refs().await.unwrap();
        assert_eq!(refs.branch_heads, history.branches, "round {round}");
        assert!(refs.branch_heads.contains_key(&refs.default_branch), "{refs:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_pushes_of_a_branch_and_one_below_it_one_is_refused() {
    for round in 0..15 {
        let app = TestApp::new().await;
        let client = Arc::new(app.repository("alice", "demo").await);
        let mut history = History::new();
        let root = history.commit_file("main", "root", "a");
        push(&client, &history.whole("main"), "main", false).await.unwrap();
        let mut racers = Vec::new();
        for name in ["topic", "topic/part"] {
            history.branch(name, &root);
            history.commit_file(name, name, "f");
            let bundle = history.whole(name);
            client.upload(&bundle).await.unwrap();
            let client = client.clone();
            racers.push(tokio::spawn(async move { client.push_bundle(&bundle, name, false).await }));
        }
        for racer in racers {
            if let Err(lost) = racer.await.unwrap() {
                assert!(matches!(lost.status, 409 | 422), "{lost}");
            }
        }
        let heads = client.refs().await.unwrap().branch_heads;
        assert_eq!(heads.len(), 2, "round {round}: no client can clone {heads:?}");
    }
}
