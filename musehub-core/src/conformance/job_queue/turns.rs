//! Which job comes next: priorities, and jobs that come in turn.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::super::fixtures::{at, create_repositories, repo};
use super::{KINDS, LEASE, claim, claim_some, complete, enqueue, fail, scan};
use crate::port::{Job, JobKind, JobPriority, JobQueue, NewJob, RepositoryIndex};

const IN_TURN: JobKind = JobKind::new("scan").in_turn();

/// The `n`-th scan of those that come in turn.
fn turn(n: usize) -> NewJob {
    NewJob::new(IN_TURN, repo(1), n.to_string())
}

pub(super) async fn higher_priorities_come_first<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    let job = |priority, n: usize| {
        NewJob::new(JobKind::new("scan").with_priority(priority), repo(1), n.to_string())
    };
    let (high, normal, low) = (JobPriority::High, JobPriority::Normal, JobPriority::Low);
    for (n, priority) in [low, normal, high, normal, high, low].into_iter().enumerate() {
        enqueue(queue, &job(priority, n), i64::try_from(n).expect("a few")).await;
    }
    for expected in [job(high, 2), job(high, 4), job(normal, 1), job(normal, 3), job(low, 0), job(low, 5)] {
        assert_eq!(claim_some(queue, "w", 10).await.work, expected, "by priority, then by age");
    }
    enqueue(queue, &job(low, 6), 20).await;
    let claimed = claim_some(queue, "w", 20).await;
    enqueue(queue, &job(high, 7), 21).await;
    assert!(fail(queue, &claimed.id, "w", "e", Some(30)).await, "its worker gives it back");
    let high = claim_some(queue, "w", 40).await;
    assert_eq!(high.work.payload, "7", "a job of high priority overtakes one that waited longer");
}

pub(super) async fn jobs_in_turn_run_one_after_the_other<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    // All of one moment: the order is that of enqueuing, not of ids.
    for n in 0..8 {
        enqueue(queue, &turn(n), 0).await;
    }
    for n in 0..8 {
        let job = claim_some(queue, "w", 10).await;
        assert_eq!(job.work, turn(n), "in the order in which they were enqueued");
        assert_eq!(claim(queue, "other", 10).await, None, "while one runs, the next one waits");
        if n % 2 == 0 {
            assert!(complete(queue, &job.id, "w", 11).await, "its worker completes it");
        } else {
            assert!(fail(queue, &job.id, "w", "broken", None).await, "its worker gives it up");
        }
    }
    assert_eq!(claim(queue, "w", 12).await, None, "all have had their turn");
}

pub(super) async fn a_job_in_turn_waits_for_the_next_try_of_the_one_ahead<B: RepositoryIndex + JobQueue>(
    queue: &B,
) {
    create_repositories(queue, 1).await;
    for n in 0..2 {
        enqueue(queue, &turn(n), 0).await;
    }
    let first = claim_some(queue, "w", 0).await;
    assert!(fail(queue, &first.id, "w", "later", Some(500)).await, "its worker gives it back");
    assert_eq!(claim(queue, "w", 499).await, None, "the one behind does not overtake it");
    assert_eq!(claim_some(queue, "w", 500).await.work, turn(0), "it is tried again");
    assert!(complete(queue, &first.id, "w", 501).await, "its worker completes it");
    assert_eq!(claim_some(queue, "w", 502).await.work, turn(1), "and then comes the next");
}

pub(super) async fn a_job_in_turn_that_lost_its_worker_comes_before_those_behind_it<B>(queue: &B)
where
    B: RepositoryIndex + JobQueue,
{
    create_repositories(queue, 1).await;
    for n in 0..3 {
        enqueue(queue, &turn(n), 0).await;
    }
    claim_some(queue, "gone", 0).await;
    assert_eq!(claim(queue, "w", LEASE - 1).await, None, "the lease holds");
    let job = claim_some(queue, "w", LEASE + 1).await;
    assert_eq!((job.work, job.attempts), (turn(0), 2), "it runs again, before the others");
    assert_eq!(claim(queue, "other", LEASE + 2).await, None, "which wait for it");
}

pub(super) async fn turns_are_of_one_kind_and_repository<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 2).await;
    let of = |kind, n| NewJob::new(kind, repo(n), "{}".to_owned());
    enqueue(queue, &turn(0), 0).await;
    enqueue(queue, &turn(1), 1).await;
    enqueue(queue, &of(IN_TURN, 2), 2).await;
    enqueue(queue, &of(JobKind::new("fold").in_turn(), 1), 3).await;
    enqueue(queue, &scan(7), 4).await;
    let mut claimed = Vec::new();
    while let Some(job) = queue.claim("w", &["scan", "fold"], at(10), LEASE).await.expect("claim") {
        claimed.push(job.work);
    }
    let expected = [turn(0), of(IN_TURN, 2), of(JobKind::new("fold").in_turn(), 1), scan(7)];
    assert_eq!(claimed, expected, "only what is of the same kind and repository waits");
}

pub(super) async fn work_enqueued_anew_goes_to_the_end_of_its_turn<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &turn(0), 0).await;
    let job = claim_some(queue, "w", 0).await;
    enqueue(queue, &turn(1), 1).await;
    assert!(complete(queue, &job.id, "w", 2).await, "its worker completes it");
    enqueue(queue, &turn(0), 3).await;
    enqueue(queue, &turn(1), 3).await;
    for n in [1, 0] {
        let job = claim_some(queue, "w", 4).await;
        assert_eq!(job.work, turn(n), "what was done and is wanted again waits behind what waited meanwhile");
        assert!(complete(queue, &job.id, "w", 5).await, "its worker completes it");
    }
}

pub(super) async fn many_workers_never_run_two_jobs_of_one_turn<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 3).await;
    const EACH: usize = 6;
    let job = |r: u64, n: usize| NewJob::new(IN_TURN, repo(r), n.to_string());
    join_all((0..EACH).flat_map(|n| (1..=3).map(move |r| (r, n))).map(|(r, n)| {
        let work = job(r, n);
        async move { enqueue(queue, &work, 0).await }
    }))
    .await;
    let workers: Vec<String> = (0..10).map(|n| format!("worker {n}")).collect();
    let mut done = BTreeMap::<String, BTreeSet<String>>::new();
    for round in 0..EACH {
        let claims = join_all(workers.iter().map(|worker| queue.claim(worker, KINDS, at(1), LEASE))).await;
        let claims: Vec<Option<Job>> = claims.into_iter().map(|claimed| claimed.expect("claim")).collect();
        let claimed: Vec<&Job> = claims.iter().flatten().collect();
        let repos: BTreeSet<&str> = claimed.iter().map(|job| job.work.repo_id.as_str()).collect();
        assert_eq!((claimed.len(), repos.len()), (3, 3), "round {round}: one of each repository runs");
        for (worker, job) in workers.iter().zip(&claims) {
            let Some(job) = job else { continue };
            let of_repo = done.entry(job.work.repo_id.as_str().to_owned()).or_default();
            assert!(of_repo.insert(job.work.payload.clone()), "each runs once");
            assert!(complete(queue, &job.id, worker, 2).await, "its worker completes it");
        }
    }
    assert!(done.values().all(|payloads| payloads.len() == EACH), "all have run");
}
