//! The job queue in the SQL index.

use std::collections::HashSet;

use musehub_core::port::{BackendError, JobKind, JobQueue, JobStatus, Lease, NewJob};

use crate::index_fixtures::{Database, HOSTILE, at, create_repositories, index, repo};

fn job(repo_number: u64, kind: &str, payload: &str) -> NewJob {
    let new = NewJob::new(JobKind::new("named below"), repo(repo_number), payload.to_owned());
    NewJob { kind: kind.to_owned(), ..new }
}

#[tokio::test]
async fn jobs_are_claimed_oldest_first_and_by_kind() {
    let index = index().await;
    for (n, kind) in [(3, "scan"), (1, "scan"), (2, "fold")] {
        index.enqueue(&job(1, kind, &n.to_string()), at(n)).await.unwrap();
    }
    assert_eq!(index.claim("w", &["other"], at(9), 100).await.unwrap(), None);
    assert_eq!(index.claim("w", &[], at(9), 100).await.unwrap(), None);
    assert_eq!(index.claim("w", &["scan"], at(0), 100).await.unwrap(), None, "none is due");

    let first = index.claim("w", &["scan"], at(9), 100).await.unwrap().unwrap();
    assert_eq!((first.work, first.status, first.attempts), (job(1, "scan", "1"), JobStatus::Running, 1));
    let second = index.claim("w", &["scan", "fold"], at(9), 100).await.unwrap().unwrap();
    assert_eq!(second.work, job(1, "fold", "2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_workers_each_job_goes_to_one() {
    let database = Database::new().await;
    // As two processes would: the workers share two handles on one database.
    let handles = [database.open().await, database.open().await];
    create_repositories(&handles[0]).await;
    for n in 0..100 {
        handles[0].enqueue(&job(1, "scan", &n.to_string()), at(n)).await.unwrap();
    }
    let workers = (0..16).map(|n| {
        let index = handles[n % 2].clone();
        tokio::spawn(async move {
            let (worker, mut claimed) = (format!("worker {n}"), Vec::new());
            while let Some(job) = index.claim(&worker, &["scan"], at(1_000), 1_000).await.unwrap() {
                assert!(index.complete(&job.id, &worker, "", at(1_001)).await.unwrap());
                claimed.push(job.work.payload);
            }
            claimed
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.unwrap());
    }
    assert_eq!(all.len(), 100);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 100);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_claimed_again_and_its_worker_changes_nothing_more() {
    let index = index().await;
    let id = job(1, "scan", "").id();
    index.enqueue(&job(1, "scan", ""), at(0)).await.unwrap();
    index.claim("slow", &["scan"], at(0), 100).await.unwrap().unwrap();
    assert_eq!(index.claim("quick", &["scan"], at(99), 100).await.unwrap(), None, "the lease holds");
    assert_eq!(index.heartbeat(&id, "slow", at(200)).await.unwrap(), Lease::Held);
    assert_eq!(index.claim("quick", &["scan"], at(199), 100).await.unwrap(), None, "it was prolonged");

    let again = index.claim("quick", &["scan"], at(200), 100).await.unwrap().unwrap();
    assert_eq!(again.attempts, 2);
    assert_eq!(index.heartbeat(&id, "slow", at(900)).await.unwrap(), Lease::Lost);
    assert!(!index.complete(&id, "slow", "", at(250)).await.unwrap());
    assert!(!index.fail(&id, "slow", "late", None).await.unwrap());
    assert!(index.complete(&id, "quick", "all well", at(250)).await.unwrap());
    assert!(!index.complete(&id, "quick", "twice", at(251)).await.unwrap());
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!((latest.status, latest.error), (JobStatus::Done, None));
}

#[tokio::test]
async fn a_failed_job_waits_for_its_time_or_for_ever() {
    let index = index().await;
    let id = job(1, "scan", "").id();
    index.enqueue(&job(1, "scan", ""), at(0)).await.unwrap();
    index.claim("w", &["scan"], at(0), 100).await.unwrap().unwrap();
    assert!(index.fail(&id, "w", "once", Some(at(500))).await.unwrap());
    assert_eq!(index.claim("w", &["scan"], at(499), 100).await.unwrap(), None);
    let retried = index.claim("w", &["scan"], at(500), 100).await.unwrap().unwrap();
    assert_eq!((retried.attempts, retried.error.as_deref()), (2, Some("once")));

    assert!(index.fail(&id, "w", "for good", None).await.unwrap());
    assert_eq!(index.claim("w", &["scan"], at(9_999), 100).await.unwrap(), None);
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!((latest.status, latest.error.as_deref()), (JobStatus::Failed, Some("for good")));

    index.enqueue(&job(1, "scan", ""), at(600)).await.unwrap();
    let anew = index.claim("w", &["scan"], at(600), 100).await.unwrap().unwrap();
    assert_eq!((anew.attempts, anew.error), (1, None));
}

#[tokio::test]
async fn enqueuing_what_waits_or_runs_is_once() {
    let index = index().await;
    index.enqueue(&job(1, "scan", ""), at(0)).await.unwrap();
    index.enqueue(&job(1, "scan", ""), at(5)).await.unwrap();
    index.claim("w", &["scan"], at(0), 100).await.unwrap().unwrap();
    index.enqueue(&job(1, "scan", ""), at(6)).await.unwrap();
    assert_eq!(index.claim("w", &["scan"], at(50), 100).await.unwrap(), None);
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!((latest.status, latest.attempts), (JobStatus::Running, 1));
}

#[tokio::test]
async fn the_latest_job_is_of_its_repository_and_kind() {
    let index = index().await;
    for (repo_number, kind, n) in [(1, "scan", 1), (1, "scan", 2), (1, "fold", 3), (2, "scan", 4)] {
        index.enqueue(&job(repo_number, kind, &n.to_string()), at(n)).await.unwrap();
    }
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!(latest.work, job(1, "scan", "2"));
    assert_eq!(index.latest(&repo(2), "fold").await.unwrap(), None);
}

#[tokio::test]
async fn work_on_an_unknown_repository_is_refused() {
    let refused = index().await.enqueue(&job(9, "scan", ""), at(0)).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
}

#[tokio::test]
async fn hostile_texts_come_back_verbatim() {
    let index = index().await;
    for text in HOSTILE {
        let work = job(1, text, text);
        index.enqueue(&work, at(0)).await.unwrap();
        let claimed = index.claim(text, &[text], at(1), 100).await.unwrap().unwrap();
        assert_eq!(claimed.work, work);
        assert!(index.fail(&claimed.id, text, text, None).await.unwrap());
        let latest = index.latest(&repo(1), text).await.unwrap().unwrap();
        assert_eq!(latest.error.as_deref(), Some(*text));
    }
}
