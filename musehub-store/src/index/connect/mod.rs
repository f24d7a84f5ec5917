//! Connections to the database: how each engine is opened, and with which settings.

pub(super) mod postgres;
pub(super) mod sqlite;

use std::time::Duration;

/// How long a caller waits for a connection of a pool.
///
/// On SQLite, longer than the longest write, as all writes of a process use one connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(120);

/// A database without tables, for a test.
#[cfg(test)]
pub(super) async fn empty(engine: musehub_test_services::Engine) -> sea_orm::DatabaseConnection {
    use musehub_test_services::{Engine, postgres};
    match engine {
        Engine::Sqlite => sqlite::in_memory().await.unwrap(),
        Engine::Postgres => sea_orm::Database::connect(postgres::database().await).await.unwrap(),
    }
}
