//! In-memory adapters of every port, for tests and for embedders that need nothing kept.
//!
//! They are stricter than production: what a correct caller never does (other bytes under a blob's id, a gap in a
//! branch's numbers, a commit before its parents, a name that nobody made) is an error here, so that fast tests find
//! wrong assumptions. They do no I/O and never wait.

mod claims;
mod clock;
mod fetch_packs;
mod history;
mod identity;
mod index;
mod intel;
mod jobs;
mod maintenance;
mod mpacks;
mod objects;
mod pages;
mod proposals;
mod rates;
mod refs;
mod releases;
mod staging;
#[cfg(test)]
mod tests;
mod unstored;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::FixedClock;
pub use index::MemoryIndex;
pub use mpacks::MemoryMpacks;
pub use objects::MemoryObjects;
pub use rates::MemoryRates;
pub use refs::MemoryRefs;

use crate::name::{Handle, Slug};
use crate::port::BackendError;

/// Locks a state. Every method checks first and changes then, so a panic elsewhere leaves nothing half done.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn conflict(what: impl Into<String>) -> BackendError {
    BackendError::Conflict { what: what.into() }
}

fn missing(what: impl Into<String>) -> BackendError {
    BackendError::Missing { what: what.into() }
}

fn damaged(what: impl Into<String>, reason: impl Into<String>) -> BackendError {
    BackendError::Damaged { what: what.into(), reason: reason.into() }
}

/// A repository's name as it is compared: without case.
type FoldedName = (String, String);

fn folded(owner: &Handle, slug: &Slug) -> FoldedName {
    (owner.as_str().to_ascii_lowercase(), slug.as_str().to_ascii_lowercase())
}
