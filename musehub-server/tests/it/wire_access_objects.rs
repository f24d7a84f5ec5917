//! Naming an id gives nobody its bytes: what one repository holds cannot be seen or taken through another.

use std::collections::BTreeSet;

use musehub_test_support::history::{NewCommit, manifest_of, write};
use musehub_test_support::record::{get, text};
use musehub_test_support::{Bundle, History, MuseClient, TestApp};

const SECRET: &str = "the combination is 1234\n";

struct Hubs {
    app: TestApp,
    alice: MuseClient,
    bob: MuseClient,
    secret: History,
}

async fn hubs() -> Hubs {
    let app = TestApp::new().await;
    let mut alice = app.private_repository("alice", "vault").await;
    let bob = app.repository("bob", "open").await;
    let mut secret = History::new();
    secret.commit("main", "put it in", |tree| write(tree, "safe.txt", SECRET));
    secret.commit("main", "and more", |tree| write(tree, "more.txt", "more\n"));
    alice.push(&secret, "main", false).await.unwrap();
    Hubs { app, alice, bob, secret }
}

fn everything(history: &History) -> Vec<String> {
    history.objects.keys().cloned().collect()
}

#[tokio::test]
async fn objects_of_another_repository_count_as_missing() {
    let Hubs { bob, secret, app, .. } = hubs().await;
    let ids = everything(&secret);
    assert_eq!(bob.filter_objects(&ids).await.unwrap(), ids);
    // Uploading them says the same as uploading anything else.
    let other = musehub_test_support::id::object_id(b"other");
    for (id, content) in [(&*ids[0], secret.objects[&ids[0]].clone()), (&*other, "other".into())] {
        let body = musehub_test_support::client::upload_body([(id, content)]);
        let token = app.token("bob").await;
        let answer =
            app.post("/bob/open/push/objects").msgpack(&body).bearer(&token).send().await.expect(200);
        let counts = answer.msgpack();
        let count = |key| get(&counts, key).as_u64();
        assert_eq!((count("stored"), count("skipped")), (Some(1), Some(0)));
    }
}

#[tokio::test]
async fn a_snapshot_cannot_name_an_object_of_another_repository() {
    let Hubs { bob, secret, app, .. } = hubs().await;
    let mut thief = History::new();
    thief.commit("main", "mine now", |tree| write(tree, "loot.txt", SECRET));
    let bundle = thief.whole("main");
    let refused = bob.push_bundle(&bundle, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    let id = musehub_test_support::id::object_id(SECRET.as_bytes());
    assert!(secret.objects.contains_key(&id) && refused.body.contains(&id), "{refused}");
    let page = app.get("/bob/open").send().await.expect(200).text();
    assert!(!page.contains("loot"), "{page}");
}

#[tokio::test]
async fn a_commit_cannot_name_a_snapshot_or_a_parent_of_another_repository() {
    let Hubs { bob, secret, .. } = hubs().await;
    let head = secret.head("main").to_owned();
    // Alone: its parent is nowhere. With its parent and without snapshots: they are nowhere.
    let alone = secret.bundle(&head, &secret.walk(&head, &BTreeSet::new())[1..].iter().cloned().collect());
    let refused = bob.push_bundle(&alone, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422, "{refused}");
    let mut bare = secret.whole("main");
    bare.snapshots.clear();
    let refused = bob.push_bundle(&bare, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422, "{refused}");

    let mut child = secret.clone();
    let new = NewCommit {
        branch: "main",
        message: "on top of what is not mine",
        committed_at: "2026-06-01T00:00:00+00:00",
        parents: vec![head.clone()],
        tree: [("x".to_owned(), "x".into())].into(),
    };
    let tip = child.add(new);
    let bundle = child.bundle(&tip, &BTreeSet::from([head.clone()]));
    bob.upload(&bundle).await.unwrap();
    let refused = bob.push_bundle(&bundle, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains(&head), "{refused}");
    assert!(bob.refs().await.unwrap().branch_heads.is_empty());
}

#[tokio::test]
async fn a_fetch_brings_nothing_of_another_repository() {
    let Hubs { bob, secret, .. } = hubs().await;
    let want: Vec<String> = secret.commits.keys().cloned().collect();
    let bundle = bob.fetch_bundle(&want, &[]).await.unwrap();
    assert!(bundle.commits.is_empty() && bundle.snapshots.is_empty() && bundle.objects.is_empty());
    let found = bob.negotiate(&want, &want).await.unwrap();
    assert_eq!(get(&found, "ack").as_array().map(Vec::len), Some(0));
    assert!(get(&found, "common_base").is_nil());
}

#[tokio::test]
async fn whoever_has_the_bytes_may_push_them() {
    let Hubs { bob, secret, .. } = hubs().await;
    let mut own = History::new();
    own.commit("main", "found out myself", |tree| write(tree, "guess.txt", SECRET));
    let mut bob = bob;
    let report = bob.push(&own, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 1);
    let clone = bob.clone_repository().await.unwrap();
    assert_eq!(clone.objects.len(), 1);
    assert!(clone.commits.keys().all(|id| !secret.commits.contains_key(id)));
}

#[tokio::test]
async fn what_was_uploaded_to_one_repository_is_not_uploaded_to_another() {
    let Hubs { alice, bob, app, .. } = hubs().await;
    let mut history = History::new();
    history.commit("main", "soon", |tree| write(tree, "soon.txt", "not pushed yet\n"));
    let bundle = history.whole("main");
    alice.upload(&bundle).await.unwrap();
    let ids = everything(&history);
    assert!(alice.filter_objects(&ids).await.unwrap().is_empty(), "staged for alice");
    assert_eq!(bob.filter_objects(&ids).await.unwrap(), ids);
    assert_eq!(bob.push_bundle(&bundle, "main", false).await.unwrap_err().status, 422);
    // Not even where both are hers.
    let second = app.repository("alice", "second").await;
    assert_eq!(second.filter_objects(&ids).await.unwrap(), ids);
    assert_eq!(second.push_bundle(&bundle, "main", false).await.unwrap_err().status, 422);
}

#[tokio::test]
async fn only_what_a_push_reaches_belongs_to_the_repository() {
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("main", "one", "a");
    let mut stray = History::new();
    stray.commit_file("main", "stray", "b");
    // A bundle with a second history that the tip does not reach.
    let mut both = history.whole("main");
    let extra = stray.whole("main");
    both.snapshots.extend(extra.snapshots.clone());
    both.objects.extend(extra.objects.clone());
    client.upload(&both).await.unwrap();
    client.push_bundle(&both, "main", false).await.unwrap();
    let only = Bundle { commits: extra.commits, ..Bundle::default() };
    let refused = client.push_bundle(&only, "stray", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    let snapshot = text(&extra.snapshots[0], "snapshot_id");
    assert!(refused.body.contains(snapshot), "{refused}");
    assert_eq!(manifest_of(&extra.snapshots[0]).len(), 1);
}
