//! Two processes on one database: moves, jobs, and transactions that the database gives up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use musehub_core::port::{HistoryIndex, JobKind, JobQueue, MoveRows, NewJob, ProofGuard};
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

/// Ends the first transactions that write anything, so many of them, as the server would for others' sake.
async fn give_up(url: &str, transactions: u32, code: &str) {
    // What a sequence gave is not taken back with the transaction.
    let script = format!(
        "DROP SEQUENCE IF EXISTS tries CASCADE; CREATE SEQUENCE tries; \
        CREATE OR REPLACE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            IF nextval('tries') <= {transactions} THEN \
                RAISE EXCEPTION 'given up' USING ERRCODE = '{code}'; \
            END IF; \
            RETURN NULL; \
        END $$; \
        DO $$ DECLARE name text; BEGIN \
            FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, 'musehub_') LOOP \
                EXECUTE format('CREATE OR REPLACE TRIGGER give_up BEFORE INSERT OR UPDATE OR DELETE ON %I \
                    FOR EACH STATEMENT EXECUTE FUNCTION give_up()', name); \
            END LOOP; \
        END $$"
    );
    postgres::execute(url, &script).await;
}

#[tokio::test]
async fn a_transaction_that_the_database_gave_up_is_repeated_five_times() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    for (sequence, code) in [(1, "40001"), (2, "40P01")] {
        give_up(&url, 5, code).await;
        index.record_move(numbered_move("main", sequence)).await.unwrap();
        assert_eq!(
            index.branch(&repo(1), &branch("main")).await.unwrap(),
            (Some(commit_id(sequence)), sequence)
        );
        give_up(&url, 5, code).await;
        let job = NewJob::new(JobKind::new("scan"), repo(1), code.to_owned());
        index.enqueue(&job, at(0)).await.unwrap();
        give_up(&url, 5, code).await;
        index.forget_spent(at(0)).await.unwrap();
    }
}

#[tokio::test]
async fn a_sixth_failure_is_the_callers_and_so_is_the_first_of_another_kind() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    for (failures, code) in [(6, "40001"), (6, "40P01"), (1, "53100")] {
        give_up(&url, failures, code).await;
        let error = index.record_move(numbered_move("main", 1)).await.unwrap_err();
        assert!(format!("{error:?}").contains("given up"), "{error:?}");
        assert_eq!(index.branch(&repo(1), &branch("main")).await.unwrap(), (None, 0));
        // All were counted: the next one passes.
        index.forget_spent(at(0)).await.unwrap();
    }
}

#[tokio::test]
async fn turns_are_given_in_order_whatever_the_url_says_of_isolation() {
    let url = postgres::database().await;
    let strict = format!("{url}?options[default_transaction_isolation]=repeatable%20read");
    let index = SqlIndex::connect(&strict.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    let job = |payload: &str| NewJob::new(JobKind::new("scan").in_turn(), repo(1), payload.to_owned());
    index.enqueue(&job("first"), at(0)).await.unwrap();

    // Somebody gives turns, and is not done.
    let mut other = postgres::connect(&url).await;
    let giving =
        "BEGIN; SELECT 1 FROM musehub_repos FOR NO KEY UPDATE; UPDATE musehub_background_jobs SET turn = 7";
    other.execute(giving).await.unwrap();
    let second = job("second");
    let writer = index.clone();
    let waiting = tokio::spawn(async move { writer.enqueue(&second, at(1)).await });
    let mut observer = postgres::connect(&url).await;
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !observer.fetch_one(waits).await.unwrap().get::<bool, _>(0) {
        assert!(!waiting.is_finished(), "it did not wait");
    }
    other.execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();
    let turn = "SELECT turn FROM musehub_background_jobs WHERE payload = 'second'";
    assert_eq!(observer.fetch_one(turn).await.unwrap().get::<i64, _>(0), 8);
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
