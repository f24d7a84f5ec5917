//! Servers that the tests of MuseHub start for themselves: private to a test process, and gone with it.

#![warn(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that unwraps fails where it stands"
)]

pub mod postgres;
pub mod proxy;
pub mod relay;
pub mod s3;

/// What the tests of a run keep the index in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Files, or memory.
    Sqlite,
    /// Databases of the server of [`postgres`].
    Postgres,
}

impl Engine {
    /// The engine that `MUSEHUB_TEST_DATABASE` names, `sqlite` or `postgres`; SQLite where it is not set.
    #[must_use]
    pub fn chosen() -> Self {
        match std::env::var("MUSEHUB_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("MUSEHUB_TEST_DATABASE is sqlite or postgres, not {other}"),
        }
    }
}
