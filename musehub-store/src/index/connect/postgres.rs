//! Connections to PostgreSQL: two pools, so that readers never wait for writers, nor can write.
//!
//! READ COMMITTED is all that the index needs. No transaction decides by what it has read: each statement decides for
//! itself, under the lock of the row that it writes (a branch moves where its number grows, a job is claimed where it is
//! due, a row is inserted where there is none). A page is one statement, so it sees one moment. Above it, inserts of the
//! same blob by two pushes would fail and be repeated, where they now wait and find it there; and a statement that waited for
//! another's lock would read what was there before. So a write transaction begins as such, whatever a URL says of isolation.

use std::time::Duration;

use musehub_core::port::BackendError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions, Connection, PgPool, Row};
use tokio::time::timeout;

use super::ACQUIRE_TIMEOUT;
use super::session::{Patience, Sessions};
use crate::index::url::described;

/// How long a server may take to answer the first time, and to say that a connection is alive.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of each pool; they are made when needed. A process has at most twice as many.
pub(in crate::index) const CONNECTIONS: u32 = 8;

/// A connection that nobody used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A connection that nobody used for so long is asked whether it is alive.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// What a session keeps to, unless the URL says otherwise. A statement or a lock that takes longer fails; so does a
/// transaction whose client stopped in the middle, which would hold its locks for ever. Write transactions are READ
/// COMMITTED whatever it says.
const SESSION: [(&str, &str); 4] = [
    ("statement_timeout", "60s"),
    ("lock_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("default_transaction_isolation", "read committed"),
];

/// Why a database is of no use.
#[derive(thiserror::Error, Debug)]
enum Unusable {
    #[error("{database}: {source}")]
    Failed { database: String, source: sqlx::Error },
    #[error("{database} does not answer within {} seconds", GREETING_TIMEOUT.as_secs())]
    Silent { database: String },
    #[error("{database} is encoded in {encoding}; the index needs a database in UTF8")]
    Encoding { database: String, encoding: String },
}

/// The pools of writers and of readers.
///
/// # Errors
/// [`BackendError::Unavailable`] where nobody answers, the server refuses, or the database is of no use.
pub(in crate::index) async fn pools(
    options: &PgConnectOptions,
) -> Result<(Sessions, Sessions), BackendError> {
    let options = with_defaults(options.clone());
    // A pool would try again and again, and in the end say no more than that it waited.
    let greeting = timeout(GREETING_TIMEOUT, greet(&options)).await;
    let patience = greeting
        .unwrap_or_else(|_| Err(Unusable::Silent { database: described(&options) }))
        .map_err(|error| BackendError::unavailable("opening the index", error))?;
    let read_only = options.clone().options([("default_transaction_read_only", "on")]);
    Ok((Sessions::new(pool(options), patience), Sessions::new(pool(read_only), patience)))
}

fn with_defaults(options: PgConnectOptions) -> PgConnectOptions {
    let chosen = options.get_options().unwrap_or_default().to_owned();
    let mut options = options.disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("musehub");
    }
    let names = |word: &str, name| {
        let setting = word.trim_start_matches("--").trim_start_matches("-c");
        setting.split_once('=').is_some_and(|(chosen, _)| chosen == name)
    };
    let left = SESSION.into_iter().filter(|(name, _)| !chosen.split(' ').any(|word| names(word, *name)));
    options.options(left)
}

/// What a session is told of itself: the encoding of the database, and the time in milliseconds that a statement may take, as
/// the URL, the role or the database has it.
const GREETING: &str = "\
    SELECT current_setting('server_encoding'), setting::bigint FROM pg_settings WHERE name = 'statement_timeout'";

/// Makes sure that the database is of use; how long its answers are to be waited for.
async fn greet(options: &PgConnectOptions) -> Result<Patience, Unusable> {
    let failed = |source| Unusable::Failed { database: described(options), source };
    let mut connection: PgConnection = options.connect().await.map_err(failed)?;
    let row = sqlx::query(GREETING).fetch_one(&mut connection).await.map_err(failed)?;
    let encoding: String = row.try_get(0).map_err(failed)?;
    let millis: i64 = row.try_get(1).map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if encoding != "UTF8" {
        return Err(Unusable::Encoding { database: described(options), encoding });
    }
    Ok(Patience::beyond(millis.unsigned_abs()))
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        // Asking before every statement would double the round trips.
        .test_before_acquire(false)
        .before_acquire(|connection, connection_is| {
            Box::pin(async move {
                if connection_is.idle_for > ASK_AFTER {
                    let alive = timeout(GREETING_TIMEOUT, connection.ping()).await;
                    alive.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}
