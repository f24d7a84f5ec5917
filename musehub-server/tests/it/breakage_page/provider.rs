//! T06 to T12: what the job finds, and keeps.

use super::*;

#[test]
fn t06_the_provider_starts_no_process() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut folders = vec![
        std::path::PathBuf::from(format!("{root}/musehub-intel/src")),
        std::path::PathBuf::from(format!("{root}/musehub-server/src/jobs")),
    ];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(!source.contains("process::"), "{}", path.display());
            read += 1;
        }
    }
    assert!(read > 5, "{read}");
}

#[tokio::test]
async fn t07_a_stale_import_is_found() {
    let scanned = Scanned::new(&broken()).await;
    let issues = scanned.issues().await;
    let found = issues.iter().find(|issue| issue.file_path == "b.py").unwrap();
    assert_eq!(found.issue_type, "stale_import");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!((found.line, found.subject.as_str()), (2, "pkg.a.gone"));
    assert!(found.column >= 1);
    let meant = issues.iter().find(|issue| issue.file_path == "d.py").unwrap();
    assert_eq!(meant.help.did_you_mean.as_deref(), Some("here"));
    let module = issues.iter().find(|issue| issue.file_path == "e.py").unwrap();
    assert_eq!((module.issue_type.as_str(), module.severity), ("missing_module", Severity::Error));
    assert_eq!(module.subject, "pkg.absent");
}

#[tokio::test]
async fn t08_a_clean_repository_has_no_issues() {
    let scanned = Scanned::new(&PACKAGE).await;
    assert_eq!(scanned.issues().await, []);
    let meta = scanned.meta().await;
    assert_eq!((meta.total_issues, meta.warning_count, meta.error_count), (0, 0, 0));
    assert_eq!(meta.file_count, 3);
}

#[tokio::test]
async fn t09_a_scan_run_again_changes_nothing() {
    let scanned = Scanned::new(&broken()).await;
    let (before, sums) = (scanned.issues().await, scanned.meta().await);
    scanned.rescan().await;
    assert_eq!(scanned.issues().await, before);
    let again = BreakageMeta { scanned_at: sums.scanned_at, ..scanned.meta().await };
    assert_eq!(again, sums);
    let history = scanned.json("").await["history"].as_array().unwrap().len();
    assert_eq!(history, 1, "one commit is one scan");
}

#[tokio::test]
async fn t10_the_sums_are_kept_and_replaced() {
    let mut scanned = Scanned::new(&broken()).await;
    let meta = scanned.meta().await;
    assert_eq!((meta.total_issues, meta.warning_count, meta.error_count, meta.file_count), (4, 3, 1, 7));
    scanned.push(&[("pkg/absent.py", "")]).await;
    let meta = scanned.meta().await;
    assert_eq!((meta.total_issues, meta.warning_count, meta.error_count, meta.file_count), (3, 3, 0, 8));
    let repo = scanned.app.record("alice", "demo").await;
    let counts = Counts { total: 3, warnings: 3, errors: 0, file_count: 8 };
    let results = provide_breakage(&scanned.app.app, &repo, scanned.head()).await.unwrap();
    assert_eq!(results, [("intel.code.breakage", counts.clone())]);
    let told = serde_json::to_string(&[("intel.code.breakage", counts)]).unwrap();
    assert_eq!(told, r#"[["intel.code.breakage",{"total":3,"warnings":3,"errors":0,"file_count":8}]]"#);
}

#[tokio::test]
async fn t11_names_of_files_that_are_read_later_are_known() {
    let files = [
        ("a_first.py", "from z_last import late, Later\nimport z_pkg.deep\n"),
        ("z_last.py", "late = 1\nclass Later: ...\n"),
        ("z_pkg/__init__.py", "from a_first import late\n"),
        ("z_pkg/deep.py", ""),
    ];
    assert_eq!(Scanned::new(&files).await.issues().await, []);
}

#[tokio::test]
async fn t12_without_files_or_without_a_manifest_there_is_nothing() {
    let mut scanned = Scanned::new(&broken()).await;
    let repo_id = scanned.app.record("alice", "demo").await.repo_id;
    let before = scanned.issues().await;
    for payload in ["", "{}", r#"{"commit":"nonsense"}"#, &format!(r#"{{"commit":"sha256:{:064}"}}"#, 7)] {
        let job = NewJob::new(JobKind::new(BREAKAGE), repo_id.clone(), payload.to_owned());
        scanned.app.app.queue.enqueue(&job, scanned.app.app.clock.now()).await.unwrap();
        assert_eq!(scanned.app.run_jobs().await, 1);
        assert_eq!(scanned.issues().await, before, "{payload}");
    }
    let repo = scanned.app.record("alice", "demo").await;
    let unknown = CommitId::parse(&format!("sha256:{:064}", 7)).unwrap();
    assert_eq!(provide_breakage(&scanned.app.app, &repo, unknown).await.unwrap(), []);
    assert_eq!(scanned.issues().await, before);
    scanned.history.commit("main", "take everything away", |tree| tree.clear());
    scanned.client.push(&scanned.history, "main", false).await.unwrap();
    scanned.app.run_jobs().await;
    assert_eq!(scanned.issues().await, []);
    let meta = scanned.meta().await;
    assert_eq!((meta.total_issues, meta.file_count, meta.commit), (0, 0, scanned.head()));
}
