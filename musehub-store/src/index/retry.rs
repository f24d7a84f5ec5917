//! Write transactions that the database gave up for others' sake are tried again, whole.
//!
//! PostgreSQL ends one of several transactions that wait for each other (`40P01`), and, where a session asked for more
//! than READ COMMITTED, one that met what another wrote (`40001`). Nothing of it is left, so it is safe to repeat, and as
//! a rule the second attempt succeeds.

use std::time::Duration;

use musehub_core::port::BackendError;
use sea_orm::{DbErr, RuntimeErr};

/// How often a transaction is tried.
const ATTEMPTS: u32 = 6;

/// The first pause is at most so long; each following one, twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What a transaction fails with.
pub(super) trait Failure {
    /// What the database had to do with it.
    fn backend(&self) -> Option<&BackendError>;
}

impl Failure for BackendError {
    fn backend(&self) -> Option<&BackendError> {
        Some(self)
    }
}

/// Runs a whole write transaction, begin to commit, again where the database gave it up.
pub(super) async fn transaction<T, E, F>(attempt: impl Fn() -> F) -> Result<T, E>
where
    E: Failure,
    F: Future<Output = Result<T, E>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.backend().is_some_and(was_given_up) => {
                tokio::time::sleep(some_of(pause)).await
            }
            done => return done,
        }
        pause *= 2;
    }
    attempt().await
}

fn was_given_up(error: &BackendError) -> bool {
    let BackendError::Unavailable { source, .. } = error else {
        return false;
    };
    let Some(DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        source.downcast_ref::<DbErr>()
    else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// A part of it by chance: those that met once shall not meet again.
fn some_of(pause: Duration) -> Duration {
    let (_, chance) = uuid::Uuid::new_v4().as_u64_pair();
    let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(micros / 2 + chance % micros.div_ceil(2))
}
