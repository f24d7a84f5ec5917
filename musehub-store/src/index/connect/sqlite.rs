//! Connections to SQLite: WAL, so that readers and the one writer never wait for each other.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

use super::ACQUIRE_TIMEOUT;

/// How long a writer waits for one in another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How soon a file that others are opening is tried again.
const OPEN_AGAIN: Duration = Duration::from_millis(20);

/// Connections that read. Each has a thread of its own; they are made when needed.
const READERS: u32 = 8;

/// Statements that a connection keeps prepared: all that there are, and bulk inserts of various lengths.
const PREPARED_STATEMENTS: usize = 256;

/// The page cache of the writer, in KiB: the inner pages of the large indexes, which a push inserts into at random.
const WRITER_CACHE_KIB: u32 = 32 * 1024;

/// What the write-ahead log is cut back to after a large write, in bytes.
const KEPT_LOG_BYTES: u32 = 64 * 1024 * 1024;

/// The one connection that writes. Makes the file.
///
/// `synchronous = NORMAL`: a power cut may lose the last transactions, never mix them. They are caught up from the ref
/// log.
pub(in crate::index) async fn writer(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_writer(path).await {
            // Turning to WAL needs the file alone, and SQLite does not wait for that by itself.
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                tokio::time::sleep(OPEN_AGAIN).await;
            }
            other => return other,
        }
    }
}

fn is_locked(error: &DbErr) -> bool {
    error.to_string().contains("database is locked")
}

async fn try_writer(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    pool(1, move |options| {
        options
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
            .pragma("journal_size_limit", KEPT_LOG_BYTES.to_string())
    })
    .await
}

/// Connections that SQLite itself keeps from writing.
pub(in crate::index) async fn reader(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    pool(READERS, move |options| options.filename(&path).pragma("query_only", "ON")).await
}

/// The only connection to a file, for what needs the file alone. Waits for nobody.
pub(in crate::index) async fn alone(path: &Path) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    pool(1, move |options| options.filename(&path).busy_timeout(Duration::ZERO)).await
}

/// A database in memory: one connection, since each would have a database of its own.
pub(in crate::index) async fn in_memory() -> Result<DatabaseConnection, DbErr> {
    pool(1, |options| options.in_memory(true)).await
}

async fn pool(
    connections: u32,
    configure: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> Result<DatabaseConnection, DbErr> {
    // Paths may hold what a URL cannot; the file name is set as an option.
    let mut options = ConnectOptions::new("sqlite://index");
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a file does not go stale, and a new one would have to prepare every statement again.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let common = options
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .statement_cache_capacity(PREPARED_STATEMENTS)
                .pragma("temp_store", "MEMORY");
            configure(common)
        });
    Database::connect(options).await
}
