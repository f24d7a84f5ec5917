//! One job from its claim to its end: its handler, its lease, and what becomes of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use musehub_core::port::{BackendError, GiveBack, Job, Lease, Timestamp};
use tokio::sync::watch;

use super::handler::{Handler, JobError, Summary, Task};
use crate::app::App;
use crate::metrics::JobOutcome;

/// How long a job is its worker's without a sign of life, where nobody chose.
pub const LEASE: Duration = Duration::from_secs(60);
/// Signs of life in the time of one lease.
const BEATS: u32 = 4;
/// The first pause before a job is tried again, in milliseconds, before chance; each following one is twice as long.
const FIRST_PAUSE: i64 = 2_000;
/// The longest.
const LONGEST_PAUSE: i64 = 60 * 60 * 1_000;

/// Runs the next job that is due to its end; false where there is none.
///
/// # Errors
/// [`BackendError`] where the queue fails. A job that fails is the queue's to keep.
pub async fn run_next(app: &Arc<App>, worker: &str) -> Result<bool, BackendError> {
    let Some(job) = claim(app, worker).await? else {
        return Ok(false);
    };
    let (_never, stop) = watch::channel(false);
    run(app, &job, worker, stop).await?;
    Ok(true)
}

/// Claims the next job that is due.
pub(super) async fn claim(app: &Arc<App>, worker: &str) -> Result<Option<Job>, BackendError> {
    app.queue.claim(worker, &app.handlers.kinds(), app.clock.now(), lease_millis(app)).await
}

fn lease_millis(app: &App) -> i64 {
    i64::try_from(app.lease.as_millis()).unwrap_or(i64::MAX)
}

/// How an attempt ended.
enum Ended {
    /// Its handler came back.
    ByItself(Result<Summary, JobError>),
    /// The worker stops.
    Stopped,
    /// The job is not this worker's any more.
    Lost,
}

/// Runs a job that `worker` has claimed. When `stop` becomes true it is given back unfinished.
///
/// # Errors
/// [`BackendError`] where the queue fails; the job is taken up again when its lease has run out.
pub(super) async fn run(
    app: &Arc<App>,
    job: &Job,
    worker: &str,
    mut stop: watch::Receiver<bool>,
) -> Result<(), BackendError> {
    let Some(handler) = app.handlers.handler(&job.work.kind) else {
        let error = format!("this hub has no handler for '{}'", job.work.kind);
        app.queue.fail(&job.id, worker, &error, None).await?;
        return Ok(());
    };
    if job.cancel_requested {
        app.queue.give_back(&job.id, worker, GiveBack::Cancelled, app.clock.now()).await?;
        return Ok(());
    }
    let kind = handler.kind().name;
    // A job that takes its worker down with it never reports an error; its claims are counted all the same.
    if job.attempts > handler.max_attempts() {
        let error = format!("given up: {} attempts ended without an outcome", handler.max_attempts());
        tracing::error!(job = %job.id, kind, error, "job failed");
        app.metrics.job(kind, JobOutcome::Failed, Duration::ZERO);
        app.queue.fail(&job.id, worker, &error, None).await?;
        return Ok(());
    }
    tracing::debug!(job = %job.id, kind, attempt = job.attempts, "job started");
    let started = Instant::now();
    let (cancel, cancelled) = watch::channel(false);
    let task = Task::new(app, job, cancelled);
    let ended = tokio::select! {
        outcome = AssertUnwindSafe(handler.run(&task)).catch_unwind() => {
            Ended::ByItself(outcome.unwrap_or_else(|cause| Err(JobError::Panicked(said(cause.as_ref())))))
        }
        () = keep_lease(app, job, worker, &cancel) => Ended::Lost,
        // An error means that whoever could say so is gone, which is a stop too.
        _ = stop.wait_for(|stop| *stop) => Ended::Stopped,
    };
    let took = started.elapsed();
    let outcome = settle(app, job, worker, handler.as_ref(), ended, took).await?;
    app.metrics.job(kind, outcome, took);
    Ok(())
}

/// Tells the queue, and the log, how a job ended.
async fn settle(
    app: &Arc<App>,
    job: &Job,
    worker: &str,
    handler: &dyn Handler,
    ended: Ended,
    took: Duration,
) -> Result<JobOutcome, BackendError> {
    let (kind, ms, now) = (handler.kind().name, took.as_secs_f64() * 1000.0, app.clock.now());
    let (held, outcome) = match ended {
        Ended::Lost => (false, JobOutcome::Lost),
        Ended::Stopped => {
            tracing::info!(job = %job.id, kind, ms, "job given back unfinished");
            (app.queue.give_back(&job.id, worker, GiveBack::Unfinished, now).await?, JobOutcome::GivenBack)
        }
        Ended::ByItself(Ok(summary)) => {
            tracing::info!(job = %job.id, kind, ms, %summary, "job done");
            (app.queue.complete(&job.id, worker, summary.as_str(), now).await?, JobOutcome::Done)
        }
        Ended::ByItself(Err(JobError::Cancelled)) => {
            tracing::info!(job = %job.id, kind, ms, "job cancelled");
            (app.queue.give_back(&job.id, worker, GiveBack::Cancelled, now).await?, JobOutcome::Cancelled)
        }
        Ended::ByItself(Err(error)) => {
            let again = error.is_worth_another_try() && job.attempts < handler.max_attempts();
            let retry_at = again.then(|| now.plus_millis(pause(job.attempts, chance())));
            let causes = causes(&error);
            tracing::error!(job = %job.id, kind, ms, attempts = job.attempts, %error, causes, again, "job failed");
            let held = app.queue.fail(&job.id, worker, &error.to_string(), retry_at).await?;
            (held, if again { JobOutcome::Retried } else { JobOutcome::Failed })
        }
    };
    if held {
        return Ok(outcome);
    }
    tracing::warn!(job = %job.id, kind, "the lease of a job was lost: another worker may run it again");
    Ok(JobOutcome::Lost)
}

/// Gives signs of life, and passes on that the job is to be cancelled. Ends when the lease is lost, or must be: when the
/// queue could not be told for as long as a lease lasts.
async fn keep_lease(app: &Arc<App>, job: &Job, worker: &str, cancel: &watch::Sender<bool>) {
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(app.lease / BEATS).await;
        let until: Timestamp = app.clock.now().plus_millis(lease_millis(app));
        match app.queue.heartbeat(&job.id, worker, until).await {
            Ok(Lease::Lost) => return,
            Ok(lease) => {
                heard = Instant::now();
                // Whoever would hear it has ended where this fails.
                let _ = cancel.send(lease == Lease::CancelRequested);
            }
            Err(error) => {
                tracing::warn!(job = %job.id, %error, "a heartbeat failed");
                if heard.elapsed() > app.lease {
                    return;
                }
            }
        }
    }
}

/// How long to wait after an attempt, the first being 1: twice as long each time, of which a half is by `chance`, from 0 to
/// 1, so that jobs that failed together do not come back together.
fn pause(attempts: u32, chance: f64) -> i64 {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(30));
    let half = doubled.min(LONGEST_PAUSE) / 2;
    // At most an hour in milliseconds: exact in a double, and whole again after rounding.
    half + (half as f64 * chance.clamp(0.0, 1.0)) as i64
}

fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without chance all come back at once, which is no error.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// The causes of an error, for the log alone.
fn causes(error: &JobError) -> String {
    let first = std::error::Error::source(error);
    let causes = std::iter::successors(first, |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a panic said.
fn said(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_half_of_each_is_by_chance() {
        for (attempts, least, most) in [
            (1, 1_000, 2_000),
            (2, 2_000, 4_000),
            (5, 16_000, 32_000),
            (12, 1_800_000, 3_600_000),
            (90, 1_800_000, 3_600_000),
        ] {
            assert_eq!((pause(attempts, 0.0), pause(attempts, 1.0)), (least, most), "{attempts}");
            let between = pause(attempts, chance());
            assert!((least..=most).contains(&between), "{between}");
        }
    }
}
