//! `serve`: the server until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::{DataDirectory, Outcome, ServeOptions};
use crate::app::App;
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
    let (app, listener, address) = start(&arguments.data, &arguments.options).await?;
    tracing::info!(%address, data = %arguments.data.data.display(), "serving");
    until_stopped(app, listener).await;
    Ok(ExitCode::SUCCESS)
}

/// Opens the data, brings the index up to the log, binds the address.
pub(super) async fn start(
    data: &DataDirectory,
    options: &ServeOptions,
) -> Result<(Arc<App>, Listener, SocketAddr), Box<dyn std::error::Error + Send + Sync>> {
    let app = App::open(&data.data, options.limits()).await?;
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
pub(super) async fn until_stopped(app: Arc<App>, listener: Listener) {
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which is a stop too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let worker = tokio::spawn(jobs::work(app.clone(), worker_name(), wait(stopped.clone())));
    let server = tokio::spawn(serve(app, listener, wait(stopped)));
    stop_signal().await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    let _ = tokio::join!(server, worker);
}

/// A name that no other worker has.
fn worker_name() -> String {
    format!("server-{}-{}", std::process::id(), musehub_core::RepoId::random())
}

/// Ends when the process is interrupted or told to terminate.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
