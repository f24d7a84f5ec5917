//! What becomes of jobs: retries, panics, leases, cancellation, turns, and workers that stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use musehub_core::port::{
    BackendError, Cancellation, Job, JobFilter, JobKind, JobPriority, JobStatus, NewJob,
};
use musehub_server::jobs::{self, Handler, JobError, Registry, Summary, Task, Worker};
use musehub_server::{Config, Limits};
use musehub_test_support::TestApp;
use tokio::sync::{Barrier, Notify, watch};

/// How long anything may take: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handler that does what a closure says.
struct Does<F>(JobKind, F);

#[async_trait]
impl<F> Handler for Does<F>
where
    F: AsyncDo,
{
    fn kind(&self) -> JobKind {
        self.0
    }

    fn max_attempts(&self) -> u32 {
        3
    }

    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        self.1.run(task).await
    }
}

/// What a handler does.
#[async_trait]
trait AsyncDo: Send + Sync {
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError>;
}

fn summary() -> Result<Summary, JobError> {
    Summary::of(&BTreeMap::from([("done", true)]))
}

/// A server that runs these kinds and no other, with a repository, and leases that are short.
async fn server(handlers: Vec<Arc<dyn Handler>>) -> TestApp {
    let lease = Duration::from_millis(200);
    let config = Config { handlers: Registry::of(handlers), lease, ..Limits::default().into() };
    let app = TestApp::with_config(config).await;
    app.repository("alice", "demo").await;
    app
}

async fn enqueue(app: &TestApp, kind: JobKind, n: usize) -> NewJob {
    let repo = app.record("alice", "demo").await;
    let job = NewJob::new(kind, repo.repo_id, n.to_string());
    app.app.queue.enqueue(&job, app.app.clock.now()).await.unwrap();
    job
}

async fn job(app: &TestApp, work: &NewJob) -> Job {
    app.app.control.job(&work.id()).await.unwrap().unwrap()
}

/// A worker on a task of its own, and what stops it.
fn start(app: &TestApp, jobs: usize, grace: Duration) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let (stop, mut stopped) = watch::channel(false);
    let worker = Worker { name: format!("worker of {jobs}"), jobs, grace };
    let running = tokio::spawn(jobs::work(app.app.clone(), worker, async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    (stop, running)
}

async fn stop(worker: (watch::Sender<bool>, tokio::task::JoinHandle<()>)) {
    // One that was told already may be gone.
    let _ = worker.0.send(true);
    tokio::time::timeout(PATIENCE, worker.1).await.expect("a worker stops").unwrap();
}

/// Waits until a job has become something.
async fn until(app: &TestApp, work: &NewJob, status: JobStatus) -> Job {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let job = job(app, work).await;
            if job.status == status {
                return job;
            }
            tokio::task::yield_now().await;
        }
    });
    match waited.await {
        Ok(job) => job,
        Err(_) => panic!("not {status:?}: {:?}", job(app, work).await),
    }
}

struct Fails;

#[async_trait]
impl AsyncDo for Fails {
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        match task.payload::<u32>()? {
            0 => Err(BackendError::Missing { what: "everything".to_owned() }.into()),
            1 => panic!("what the handler did not expect"),
            _ => Err(JobError::Hopeless("nothing helps".to_owned())),
        }
    }
}

#[tokio::test]
async fn what_may_succeed_is_tried_again_later_and_what_cannot_is_given_up() {
    const KIND: JobKind = JobKind::new("test.fails");
    let app = server(vec![Arc::new(Does(KIND, Fails))]).await;
    let expected = [
        ("everything is not there", true),
        ("its handler panicked: what the handler did not expect", true),
        ("nothing helps", false),
    ];
    for (n, (error, again)) in expected.into_iter().enumerate() {
        let work = enqueue(&app, KIND, n).await;
        assert_eq!(app.run_jobs().await, 1, "what is to be tried again is not due yet");
        let kept = job(&app, &work).await;
        let status = if again { JobStatus::Pending } else { JobStatus::Failed };
        assert_eq!((kept.status, kept.attempts, kept.error.as_deref()), (status, 1, Some(error)));
        assert_eq!(kept.due_at > kept.updated_at, again, "{kept:?}");
    }
    let text = app.app.metrics.render();
    assert!(text.contains("musehub_jobs_total{kind=\"test.fails\",outcome=\"retried\"} 2"), "{text}");
    assert!(text.contains("musehub_jobs_total{kind=\"test.fails\",outcome=\"failed\"} 1"), "{text}");
}

#[tokio::test]
async fn a_job_that_took_its_workers_down_is_given_up_after_so_many_claims() {
    const KIND: JobKind = JobKind::new("test.fails");
    let app = server(vec![Arc::new(Does(KIND, Fails))]).await;
    let work = enqueue(&app, KIND, 2).await;
    let mut now = app.app.clock.now();
    for _ in 0..3 {
        // A worker that claims and is never heard of again.
        assert!(app.app.queue.claim("gone", &[KIND.name], now, -1_000).await.unwrap().is_some());
        now = now.plus_millis(1);
    }
    assert_eq!(app.run_jobs().await, 1);
    let kept = job(&app, &work).await;
    assert_eq!(kept.status, JobStatus::Failed);
    assert_eq!(kept.error.as_deref(), Some("given up: 3 attempts ended without an outcome"));
}

struct Meets(Barrier);

#[async_trait]
impl AsyncDo for Meets {
    async fn run(&self, _: &Task<'_>) -> Result<Summary, JobError> {
        self.0.wait().await;
        summary()
    }
}

#[tokio::test]
async fn a_worker_runs_as_many_jobs_at_once_as_it_was_told() {
    const KIND: JobKind = JobKind::new("test.meets");
    let app = server(vec![Arc::new(Does(KIND, Meets(Barrier::new(3))))]).await;
    let mut work = Vec::new();
    for n in 0..3 {
        work.push(enqueue(&app, KIND, n).await);
    }
    let worker = start(&app, 3, PATIENCE);
    for work in &work {
        let done = until(&app, work, JobStatus::Done).await;
        assert_eq!(done.summary.as_deref(), Some("{\"done\":true}"));
    }
    stop(worker).await;
}

#[derive(Default)]
struct Order {
    at_once: AtomicUsize,
    seen: Mutex<Vec<usize>>,
}

#[async_trait]
impl AsyncDo for Arc<Order> {
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        let before = self.at_once.fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "two at once");
        // Others would run here, if they might.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.seen.lock().unwrap().push(task.payload()?);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        summary()
    }
}

#[tokio::test]
async fn jobs_in_turn_run_one_by_one_in_their_order_however_many_work() {
    const KIND: JobKind = JobKind::new("test.turn").with_priority(JobPriority::High).in_turn();
    let order = Arc::new(Order::default());
    let app = server(vec![Arc::new(Does(KIND, order.clone()))]).await;
    let mut work = Vec::new();
    for n in 0..10 {
        work.push(enqueue(&app, KIND, n).await);
    }
    let workers = [start(&app, 4, PATIENCE), start(&app, 3, PATIENCE)];
    for work in &work {
        until(&app, work, JobStatus::Done).await;
    }
    for worker in workers {
        stop(worker).await;
    }
    assert_eq!(*order.seen.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

/// Runs until it is cancelled, or for ever.
struct Waits {
    started: Arc<Notify>,
    hears: bool,
}

#[async_trait]
impl AsyncDo for Waits {
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        self.started.notify_one();
        if self.hears {
            loop {
                task.checkpoint()?;
                tokio::task::yield_now().await;
            }
        }
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_running_job_stops_when_it_is_cancelled_and_keeps_its_lease_until_then() {
    const KIND: JobKind = JobKind::new("test.waits");
    let started = Arc::new(Notify::new());
    let app = server(vec![Arc::new(Does(KIND, Waits { started: started.clone(), hears: true }))]).await;
    let work = enqueue(&app, KIND, 0).await;
    let worker = start(&app, 1, PATIENCE);
    started.notified().await;
    assert_eq!(
        app.app.control.cancel(&work.id(), app.app.clock.now()).await.unwrap(),
        Cancellation::Requested
    );
    let cancelled = until(&app, &work, JobStatus::Cancelled).await;
    assert_eq!(cancelled.attempts, 1, "nobody else took it up meanwhile");
    stop(worker).await;
    assert!(app.app.control.retry(&work.id(), app.app.clock.now()).await.unwrap());
    assert_eq!(job(&app, &work).await.status, JobStatus::Pending);
}

#[tokio::test]
async fn a_worker_that_stops_gives_back_what_it_cannot_finish() {
    const KIND: JobKind = JobKind::new("test.waits");
    let started = Arc::new(Notify::new());
    let app = server(vec![Arc::new(Does(KIND, Waits { started: started.clone(), hears: false }))]).await;
    let work = enqueue(&app, KIND, 0).await;
    let worker = start(&app, 1, Duration::from_millis(1));
    started.notified().await;
    stop(worker).await;
    let given_back = job(&app, &work).await;
    assert_eq!((given_back.status, given_back.attempts), (JobStatus::Pending, 0));
    assert!(given_back.due_at <= app.app.clock.now(), "another may have it at once");
}

#[tokio::test]
async fn a_worker_that_stops_finishes_what_it_can() {
    const KIND: JobKind = JobKind::new("test.meets");
    let barrier = Barrier::new(2);
    let handler = Arc::new(Does(KIND, Meets(barrier)));
    let app = server(vec![handler.clone()]).await;
    let work = enqueue(&app, KIND, 0).await;
    let worker = start(&app, 1, PATIENCE);
    until(&app, &work, JobStatus::Running).await;
    worker.0.send(true).unwrap();
    let later = enqueue(&app, KIND, 1).await;
    handler.1.0.wait().await;
    stop(worker).await;
    assert_eq!(job(&app, &work).await.status, JobStatus::Done);
    assert_eq!(job(&app, &later).await.status, JobStatus::Pending, "it claims nothing more");
}

#[tokio::test]
async fn enqueuing_the_same_work_twice_is_one_job() {
    const KIND: JobKind = JobKind::new("test.fails");
    let app = server(vec![Arc::new(Does(KIND, Fails))]).await;
    let (one, two) = (enqueue(&app, KIND, 7).await, enqueue(&app, KIND, 7).await);
    assert_eq!(one.id(), two.id());
    let jobs = app.app.control.jobs(&JobFilter { limit: 10, ..JobFilter::default() }).await.unwrap();
    assert_eq!(jobs.len(), 1);
}
