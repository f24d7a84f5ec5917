//! Two processes on one database: moves, jobs, and transactions that the database gives up.

use std::collections::{BTreeMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use musehub_core::port::{
    FactCache, HistoryIndex, Identity, IdentityStore, JobKind, JobQueue, MaintenanceIndex, MoveRows, NewJob,
    ProofGuard, ReleaseStore, Relocation,
};
use musehub_core::release::CommitTag;
use musehub_store::SqlIndex;
use musehub_test_services::postgres;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::index_fixtures::{
    Database, at, bare, blob_id, blob_row, branch, commit_id, create_repositories, entry, handle, place, repo,
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
async fn a_backup_is_restored_from_its_beginning_where_the_database_gave_it_up() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    for name in ["alice", "bob"] {
        let identity = Identity { handle: handle(name), spawned_by: None, created_at: at(0) };
        index.add_identity(&identity).await.unwrap();
    }
    let mut backup = Vec::new();
    assert_eq!(index.backup(&mut backup, at(1)).await.unwrap(), 2);
    give_up(&url, 5, "40001").await;
    assert_eq!(index.restore(&mut Cursor::new(&backup), true).await.unwrap(), 2);
    let other = SqlIndex::connect(&postgres::database().await.parse().unwrap()).await.unwrap();
    create_repositories(&other).await;
    other.carry_over(&index).await.unwrap();
    assert!(other.identity(&handle("bob")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_tag_that_somebody_else_added_meanwhile_is_not_counted() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    let mut other = postgres::connect(&url).await;
    let theirs = format!(
        "BEGIN; INSERT INTO musehub_wire_tags (repo_id, label, commit_id, tag_id, created_at, tagger) \
        VALUES ('{}', 'v1', '{}', 'theirs', 'then', 'owner')",
        repo(1),
        commit_id(1)
    );
    other.execute(AssertSqlSafe(theirs)).await.unwrap();
    let tags = [tag(1, "v1"), tag(2, "v2"), tag(2, "v2")];
    let writer = index.clone();
    let waiting = tokio::spawn(async move { writer.add_tags(&repo(1), &tags).await });
    let mut observer = postgres::connect(&url).await;
    wait_for_a_lock(&mut observer, &waiting).await;
    other.execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 1, "the second one, once");
    other.close().await.unwrap();
    observer.close().await.unwrap();
}

fn tag(n: u64, label: &str) -> CommitTag {
    CommitTag {
        label: label.to_owned(),
        commit: commit_id(n),
        tag_id: format!("tag-{n}"),
        created_at: "then".to_owned(),
        tagger: handle("owner"),
    }
}

/// What was given, and the same the other way round.
fn both_ways<T: Clone>(rows: Vec<T>) -> [Vec<T>; 2] {
    let mut reversed = rows.clone();
    reversed.reverse();
    [rows, reversed]
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_the_same_rows_never_wait_for_each_other() {
    let url = postgres::database().await;
    let index = SqlIndex::connect(&url.parse().unwrap()).await.unwrap();
    create_repositories(&index).await;
    const ROWS: u64 = 1_200;
    let blobs = (0..ROWS).map(blob_row).collect();
    index.record_move(MoveRows { blobs, ..bare(entry(1, 1, Some(commit_id(1)))) }).await.unwrap();
    for round in 0..4 {
        let of_round = || (0..ROWS).map(move |n| round * ROWS + n);
        let facts = of_round().map(|n| (blob_id(n), "{}".to_owned())).collect();
        let tags = of_round().map(|n| tag(n, &format!("label-{n}"))).collect();
        let moved =
            |n: u64| Relocation { key: blob_id(n).key(), from: place(n + round), to: place(n + round + 1) };
        let moves = (0..ROWS).map(moved).collect();
        let mut writers = Vec::new();
        for ((facts, tags), moves) in both_ways(facts).into_iter().zip(both_ways(tags)).zip(both_ways(moves))
        {
            let [a, b, c] = [index.clone(), index.clone(), index.clone()];
            writers.push(tokio::spawn(async move { a.put_facts("kind", &facts).await }));
            writers.push(tokio::spawn(async move { b.add_tags(&repo(1), &tags).await.map(drop) }));
            writers.push(tokio::spawn(async move { c.relocate(&moves).await.map(drop) }));
        }
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
    }
    index.close().await.unwrap();
    let mut observer = postgres::connect(&url).await;
    // A session tells what it counted when it ends, if not before.
    let others = "SELECT COUNT(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while observer.fetch_one(others).await.unwrap().get::<i64, _>(0) > 0 {
        tokio::task::yield_now().await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(observer.fetch_one(deadlocks).await.unwrap().get::<i64, _>(0), 0);
    observer.close().await.unwrap();
}

/// Waits until somebody waits for a lock.
async fn wait_for_a_lock<T>(observer: &mut PgConnection, waiting: &tokio::task::JoinHandle<T>) {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !observer.fetch_one(waits).await.unwrap().get::<bool, _>(0) {
        assert!(!waiting.is_finished(), "it did not wait");
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
    wait_for_a_lock(&mut observer, &waiting).await;
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
