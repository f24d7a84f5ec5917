//! The domain of MuseHub: identifiers, canonical objects, graph walks, ports and use cases.
//!
//! This crate does no I/O. It links no async runtime, no database, no HTTP and no object-store client; whatever
//! touches the world is behind a trait in [`port`], and [`memory`] has an adapter of each for tests and
//! embedders.

#![warn(missing_docs)]

pub mod canonical;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cpu;
pub mod diff;
pub mod graph;
pub mod hash;
pub mod hub;
pub mod id;
pub mod licence;
pub mod memory;
pub mod merge;
pub mod mpack;
pub mod name;
pub mod object;
pub mod path;
pub mod port;
pub mod release;
pub mod scheme;
pub mod settings;
pub mod signature;

pub use hub::Hub;
pub use id::{BlobId, CommitId, HashAlgorithm, ObjectId, ObjectKey, ObjectKind, SnapshotId};
pub use licence::Licence;
pub use name::{BranchName, Handle, RepoId, Slug};
pub use path::RepoPath;
