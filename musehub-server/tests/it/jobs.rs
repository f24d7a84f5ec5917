//! The scan that a push starts: once for each head of the default branch, and for nothing else.

use musehub_core::port::{BreakageFilter, BreakageMeta, JobKind, JobStatus, NewJob, Severity};
use musehub_core::{BlobId, CommitId};
use musehub_server::jobs::BREAKAGE;
use musehub_test_support::history::write;
use musehub_test_support::id::object_id;
use musehub_test_support::{History, TestApp};

const FINE: &str = "from pkg.a import here\n";
const BROKEN: &str = "from pkg.a import here, gone\nimport pkg.absent\n";

/// A package with one module and one user of it.
fn project(user: &str) -> History {
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        write(tree, "pkg/__init__.py", "");
        write(tree, "pkg/a.py", "def here():\n    return 1\n");
        write(tree, "main.py", user.to_owned());
        write(tree, "README.md", "# read me\n");
    });
    history
}

async fn meta(app: &TestApp, slug: &str) -> Option<BreakageMeta> {
    let repo = app.record("alice", slug).await;
    app.app.breakage.breakage_meta(&repo.repo_id).await.unwrap()
}

/// What was found, and that its sums are those of the rows.
async fn findings(app: &TestApp, slug: &str) -> Vec<(String, u32, String)> {
    let repo = app.record("alice", slug).await;
    let filter = BreakageFilter { limit: 10_000, ..BreakageFilter::default() };
    let (issues, matching) = app.app.breakage.breakage_issues(&repo.repo_id, &filter).await.unwrap();
    let meta = meta(app, slug).await.unwrap();
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    assert_eq!((meta.total_issues, matching), (issues.len() as u64, issues.len() as u64));
    assert_eq!((meta.warning_count, meta.error_count), (count(Severity::Warning), count(Severity::Error)));
    issues.into_iter().map(|issue| (issue.file_path, issue.line, issue.description)).collect()
}

async fn job(app: &TestApp, slug: &str) -> Option<(JobStatus, u32)> {
    let repo = app.record("alice", slug).await;
    let job = app.app.queue.latest(&repo.repo_id, BREAKAGE).await.unwrap();
    job.map(|job| (job.status, job.attempts))
}

#[tokio::test]
async fn a_push_to_the_default_branch_is_scanned_once() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    assert_eq!((app.run_jobs().await, job(&app, "demo").await), (0, None));
    let history = project(BROKEN);
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(job(&app, "demo").await, Some((JobStatus::Pending, 0)));
    assert!(meta(&app, "demo").await.is_none());

    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(job(&app, "demo").await, Some((JobStatus::Done, 1)));
    let found = findings(&app, "demo").await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(path, ..)| path == "main.py"));
    assert!(found[0].2.contains("gone") && found[1].2.contains("pkg.absent"), "{found:?}");
    let meta = meta(&app, "demo").await.unwrap();
    assert_eq!(meta.commit, CommitId::parse(history.head("main")).unwrap());
    assert!((3..=4).contains(&meta.file_count), "{}", meta.file_count);

    // The same push again is no new head.
    client.push_bundle(&history.whole("main"), "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 0);
}

#[tokio::test]
async fn a_push_to_another_branch_is_not_scanned() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project(FINE);
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    history.fork("topic", "main");
    history.commit("topic", "break it", |tree| write(tree, "main.py", BROKEN));
    client.push(&history, "topic", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 0);
    assert!(findings(&app, "demo").await.is_empty());
    // Merged, it is the head.
    history.fork("main", "topic");
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(findings(&app, "demo").await.len(), 2);
}

#[tokio::test]
async fn refused_pushes_are_not_scanned() {
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    client.push_bundle(&project(BROKEN).whole("main"), "main", false).await.unwrap_err();
    assert_eq!((app.run_jobs().await, job(&app, "demo").await), (0, None));
}

#[tokio::test]
async fn a_later_push_supersedes_a_scan_that_did_not_run() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project(BROKEN);
    client.push(&history, "main", false).await.unwrap();
    history.commit("main", "mend it", |tree| write(tree, "main.py", FINE));
    client.push(&history, "main", false).await.unwrap();
    assert!(app.run_jobs().await <= 2);
    assert!(findings(&app, "demo").await.is_empty());
    let scanned = meta(&app, "demo").await.unwrap().commit;
    assert_eq!(scanned, CommitId::parse(history.head("main")).unwrap());
    // What never became head again is not what is known of.
    let old = history.walk(history.head("main"), &Default::default())[1].clone();
    assert_ne!(scanned, CommitId::parse(&old).unwrap());
}

#[tokio::test]
async fn each_scan_replaces_the_one_before() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project(BROKEN);
    let mut scan = async |history: &History, force| {
        client.push(history, "main", force).await.unwrap();
        assert_eq!(app.run_jobs().await, 1);
        findings(&app, "demo").await.len()
    };
    assert_eq!(scan(&history, false).await, 2);
    let broken = history.head("main").to_owned();
    history.commit("main", "mend it", |tree| write(tree, "main.py", FINE));
    assert_eq!(scan(&history, false).await, 0);
    history.commit("main", "take the module away", |tree| drop(tree.remove("pkg/a.py")));
    assert_eq!(scan(&history, false).await, 1);
    history.commit("main", "and its user", |tree| drop(tree.remove("main.py")));
    assert_eq!(scan(&history, false).await, 0);
    // Back to a head whose scan is done long since: it has to run again.
    history.branch("main", &broken);
    assert_eq!(scan(&history, true).await, 2);
}

#[tokio::test]
async fn files_that_were_parsed_once_are_not_parsed_again() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project(BROKEN);
    client.push(&history, "main", false).await.unwrap();
    app.run_jobs().await;
    let sources = |history: &History| -> Vec<String> {
        let manifest = history.manifest(history.head("main"));
        manifest.into_iter().filter(|(path, _)| path.ends_with(".py")).map(|(_, id)| id).collect()
    };
    assert_eq!(app.known_facts(&sources(&history)).await, 3);
    history.commit("main", "two", |tree| write(tree, "new.py", "import pkg.a\n"));
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.known_facts(&sources(&history)).await, 3);
    app.run_jobs().await;
    assert_eq!(app.known_facts(&sources(&history)).await, 4);

    // What is kept is what is used: told that a file is empty, the scan finds nothing in it.
    let file: &str = "import pkg.nowhere\n";
    history.commit("main", "three", |tree| write(tree, "odd.py", file));
    let facts = musehub_intel::extract_many(vec![("odd.py", &b""[..])]).swap_remove(0);
    let known = (BlobId::parse(&object_id(file.as_bytes())).unwrap(), serde_json::to_string(&facts).unwrap());
    app.app.facts.put_facts("python.py.3", &[known]).await.unwrap();
    client.push(&history, "main", false).await.unwrap();
    app.run_jobs().await;
    let found = findings(&app, "demo").await;
    assert!(found.iter().all(|(path, ..)| path != "odd.py"), "{found:?}");
}

#[tokio::test]
async fn facts_that_cannot_be_read_are_made_anew() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let blob = BlobId::parse(&object_id(BROKEN.as_bytes())).unwrap();
    for text in ["", "{}", "[1]", "null"] {
        app.app.facts.put_facts("python.py.3", &[(blob, text.to_owned())]).await.unwrap();
    }
    client.push(&project(BROKEN), "main", false).await.unwrap();
    app.run_jobs().await;
    assert_eq!(findings(&app, "demo").await.len(), 2);
}

#[tokio::test]
async fn repositories_keep_their_findings_apart() {
    let app = TestApp::new().await;
    let mut broken = app.repository("alice", "broken").await;
    let mut fine = app.private_repository("alice", "fine").await;
    broken.push(&project(BROKEN), "main", false).await.unwrap();
    fine.push(&project(FINE), "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 2);
    assert_eq!(findings(&app, "broken").await.len(), 2);
    assert_eq!(findings(&app, "fine").await.len(), 0);
    fine.push(
        &{
            let mut history = project(FINE);
            history.commit("main", "also", |tree| write(tree, "main.py", BROKEN));
            history
        },
        "main",
        false,
    )
    .await
    .unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(findings(&app, "fine").await.len(), 2);
    assert_eq!(findings(&app, "broken").await.len(), 2);
}

#[tokio::test]
async fn files_that_no_parser_likes_do_not_stop_a_scan() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = project(BROKEN);
    history.commit("main", "odd", |tree| {
        write(tree, "bytes.py", vec![0xff, 0xfe, 0, 1, 2]);
        write(tree, "latin.py", b"# -*- coding: latin-1 -*-\nx = '\xe9'\n".to_vec());
        write(tree, "deep.py", "(".repeat(50_000));
        write(tree, "deep_calls.py", format!("x = {}0{}\n", "f(".repeat(20_000), ")".repeat(20_000)));
        write(tree, "minus.py", format!("x = {}1\n", "-".repeat(100_000)));
        write(tree, "half.py", "def f(:\n  import\nfrom pkg.a import\n");
        write(tree, "nul.py", "import\0os\n");
        write(tree, "crlf.py", "from pkg.a import here\r\nx = 1\r\n");
        write(tree, "bom.py", "\u{feff}import pkg.a\n");
        write(tree, "large.py", "x = 1\n".repeat(400_000));
        write(tree, "stub.pyi", "from pkg.a import here\n");
        write(tree, "dir.py/inner.py", "import pkg\n");
    });
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(job(&app, "demo").await, Some((JobStatus::Done, 1)));
    let found = findings(&app, "demo").await;
    assert_eq!(found.iter().filter(|(path, ..)| path == "main.py").count(), 2, "{found:?}");
    let strangers = ["bytes.py", "deep.py", "nul.py", "crlf.py", "bom.py", "latin.py", "stub.pyi"];
    assert!(found.iter().all(|(path, ..)| !strangers.contains(&&**path)), "{found:?}");
}

#[tokio::test]
async fn a_project_without_python_is_clean() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("main", "text", "README.md");
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert!(findings(&app, "demo").await.is_empty());
    history.commit("main", "empty", std::collections::BTreeMap::clear);
    client.push(&history, "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert!(findings(&app, "demo").await.is_empty());
}

#[tokio::test]
async fn a_job_that_makes_no_sense_fails_for_good_and_stops_nothing() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let repo = app.record("alice", "demo").await;
    for payload in ["", "{}", "[]", "{\"commit\":\"x\"}", "{\"commit\":null}"] {
        let new = NewJob::new(JobKind::new(BREAKAGE), repo.repo_id.clone(), payload.into());
        app.app.queue.enqueue(&new, app.app.clock.now()).await.unwrap();
    }
    assert_eq!(app.run_jobs().await, 5);
    assert_eq!(job(&app, "demo").await, Some((JobStatus::Failed, 1)));
    client.push(&project(BROKEN), "main", false).await.unwrap();
    assert_eq!(app.run_jobs().await, 1);
    assert_eq!(findings(&app, "demo").await.len(), 2);
}
