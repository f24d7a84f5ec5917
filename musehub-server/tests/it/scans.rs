//! Scans of stored commits: who removed what is missing, and that what is kept between scans changes no answer.

use musehub_core::CommitId;
use musehub_core::port::{CommitRow, Help};
use musehub_intel::Policy;
use musehub_server::scan::{Scanned, scan};
use musehub_test_support::history::{Tree, write};
use musehub_test_support::{History, TestApp};

const USER: &str = "from pkg.a import gone\nimport pkg.lost\nfrom pkg.a import never\n";

/// A package whose second commit adds a user of what the third and the fifth take away.
fn past() -> (History, [String; 6]) {
    let mut history = History::new();
    let commits = [
        history.commit("main", "begin", |tree| {
            write(tree, "pkg/__init__.py", "");
            write(tree, "pkg/a.py", "def here(): ...\n");
        }),
        history.commit("main", "add", |tree| {
            write(tree, "pkg/a.py", "def here(): ...\ndef gone(): ...\n");
            write(tree, "pkg/lost.py", "x = 1\n");
            write(tree, "main.py", USER);
        }),
        history.commit("main", "take the function away", |tree| {
            write(tree, "pkg/a.py", "def here(): ...\n");
        }),
        history.commit("main", "change something else", |tree| write(tree, "README.md", "read me\n")),
        history.commit("main", "take the module away", |tree: &mut Tree| drop(tree.remove("pkg/lost.py"))),
        history.commit("main", "the last", |tree| write(tree, "pkg/a.py", "def here():\n    return 1\n")),
    ];
    (history, commits)
}

async fn scan_of(app: &TestApp, commit: &str) -> (Scanned, CommitRow) {
    let repo = app.record("alice", "demo").await;
    let row = app.app.hub.commit(&repo, CommitId::parse(commit).unwrap()).await.unwrap();
    let scanned = scan(&app.app, &repo, &row, Policy::Resolved).await.unwrap();
    (scanned, row)
}

/// The commits that removed each subject.
async fn removers(app: &TestApp, commit: &str) -> Vec<(String, Option<String>)> {
    let (scanned, _) = scan_of(app, commit).await;
    let remover = |help: Help| help.removed_by.map(|removed| removed.commit.to_string());
    let findings = scanned.report.findings.iter();
    findings.map(|finding| (finding.subject.clone(), remover(scanned.help(finding)))).collect()
}

fn expected(commits: &[String; 6]) -> Vec<(String, Option<String>)> {
    let id = |commit: &String| Some(CommitId::parse(commit).unwrap().to_string());
    vec![
        ("pkg.a.gone".to_owned(), id(&commits[2])),
        ("pkg.lost".to_owned(), id(&commits[4])),
        ("pkg.a.never".to_owned(), None),
    ]
}

#[tokio::test]
async fn the_commit_that_removed_a_name_or_module_is_found_with_its_author_and_date() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let (history, commits) = past();
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    let repo = app.record("alice", "demo").await;
    let filter = musehub_core::port::BreakageFilter { limit: 10, ..Default::default() };
    let (issues, _) = app.app.breakage.breakage_issues(&repo.repo_id, &filter).await.unwrap();
    let removed = issues[0].help.removed_by.clone().expect("it was there once");
    let (_, by) = scan_of(&app, &commits[2]).await;
    assert_eq!(
        (removed.commit, &removed.author, &removed.committed_at),
        (by.id, &by.author, &by.committed_at)
    );
    assert!(!removed.author.is_empty() && !removed.committed_at.is_empty());
    assert_eq!(removers(&app, &commits[5]).await, expected(&commits));
}

#[tokio::test]
async fn what_was_kept_helps_and_is_not_needed() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let (history, commits) = past();
    client.push(&history, "main", false).await.unwrap();
    // Every order of scans, with and without what the one before left, gives the same.
    for first in [0, 2, 3, 4, 5] {
        app.app.scans.clear();
        let _ = removers(&app, &commits[first]).await;
        assert_eq!(removers(&app, &commits[5]).await, expected(&commits), "after {first}");
        let (again, _) = scan_of(&app, &commits[5]).await;
        assert_eq!((again.files_parsed, again.files_checked), (0, 0));
    }
    // Taken away after the commit that is asked about: not yet missing there.
    assert_eq!(removers(&app, &commits[3]).await.len(), 2);
    assert_eq!(removers(&app, &commits[1]).await, [("pkg.a.never".to_owned(), None)]);
}

#[tokio::test]
async fn another_past_has_other_removers() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let (history, commits) = past();
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(removers(&app, &commits[5]).await, expected(&commits));
    let mut other = History::new();
    let tree = history.tree(&commits[5]);
    let head = other.commit("main", "all at once", |files| *files = tree);
    client.push(&other, "main", true).await.unwrap();
    let unknown: Vec<_> = expected(&commits).into_iter().map(|(subject, _)| (subject, None)).collect();
    assert_eq!(removers(&app, &head).await, unknown);
}

#[tokio::test]
async fn a_push_of_one_file_checks_that_file_and_those_that_its_change_concerns() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let first = history.commit("main", "one", |tree| {
        for index in 0..20 {
            write(tree, &format!("p{index}/__init__.py"), "");
            write(tree, &format!("p{index}/mod{index}.py"), format!("def f{index}(): ...\n"));
            write(
                tree,
                &format!("p{index}/use{index}.py"),
                format!("from p{index}.mod{index} import f{index}\n"),
            );
        }
    });
    let second = history.commit("main", "two", |tree| write(tree, "p7/mod7.py", "def g7(): ...\n"));
    client.push(&history, "main", false).await.unwrap();
    let (scanned, _) = scan_of(&app, &first).await;
    assert_eq!((scanned.files_checked, scanned.report.findings.len()), (60, 0));
    let (scanned, row) = scan_of(&app, &second).await;
    assert_eq!((scanned.files_parsed, scanned.files_checked, scanned.report.findings.len()), (1, 2, 1));

    app.app.scans.clear();
    let (full, _) = scan_of(&app, &second).await;
    assert_eq!((full.files_parsed, full.files_checked), (0, 60));
    let repo = app.record("alice", "demo").await;
    assert_eq!(full.issues(&repo, &row), scanned.issues(&repo, &row));
}

#[tokio::test]
async fn older_versions_that_no_parser_likes_do_not_stop_the_walk() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let mut add = |content: Vec<u8>| {
        history.commit("main", "a version", |tree| {
            write(tree, "pkg/__init__.py", "");
            write(tree, "main.py", "from pkg.a import gone\n");
            write(tree, "pkg/a.py", content);
        })
    };
    let _ = add(b"gone = 1\n".to_vec());
    let remover = add(vec![0xff, 0xfe, 0]);
    let _ = add(b"x = 1\n".repeat(2 << 20));
    let _ = add(b"(".repeat(50_000));
    let head = add(Vec::new());
    client.push(&history, "main", false).await.unwrap();
    let id = CommitId::parse(&remover).unwrap().to_string();
    assert_eq!(removers(&app, &head).await, [("pkg.a.gone".to_owned(), Some(id))]);
}
