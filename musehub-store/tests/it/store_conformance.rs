//! Packs, staging and the ref log keep the contracts of core's ports, in memory and on disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use musehub_core::conformance::{mpack_store, object_store, ref_store, staging};
use musehub_store::{Backend, MpackFiles, PackedStore, RefLog};

/// Directories below one that goes when the test ends.
struct Directories {
    root: tempfile::TempDir,
    count: AtomicU64,
}

impl Directories {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), count: AtomicU64::new(0) }
    }

    fn fresh(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.root.path().join(number.to_string())
    }
}

async fn on_disk(directory: &Path) -> PackedStore {
    PackedStore::scan(Backend::local(directory).unwrap()).await.unwrap()
}

#[tokio::test]
async fn packs_in_memory() {
    object_store::run(|| async { PackedStore::scan(Backend::memory()).await.unwrap() }).await;
}

#[tokio::test]
async fn packs_on_disk() {
    let directories = Directories::new();
    object_store::run(|| async { on_disk(&directories.fresh()).await }).await;
}

#[tokio::test]
async fn staging_in_memory() {
    staging::run(|| async { PackedStore::scan(Backend::memory()).await.unwrap() }).await;
}

#[tokio::test]
async fn staging_on_disk() {
    let directories = Directories::new();
    staging::run(|| async { on_disk(&directories.fresh()).await }).await;
}

#[tokio::test]
async fn the_ref_log_in_memory() {
    ref_store::run(|| async { RefLog::new(Backend::memory()) }).await;
}

#[tokio::test]
async fn the_ref_log_on_disk() {
    let directories = Directories::new();
    ref_store::run(|| async { RefLog::new(Backend::local(&directories.fresh()).unwrap()) }).await;
}

#[tokio::test]
async fn packs_of_the_wire_in_memory() {
    mpack_store::run(|| async { MpackFiles::new(Backend::memory()) }).await;
}

#[tokio::test]
async fn packs_of_the_wire_on_disk() {
    let directories = Directories::new();
    mpack_store::run(|| async { MpackFiles::new(Backend::local(&directories.fresh()).unwrap()) }).await;
}
