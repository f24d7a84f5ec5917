//! An embeddable hub for the [Muse](https://github.com/cgcardona/muse) version control system.
//!
//! Muse is content-addressed: blobs, snapshots (path → blob) and commits, each with an id that is the hash of its content. A
//! hub is where clients push history to and fetch it from. This package gathers the libraries under one name:
//!
//! * [`core`]: ids, canonical objects, graph walks, the ports and the use cases, without I/O;
//! * [`store`]: the ports over an object store (packs, the ref log) and over SQLite (the index);
//! * [`intel`]: what can be learned from code; first, a detector of stale imports.
//!
//! The server that people run is `musehub-server`, a thin layer over these.
//!
//! # Quick start
//!
//! A hub in memory receives a commit and gives it back:
//!
//! ```
//! # futures::executor::block_on(async {
//! use musehub::core::hub::{InlineBlob, NewRepository, Push};
//! use musehub::core::object::{Manifest, SnapshotRecord};
//! use musehub::core::port::Visibility;
//! use musehub::core::scheme::{IdScheme, typed_v2};
//! use musehub::core::{BranchName, Handle, HashAlgorithm, RepoPath, Slug};
//!
//! let hub = musehub::in_memory();
//! let alice = Handle::parse("alice")?;
//! let repo = hub
//!     .create_repository(NewRepository {
//!         owner: alice.clone(),
//!         slug: Slug::parse("tunes")?,
//!         visibility: Visibility::Public,
//!         description: String::new(),
//!         scheme: Some(IdScheme::TypedV2),
//!     })
//!     .await?;
//!
//! let blob = typed_v2::blob_id(HashAlgorithm::Blake3, b"la la la");
//! let manifest = Manifest::new(vec![(RepoPath::parse("song.txt")?, blob)])?;
//! let snapshot = musehub::core::object::Snapshot::verify(
//!     IdScheme::TypedV2,
//!     SnapshotRecord { manifest, ..SnapshotRecord::default() },
//! )?;
//! let commit = serde_json::json!({
//!     "parents": [],
//!     "snapshot_id": snapshot.id().to_string(),
//!     "message": "A song",
//!     "committed_at": "2026-11-21T12:00:00+00:00",
//!     "author": "alice",
//! });
//! let outcome = hub
//!     .receive_push(
//!         &repo,
//!         &alice,
//!         Push {
//!             branch: BranchName::parse("main")?,
//!             force: false,
//!             scheme: IdScheme::TypedV2,
//!             commits: vec![commit.as_object().cloned().unwrap_or_default()],
//!             snapshots: vec![SnapshotRecord { id: Some(snapshot.id()), ..snapshot.record().clone() }],
//!             blobs: vec![InlineBlob { id: blob, content: "la la la".into() }],
//!         },
//!     )
//!     .await?;
//!
//! let plan = hub.fetch(&repo, &[outcome.head], &[], 64 << 20).await?;
//! let songs = hub.contents(&plan.blobs).await?;
//! assert_eq!(songs, ["la la la"]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

#![warn(missing_docs)]

use std::sync::Arc;

pub use musehub_core as core;
pub use musehub_intel as intel;
pub use musehub_store as store;

use musehub_core::Hub;
use musehub_core::hub::{Backends, Options};
use musehub_core::memory::{MemoryIndex, MemoryObjects, MemoryRefs};
use musehub_core::port::SystemClock;

/// A hub whose repositories live in memory and end with it: for tests, and to get to know the library.
#[must_use]
pub fn in_memory() -> Hub {
    let objects = Arc::new(MemoryObjects::new());
    let index = Arc::new(MemoryIndex::new());
    let backends = Backends {
        objects: objects.clone(),
        staging: objects,
        refs: Arc::new(MemoryRefs::new()),
        repositories: index.clone(),
        history: index.clone(),
        unstored: index.clone(),
        claims: index.clone(),
        collaborators: index.clone(),
        keys: index.clone(),
        proposals: index.clone(),
        conversations: index,
        clock: Arc::new(SystemClock),
    };
    Hub::new(backends, Options::default())
}
