//! The SQL index keeps the contracts of core's ports, on every engine.

use std::sync::atomic::{AtomicU64, Ordering};

use musehub_core::conformance::{
    access, branch_claims, fetch_packs, history_index, identity, index_pages, intel, job_control, job_queue,
    maintenance_index, proposals, rate_limits, release_store, repository_index, unstored_index,
};

use crate::index_fixtures::{Database, SqlIndex};

#[tokio::test]
async fn sqlite_in_memory() {
    run(|| async { SqlIndex::in_memory().await.unwrap() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    let fresh = || async {
        let name = format!("{}.db", count.fetch_add(1, Ordering::Relaxed));
        SqlIndex::open(&directory.path().join(name)).await.unwrap()
    };
    run(fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    run(|| async { Database::postgres().await.open().await }).await;
}

async fn run<F: Future<Output = SqlIndex>>(fresh: impl Fn() -> F) {
    repository_index::run(&fresh).await;
    history_index::run(&fresh).await;
    index_pages::run(&fresh).await;
    unstored_index::run(&fresh).await;
    branch_claims::run(&fresh).await;
    job_queue::run(&fresh).await;
    job_control::run(&fresh).await;
    fetch_packs::run(&fresh).await;
    maintenance_index::run(&fresh).await;
    intel::run(&fresh).await;
    identity::run(&fresh).await;
    proposals::run(&fresh).await;
    rate_limits::run(&fresh).await;
    access::run(&fresh).await;
    release_store::run(&fresh).await;
}
