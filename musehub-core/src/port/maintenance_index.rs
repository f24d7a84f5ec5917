//! What the upkeep of the object store tells the read model: objects lie elsewhere now, or are gone.

use async_trait::async_trait;

use super::{BackendError, BlobRow, Place};
use crate::id::{BlobId, ObjectKey};
use crate::name::RepoId;

/// How many rows a caller changes at a time, so that pushes get their turn to write in between.
pub const MAINTENANCE_BATCH: usize = 500;

/// That the record of an object was copied from one place to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// The object.
    pub key: ObjectKey,
    /// Where its record lay, and still does until its pack is removed.
    pub from: Place,
    /// Where the same bytes lie as well.
    pub to: Place,
}

/// The read model as the upkeep of the object store changes it. Nothing here alters what a repository shows.
///
/// # Contract
/// Every method is idempotent, and atomic but for [`forget_repository`](Self::forget_repository). Callers give at most
/// [`MAINTENANCE_BATCH`] rows at a time.
#[async_trait]
pub trait MaintenanceIndex: Send + Sync {
    /// Moves the rows that lie at `from` to `to`, in every repository; how many there were. Rows of the same object that
    /// lie elsewhere stay.
    async fn relocate(&self, moves: &[Relocation]) -> Result<u64, BackendError>;

    /// Removes the rows of blobs that lie at exactly these places and that no repository holds; how many there were. A move
    /// that is recorded at the same time may be passed over: the caller looks at the log afterwards, and
    /// [restores](Self::restore_blobs) what it names by then.
    async fn forget_blobs(&self, blobs: &[(BlobId, Place)]) -> Result<u64, BackendError>;

    /// Makes rows of blobs that have none. Those that have one keep it.
    async fn restore_blobs(&self, blobs: &[BlobRow]) -> Result<(), BackendError>;

    /// Removes everything about a repository that was deleted for good, its branches first: what is left where it fails in
    /// the middle has none, and is removed by the next call. Blobs stay: others may hold them.
    async fn forget_repository(&self, repo: &RepoId) -> Result<(), BackendError>;
}
