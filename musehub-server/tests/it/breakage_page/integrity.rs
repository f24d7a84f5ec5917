//! T25 to T28: rows and sums agree, and repositories stay apart.

use super::*;

#[tokio::test]
async fn t25_an_import_twice_in_a_file_is_one_row_at_its_first_line() {
    let mut files = PACKAGE.to_vec();
    files.push(("b.py", "import os\nfrom pkg.a import gone\n\n\ndef f():\n    from pkg.a import gone\n"));
    let scanned = Scanned::new(&files).await;
    for _ in 0..2 {
        let issues = scanned.issues().await;
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert_eq!(issues[0].line, 2);
        assert_eq!(scanned.meta().await.total_issues, 1);
        scanned.rescan().await;
    }
}

#[tokio::test]
async fn t26_repositories_do_not_see_each_other() {
    let scanned = Scanned::new(&broken()).await;
    let mut other = scanned.app.repository("alice", "other").await;
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        for (path, content) in PACKAGE {
            write(tree, path, content);
        }
    });
    other.push(&history, "main", false).await.unwrap();
    scanned.app.run_jobs().await;
    assert_eq!(issues(&scanned.app, "other").await, []);
    assert_eq!(scanned.issues().await.len(), 4);
    let html = scanned.app.get("/alice/other/intel/breakage").send().await.expect(200).text();
    assert!(html.contains("No structural breakage detected") && !html.contains("gone"));
    let ids: Vec<_> = scanned.issues().await.into_iter().map(|issue| issue.issue_id).collect();
    other.push(&scanned.history, "main", true).await.unwrap();
    scanned.app.run_jobs().await;
    let others = issues(&scanned.app, "other").await;
    assert_eq!(others.len(), 4);
    assert!(others.iter().all(|issue| !ids.contains(&issue.issue_id)), "an id names its repository");
}

#[tokio::test]
async fn t27_the_sums_are_those_of_the_rows() {
    let scanned = Scanned::new(&broken()).await;
    let (issues, meta) = (scanned.issues().await, scanned.meta().await);
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    assert_eq!(meta.total_issues, issues.len() as u64);
    assert_eq!(meta.warning_count, count(Severity::Warning));
    assert_eq!(meta.error_count, count(Severity::Error));
    let groups = scanned.json("?group=name").await;
    let sum: u64 = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["total_issues"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, meta.total_issues);
}

#[tokio::test]
async fn t28_the_commit_that_was_scanned_is_kept() {
    let mut scanned = Scanned::new(&broken()).await;
    let first = scanned.head();
    assert_eq!(scanned.meta().await.commit, first);
    scanned.push(&[("pkg/absent.py", "")]).await;
    assert_eq!(scanned.meta().await.commit, scanned.head());
    let history = scanned.json("").await["history"].clone();
    let refs: Vec<&str> =
        history.as_array().unwrap().iter().map(|scan| scan["ref"].as_str().unwrap()).collect();
    assert_eq!(refs, [first.to_string(), scanned.head().to_string()]);
    let html = scanned.html("").await;
    assert!(html.contains("Issues over the last 2 scans: 4 at first, 3 now"), "{html}");
}
