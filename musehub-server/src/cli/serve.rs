//! `serve`: the server until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::work::WorkOptions;
use super::{DataDirectory, Outcome, ServeOptions};
use crate::app::App;
use crate::config::Config;
use crate::config::Settings;
use crate::http::tls::{Hangup, Tls};
use crate::http::{Listener, Purpose, serve};
use crate::jobs::{self, Worker};

/// How often measurements are summed up.
const FOLD: Duration = Duration::from_secs(5);
/// How often what limits of requests need no more is forgotten.
const TIDY: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    options: ServeOptions,
    /// Leave background jobs and the upkeep of the store to others: to `musehub-server worker`.
    #[arg(long)]
    no_worker: bool,
    #[command(flatten)]
    work: WorkOptions,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let stop_signals = StopSignals::listen()?;
    let started = start(&arguments.data, &arguments.options, &arguments.work).await?;
    let Settings { store, database, .. } = arguments.data.settings()?;
    let (address, tls) = (started.address, started.tls.is_some());
    tracing::info!(%address, data = %arguments.data.data.display(), %store, %database, tls, "serving");
    let worker = (!arguments.no_worker).then(|| arguments.work.worker("server"));
    until_stopped(started, worker, stop_signals).await?;
    Ok(ExitCode::SUCCESS)
}

/// A server whose addresses are bound.
pub(super) struct Started {
    pub(super) app: Arc<App>,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<Tls>>,
    hub: Option<Listener>,
    operations: Option<Listener>,
}

impl Started {
    /// Where this server is reached from this machine.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// One that serves nobody but its operators.
    pub(super) async fn worker(app: Arc<App>, metrics: Option<SocketAddr>) -> std::io::Result<Self> {
        let operations = operations(metrics).await?;
        let address = operations.as_ref().map(Listener::address).transpose()?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Ok(Self { app, address: address.unwrap_or(nowhere), tls: None, hub: None, operations })
    }
}

/// Opens the data, brings the index up to the log, binds the addresses.
pub(super) async fn start(
    data: &DataDirectory,
    options: &ServeOptions,
    work: &WorkOptions,
) -> Result<Started, Box<dyn std::error::Error + Send + Sync>> {
    let network = &options.network;
    // Before anything is opened that takes long.
    let tls = network.tls()?;
    let config = Config {
        connections: network.connections(),
        proxies: network.proxies(),
        rates: network.rates(),
        access: options.access(),
        lease: work.lease(),
        store_addresses: !options.no_store_addresses,
        ..options.limits().into()
    };
    let app = data.open(config).await?;
    let caught_up = app.hub.catch_up().await?;
    jobs::log_left_behind(&caught_up);
    if caught_up.moves > 0 {
        tracing::warn!(moves = caught_up.moves, "the index was behind the log and has caught up");
    }
    let bound = Listener::bind(options.listen).await;
    let mut listener = bound.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.address()?;
    if let Some(tls) = &tls {
        listener = listener.with_tls(tls.clone());
    }
    let operations = operations(network.operations.metrics_listen).await?;
    Ok(Started { app, address, tls, hub: Some(listener), operations })
}

async fn operations(address: Option<SocketAddr>) -> std::io::Result<Option<Listener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = Listener::bind(address).await;
    let listener = bound.map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot listen on {address} for metrics: {error}"))
    })?;
    tracing::info!(address = %listener.address()?, "metrics");
    Ok(Some(listener.with_purpose(Purpose::Operations)))
}

/// Serves and works until the process is asked to stop.
pub(super) async fn until_stopped(
    started: Started,
    worker: Option<Worker>,
    stop_signals: StopSignals,
) -> std::io::Result<()> {
    let Started { app, tls, hub, operations, .. } = started;
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which is a stop too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    // What goes on until the process ends, and is cut off then.
    let mut beside = JoinSet::new();
    let folded = app.clone();
    beside.spawn(async move {
        let mut swept = Instant::now();
        loop {
            tokio::time::sleep(FOLD).await;
            folded.metrics.fold();
            if swept.elapsed() > TIDY {
                folded.limiter.tidy(folded.clock.now()).await;
                swept = Instant::now();
            }
        }
    });
    if let Some(tls) = tls {
        let hangup = Hangup::listen()?;
        beside.spawn(async move { tls.follow(hangup).await });
    }
    if let Some(listener) = operations {
        // To the end, so that it can be seen that the process stops.
        beside.spawn(serve(app.clone(), listener, std::future::pending()));
    }
    let mut working = JoinSet::new();
    if let Some(worker) = worker {
        working.spawn(jobs::work(app.clone(), worker, wait(stopped.clone())));
    }
    if let Some(listener) = hub {
        working.spawn(serve(app.clone(), listener, wait(stopped)));
    }
    stop_signals.wait().await;
    tracing::info!("stopping");
    app.stop();
    let _ = stop.send(true);
    while working.join_next().await.is_some() {}
    Ok(())
}

/// The signals that ask the process to stop, heard from the moment this is made: made before anybody can know that the
/// server is there, so that none meets the system's default, which ends the process where it stands.
pub(super) struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn wait(self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
