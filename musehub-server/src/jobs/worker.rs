//! Whoever claims jobs until it is told to stop, several at once, and tidies the store meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{runner, upkeep};
use crate::app::App;

/// How often the queue is looked at when nobody says that there is work: other processes push too.
const POLL: Duration = Duration::from_secs(1);
/// How often the store is tidied.
const SWEEP: Duration = Duration::from_secs(60 * 60);
/// For how long an upload waits for its push.
const STAGING_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long giving them back may take. A job that is not given back is taken up when its lease has run out.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// Who works, and how much at once.
#[derive(Clone, Debug)]
pub struct Worker {
    /// A name that no other worker has.
    pub name: String,
    /// How many jobs it runs at once, at least one.
    pub jobs: usize,
    /// How long jobs in progress may take to end once it is told to stop; then they are given back.
    pub grace: Duration,
}

/// Works until `stop` ends. Then it claims nothing more, lets jobs in progress end for a while, and gives back the rest.
pub async fn work(app: Arc<App>, worker: Worker, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let (give_back, given_back) = watch::channel(false);
    let mut running = JoinSet::new();
    let mut upkeep = Upkeep::default();
    loop {
        upkeep.start_when_due(&app);
        let mut looked = false;
        if running.len() < worker.jobs.max(1) {
            match runner::claim(&app, &worker.name).await {
                Ok(Some(job)) => {
                    let (app, name, stop) = (app.clone(), worker.name.clone(), given_back.clone());
                    running.spawn(async move {
                        if let Err(error) = runner::run(&app, &job, &name, stop).await {
                            tracing::error!(job = %job.id, %error, "the queue failed");
                        }
                    });
                    looked = true;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the queue failed"),
            }
        }
        let wait = async {
            // After a job that was there, the next one may be.
            if !looked {
                let _ = tokio::time::timeout(POLL, app.work.notified()).await;
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = running.join_next() => {}
            () = wait => {}
        }
    }
    let all_ended = async |running: &mut JoinSet<()>| while running.join_next().await.is_some() {};
    if tokio::time::timeout(worker.grace, all_ended(&mut running)).await.is_err() {
        // An error means that none is left to hear it.
        let _ = give_back.send(true);
        let _ = tokio::time::timeout(GIVING_BACK, all_ended(&mut running)).await;
    }
}

/// The upkeep of the store, beside the jobs, which would wait for it.
#[derive(Default)]
struct Upkeep {
    last: Option<Instant>,
    running: Option<JoinHandle<()>>,
}

impl Upkeep {
    fn start_when_due(&mut self, app: &Arc<App>) {
        if self.last.is_some_and(|at| at.elapsed() <= SWEEP) {
            return;
        }
        self.last = Some(Instant::now());
        if self.running.as_ref().is_none_or(JoinHandle::is_finished) {
            let app = app.clone();
            self.running = Some(tokio::spawn(async move { sweep(&app).await }));
        }
    }
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
