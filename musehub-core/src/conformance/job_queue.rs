//! The contract of [`JobQueue`].

use std::collections::BTreeSet;

use futures::future::join_all;

use super::fixtures::{at, create_repositories, repo};
use super::run_cases;
use crate::port::{GiveBack, Job, JobId, JobKind, JobQueue, JobStatus, Lease, NewJob, RepositoryIndex};

mod turns;

/// How long the cases lease jobs, in milliseconds.
const LEASE: i64 = 1_000;

const KINDS: &[&str] = &["scan"];

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`JobQueue`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex + JobQueue,
{
    run_cases!(
        "job_queue",
        fresh,
        [
            an_empty_queue_gives_nothing,
            a_job_comes_back_as_it_was_enqueued,
            the_oldest_job_comes_first,
            only_the_kinds_asked_for_are_claimed,
            work_enqueued_twice_is_one_job,
            each_job_is_claimed_once,
            a_lease_runs_out,
            a_heartbeat_prolongs_a_lease,
            a_lost_lease_changes_nothing,
            strangers_change_nothing,
            a_failed_job_waits_for_its_time,
            a_job_given_up_stays_with_its_error,
            done_work_starts_anew_when_enqueued,
            running_work_stays_as_it_is_when_enqueued,
            the_latest_job_is_the_newest_of_its_kind,
            work_given_back_is_due_at_once_and_its_attempt_does_not_count,
            turns::higher_priorities_come_first,
            turns::jobs_in_turn_run_one_after_the_other,
            turns::a_job_in_turn_waits_for_the_next_try_of_the_one_ahead,
            turns::a_job_in_turn_that_lost_its_worker_comes_before_those_behind_it,
            turns::turns_are_of_one_kind_and_repository,
            turns::work_enqueued_anew_goes_to_the_end_of_its_turn,
            turns::many_workers_never_run_two_jobs_of_one_turn,
        ]
    );
}

fn scan(n: usize) -> NewJob {
    NewJob::new(JobKind::new("scan"), repo(1), format!("{{\"n\":{n}}}"))
}

/// Work as the queue knows it that was enqueued at a time.
fn waiting(work: NewJob, millis: i64) -> Job {
    Job {
        id: work.id(),
        work,
        status: JobStatus::Pending,
        attempts: 0,
        error: None,
        summary: None,
        cancel_requested: false,
        enqueued_at: at(millis),
        due_at: at(millis),
        updated_at: at(millis),
    }
}

async fn enqueue<B: JobQueue>(queue: &B, job: &NewJob, millis: i64) {
    queue.enqueue(job, at(millis)).await.expect("enqueue");
}

async fn claim<B: JobQueue>(queue: &B, worker: &str, millis: i64) -> Option<Job> {
    queue.claim(worker, KINDS, at(millis), LEASE).await.expect("claim")
}

/// Claims a job that must be there.
async fn claim_some<B: JobQueue>(queue: &B, worker: &str, millis: i64) -> Job {
    let job = claim(queue, worker, millis).await.expect("a job is due");
    assert_eq!(job.status, JobStatus::Running, "a claimed job is running");
    job
}

async fn complete<B: JobQueue>(queue: &B, job: &JobId, worker: &str, millis: i64) -> bool {
    queue.complete(job, worker, "{\"took\":1}", at(millis)).await.expect("complete")
}

async fn fail<B: JobQueue>(queue: &B, job: &JobId, worker: &str, error: &str, retry: Option<i64>) -> bool {
    queue.fail(job, worker, error, retry.map(at)).await.expect("fail")
}

/// Whether the lease is the worker's, for longer.
async fn heartbeat<B: JobQueue>(queue: &B, job: &JobId, worker: &str, until: i64) -> bool {
    queue.heartbeat(job, worker, at(until)).await.expect("heartbeat") == Lease::Held
}

/// The newest scan, which must be there.
async fn latest<B: JobQueue>(queue: &B) -> Job {
    queue.latest(&repo(1), "scan").await.expect("latest").expect("a scan was enqueued")
}

async fn an_empty_queue_gives_nothing<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    assert_eq!(claim(queue, "w", 0).await, None, "nothing to claim");
    assert_eq!(queue.latest(&repo(1), "scan").await.expect("latest"), None, "nothing was enqueued");
    let unknown = scan(1).id();
    assert!(!complete(queue, &unknown, "w", 0).await, "an unknown job cannot be completed");
    assert!(!fail(queue, &unknown, "w", "e", Some(1)).await, "an unknown job cannot fail");
    assert!(!heartbeat(queue, &unknown, "w", 1).await, "an unknown job has no lease");
}

async fn a_job_comes_back_as_it_was_enqueued<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    let payload = r#"{"ref": "Ünï", "quotes": "'\"", "n": 1.0}"#.to_owned();
    let work = NewJob { payload, ..scan(0) };
    enqueue(queue, &work, 0).await;
    let expected = waiting(work, 0);
    assert_eq!(latest(queue).await, expected, "a job waits");
    let expected = Job { status: JobStatus::Running, attempts: 1, updated_at: at(5), ..expected };
    assert_eq!(claim(queue, "w", 5).await, Some(expected.clone()), "a job is due at once");
    assert_eq!(latest(queue).await, expected, "a job runs");
    assert!(complete(queue, &expected.id, "w", 7).await, "its worker completes it");
    let summary = Some("{\"took\":1}".to_owned());
    let expected = Job { status: JobStatus::Done, summary, updated_at: at(7), ..expected };
    assert_eq!(latest(queue).await, expected, "a job is done");
    assert_eq!(claim(queue, "w", 1_000_000).await, None, "a job that is done is not claimed again");
}

async fn the_oldest_job_comes_first<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    for (n, millis) in [(0, 30), (1, 10), (2, 40), (3, 20)] {
        enqueue(queue, &scan(n), millis).await;
    }
    for n in [1, 3, 0, 2] {
        assert_eq!(claim_some(queue, "w", 50).await.work, scan(n), "jobs are claimed oldest first");
    }
    assert_eq!(claim(queue, "w", 50).await, None, "all are claimed");
}

async fn only_the_kinds_asked_for_are_claimed<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    let work = |kind: &str| NewJob { kind: kind.to_owned(), ..scan(0) };
    for (kind, millis) in [("scan", 0), ("intel.code.breakage", 1), ("fold", 2)] {
        enqueue(queue, &work(kind), millis).await;
    }
    for (kinds, expected) in [
        (&[][..], None),
        (&["unknown", "Scan", "sca", "scan.", "%"], None),
        (&["fold", "intel.code.breakage"], Some("intel.code.breakage")),
        (&["fold", "intel.code.breakage"], Some("fold")),
        (&["fold", "intel.code.breakage"], None),
        (&["scan"], Some("scan")),
    ] {
        let job = queue.claim("w", kinds, at(10), LEASE).await.expect("claim");
        assert_eq!(job.map(|job| job.work), expected.map(work), "claiming among {kinds:?}");
    }
}

async fn work_enqueued_twice_is_one_job<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 2).await;
    let elsewhere = NewJob { repo_id: repo(2), ..scan(1) };
    for (work, millis) in [(scan(1), 0), (scan(1), 1), (scan(2), 2), (scan(1), 3), (elsewhere.clone(), 4)] {
        enqueue(queue, &work, millis).await;
    }
    for result in join_all((0..10).map(|_| queue.enqueue(&elsewhere, at(5)))).await {
        result.expect("enqueuing at the same time is harmless");
    }
    for expected in [scan(1), scan(2), elsewhere] {
        let job = claim_some(queue, "w", 10).await;
        assert_eq!((job.work, job.attempts), (expected, 1), "each work once, by its first time");
    }
    assert_eq!(claim(queue, "w", 10).await, None, "work enqueued twice is one job");
}

async fn each_job_is_claimed_once<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    for n in 0..20 {
        enqueue(queue, &scan(n), 0).await;
    }
    let workers: Vec<String> = (0..50).map(|n| format!("worker {n}")).collect();
    let claims = join_all(workers.iter().map(|worker| claim(queue, worker, 1))).await;
    let claimed: Vec<&Job> = claims.iter().flatten().collect();
    let ids: BTreeSet<&JobId> = claimed.iter().map(|job| &job.id).collect();
    assert_eq!(
        (claimed.len(), ids.len()),
        (20, 20),
        "of many workers, one claims each job, and every job is claimed"
    );
    for (worker, job) in workers.iter().zip(&claims) {
        if let Some(job) = job {
            assert_eq!(job.attempts, 1, "claimed once");
            assert!(complete(queue, &job.id, worker, 2).await, "whoever claimed a job completes it");
        }
    }
}

async fn a_lease_runs_out<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    claim_some(queue, "first", 100).await;
    for millis in [100, 100 + LEASE - 1] {
        assert_eq!(claim(queue, "second", millis).await, None, "a leased job is not claimed");
        assert_eq!(claim(queue, "first", millis).await, None, "nor by its own worker");
    }
    let job = claim_some(queue, "second", 100 + LEASE + 1).await;
    assert_eq!((job.work, job.attempts), (scan(1), 2), "a job whose lease ran out is claimed again");
    assert_eq!(claim(queue, "third", 100 + 2 * LEASE).await, None, "the new lease holds");
}

async fn a_heartbeat_prolongs_a_lease<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    let job = claim_some(queue, "first", 0).await;
    for beat in 1..=5 {
        assert!(heartbeat(queue, &job.id, "first", beat * LEASE + LEASE).await, "its worker holds the lease");
        assert_eq!(claim(queue, "second", beat * LEASE + LEASE - 1).await, None, "a prolonged lease holds");
    }
    assert!(claim(queue, "second", 6 * LEASE + 1).await.is_some(), "a prolonged lease runs out too");
}

async fn a_lost_lease_changes_nothing<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    let job = claim_some(queue, "first", 0).await;
    let taken = claim_some(queue, "second", LEASE + 1).await;
    assert!(!heartbeat(queue, &job.id, "first", 100 * LEASE).await, "a lost lease is not prolonged");
    assert!(
        !fail(queue, &job.id, "first", "late", Some(0)).await,
        "a worker that lost its lease fails nothing"
    );
    assert!(!fail(queue, &job.id, "first", "late", None).await, "nor gives it up");
    assert!(!complete(queue, &job.id, "first", LEASE + 2).await, "nor completes it");
    assert_eq!(latest(queue).await, taken, "nothing has changed");
    assert!(complete(queue, &job.id, "second", LEASE + 3).await, "the present worker completes it");
    assert!(!complete(queue, &job.id, "second", LEASE + 4).await, "once");
    assert!(!fail(queue, &job.id, "second", "late", Some(0)).await, "a job that is done fails no more");
    assert!(!heartbeat(queue, &job.id, "second", 100 * LEASE).await, "a job that is done has no lease");
    assert_eq!(latest(queue).await.status, JobStatus::Done, "done stays done");
}

async fn strangers_change_nothing<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    for status in [JobStatus::Pending, JobStatus::Running] {
        let job = latest(queue).await;
        assert_eq!(job.status, status, "the job before a stranger comes");
        assert!(!heartbeat(queue, &job.id, "stranger", 100 * LEASE).await, "a stranger prolongs nothing");
        assert!(!complete(queue, &job.id, "stranger", 0).await, "a stranger completes nothing");
        assert!(!fail(queue, &job.id, "stranger", "e", None).await, "a stranger gives nothing up");
        assert_eq!(latest(queue).await, job, "nothing has changed");
        claim(queue, "worker", 0).await;
    }
}

async fn a_failed_job_waits_for_its_time<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    for attempt in 1..=3 {
        let start = i64::from(attempt) * 1_000_000;
        let job = claim_some(queue, "w", start).await;
        assert_eq!(job.attempts, attempt, "attempts count claims");
        let before = (attempt > 1).then(|| format!("error {}", attempt - 1));
        assert_eq!(job.error, before, "a job carries the error of its last attempt");
        let error = format!("error {attempt}");
        assert!(fail(queue, &job.id, "w", &error, Some(start + 1_000_000)).await, "its worker gives it back");
        let due_at = at(start + 1_000_000);
        let expected = Job { status: JobStatus::Pending, error: Some(error), due_at, ..job };
        assert_eq!(latest(queue).await, expected, "a job to be tried again waits, with its error");
        assert!(!heartbeat(queue, &expected.id, "w", start).await, "a job given back has no lease");
        assert_eq!(claim(queue, "w", start + 999_999).await, None, "a job is not due before its time");
    }
    enqueue(queue, &scan(1), 1).await;
    assert_eq!(claim(queue, "w", 3_999_999).await, None, "enqueuing what waits does not hasten it");
    assert!(claim(queue, "w", 4_000_000).await.is_some(), "a job is due at its time");
}

async fn a_job_given_up_stays_with_its_error<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    let job = claim_some(queue, "w", 0).await;
    assert!(fail(queue, &job.id, "w", "broken: 'x' \u{1f980}", None).await, "its worker gives it up");
    let expected = Job { status: JobStatus::Failed, error: Some("broken: 'x' \u{1f980}".to_owned()), ..job };
    assert_eq!(latest(queue).await, expected, "a job given up keeps its error");
    assert_eq!(claim(queue, "w", 1_000_000_000).await, None, "a job given up is not claimed");
    assert!(!complete(queue, &expected.id, "w", 0).await, "a job given up is not completed");
    enqueue(queue, &scan(1), 10).await;
    let anew = claim_some(queue, "w", 10).await;
    assert_eq!((anew.attempts, anew.error), (1, None), "enqueued again, it starts anew");
}

async fn done_work_starts_anew_when_enqueued<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    for round in 0..3 {
        enqueue(queue, &scan(1), round * 100).await;
        let waiting = waiting(scan(1), round * 100);
        let expected = Job { status: JobStatus::Running, attempts: 1, ..waiting };
        assert_eq!(claim_some(queue, "w", round * 100).await, expected, "work that was done starts anew");
        assert_eq!(claim(queue, "w", round * 100).await, None, "once");
        assert!(complete(queue, &expected.id, "w", round * 100 + 1).await, "its worker completes it");
    }
}

async fn running_work_stays_as_it_is_when_enqueued<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    let job = claim_some(queue, "w", 0).await;
    enqueue(queue, &scan(1), 1).await;
    assert_eq!(latest(queue).await, job, "running work stays as it is");
    assert_eq!(claim(queue, "other", 2).await, None, "running work is not claimed by another");
    assert!(complete(queue, &job.id, "w", 3).await, "its worker still holds the lease");
}

async fn the_latest_job_is_the_newest_of_its_kind<B: RepositoryIndex + JobQueue>(queue: &B) {
    create_repositories(queue, 2).await;
    for (n, millis) in [(1, 10), (3, 30), (2, 20)] {
        enqueue(queue, &scan(n), millis).await;
    }
    enqueue(queue, &NewJob { kind: "fold".to_owned(), ..scan(4) }, 40).await;
    enqueue(queue, &NewJob { repo_id: repo(2), ..scan(5) }, 50).await;
    assert_eq!(latest(queue).await.work, scan(3), "the newest of this kind and repository");
    let job = claim_some(queue, "w", 60).await;
    assert_eq!(job.work, scan(1), "the oldest is claimed");
    assert!(complete(queue, &job.id, "w", 61).await, "its worker completes it");
    assert_eq!(latest(queue).await.work, scan(3), "an older job that is done is not the newest");
    enqueue(queue, &scan(1), 70).await;
    assert_eq!(latest(queue).await.work, scan(1), "work enqueued anew is the newest");
    let job = claim_some(queue, "w", 80).await;
    assert_eq!(job.work, scan(2), "the oldest that waits is claimed");
    assert!(fail(queue, &job.id, "w", "e", Some(10_000)).await, "its worker gives it back");
    assert_eq!(latest(queue).await.work, scan(1), "a job to be tried later is no newer for it");
    assert_eq!(queue.latest(&repo(1), "unknown").await.expect("latest"), None, "nothing of an unknown kind");
    assert_eq!(
        queue.latest(&repo(3), "scan").await.expect("latest"),
        None,
        "nothing of an unknown repository"
    );
}

async fn work_given_back_is_due_at_once_and_its_attempt_does_not_count<B: RepositoryIndex + JobQueue>(
    queue: &B,
) {
    create_repositories(queue, 1).await;
    enqueue(queue, &scan(1), 0).await;
    let job = claim_some(queue, "first", 1).await;
    let give_back = async |worker: &str| {
        queue.give_back(&job.id, worker, GiveBack::Unfinished, at(2)).await.expect("give back")
    };
    assert!(!give_back("stranger").await, "only its worker gives it back");
    assert!(give_back("first").await, "its worker gives it back");
    assert!(!give_back("first").await, "once");
    assert_eq!(latest(queue).await, Job { updated_at: at(2), ..waiting(scan(1), 0) }, "it waits as before");
    assert!(!complete(queue, &job.id, "first", 3).await, "whoever gave it back does not hold it");
    assert_eq!(
        claim_some(queue, "second", 3).await.attempts,
        1,
        "the attempt that was not finished is not counted"
    );
}
