//! Connections to the database: how each engine is opened, and with which settings.

pub(super) mod postgres;
pub(super) mod sqlite;

use std::time::Duration;

#[cfg(test)]
pub(super) use sqlite::in_memory;

/// How long a caller waits for a connection of a pool.
///
/// On SQLite, longer than the longest write, as all writes of a process use one connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(120);
