//! The upkeep of the object store while the server runs: once in an hour, in one process of all that share the store.

use std::sync::Arc;
use std::time::Instant;

use musehub_core::hub::{CaughtUp, LeftBehind};
use musehub_core::port::BackendError;
use musehub_store::{CollectOptions, Compacted, RepackOptions, UpkeepError};

use crate::app::App;

/// How many old moves a repository has to have for its log to be folded.
const LEAST_MOVES: usize = 1_000;
/// How old a move has to be to be folded, in milliseconds: older than any push that still remembers the log without it.
const LOG_AGE: i64 = 60 * 60 * 1000;

impl App {
    /// Folds the old moves of every repository that has at least `least`.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn compact_log(&self, least: usize) -> Result<Compacted, BackendError> {
        self.log.compact(self.clock.now().plus_millis(-LOG_AGE), least).await
    }
}

/// For how long a job that is over is kept, in milliseconds. Those that failed are kept until somebody tries them again.
const JOBS_KEPT: i64 = 7 * 24 * 60 * 60 * 1000;
/// How many jobs are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 500;

impl App {
    /// Forgets jobs that were done or cancelled a week ago; how many.
    ///
    /// # Errors
    /// [`BackendError`] where the database fails.
    pub async fn forget_jobs(&self) -> Result<u64, BackendError> {
        let before = self.clock.now().plus_millis(-JOBS_KEPT);
        let mut all = 0;
        loop {
            let forgotten = self.control.forget_ended(before, FORGOTTEN_AT_ONCE).await?;
            all += forgotten;
            if forgotten < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(all);
            }
        }
    }
}

/// Brings the index up to the log, then folds the log, then packs, then collects what nothing needs. What fails is tried
/// again in an hour.
pub async fn run(app: &Arc<App>) {
    catch_up(app).await;
    match app.forget_jobs().await {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "jobs that ended a week ago are forgotten"),
        Err(error) => tracing::warn!(%error, "jobs that ended long ago were not forgotten"),
    }
    let started = Instant::now();
    match once(app).await {
        Ok(summary) => {
            let millis = started.elapsed().as_secs_f64() * 1000.0;
            tracing::info!(ms = millis, %summary, "upkeep done");
        }
        Err(UpkeepError::Busy) => tracing::debug!("another process is at the upkeep of this store"),
        Err(error) => tracing::warn!(%error, "the upkeep of the store failed"),
    }
}

/// Records moves that some process logged and did not live to record: whoever runs goes on without a start. It costs two
/// listings and a read for each repository, and a read for each branch that moved since its log was folded.
async fn catch_up(app: &Arc<App>) {
    match app.hub.catch_up().await {
        Ok(done) => {
            log_left_behind(&done);
            if done.moves == 0 {
                return;
            }
            tracing::warn!(
                moves = done.moves,
                "moves that were logged and not recorded are in the index now"
            );
            app.work.notify_one();
        }
        Err(error) => tracing::warn!(%error, "bringing the index up to the log failed"),
    }
}

/// Says which repositories could not be brought up to their log, and why.
pub(crate) fn log_left_behind(done: &CaughtUp) {
    for LeftBehind { repository, error } in &done.failed {
        let repository =
            repository.as_ref().map_or_else(|| "?".to_owned(), |(owner, slug)| format!("{owner}/{slug}"));
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(repository, %error, cause, "a repository is served as far as its index goes");
    }
}

async fn once(app: &Arc<App>) -> Result<String, UpkeepError> {
    let compacted = app.compact_log(LEAST_MOVES).await?;
    let repacked = app.upkeep.repack(RepackOptions::default(), &|_| ()).await?;
    for (pack, reason) in &repacked.refused {
        tracing::error!(%pack, reason, "a pack cannot be read whole");
    }
    let collected = app.upkeep.collect(CollectOptions::default()).await?;
    let swept = app.mpacks.sweep(false).await?;
    for pack in &collected.missing {
        tracing::error!(%pack, "a pack that the log names is not there");
    }
    for spared in &collected.spared {
        tracing::error!(what = spared.what, reason = spared.reason, "something cannot be collected");
    }
    Ok(format!(
        "{} moves folded, {} packs folded, {} things collected",
        compacted.folded,
        repacked.folded.len(),
        collected.collected.len() as u64 + swept.uploads + swept.built
    ))
}
