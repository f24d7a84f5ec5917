//! T13 to T19: the answers of the page to its parameters.

use super::*;

#[tokio::test]
async fn t13_the_page_answers_with_what_was_found() {
    let scanned = Scanned::new(&broken()).await;
    assert_eq!(scanned.rows("").await, ["b.py", "c.py", "d.py", "e.py"]);
    let json = scanned.json("").await;
    assert_eq!(json["scan"]["total_issues"], 4);
    assert_eq!(json["scan"]["ref"], scanned.head().to_string());
    assert_eq!(json["issues"][0]["file_path"], "b.py");
    assert_eq!(json["issues"][2]["help"]["did_you_mean"], "here");
    assert!(json.get("groups").is_none() && json["job"].is_null());
}

#[tokio::test]
async fn t14_before_the_first_scan_the_page_says_so() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let page = async || app.get(PAGE).send().await.expect(200).text();
    let html = page().await;
    assert!(html.contains("No scan yet") && !html.contains("bk-clean-panel"), "{html}");
    assert!(app.get(JSON).send().await.expect(200).json()["scan"].is_null());

    let mut history = History::new();
    history.commit_file("main", "one", "a.py");
    client.push(&history, "main", false).await.unwrap();
    assert!(page().await.contains("Scan waiting its turn"));
    assert_eq!(app.get(JSON).send().await.json()["job"], "pending");
    let lease = 60_000;
    let job = app.app.queue.claim("w", &[BREAKAGE], app.app.clock.now(), lease).await.unwrap().unwrap();
    assert_eq!(job.status, JobStatus::Running);
    assert!(page().await.contains("Scan under way"));
    assert!(app.app.queue.fail(&job.id, "w", "a reason", None).await.unwrap());
    assert!(page().await.contains("The scan did not finish"));
}

#[tokio::test]
async fn t15_unknown_and_private_repositories_are_not_found() {
    let app = TestApp::new().await;
    app.private_repository("alice", "secret").await;
    let token = app.token("alice").await;
    for repo in ["alice/absent", "nobody/demo", "alice/secret"] {
        for path in [format!("/{repo}/intel/breakage"), format!("/api/v1/repos/{repo}/intel/breakage")] {
            let answer = app.get(&path).send().await.expect(404);
            assert!(answer.text().contains("repository not found"), "{path}");
            let owner = app.get(&path).bearer(&token).send().await;
            assert_eq!(owner.status, if repo == "alice/secret" { 200 } else { 404 }, "{path}");
        }
    }
}

#[tokio::test]
async fn t16_types_are_filtered() {
    let scanned = Scanned::new(&broken()).await;
    assert_eq!(scanned.rows("?issue_type=stale_import").await, ["b.py", "c.py", "d.py"]);
    assert_eq!(scanned.rows("?issue_type=missing_module").await, ["e.py"]);
    assert!(scanned.html("?issue_type=missing_symbol").await.contains("Nothing matches"));
    for all in ["?issue_type=all", "?issue_type=nonsense", "?issue_type="] {
        assert_eq!(scanned.rows(all).await.len(), 4, "{all}");
    }
    assert_eq!(scanned.json("?issue_type=missing_module").await["matching"], 1);
}

#[tokio::test]
async fn t17_severities_are_filtered() {
    let scanned = Scanned::new(&broken()).await;
    assert_eq!(scanned.rows("?severity=error").await, ["e.py"]);
    assert_eq!(scanned.rows("?severity=warning").await.len(), 3);
    assert_eq!(scanned.rows("?severity=warning&issue_type=missing_module").await.len(), 0);
    assert_eq!(scanned.rows("?severity=all").await.len(), 4);
}

#[tokio::test]
async fn t18_a_page_has_twenty_fifty_or_a_hundred_rows() {
    let files: Vec<(String, String)> =
        (0..120).map(|n| (format!("f{n:03}.py"), format!("from pkg.a import gone{}\n", n % 3))).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    files.extend(PACKAGE);
    let scanned = Scanned::new(&files).await;
    for (query, rows) in [("", 20), ("?top=20", 20), ("?top=50", 50), ("?top=100", 100), ("?top=7", 20)] {
        assert_eq!(scanned.rows(query).await.len(), rows, "{query}");
        let shown = format!("showing {rows} of 120 issues");
        assert!(scanned.html(query).await.contains(&shown), "{query}");
    }
    assert_eq!(scanned.rows("?top=50&page=3").await.len(), 20);
    let json = scanned.json("?top=50&page=3").await;
    assert_eq!((&json["pages"], &json["matching"]), (&3.into(), &120.into()));
    assert_eq!(json["issues"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn t19_the_chips_come_from_the_sums_and_not_from_the_page() {
    let scanned = Scanned::new(&broken()).await;
    for query in ["", "?severity=error", "?issue_type=missing_symbol", "?page=99", "?group=name"] {
        assert_eq!(chips(&scanned.html(query).await), ["4", "3", "1", "7"], "{query}");
    }
    // Sums that no row of the table gives.
    let repo = scanned.app.record("alice", "demo").await;
    let sums = BreakageMeta {
        total_issues: 12_345,
        warning_count: 12_345,
        error_count: 0,
        file_count: 1_000_000,
        ..scanned.meta().await
    };
    let rows = scanned.issues().await;
    scanned.app.app.breakage.replace_breakage(&repo.repo_id, &sums, &rows).await.unwrap();
    let html = scanned.html("").await;
    assert_eq!(chips(&html), ["12,345", "12,345", "0", "1,000,000"]);
    assert!(!html.contains("bk-stat-card--error"), "no danger without an error");
}
