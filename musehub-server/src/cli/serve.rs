//! `serve`: the server until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::{DataDirectory, Outcome, ServeOptions};
use crate::app::{App, Settings};
use crate::http::{Listener, serve};
use crate::jobs;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    options: ServeOptions,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let stop_signals = StopSignals::listen()?;
    let (app, listener, address) = start(&arguments.data, &arguments.options).await?;
    let Settings { store, database, .. } = arguments.data.settings()?;
    tracing::info!(%address, data = %arguments.data.data.display(), %store, %database, "serving");
    until_stopped(app, listener, stop_signals).await;
    Ok(ExitCode::SUCCESS)
}

/// Opens the data, brings the index up to the log, binds the address.
pub(super) async fn start(
    data: &DataDirectory,
    options: &ServeOptions,
) -> Result<(Arc<App>, Listener, SocketAddr), Box<dyn std::error::Error + Send + Sync>> {
    let app = data.open(options.limits()).await?;
    let caught_up = app.hub.catch_up().await?;
    if caught_up.moves > 0 {
        tracing::warn!(moves = caught_up.moves, "the index was behind the log and has caught up");
    }
    let bound = Listener::bind(options.listen).await;
    let listener = bound.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.address()?;
    Ok((app, listener, address))
}

/// Serves and works until the process is asked to stop.
pub(super) async fn until_stopped(app: Arc<App>, listener: Listener, stop_signals: StopSignals) {
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which is a stop too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let worker = tokio::spawn(jobs::work(app.clone(), worker_name(), wait(stopped.clone())));
    let server = tokio::spawn(serve(app, listener, wait(stopped)));
    stop_signals.wait().await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    let _ = tokio::join!(server, worker);
}

/// A name that no other worker has.
fn worker_name() -> String {
    format!("server-{}-{}", std::process::id(), musehub_core::RepoId::random())
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
