//! The contracts of the [ports](crate::port) as executable suites, for every adapter: ours and other people's.
//!
//! Each module has one function `run`, which takes a factory, makes a fresh, empty backend for every case and panics
//! with the name of the case that fails. Nothing sleeps and nothing depends on the time of day; backends that hold a
//! directory or a database open should give it up when they are dropped.
//!
//! Suites of the read model create the repositories they write about with
//! [`RepositoryIndex::put_repository`](crate::port::RepositoryIndex::put_repository) first, so that an adapter may
//! enforce foreign keys. What is written keeps the rules of the domain: parents come before children, blob ids are the
//! hashes of what they name.
//!
//! # Against a backend of your own
//!
//! Implement the port; enable the feature `conformance` for your tests:
//!
//! ```toml
//! [dev-dependencies]
//! musehub-core = { version = "…", features = ["conformance"] }
//! ```
//!
//! and give each suite of a port that you implement a factory. It is called once for each case and must give a backend
//! that holds nothing: a directory, prefix or database of its own. [`object_store`] and [`staging`] are two suites over
//! one value where your store is both. Suites need no particular runtime: `block_on` or `#[tokio::test]`, as your backend
//! needs it. `examples/custom_backend.rs` of the package `musehub` is a whole one: a [`RefStore`](crate::port::RefStore)
//! in one file, its suite, and a hub over it.
//!
//! What no suite can show is for you to test: that a write outlives the process and a power cut, that several processes
//! may race, and what happens when a connection breaks in the middle.
//!
//!
//! ```
//! use musehub_core::conformance::{ref_store, repository_index};
//! use musehub_core::memory::{MemoryIndex, MemoryRefs};
//!
//! futures::executor::block_on(async {
//!     ref_store::run(|| async { MemoryRefs::new() }).await;
//!     repository_index::run(|| async { MemoryIndex::new() }).await;
//! });
//! ```

pub mod access;
pub mod branch_claims;
pub mod fetch_packs;
mod fixtures;
pub mod history_index;
mod history_rows;
pub mod identity;
pub mod index_pages;
pub mod intel;
pub mod job_control;
pub mod job_queue;
pub mod maintenance_index;
pub mod mpack_store;
pub mod object_store;
pub mod proposals;
pub mod rate_limits;
pub mod ref_store;
pub mod release_store;
pub mod repository_index;
pub mod staging;
pub mod unstored_index;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// Runs one case; its panic goes on with the name of the case in front.
async fn case(suite: &str, name: &str, run: impl Future<Output = ()>) {
    let Err(cause) = AssertUnwindSafe(run).catch_unwind().await else {
        return;
    };
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let reason = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
    panic!("conformance of {suite}, case {name}: {reason}");
}

/// Runs each case against a backend of its own.
macro_rules! run_cases {
    ($suite:literal, $fresh:ident, [$($case:path),* $(,)?]) => {
        $(super::case($suite, stringify!($case), async {
            let backend = $fresh().await;
            $case(&backend).await;
        })
        .await;)*
    };
}
use run_cases;
