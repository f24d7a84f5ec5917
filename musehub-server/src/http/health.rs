//! Whether the server is up, and whether it can do its work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::StatusCode;
use musehub_core::port::BackendError;
use serde::Serialize;

use super::{ApiError, Reply, json};
use crate::app::App;

/// How long database and store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one part of the server said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Check {
    Ok,
    Failed,
    TimedOut,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Serialize)]
struct Readiness {
    /// `ready`, `unready` or `stopping`.
    status: &'static str,
    database: Check,
    store: Check,
}

/// `GET /health` and `GET /healthz`: the process answers. Says nothing of database or store, so that a process is not
/// restarted for their sake.
pub(crate) fn health() -> Result<Reply, ApiError> {
    json(StatusCode::OK, &Health { status: "ok" })
}

/// `GET /readyz`: whether requests are to be sent here. 503 where database or store fails or keeps silent, and while the
/// process stops. Causes go to the log.
pub(crate) async fn ready(app: &Arc<App>) -> Result<Reply, ApiError> {
    let stopping = app.stopping.load(Ordering::Relaxed);
    let (database, store) =
        tokio::join!(check("database", app.ask_database()), check("store", app.ask_store()),);
    let works = database == Check::Ok && store == Check::Ok;
    let status = match (stopping, works) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "unready",
    };
    let code = if works && !stopping { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &Readiness { status, database, store })
}

async fn check(part: &str, asked: impl Future<Output = Result<(), BackendError>>) -> Check {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => Check::Ok,
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(part, %error, cause, "not ready");
            Check::Failed
        }
        Err(_) => {
            tracing::warn!(part, "not ready: no answer in time");
            Check::TimedOut
        }
    }
}
