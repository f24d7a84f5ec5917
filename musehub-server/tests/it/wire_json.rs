//! Clients of early March 2026: refs, pushes, uploads and fetches in JSON.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use musehub_test_support::history::{noise, write};
use musehub_test_support::id::object_id;
use musehub_test_support::record::{set, text};
use musehub_test_support::{History, JsonClient, TestApp};
use serde_json::json;

async fn hub() -> (TestApp, JsonClient) {
    let app = TestApp::new().await;
    drop(app.repository("alice", "demo").await);
    let client = app.json_client("alice", "demo", Some("alice")).await;
    (app, client)
}

fn line(length: usize) -> History {
    let mut history = History::new();
    for at in 0..length {
        history.commit_file("main", &format!("m{at}"), &format!("m{at}.txt"));
    }
    history
}

fn objects(contents: &[&[u8]]) -> BTreeMap<String, Bytes> {
    contents.iter().map(|content| (object_id(content), Bytes::copy_from_slice(content))).collect()
}

#[tokio::test]
async fn refs_say_what_the_repository_is_and_where_its_branches_stand() {
    let (app, client) = hub().await;
    let repo_id = app.record("alice", "demo").await.repo_id;
    let empty = client.refs().await.unwrap();
    assert_eq!((empty.repo_id.as_str(), empty.domain.as_str()), (repo_id.as_str(), "code"));
    assert_eq!((empty.default_branch.as_str(), empty.branch_heads.len()), ("main", 0));
    let mut history = line(1);
    history.fork("trunk", "main");
    client.push(&history, "trunk", false).await.unwrap();
    let refs = client.refs().await.unwrap();
    assert_eq!(refs.default_branch, "trunk", "the first push says what the default branch is");
    assert_eq!(refs.branch_heads, BTreeMap::from([("trunk".to_owned(), history.head("trunk").to_owned())]));
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(client.refs().await.unwrap().default_branch, "trunk", "and no later one changes it");
}

#[tokio::test]
async fn a_push_creates_a_branch_moves_it_and_may_be_repeated() {
    let (_app, client) = hub().await;
    let mut history = line(2);
    let first = client.push(&history, "main", false).await.unwrap();
    let head = history.head("main").to_owned();
    assert_eq!(first["ok"], json!(true));
    assert_eq!(first["message"], json!("pushed 2 commit(s) to 'main'"));
    assert_eq!((&first["remote_head"], &first["branch_heads"]), (&json!(head), &json!({"main": head})));

    let again = client.push_bundle(&history.whole("main"), "main", false).await.unwrap();
    assert_eq!((&again["ok"], &again["remote_head"]), (&json!(true), &json!(head)));

    history.commit_file("main", "more", "more.txt");
    let moved = client.push(&history, "main", false).await.unwrap();
    assert_eq!(moved["branch_heads"]["main"], json!(history.head("main")));
    let whole = client.whole().await.unwrap();
    assert_eq!(whole.tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn a_push_that_names_no_branch_is_for_main() {
    let (_app, client) = hub().await;
    let mut body = musehub_test_support::json_client::push_body(&line(1).whole("main"), "", false);
    client.call("push", Some(body.clone())).await.unwrap();
    body.as_object_mut().unwrap().remove("branch");
    body["force"] = json!(false);
    client.call("push", Some(body)).await.unwrap();
    assert_eq!(client.refs().await.unwrap().branch_heads.keys().collect::<Vec<_>>(), ["main"]);
}

#[tokio::test]
async fn commits_may_come_in_any_order() {
    let (_app, client) = hub().await;
    let mut history = line(4);
    history.fork("side", "main");
    history.commit_file("side", "s", "s.txt");
    history.commit_file("main", "m", "m.txt");
    history.merge("main", "side");
    let mut bundle = history.whole("main");
    bundle.commits.sort_by_key(|record| text(record, "commit_id").to_owned());
    client.push_bundle(&bundle, "main", false).await.unwrap();
    let whole = client.whole().await.unwrap();
    assert_eq!(whole.commits.keys().collect::<Vec<_>>(), history.commits.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_without_an_author_is_its_pushers() {
    let (_app, client) = hub().await;
    let history = line(2);
    let mut bundle = history.whole("main");
    set(&mut bundle.commits[0], "author", "");
    client.push_bundle(&bundle, "main", false).await.unwrap();
    let fetched = client.fetch(&[history.head("main").to_owned()], &[]).await.unwrap();
    let authors: Vec<&str> = fetched.commits.iter().map(|record| text(record, "author")).collect();
    assert_eq!(authors, ["alice", "alice"]);
    client.whole().await.unwrap();
}

#[tokio::test]
async fn uploads_say_what_was_stored_and_what_was_there() {
    let (_app, client) = hub().await;
    let history = line(1);
    client.push(&history, "main", false).await.unwrap();
    let (_, held) = history.objects.iter().next().unwrap();
    let batch = objects(&[b"one", b"tw", b"t", b"", held]);
    let answer = client.push_objects(&batch).await.unwrap();
    assert_eq!((&answer["stored"], &answer["skipped"]), (&json!(4), &json!(1)));
    assert_eq!(client.push_objects(&BTreeMap::new()).await.unwrap()["stored"], json!(0));
}

#[tokio::test]
async fn objects_may_be_uploaded_ahead_of_the_push_that_names_them() {
    let (_app, client) = hub().await;
    let mut history = History::new();
    history.commit("main", "m", |tree| {
        write(tree, "small", "small\n");
        write(tree, "empty", "");
        write(tree, "large", noise(3, 700_000));
    });
    let mut bundle = history.whole("main");
    let objects = std::mem::take(&mut bundle.objects);
    client.push_objects(&objects).await.unwrap();
    client.push_bundle(&bundle, "main", false).await.unwrap();
    assert_eq!(client.whole().await.unwrap().objects, history.objects);
}

#[tokio::test]
async fn a_fetch_brings_what_is_new_and_the_heads() {
    let (_app, client) = hub().await;
    let mut history = line(5);
    client.push(&history, "main", false).await.unwrap();
    let have = history.head("main").to_owned();
    let new = history.commit_file("main", "new", "new.txt");
    client.push(&history, "main", false).await.unwrap();

    let fetched = client.fetch(std::slice::from_ref(&new), std::slice::from_ref(&have)).await.unwrap();
    assert_eq!(fetched.commits.len(), 1);
    assert_eq!((fetched.snapshots.len(), fetched.objects.len()), (1, 1));
    // Nobody knows these ids: they bring nothing, and are no error.
    let unknown = "ab".repeat(32);
    let nothing = client.call("fetch", Some(json!({"want": [unknown], "have": [unknown]}))).await.unwrap();
    assert_eq!(
        nothing,
        json!({"commits": [], "snapshots": [], "objects": [], "branch_heads": {"main": new}})
    );
    // What is had is had with its history, even where the client names ids that are nowhere.
    let none = client.fetch(std::slice::from_ref(&have), &[unknown, new]).await.unwrap();
    assert!(none.commits.is_empty() && none.objects.is_empty());
}

#[tokio::test]
async fn parents_come_before_their_children() {
    let (_app, client) = hub().await;
    let mut history = line(3);
    history.fork("side", "main");
    history.commit_file("side", "s", "s.txt");
    history.commit_file("main", "m", "m.txt");
    history.merge("main", "side");
    client.push(&history, "main", false).await.unwrap();
    let fetched = client.fetch(&[history.head("main").to_owned()], &[]).await.unwrap();
    let mut seen = BTreeSet::new();
    for record in &fetched.commits {
        assert!(musehub_test_support::history::parents(record).iter().all(|parent| seen.contains(parent)));
        seen.insert(text(record, "commit_id").to_owned());
    }
    assert_eq!(seen.len(), history.commits.len());
}

#[tokio::test]
async fn three_hundred_thousand_haves_are_taken() {
    let (app, client) = hub().await;
    let mut history = line(3);
    client.push(&history, "main", false).await.unwrap();
    let base = history.head("main").to_owned();
    let head = history.commit_file("main", "new", "new.txt");
    client.push(&history, "main", false).await.unwrap();
    let mut have: Vec<String> = (0..300_000_u32).map(|at| format!("{at:064x}")).collect();
    have.insert(150_000, base);
    let fetched = client.fetch(std::slice::from_ref(&head), &have).await.unwrap();
    assert_eq!((fetched.commits.len(), fetched.objects.len()), (1, 1));
    let mwp = app.client("alice", "demo", None).await;
    let fetched = mwp.fetch_bundle(std::slice::from_ref(&head), &have).await.unwrap();
    assert_eq!((fetched.commits.len(), fetched.objects.len()), (1, 1));
    assert_eq!(mwp.negotiate(&[head], &have).await.unwrap()["ready"], true.into());
    let owner = app.client("alice", "demo", Some("alice")).await;
    assert_eq!(owner.filter_objects(&have).await.unwrap().len(), have.len());
}
