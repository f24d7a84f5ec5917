//! Pushes that succeed: what the client sends is there, byte for byte, for whoever clones.

use std::collections::BTreeSet;

use musehub_test_support::history::{noise, write};
use musehub_test_support::id::EMPTY;
use musehub_test_support::record::{get, in_order, text};
use musehub_test_support::{History, MuseClient, TestApp};

/// A clone has the branches, the records and the trees of its source.
#[track_caller]
fn assert_same(clone: &History, source: &History) {
    clone.verify().unwrap();
    assert_eq!(clone.branches, source.branches);
    for (branch, head) in &source.branches {
        for commit in source.walk(head, &BTreeSet::new()) {
            assert_eq!(clone.tree(&commit), source.tree(&commit), "{branch} at {commit}");
        }
    }
    for (id, record) in &clone.commits {
        assert_eq!(in_order(record), in_order(source.record(id)));
    }
}

async fn assert_cloned(client: &MuseClient, source: &History) {
    assert_same(&client.clone_repository().await.unwrap(), source);
}

fn project() -> History {
    let mut history = History::new();
    history.commit("main", "Initial commit", |tree| {
        write(tree, "README.md", "# Demo\n");
        write(tree, "src/calc.py", "def add(a, b):\n    return a + b\n");
        write(tree, "docs/blob.bin", noise(1, 4096));
    });
    history.commit("main", "Add sub", |tree| {
        write(tree, "src/calc.py", "def sub(a, b):\n    return a - b\n");
    });
    history
}

#[tokio::test]
async fn a_first_push_is_cloned_as_it_was() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let history = project();

    let refs = client.refs().await.unwrap();
    assert!(refs.branch_heads.is_empty());
    let report = client.push(&history, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 4);
    assert_eq!(report.branch_heads["main"], history.head("main"));

    let refs = client.refs().await.unwrap();
    assert_eq!((refs.domain.as_str(), refs.default_branch.as_str()), ("code", "main"));
    assert_eq!(refs.repo_id, app.record("alice", "demo").await.repo_id.as_str());
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn an_incremental_push_asks_for_nothing_that_is_there() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project();
    client.push(&history, "main", false).await.unwrap();
    history.commit_file("main", "Add mul", "src/mul.py");
    let report = client.push(&history, "main", false).await.unwrap();
    assert_eq!(report.missing.len(), 1);
    assert!(report.message.starts_with("1 commits, 1 snapshots and 1 objects"), "{}", report.message);
    let report = client.push(&history, "main", false).await.unwrap();
    assert!(report.up_to_date);
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn a_new_branch_and_a_merge_are_cloned_with_both_parents() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project();
    client.push(&history, "main", false).await.unwrap();
    history.fork("feature/div", "main");
    history.commit_file("feature/div", "Add div", "src/div.py");
    client.push(&history, "feature/div", false).await.unwrap();
    history.commit_file("main", "Add mod", "src/mod.py");
    client.push(&history, "main", false).await.unwrap();
    let merge = history.merge("main", "feature/div");
    let report = client.push(&history, "main", false).await.unwrap();
    assert_eq!(report.missing, Vec::<String>::new());
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(musehub_test_support::history::parents(clone.record(&merge)).len(), 2);
    assert_same(&clone, &history);
}

#[tokio::test]
async fn a_branch_may_be_made_at_a_commit_that_is_there() {
    // The client never counts its own head among what the hub has, so it sends everything again.
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project();
    client.push(&history, "main", false).await.unwrap();
    history.fork("release", "main");
    client.push(&history, "release", false).await.unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn large_objects_and_many_objects_arrive_in_chunks() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit("main", "Large", |tree| {
        write(tree, "64k", noise(2, 65_536));
        write(tree, "64k+1", noise(3, 65_537));
        write(tree, "6m", noise(4, 6_000_001));
        for at in 0..900 {
            write(tree, &format!("many/{at}"), format!("{at}\n"));
        }
    });
    let report = client.push(&history, "main", false).await.unwrap();
    assert_eq!((report.missing.len(), report.uploads), (903, 3));
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn empty_files_are_never_asked_for_and_come_back() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit("main", "Empty", |tree| {
        write(tree, "pkg/__init__.py", "");
        write(tree, "docs/empty.txt", "");
    });
    let report = client.push(&history, "main", false).await.unwrap();
    assert!(report.missing.is_empty());
    let clone = client.clone_repository().await.unwrap();
    assert_same(&clone, &history);
    assert!(clone.objects.contains_key(EMPTY));
    let missing = client.filter_objects(&[EMPTY.to_owned()]).await.unwrap();
    assert!(missing.is_empty());
}

#[tokio::test]
async fn an_empty_tree_can_be_committed() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit("main", "Nothing yet", |_| {});
    history.commit_file("main", "Something", "a.txt");
    history.commit("main", "Nothing again", std::collections::BTreeMap::clear);
    client.push(&history, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn texts_outside_of_ascii_come_back_as_they_were() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let message = "Añadir 🎵\nline2\r\n\ttab \u{1b}[31m \u{7f} \u{feff}";
    history.commit("main", message, |tree| {
        for path in
            ["Z", "a", "a-b", "a.b", "dir/b", "é", "中/文", "ﬁ", "😀", "e\u{301}", "with space", "a\\b"]
        {
            write(tree, path, path.to_owned());
        }
    });
    history.commit("main", "", |tree| write(tree, "x", "x"));
    client.push(&history, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn times_are_kept_as_they_are_written() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let times = [
        "2026-03-20T12:00:00Z",
        "2026-03-20T12:00:00.1+00:00",
        "2026-03-20T12:00:00.1234567+02:00",
        "2026-03-20",
        "2026-03-20 12:00:00-09:30",
        "1969-12-31T23:59:59+00:00",
    ];
    for (at, committed_at) in times.into_iter().enumerate() {
        let parents = history.branches.get("main").cloned().into_iter().collect();
        let tree = [("f".to_owned(), at.to_string().into())].into();
        let new = musehub_test_support::history::NewCommit {
            branch: "main",
            message: "m",
            committed_at,
            parents,
            tree,
        };
        let id = history.add(new);
        history.branch("main", &id);
    }
    client.push(&history, "main", false).await.unwrap();
    let clone = client.clone_repository().await.unwrap();
    assert_same(&clone, &history);
    let kept: BTreeSet<&str> = clone.commits.values().map(|record| text(record, "committed_at")).collect();
    assert_eq!(kept, BTreeSet::from(times));
}

#[tokio::test]
async fn fields_that_the_hub_does_not_know_come_back() {
    use musehub_test_support::{Value, map, set};
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project();
    let head = history.head("main").to_owned();
    let record = history.commits.get_mut(&head).unwrap();
    let odd = map([
        ("list", Value::Array(vec![1.into(), (-7).into(), 2.5.into(), true.into(), Value::Nil])),
        ("big", u64::MAX.into()),
        ("small", i64::MIN.into()),
        ("ключ", "значение".into()),
        ("nested", map([("empty", map([])), ("texts", Value::Array(vec!["".into()]))])),
    ]);
    set(record, "field_of_2027", odd);
    set(record, "reviewed_by", Value::Array(vec!["bob".into()]));
    set(record, "metadata", map([("section", "intro".into())]));
    let snapshot = text(history.record(&head), "snapshot_id").to_owned();
    set(history.snapshots.get_mut(&snapshot).unwrap(), "note", "kept too");

    client.push(&history, "main", false).await.unwrap();
    let clone = client.clone_repository().await.unwrap();
    assert_same(&clone, &history);
    assert!(get(clone.record(&head), "structured_delta").is_map());
    let root = clone.commits.values().find(|record| get(record, "parent_commit_id").is_nil());
    assert!(get(root.unwrap(), "structured_delta").is_nil());
    assert_eq!(text(&clone.snapshots[&snapshot], "note"), "kept too");
    assert!(text(&clone.snapshots[&snapshot], "created_at").starts_with("2026-03-"));
}

#[tokio::test]
async fn the_default_branch_is_that_of_the_first_push_and_stays() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("trunk", "one", "a");
    history.fork("alpha", "trunk");
    history.commit_file("alpha", "two", "b");
    client.push(&history, "trunk", false).await.unwrap();
    client.push(&history, "alpha", false).await.unwrap();
    assert_eq!(client.refs().await.unwrap().default_branch, "trunk");
}

#[tokio::test]
async fn the_same_history_lives_in_two_repositories() {
    let app = TestApp::new().await;
    let history = project();
    let mut first = app.repository("alice", "one").await;
    let mut second = app.repository("alice", "two").await;
    let mut third = app.repository("bob", "three").await;
    for client in [&mut first, &mut second, &mut third] {
        let report = client.push(&history, "main", false).await.unwrap();
        assert_eq!(report.missing.len(), 4, "what another repository has is not this one's");
    }
    for client in [&first, &second, &third] {
        assert_cloned(client, &history).await;
    }
}

#[tokio::test]
async fn a_push_that_is_repeated_changes_nothing() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let history = project();
    client.push(&history, "main", false).await.unwrap();
    let bundle = history.whole("main");
    for force in [false, true, false] {
        let (missing, _) = client.upload(&bundle).await.unwrap();
        assert!(missing.is_empty());
        let answer = client.push_bundle(&bundle, "main", force).await.unwrap();
        assert!(text(&answer, "message").starts_with("0 commits"), "{answer}");
        assert_eq!(text(&answer, "remote_head"), history.head("main"));
    }
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn a_long_history_in_one_push_is_cloned() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    for at in 0..1200 {
        history.commit_file("main", &format!("commit {at}"), &format!("f{}", at % 50));
    }
    client.push(&history, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
}

#[tokio::test]
async fn commits_may_come_in_any_order() {
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    let mut history = project();
    for at in 0..6 {
        history.commit_file("main", &format!("{at}"), "f");
    }
    let mut bundle = history.whole("main");
    bundle.commits.rotate_left(3);
    bundle.commits.swap(0, 5);
    bundle.snapshots.reverse();
    client.upload(&bundle).await.unwrap();
    client.push_bundle(&bundle, "main", false).await.unwrap();
    assert_cloned(&client, &history).await;
}
