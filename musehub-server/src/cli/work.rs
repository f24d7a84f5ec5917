//! `worker`: background jobs without a server, and how much is done at once.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::network::OperationsOptions;
use super::serve::{self, Started, StopSignals};
use super::{DataDirectory, Outcome};
use crate::config::Config;
use crate::jobs::{LEASE, Worker};

/// How long jobs in progress may take to end once the process is told to stop.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Args, Debug, Clone)]
pub(super) struct WorkOptions {
    /// Background jobs at one time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: u64,
    /// Seconds after which a job is taken up by others when its worker gives no sign of life.
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    job_lease: u64,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self { jobs: 1, job_lease: LEASE.as_secs() }
    }
}

impl WorkOptions {
    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs(self.job_lease)
    }

    /// A worker that nobody else is.
    pub(super) fn worker(&self, role: &str) -> Worker {
        Worker {
            name: format!("{role}-{}-{}", std::process::id(), musehub_core::RepoId::random()),
            jobs: usize::try_from(self.jobs).unwrap_or(usize::MAX),
            grace: GRACE,
        }
    }
}

/// Run background jobs and the upkeep of the store, and serve nobody: beside servers started with `serve --no-worker`, or
/// to help those that work themselves.
///
/// Asked to stop (SIGTERM, SIGINT), it claims nothing more, lets jobs in progress end within 20 seconds, and gives back the
/// rest, which others take up at once.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    work: WorkOptions,
    #[command(flatten)]
    operations: OperationsOptions,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let stop_signals = StopSignals::listen()?;
    let config = Config { lease: arguments.work.lease(), ..Config::default() };
    let app = arguments.data.open(config).await?;
    let started = Started::worker(app, arguments.operations.metrics_listen).await?;
    let worker = arguments.work.worker("worker");
    tracing::info!(worker = worker.name, jobs = worker.jobs, "working");
    serve::until_stopped(started, Some(worker), stop_signals).await?;
    Ok(ExitCode::SUCCESS)
}
