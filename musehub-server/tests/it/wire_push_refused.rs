//! Pushes that are refused, and leave nothing behind that anybody could see.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use musehub_test_support::history::{recompute, snapshot_record, write};
use musehub_test_support::record::{set, text, unset};
use musehub_test_support::{Bundle, ClientError, History, MuseClient, TestApp, Value};

struct Hub {
    client: MuseClient,
    app: TestApp,
}

impl Hub {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let client = app.repository("alice", "demo").await;
        Self { client, app }
    }

    async fn push(&self, bundle: &Bundle, branch: &str) -> Result<Value, ClientError> {
        self.client.upload(bundle).await?;
        self.client.push_bundle(bundle, branch, false).await
    }

    /// Pushes what must be refused with 422, and gives what the answer says about it.
    #[track_caller]
    fn refuse<'a>(&'a self, bundle: &'a Bundle, branch: &'a str) -> impl Future<Output = String> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let before = self.client.refs().await.unwrap();
            let refused = match self.push(bundle, branch).await {
                Ok(answer) => panic!("{at}: accepted: {answer}"),
                Err(refused) => refused,
            };
            assert_eq!(refused.status, 422, "{at}: {refused}");
            assert_eq!(self.client.refs().await.unwrap(), before, "{at}");
            let ids: Vec<String> = bundle.commits.iter().map(|c| text(c, "commit_id").to_owned()).collect();
            let valid =
                |id: &String| id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let ids: Vec<String> = ids.into_iter().filter(valid).collect();
            let known: Vec<String> = before.branch_heads.values().cloned().collect();
            let fetched = self.client.fetch_bundle(&ids, &known).await.unwrap();
            assert!(fetched.commits.is_empty(), "{at}: a refused commit can be fetched");
            refused.body
        }
    }
}

fn history() -> History {
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        write(tree, "a.txt", "a\n");
        write(tree, "b.txt", "b\n");
    });
    history.commit_file("main", "two", "c.txt");
    history.commit_file("main", "three", "d.txt");
    history
}

/// A bundle of one root commit whose record is changed, and has the id of what it became.
fn changed(change: impl FnOnce(&mut Value)) -> Bundle {
    let mut history = History::new();
    history.commit_file("main", "one", "a.txt");
    let mut bundle = history.whole("main");
    change(&mut bundle.commits[0]);
    let id = recompute(&bundle.commits[0]);
    set(&mut bundle.commits[0], "commit_id", id);
    bundle
}

/// A bundle of one root commit with these paths, which are all one and the same file.
fn with_paths(paths: &[&str]) -> Bundle {
    let mut bundle = changed(|_| {});
    let (id, _) = bundle.objects.first_key_value().unwrap();
    let manifest: BTreeMap<String, String> =
        paths.iter().map(|path| ((*path).to_owned(), id.clone())).collect();
    bundle.snapshots = vec![snapshot_record(&manifest, "2026-03-01T00:00:00+00:00")];
    let snapshot = text(&bundle.snapshots[0], "snapshot_id").to_owned();
    let commit = &mut bundle.commits[0];
    set(commit, "snapshot_id", snapshot);
    let id = recompute(commit);
    set(commit, "commit_id", id);
    bundle
}

#[tokio::test]
async fn missing_parents_are_named() {
    let hub = Hub::new().await;
    let history = history();
    let head = history.head("main");
    let ids = history.walk(head, &BTreeSet::new());
    let bundle = history.bundle(head, &BTreeSet::from([ids[1].clone()]));
    let why = hub.refuse(&bundle, "main").await;
    assert!(why.contains(&ids[1]) && why.contains("incomplete"), "{why}");

    let mut hole = history.whole("main");
    hole.commits.remove(1);
    // Without its middle, the history has two tips; the one on the branch lacks its parent.
    let why = hub.refuse(&hole, "main").await;
    assert!(why.contains("several tips") || why.contains(&ids[1]), "{why}");
}

#[tokio::test]
async fn missing_snapshots_are_named() {
    let hub = Hub::new().await;
    let mut bundle = history().whole("main");
    let gone = bundle.snapshots.pop().unwrap();
    let why = hub.refuse(&bundle, "main").await;
    assert!(why.contains(text(&gone, "snapshot_id")), "{why}");
}

#[tokio::test]
async fn missing_objects_are_named_and_then_accepted() {
    let hub = Hub::new().await;
    let history = history();
    let whole = history.whole("main");
    let mut bundle = whole.clone();
    let (gone, content) = bundle.objects.pop_first().unwrap();
    hub.client.upload(&bundle).await.unwrap();
    let refused = hub.client.push_bundle(&whole, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains(&gone), "{refused}");
    assert!(hub.client.refs().await.unwrap().branch_heads.is_empty());

    let only = Bundle { objects: [(gone.clone(), content)].into(), ..Bundle::default() };
    let (missing, _) = hub.client.upload(&only).await.unwrap();
    assert_eq!(missing, [gone]);
    hub.client.push_bundle(&whole, "main", false).await.unwrap();
    assert_eq!(hub.client.clone_repository().await.unwrap().branches, history.branches);
}

#[tokio::test]
async fn many_missing_objects_are_named_in_few_words() {
    let hub = Hub::new().await;
    let mut history = History::new();
    history.commit("main", "many", |tree| {
        for at in 0..5000 {
            write(tree, &format!("f{at}"), at.to_string());
        }
    });
    let refused = hub.client.push_bundle(&history.whole("main"), "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
    // The client shows 400 characters.
    assert!(refused.body.contains("5000 objects"), "{refused}");
}

#[tokio::test]
async fn an_object_whose_bytes_are_others_is_refused() {
    let hub = Hub::new().await;
    let mut bundle = history().whole("main");
    let tampered = bundle.objects.keys().next().unwrap().clone();
    bundle.objects.insert(tampered.clone(), Bytes::from_static(b"something else"));
    let refused = hub.client.upload(&bundle).await.unwrap_err();
    assert_eq!((refused.status, refused.call), (422, "push/objects"));
    assert!(refused.body.contains(&tampered), "{refused}");
    let missing = hub.client.filter_objects(&[tampered]).await.unwrap();
    assert_eq!(missing.len(), 1);
    let refused = hub.client.push_bundle(&bundle, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 422);
}

#[tokio::test]
async fn a_snapshot_that_has_another_id_is_refused() {
    let hub = Hub::new().await;
    let mut bundle = changed(|_| {});
    let (id, content) = bundle.objects.first_key_value().map(|(id, c)| (id.clone(), c.clone())).unwrap();
    let pairs = vec![("other.txt".into(), id.as_str().into())];
    set(&mut bundle.snapshots[0], "manifest", Value::Map(pairs));
    let why = hub.refuse(&bundle, "main").await;
    assert!(why.contains(text(&bundle.snapshots[0], "snapshot_id")), "{why}");
    drop(content);
}

#[tokio::test]
async fn a_commit_that_has_another_id_is_refused() {
    let hub = Hub::new().await;
    let history = history();
    let other = "0".repeat(64);
    for (field, value) in [
        ("message", "another"),
        ("committed_at", "2026-03-01T00:00:01Z"),
        ("commit_id", &*other),
        ("parent_commit_id", history.head("main")),
    ] {
        let mut bundle = history.whole("main");
        set(bundle.commits.last_mut().unwrap(), field, value);
        hub.refuse(&bundle, "main").await;
    }
    // The same instant, written in another way, is another id.
    let mut bundle = history.whole("main");
    let time = text(&bundle.commits[0], "committed_at").replace("+00:00", "Z");
    set(&mut bundle.commits[0], "committed_at", time);
    hub.refuse(&bundle, "main").await;
    hub.push(&history.whole("main"), "main").await.unwrap();
}

#[tokio::test]
async fn ids_that_are_none_are_refused() {
    let hub = Hub::new().await;
    let upper = "ABCDEF".repeat(11)[..64].to_owned();
    for bad in ["", "abc", "../../../etc/passwd", &upper, &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
        for field in ["commit_id", "parent_commit_id", "snapshot_id"] {
            let mut bundle = changed(|_| {});
            set(&mut bundle.commits[0], field, bad);
            hub.refuse(&bundle, "main").await;
        }
        let mut bundle = changed(|_| {});
        set(&mut bundle.snapshots[0], "snapshot_id", bad);
        hub.refuse(&bundle, "main").await;
    }
    let mut bundle = changed(|_| {});
    unset(&mut bundle.commits[0], "commit_id");
    hub.refuse(&bundle, "main").await;
}

#[tokio::test]
async fn nul_in_any_text_of_a_record_is_refused() {
    let hub = Hub::new().await;
    for field in ["message", "committed_at", "author", "branch", "agent_id", "signature", "unknown"] {
        let bundle = changed(|record| set(record, field, "a\0b"));
        hub.refuse(&bundle, "main").await;
    }
    let nested = Value::Array(vec![Value::Map(vec![("k".into(), "a\0b".into())])]);
    hub.refuse(&changed(|record| set(record, "structured_delta", nested)), "main").await;
    hub.refuse(&changed(|record| set(record, "a\0b", "value")), "main").await;
    hub.refuse(&with_paths(&["a\0b"]), "main").await;
}

#[tokio::test]
async fn two_histories_that_would_share_an_id_through_nul_cannot_be_pushed() {
    let hub = Hub::new().await;
    // `s NUL m` as a message over one parent is what two parents and the message `m` hash to.
    let bundle = changed(|record| set(record, "message", "s\0m"));
    hub.refuse(&bundle, "main").await;
}

#[tokio::test]
async fn records_with_fields_of_another_type_are_refused() {
    let hub = Hub::new().await;
    for field in ["commit_id", "snapshot_id", "message", "committed_at", "author", "branch", "agent_id"] {
        for value in [Value::from(7), Value::Array(Vec::new()), Value::Map(Vec::new())] {
            let mut bundle = changed(|_| {});
            set(&mut bundle.commits[0], field, value);
            hub.refuse(&bundle, "main").await;
        }
    }
    for value in [Value::Nil, Value::from("text"), Value::from(1)] {
        let mut bundle = changed(|_| {});
        set(&mut bundle.snapshots[0], "manifest", value);
        hub.refuse(&bundle, "main").await;
    }
    for time in ["", "yesterday\n", &"9".repeat(65), "2026-03-01T00:00:00é"] {
        hub.refuse(&changed(|record| set(record, "committed_at", time)), "main").await;
    }
}

#[tokio::test]
async fn branch_names_that_write_elsewhere_are_refused() {
    let hub = Hub::new().await;
    let bundle = history().whole("main");
    let long = "b".repeat(256);
    for name in [
        "",
        "../../x",
        "..",
        ".",
        "a/../b",
        "/etc/passwd",
        "a/",
        "a//b",
        ".hidden",
        "a/.git",
        "a.",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\tb",
        "HEAD",
        "-rf",
        "C:evil",
        "x.lock",
        "\u{1b}[31m",
        " a",
        &long,
    ] {
        hub.refuse(&bundle, name).await;
    }
    hub.push(&bundle, &"b".repeat(255)).await.unwrap();
}

#[tokio::test]
async fn paths_that_leave_the_tree_are_refused() {
    let hub = Hub::new().await;
    let long = "a".repeat(4097);
    for path in [
        "",
        "/etc/passwd",
        "..",
        "../x",
        "a/../../x",
        "a/./b",
        "a//b",
        "a/",
        ".muse/config.toml",
        "a/.MUSE/x",
        ".muse",
        "..\\x",
        "\\x",
        "C:\\x",
        "a\nb",
        "\u{7f}",
        ".muse /x",
        ".mu\u{200d}se/x",
        "MUSE~1/HEAD",
        &long,
    ] {
        hub.refuse(&with_paths(&[path]), "main").await;
    }
    hub.refuse(&with_paths(&["a", "a/b"]), "main").await;
    hub.refuse(&with_paths(&["a/b", "a/b-c", "a/b.c", "a/b/c"]), "main").await;
    hub.push(&with_paths(&["a/b", "a/b-c", "a/b.c", ".museignore", ".github/x", "A/b"]), "main")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_path_that_is_there_twice_is_refused() {
    let hub = Hub::new().await;
    let mut bundle = with_paths(&["a"]);
    let id = bundle.objects.first_key_value().unwrap().0.clone();
    let pair: (Value, Value) = ("a".into(), id.into());
    set(&mut bundle.snapshots[0], "manifest", Value::Map(vec![pair.clone(), pair]));
    hub.refuse(&bundle, "main").await;
}

#[tokio::test]
async fn histories_that_are_none_are_refused() {
    let hub = Hub::new().await;
    let mut twice = history().whole("main");
    let mut other = twice.commits[0].clone();
    set(&mut other, "author", "mallory");
    twice.commits.push(other);
    hub.refuse(&twice, "main").await;

    let mut lone_second = changed(|_| {});
    set(&mut lone_second.commits[0], "parent2_commit_id", "0".repeat(64));
    let id = recompute(&lone_second.commits[0]);
    set(&mut lone_second.commits[0], "commit_id", id);
    hub.refuse(&lone_second, "main").await;
}

#[tokio::test]
async fn what_a_refused_push_brought_is_not_served_as_a_page() {
    let hub = Hub::new().await;
    let mut bundle = history().whole("main");
    bundle.snapshots.pop();
    hub.refuse(&bundle, "main").await;
    let page = hub.app.get("/alice/demo").send().await.expect(200).text();
    assert!(!page.contains("three"), "{page}");
    let page = hub.app.get("/alice/demo/commits/main").send().await.text();
    assert!(!page.contains("three"), "{page}");
    assert_eq!(hub.app.run_jobs().await, 0);
}
