//! Two processes on one database: moves, jobs, and transactions that the database gives up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use musehub_core::port::{HistoryIndex, JobKind, JobQueue, MoveRows, NewJob};
use musehub_store::SqlIndex;
use musehub_test_services::postgres;
use sea_orm::sqlx::{Connection, Executor, Row};

use crate::index_fixtures::{
    Database, at, bare, blob_row, branch, commit_id, create_repositories, entry, repo,
};

const BRANCHES: [&str; 3] = ["main", "feature/one", "feature/two"];
const MOVES: u64 = 25;

/// The move of a branch with its number, its job, and blobs that neighbours have too.
fn numbered_move(name: &str, sequence: u64) -> MoveRows {
    let job = NewJob::new(JobKind::new("scan"), repo(1), format!("{name} {sequence}"));
    let blobs = (sequence..sequence + 40).rev().map(blob_row).collect();
    let mut rows = MoveRows { blobs, jobs: vec![job], ..bare(entry(1, sequence, Some(commit_id(sequence)))) };
    rows.entry.branch = branch(name);
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_sqlite_move_branches_forward_and_claim_each_job_once() {
    race(&Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_postgres_move_branches_forward_and_claim_each_job_once() {
    race(&Database::postgres().await).await;
}

#[tokio::test]
async fn a_transaction_that_the_database_gave_up_is_repeated() {
    let url = postgres::database().await;
    // So a transaction fails that waited for another one's row.
    let strict = format!("{url}?options[default_transaction_isolation]=repeatable%20read");
    let index = SqlIndex::connect(&strict.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    index.record_move(numbered_move("main", 1)).await.unwrap();

    let mut other = postgres::connect(&url).await;
    other.execute("BEGIN; UPDATE musehub_branches SET moved_at = moved_at + 1").await.unwrap();
    let writer = index.clone();
    let waiting = tokio::spawn(async move { writer.record_move(numbered_move("main", 2)).await });
    let mut observer = postgres::connect(&url).await;
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !observer.fetch_one(waits).await.unwrap().get::<bool, _>(0) {
        assert!(!waiting.is_finished(), "it did not wait");
    }
    other.execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(index.branch(&repo(1), &branch("main")).await.unwrap(), (Some(commit_id(2)), 2));
    other.close().await.unwrap();
    observer.close().await.unwrap();
}

async fn race(database: &Database) {
    let handles = [database.open().await, database.open().await];
    create_repositories(&handles[0]).await;
    let done = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(handles[0].clone(), done.clone()));
    let worker = |n: usize| tokio::spawn(work(handles[n % 2].clone(), format!("worker {n}"), done.clone()));
    let workers: Vec<_> = (0..4).map(worker).collect();

    // Every move is recorded by both processes, and not in order.
    let mut writers = Vec::new();
    for (n, handle) in (0_u64..).zip(&handles) {
        for name in BRANCHES {
            for step in 0..MOVES {
                let sequence = 1 + (step * 7 + n * 3) % MOVES;
                let handle = handle.clone();
                writers.push(tokio::spawn(async move {
                    handle.record_move(numbered_move(name, sequence)).await.unwrap();
                }));
            }
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.unwrap());
    }
    watcher.await.unwrap();

    let distinct: HashSet<&String> = claimed.iter().collect();
    assert_eq!(distinct.len(), claimed.len(), "a job was claimed twice");
    assert_eq!(claimed.len(), BRANCHES.len() * usize::try_from(MOVES).unwrap());
    for name in BRANCHES {
        let head = handles[1].branch(&repo(1), &branch(name)).await.unwrap();
        assert_eq!(head, (Some(commit_id(MOVES)), MOVES), "{name}");
    }
}

/// Claims and completes until all moves are made and nothing is left of what came with them.
async fn work(index: SqlIndex, name: String, moved: Arc<AtomicBool>) -> Vec<String> {
    let mut claimed = Vec::new();
    loop {
        let last = moved.load(Ordering::Acquire);
        // No lease runs out meanwhile.
        match index.claim(&name, &["scan"], at(1_000), 1_000_000).await.unwrap() {
            Some(job) => {
                assert_eq!(job.attempts, 1, "{job:?}");
                assert!(index.complete(&job.id, &name, "", at(1_001)).await.unwrap());
                claimed.push(job.work.payload);
            }
            None if last => return claimed,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Sees no branch go back.
async fn watch(index: SqlIndex, done: Arc<AtomicBool>) {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    while !done.load(Ordering::Acquire) {
        for row in index.branches(&repo(1)).await.unwrap() {
            assert_eq!(row.head, commit_id(row.sequence), "head and number are of one move");
            let before = seen.insert(row.name.to_string(), row.sequence).unwrap_or(0);
            assert!(before <= row.sequence, "{} went from {before} to {}", row.name, row.sequence);
        }
        tokio::task::yield_now().await;
    }
}
