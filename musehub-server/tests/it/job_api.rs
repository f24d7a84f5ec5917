//! `GET /api/v1/repos/{owner}/{slug}/jobs`: who may see which jobs, in pages.

use musehub_core::port::{JobKind, NewJob};
use musehub_test_support::TestApp;
use serde_json::{Value, json};

/// A server with a repository of alice's that has so many jobs.
async fn with_jobs(count: i64) -> (TestApp, Vec<NewJob>) {
    let app = TestApp::new().await;
    app.repository("alice", "demo").await;
    let repo = app.record("alice", "demo").await;
    let mut jobs = Vec::new();
    for n in 0..count {
        let kind = if n % 2 == 0 { JobKind::new("even") } else { JobKind::new("odd").in_turn() };
        let job = NewJob::new(kind, repo.repo_id.clone(), json!({"n": n}).to_string());
        app.app.queue.enqueue(&job, app.app.clock.now().plus_millis(n)).await.unwrap();
        jobs.push(job);
    }
    (app, jobs)
}

async fn get(app: &TestApp, path: &str, who: Option<&str>, status: u16) -> Value {
    let mut call = app.get(path);
    if let Some(who) = who {
        call = call.bearer(&app.token(who).await);
    }
    call.send().await.expect(status).json()
}

fn numbers(page: &Value) -> Vec<i64> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["payload"]["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn an_owner_pages_through_the_jobs_newest_first() {
    let (app, _) = with_jobs(7).await;
    let path = "/api/v1/repos/alice/demo/jobs";
    let all = get(&app, path, Some("alice"), 200).await;
    assert_eq!((numbers(&all), &all["next_cursor"]), ((0..7).rev().collect(), &Value::Null));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&app, &format!("{path}?limit=3{cursor}"), Some("alice"), 200).await;
        seen.extend(numbers(&page));
        assert!(numbers(&page).len() <= 3 && seen.len() <= 7, "{page}");
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, numbers(&all));
    let odd = get(&app, &format!("{path}?kind=odd&status=pending"), Some("alice"), 200).await;
    assert_eq!(numbers(&odd), [5, 3, 1]);
    assert_eq!(numbers(&get(&app, &format!("{path}?status=failed"), Some("alice"), 200).await), [0_i64; 0]);
}

#[tokio::test]
async fn a_job_says_what_it_is_and_what_became_of_it() {
    let (app, jobs) = with_jobs(2).await;
    let path = format!("/api/v1/repos/alice/demo/jobs/{}", jobs[1].id());
    let shown = get(&app, &path, Some("alice"), 200).await;
    assert_eq!(shown["job_id"], jobs[1].id().as_str());
    for (field, value) in [
        ("kind", json!("odd")),
        ("status", json!("pending")),
        ("priority", json!("normal")),
        ("in_turn", json!(true)),
        ("attempts", json!(0)),
        ("payload", json!({"n": 1})),
        ("summary", Value::Null),
        ("error", Value::Null),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert!(shown["enqueued_at"].as_str().unwrap().ends_with('Z'), "{shown}");
}

#[tokio::test]
async fn nobody_but_the_owner_sees_jobs() {
    let (app, jobs) = with_jobs(1).await;
    app.private_repository("alice", "secret").await;
    app.repository("alice", "other").await;
    let id = jobs[0].id();
    for path in ["/api/v1/repos/alice/demo/jobs".to_owned(), format!("/api/v1/repos/alice/demo/jobs/{id}")] {
        get(&app, &path, None, 401).await;
        get(&app, &path, Some("bob"), 403).await;
        get(&app, &path.replace("demo", "absent"), Some("bob"), 404).await;
        get(&app, &path.replace("demo", "secret"), Some("bob"), 404).await;
    }
    // Of another repository of the same owner, and of none.
    get(&app, &format!("/api/v1/repos/alice/other/jobs/{id}"), Some("alice"), 404).await;
    for id in ["0".repeat(64), "x".to_owned(), "A".repeat(64)] {
        get(&app, &format!("/api/v1/repos/alice/demo/jobs/{id}"), Some("alice"), 404).await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let (app, _) = with_jobs(1).await;
    let long = "x".repeat(65);
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=many",
        "status=lost",
        "status=",
        "cursor=",
        "cursor=MTIzNDU",
        "cursor=%00",
        "cursor=MTIuYWJj",
        &format!("kind={long}"),
    ] {
        let answer = get(&app, &format!("/api/v1/repos/alice/demo/jobs?{query}"), Some("alice"), 422).await;
        assert_eq!(answer["code"], "invalid", "{query}");
        assert!(!answer["detail"].as_str().unwrap().is_empty(), "{query}");
    }
}
