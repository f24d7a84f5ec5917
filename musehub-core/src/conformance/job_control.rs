//! The contract of [`JobControl`], over a queue that is worked.

use super::fixtures::{at, create_repositories, repo};
use super::run_cases;
use crate::port::{
    Cancellation, GiveBack, Job, JobControl, JobCursor, JobFilter, JobId, JobKind, JobQueue, JobStatus,
    Lease, NewJob, RepositoryIndex,
};

/// How long the cases lease jobs, in milliseconds.
const LEASE: i64 = 1_000;

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`JobControl`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex + JobQueue + JobControl,
{
    run_cases!(
        "job_control",
        fresh,
        [
            a_job_is_found_by_its_id,
            a_job_that_waits_is_cancelled_at_once,
            a_job_that_runs_is_cancelled_by_its_worker,
            a_job_to_be_cancelled_is_not_tried_again,
            a_job_to_be_cancelled_may_still_end_by_itself,
            a_job_whose_worker_is_gone_is_cancelled,
            what_is_over_is_not_cancelled,
            cancelled_jobs_hold_nobody_up,
            only_what_failed_or_was_cancelled_is_retried,
            a_retried_job_goes_to_the_end_of_its_turn,
            lists_are_newest_first_and_filtered,
            lists_go_on_where_they_ended,
            jobs_that_ended_long_ago_are_forgotten_and_failures_are_kept,
        ]
    );
}

fn scan(n: usize) -> NewJob {
    NewJob::new(JobKind::new("scan"), repo(1), n.to_string())
}

async fn enqueue<B: JobQueue>(queue: &B, job: &NewJob, millis: i64) -> JobId {
    queue.enqueue(job, at(millis)).await.expect("enqueue");
    job.id()
}

async fn claim<B: JobQueue>(queue: &B, millis: i64) -> Option<Job> {
    queue.claim("w", &["scan"], at(millis), LEASE).await.expect("claim")
}

/// A job that runs.
async fn running<B: JobQueue>(queue: &B, n: usize, millis: i64) -> JobId {
    let id = enqueue(queue, &scan(n), millis).await;
    let claimed = claim(queue, millis).await.expect("a job is due");
    assert_eq!(claimed.id, id, "the only one that is due");
    id
}

async fn job<B: JobControl>(queue: &B, id: &JobId) -> Job {
    queue.job(id).await.expect("job").expect("it was enqueued")
}

async fn status<B: JobControl>(queue: &B, id: &JobId) -> JobStatus {
    job(queue, id).await.status
}

async fn cancel<B: JobControl>(queue: &B, id: &JobId, millis: i64) -> Cancellation {
    queue.cancel(id, at(millis)).await.expect("cancel")
}

async fn beat<B: JobQueue>(queue: &B, id: &JobId, millis: i64) -> Lease {
    queue.heartbeat(id, "w", at(millis + LEASE)).await.expect("heartbeat")
}

async fn retry<B: JobControl>(queue: &B, id: &JobId, millis: i64) -> bool {
    queue.retry(id, at(millis)).await.expect("retry")
}

async fn a_job_is_found_by_its_id<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    assert_eq!(queue.job(&scan(1).id()).await.expect("job"), None, "nothing was enqueued");
    let id = enqueue(queue, &scan(1), 3).await;
    let found = job(queue, &id).await;
    assert_eq!((&found.id, &found.work, found.enqueued_at), (&id, &scan(1), at(3)), "it is found");
    assert_eq!(Some(found), queue.latest(&repo(1), "scan").await.expect("latest"), "as the queue knows it");
}

async fn a_job_that_waits_is_cancelled_at_once<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    assert_eq!(cancel(queue, &scan(1).id(), 0).await, Cancellation::Unknown, "there is none");
    let id = enqueue(queue, &scan(1), 0).await;
    assert_eq!(cancel(queue, &id, 5).await, Cancellation::Cancelled, "it waits");
    let cancelled = job(queue, &id).await;
    assert_eq!((cancelled.status, cancelled.updated_at), (JobStatus::Cancelled, at(5)), "it is cancelled");
    assert_eq!(claim(queue, 1_000_000).await, None, "nobody runs it");
    enqueue(queue, &scan(1), 9).await;
    let anew = claim(queue, 9).await.expect("enqueued again, it starts anew");
    assert_eq!((anew.attempts, anew.cancel_requested), (1, false), "as if nothing had been");
}

async fn a_job_that_runs_is_cancelled_by_its_worker<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let id = running(queue, 1, 0).await;
    assert_eq!(beat(queue, &id, 1).await, Lease::Held, "nobody wants it cancelled");
    assert_eq!(cancel(queue, &id, 2).await, Cancellation::Requested, "it runs");
    let running = job(queue, &id).await;
    assert_eq!((running.status, running.cancel_requested), (JobStatus::Running, true), "it runs on");
    assert_eq!(cancel(queue, &id, 3).await, Cancellation::Requested, "asking twice is asking");
    assert_eq!(beat(queue, &id, 4).await, Lease::CancelRequested, "its worker hears of it");
    assert_eq!(beat(queue, &id, 5).await, Lease::CancelRequested, "each time");
    let given = queue.give_back(&id, "w", GiveBack::Cancelled, at(6)).await.expect("give back");
    assert!(given, "its worker has stopped");
    assert_eq!(status(queue, &id).await, JobStatus::Cancelled, "it is cancelled");
    assert_eq!(beat(queue, &id, 7).await, Lease::Lost, "and nobody's");
    assert_eq!(claim(queue, 1_000_000).await, None, "nobody runs it again");
}

async fn a_job_to_be_cancelled_is_not_tried_again<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let id = running(queue, 1, 0).await;
    cancel(queue, &id, 1).await;
    assert!(queue.fail(&id, "w", "broken", Some(at(2))).await.expect("fail"), "its worker gives it back");
    let failed = job(queue, &id).await;
    assert_eq!(
        (failed.status, failed.error.as_deref()),
        (JobStatus::Cancelled, Some("broken")),
        "it is cancelled"
    );
    let id = running(queue, 2, 10).await;
    cancel(queue, &id, 11).await;
    let given = queue.give_back(&id, "w", GiveBack::Unfinished, at(12)).await.expect("give back");
    assert!(given, "its worker stops");
    assert_eq!(status(queue, &id).await, JobStatus::Cancelled, "it is cancelled");
}

async fn a_job_to_be_cancelled_may_still_end_by_itself<B: RepositoryIndex + JobQueue + JobControl>(
    queue: &B,
) {
    create_repositories(queue, 1).await;
    let id = running(queue, 1, 0).await;
    cancel(queue, &id, 1).await;
    assert!(queue.complete(&id, "w", "{}", at(2)).await.expect("complete"), "it was quicker");
    assert_eq!(status(queue, &id).await, JobStatus::Done, "what is done is done");
    let id = running(queue, 2, 10).await;
    cancel(queue, &id, 11).await;
    assert!(queue.fail(&id, "w", "broken", None).await.expect("fail"), "it broke");
    assert_eq!(status(queue, &id).await, JobStatus::Failed, "what failed for good failed");
}

async fn a_job_whose_worker_is_gone_is_cancelled<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let id = running(queue, 1, 0).await;
    assert_eq!(cancel(queue, &id, LEASE - 1).await, Cancellation::Requested, "the lease holds");
    let taken_up = claim(queue, LEASE + 1).await.expect("its lease ran out");
    assert!(taken_up.cancel_requested, "whoever takes it up is told");
    assert_eq!(cancel(queue, &id, 3 * LEASE).await, Cancellation::Cancelled, "nobody holds it any more");
    assert_eq!(status(queue, &id).await, JobStatus::Cancelled, "it is cancelled");
    assert!(
        !queue.complete(&id, "w", "{}", at(3 * LEASE)).await.expect("complete"),
        "its worker is too late"
    );
}

async fn what_is_over_is_not_cancelled<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let done = running(queue, 1, 0).await;
    queue.complete(&done, "w", "{}", at(1)).await.expect("complete");
    let failed = running(queue, 2, 2).await;
    queue.fail(&failed, "w", "e", None).await.expect("fail");
    let cancelled = enqueue(queue, &scan(3), 4).await;
    cancel(queue, &cancelled, 5).await;
    for id in [&done, &failed, &cancelled] {
        let before = job(queue, id).await;
        assert_eq!(cancel(queue, id, 9).await, Cancellation::Over, "it is over");
        assert_eq!(job(queue, id).await, before, "nothing has changed");
    }
}

async fn cancelled_jobs_hold_nobody_up<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let turn = |n: usize| NewJob::new(JobKind::new("scan").in_turn(), repo(1), n.to_string());
    let first = enqueue(queue, &turn(1), 0).await;
    let second = enqueue(queue, &turn(2), 0).await;
    assert_eq!(cancel(queue, &first, 1).await, Cancellation::Cancelled, "it waits");
    assert_eq!(claim(queue, 2).await.map(|job| job.id), Some(second), "the next one has its turn");
}

async fn only_what_failed_or_was_cancelled_is_retried<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    assert!(!retry(queue, &scan(1).id(), 0).await, "there is none");
    let done = running(queue, 1, 0).await;
    assert!(!retry(queue, &done, 1).await, "it runs");
    queue.complete(&done, "w", "{}", at(1)).await.expect("complete");
    assert!(!retry(queue, &done, 2).await, "it is done");
    let failed = running(queue, 2, 2).await;
    queue.fail(&failed, "w", "broken", None).await.expect("fail");
    let cancelled = enqueue(queue, &scan(3), 4).await;
    assert!(!retry(queue, &cancelled, 4).await, "it waits");
    cancel(queue, &cancelled, 5).await;
    for (id, millis) in [(&failed, 6), (&cancelled, 8)] {
        assert!(retry(queue, id, millis).await, "it is tried again");
        let anew = claim(queue, millis).await.expect("it is due at once");
        assert_eq!((&anew.id, anew.attempts, anew.error), (id, 1, None), "it starts anew");
    }
}

async fn a_retried_job_goes_to_the_end_of_its_turn<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 1).await;
    let turn = |n: usize| NewJob::new(JobKind::new("scan").in_turn(), repo(1), n.to_string());
    let first = enqueue(queue, &turn(1), 0).await;
    claim(queue, 0).await.expect("it is due");
    queue.fail(&first, "w", "broken", None).await.expect("fail");
    let second = enqueue(queue, &turn(2), 1).await;
    assert!(retry(queue, &first, 2).await, "it is tried again");
    let claimed = claim(queue, 3).await.expect("one is due");
    assert_eq!(claimed.id, second, "what was enqueued since comes first");
    assert_eq!(claim(queue, 3).await, None, "and the other one waits for it");
}

async fn jobs_that_ended_long_ago_are_forgotten_and_failures_are_kept<
    B: RepositoryIndex + JobQueue + JobControl,
>(
    queue: &B,
) {
    create_repositories(queue, 1).await;
    let mut done = Vec::new();
    for n in 1..4 {
        let id = running(queue, n, n as i64).await;
        assert!(queue.complete(&id, "w", "{}", at(100 + n as i64)).await.expect("complete"));
        done.push(id);
    }
    let failed = running(queue, 4, 4).await;
    assert!(queue.fail(&failed, "w", "broken", None).await.expect("fail"));
    let cancelled = enqueue(queue, &scan(5), 5).await;
    cancel(queue, &cancelled, 6).await;
    // One that is enqueued again has not ended.
    let again = running(queue, 6, 7).await;
    assert!(queue.complete(&again, "w", "{}", at(8)).await.expect("complete"));
    let runs = running(queue, 7, 9).await;
    let waits = enqueue(queue, &scan(8), 10).await;
    enqueue(queue, &scan(6), 11).await;

    assert_eq!(queue.forget_ended(at(1), 10).await.expect("forget"), 0, "none ended that early");
    assert_eq!(queue.forget_ended(at(102), 10).await.expect("forget"), 2, "the first one, and the cancelled");
    for gone in [&done[0], &cancelled] {
        assert_eq!(queue.job(gone).await.expect("job"), None);
    }
    assert_eq!(queue.forget_ended(at(1_000), 1).await.expect("forget"), 1, "no more than asked");
    assert_eq!(queue.job(&done[1]).await.expect("job"), None, "the older one");
    assert_eq!(queue.forget_ended(at(1_000), 10).await.expect("forget"), 1);
    for kept in [&failed, &runs, &waits, &again] {
        assert!(queue.job(kept).await.expect("job").is_some(), "{kept}");
    }
    let anew = enqueue(queue, &scan(1), 2_000).await;
    assert_eq!((&anew, job(queue, &anew).await.status), (&done[0], JobStatus::Pending), "as if it were new");
}

async fn lists_are_newest_first_and_filtered<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 2).await;
    let other = NewJob::new(JobKind::new("fold"), repo(2), "{}".to_owned());
    enqueue(queue, &scan(1), 1).await;
    enqueue(queue, &other, 2).await;
    enqueue(queue, &scan(3), 3).await;
    let claimed = claim(queue, 4).await.expect("the oldest scan");
    queue.fail(&claimed.id, "w", "broken", None).await.expect("fail");
    let all = JobFilter { limit: 10, ..JobFilter::default() };
    let [of_one, failed, folds] = [
        JobFilter { repo_id: Some(repo(1)), ..all.clone() },
        JobFilter { status: Some(JobStatus::Failed), ..all.clone() },
        JobFilter { kind: Some("fold".to_owned()), ..all.clone() },
    ];
    let nothing = JobFilter { kind: Some("fold".to_owned()), ..failed.clone() };
    let two = JobFilter { limit: 2, ..all.clone() };
    for (filter, expected) in [
        (all, vec![scan(3), other.clone(), scan(1)]),
        (of_one, vec![scan(3), scan(1)]),
        (failed, vec![scan(1)]),
        (folds, vec![other.clone()]),
        (nothing, vec![]),
        (two, vec![scan(3), other]),
    ] {
        let listed: Vec<NewJob> =
            queue.jobs(&filter).await.expect("jobs").into_iter().map(|job| job.work).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
}

async fn lists_go_on_where_they_ended<B: RepositoryIndex + JobQueue + JobControl>(queue: &B) {
    create_repositories(queue, 2).await;
    // Several of one moment, and some of another repository between them.
    for n in 0..20 {
        enqueue(queue, &scan(n), i64::try_from(n / 5).expect("a few")).await;
        enqueue(queue, &NewJob { repo_id: repo(2), ..scan(n) }, i64::try_from(n / 5).expect("a few")).await;
    }
    for repo_id in [Some(repo(1)), None] {
        let whole = JobFilter { repo_id, limit: 100, ..JobFilter::default() };
        let whole_list = queue.jobs(&whole).await.expect("jobs");
        assert!(whole_list.is_sorted_by_key(|job| std::cmp::Reverse(JobCursor::after(job))), "newest first");
        let mut paged = Vec::new();
        let mut page = JobFilter { limit: 3, ..whole };
        loop {
            let jobs = queue.jobs(&page).await.expect("jobs");
            let Some(last) = jobs.last() else { break };
            page.after = Some(JobCursor::after(last));
            paged.extend(jobs);
            assert!(paged.len() <= whole_list.len(), "a page goes on after the one before");
        }
        assert_eq!(paged, whole_list, "pages make the whole list");
    }
}
