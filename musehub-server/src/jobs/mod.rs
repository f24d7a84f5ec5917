//! Background work in this process: claims jobs, runs their handlers, keeps their leases alive.

mod breakage;
mod handler;
mod upkeep;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use musehub_core::port::{BackendError, Job, Timestamp};
use tokio::sync::watch;

use crate::app::App;

pub use breakage::{Counts, KIND as BREAKAGE, Results, provide as provide_breakage};
pub use handler::{Handler, JobError, Registry, Summary, Task, Trigger};

/// How long a job is this worker's without a sign of life.
const LEASE: Duration = Duration::from_secs(60);
/// How often it gives one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the queue is looked at when nobody says that there is work: other processes push too.
const POLL: Duration = Duration::from_secs(1);
/// How often a job is tried.
const MAX_ATTEMPTS: u32 = 5;
/// How often the store is tidied.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// For how long an upload waits for its push.
const STAGING_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Works until `stop` ends. A job in progress is left to its lease, and runs again.
pub async fn work(app: Arc<App>, worker: String, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut swept: Option<Instant> = None;
    let mut sweeping = None;
    loop {
        if swept.is_none_or(|at| at.elapsed() > SWEEP) {
            // Beside the jobs, which would wait for it.
            if sweeping.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                let app = app.clone();
                sweeping = Some(tokio::spawn(async move { sweep(&app).await }));
            }
            swept = Some(Instant::now());
        }
        let round = async {
            match run_next(&app, &worker).await {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(POLL, app.work.notified()).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the queue failed");
                    tokio::time::sleep(POLL).await;
                }
            }
        };
        tokio::select! {
            () = round => {}
            () = &mut stop => return,
        }
    }
}

/// Runs the next job that is due; false where there is none.
///
/// # Errors
/// [`BackendError`] where the queue fails. A job that fails is the queue's to keep.
pub async fn run_next(app: &Arc<App>, worker: &str) -> Result<bool, BackendError> {
    let now = app.clock.now();
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    let Some(job) = app.queue.claim(worker, &app.handlers.kinds(), now, lease).await? else {
        return Ok(false);
    };
    // A job that takes its worker down with it never reports an error; its claims are counted all the same.
    if job.attempts > MAX_ATTEMPTS {
        let error = format!("given up: {MAX_ATTEMPTS} attempts ended without an outcome");
        tracing::error!(job = job.id.as_str(), kind = %job.work.kind, error, "job failed");
        app.queue.fail(&job.id, worker, &error, None).await?;
        return Ok(true);
    }
    let started = Instant::now();
    let outcome = tokio::select! {
        outcome = handle(app, &job) => outcome,
        () = keep_lease(app, &job, worker) => {
            tracing::warn!(job = job.id.as_str(), kind = %job.work.kind, "the lease of a job was lost");
            return Ok(true);
        }
    };
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    match outcome {
        Ok(summary) => {
            tracing::info!(job = job.id.as_str(), kind = %job.work.kind, ms = millis, %summary, "job done");
            app.queue.complete(&job.id, worker, summary.as_str(), app.clock.now()).await?;
        }
        Err(error) => {
            let retry_at = retry_at(app.clock.now(), &job, &error);
            tracing::error!(
                job = job.id.as_str(), kind = %job.work.kind, ms = millis, attempts = job.attempts, %error,
                again = retry_at.is_some(), "job failed"
            );
            app.queue.fail(&job.id, worker, &error.to_string(), retry_at).await?;
        }
    }
    Ok(true)
}

async fn handle(app: &Arc<App>, job: &Job) -> Result<Summary, JobError> {
    let Some(handler) = app.handlers.handler(&job.work.kind) else {
        return Err(JobError::Hopeless(format!("this hub has no handler for '{}'", job.work.kind)));
    };
    let (_cancel, cancelled) = watch::channel(false);
    handler.run(&Task::new(app, job, cancelled)).await
}

/// Ends when the lease is lost.
async fn keep_lease(app: &Arc<App>, job: &Job, worker: &str) {
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let until = app.clock.now().plus_millis(lease);
        match app.queue.heartbeat(&job.id, worker, until).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "a heartbeat failed"),
        }
    }
}

/// When to try again: after 2, 4, 8 … seconds, and not for ever.
fn retry_at(now: Timestamp, job: &Job, error: &JobError) -> Option<Timestamp> {
    let worth_it = matches!(error, JobError::Backend(_)) && job.attempts < MAX_ATTEMPTS;
    worth_it.then(|| now.plus_millis(1000 << job.attempts.min(10)))
}

async fn sweep(app: &Arc<App>) {
    let life = i64::try_from(STAGING_LIFE.as_millis()).unwrap_or(i64::MAX);
    match app.staging().expire(app.clock.now().plus_millis(-life)).await {
        Ok(0) => {}
        Ok(expired) => tracing::info!(expired, "uploads without a push were discarded"),
        Err(error) => tracing::warn!(%error, "looking for abandoned uploads failed"),
    }
    upkeep::run(app).await;
}
