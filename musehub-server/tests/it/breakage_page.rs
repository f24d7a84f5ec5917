//! The provider and the page of breakage, with the numbers that the specification gives their tests. T01 to T05 and T31 are about
//! tables and are in the store's `breakage_tables.rs`.

mod grouping;
mod html;
mod integrity;
mod performance;
mod provider;
mod route;
mod security;

use std::time::{Duration, Instant};

use musehub_core::CommitId;
use musehub_core::port::{
    BreakageFilter, BreakageIssue, BreakageMeta, Help, JobKind, JobStatus, NewJob, RemovedBy, Severity,
};
use musehub_server::jobs::{BREAKAGE, Counts, provide_breakage};
use musehub_test_support::history::write;
use musehub_test_support::{History, MuseClient, TestApp};

const PAGE: &str = "/alice/demo/intel/breakage";
const JSON: &str = "/api/v1/repos/alice/demo/intel/breakage";
const MARKUP: &str = "\"'><img src=x onerror=alert(1)>&<script>alert(1)</script>{{7919*7907}}";

/// A hub with the repository alice/demo, pushed to and scanned.
struct Scanned {
    app: TestApp,
    client: MuseClient,
    history: History,
}

impl Scanned {
    async fn new(files: &[(&str, &str)]) -> Self {
        let app = TestApp::new().await;
        let client = app.repository("alice", "demo").await;
        let mut scanned = Self { app, client, history: History::new() };
        scanned.push(files).await;
        scanned
    }

    /// Pushes the files over those that are there, and scans.
    async fn push(&mut self, files: &[(&str, &str)]) {
        self.history.commit("main", "change", |tree| {
            for (path, content) in files {
                write(tree, path, (*content).to_owned());
            }
        });
        self.client.push(&self.history, "main", false).await.unwrap();
        self.app.run_jobs().await;
    }

    /// Runs the scan of the head once more.
    async fn rescan(&self) {
        let repo_id = self.app.record("alice", "demo").await.repo_id;
        let payload = serde_json::json!({"commit": self.head().to_string()}).to_string();
        let job = NewJob::new(JobKind::new(BREAKAGE), repo_id, payload);
        self.app.app.queue.enqueue(&job, self.app.app.clock.now()).await.unwrap();
        assert_eq!(self.app.run_jobs().await, 1);
    }

    fn head(&self) -> CommitId {
        CommitId::parse(self.history.head("main")).unwrap()
    }

    async fn issues(&self) -> Vec<BreakageIssue> {
        issues(&self.app, "demo").await
    }

    async fn meta(&self) -> BreakageMeta {
        meta(&self.app, "demo").await.unwrap()
    }

    async fn html(&self, query: &str) -> String {
        self.app.get(&format!("{PAGE}{query}")).send().await.expect(200).text()
    }

    async fn json(&self, query: &str) -> serde_json::Value {
        self.app.get(&format!("{JSON}{query}")).send().await.expect(200).json()
    }

    /// The files of the rows of a page.
    async fn rows(&self, query: &str) -> Vec<String> {
        let html = self.html(query).await;
        let names = html.split("<span class=\"bk-name\">").skip(1);
        names.filter_map(|rest| rest.split_once('<')).map(|(name, _)| name.to_owned()).collect()
    }
}

async fn issues(app: &TestApp, slug: &str) -> Vec<BreakageIssue> {
    let repo = app.record("alice", slug).await;
    let filter = BreakageFilter { limit: 10_000, ..BreakageFilter::default() };
    app.app.breakage.breakage_issues(&repo.repo_id, &filter).await.unwrap().0
}

async fn meta(app: &TestApp, slug: &str) -> Option<BreakageMeta> {
    let repo = app.record("alice", slug).await;
    app.app.breakage.breakage_meta(&repo.repo_id).await.unwrap()
}

/// Total, warnings, errors and files as a page shows them.
fn chips(html: &str) -> Vec<String> {
    let numbers = html.split("<dd class=\"bk-stat-val\">").skip(1);
    numbers.filter_map(|rest| rest.split_once('<')).map(|(number, _)| number.to_owned()).collect()
}

const PACKAGE: [(&str, &str); 3] = [
    ("pkg/__init__.py", ""),
    ("pkg/a.py", "def here():\n    return 1\n"),
    ("main.py", "from pkg.a import here\n"),
];

/// Two warnings about one name, one about another, and an error.
fn broken() -> Vec<(&'static str, &'static str)> {
    let mut files = PACKAGE.to_vec();
    files.extend([
        ("b.py", "import os\nfrom pkg.a import gone\n"),
        ("c.py", "from pkg.a import gone\n"),
        ("d.py", "from pkg.a import hare\n"),
        ("e.py", "import pkg.absent\n"),
    ]);
    files
}

#[test]
fn every_file_of_this_folder_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/breakage_page");
    musehub_test_support::assert_every_file_is_a_module(include_str!("breakage_page.rs"), folder);
}
