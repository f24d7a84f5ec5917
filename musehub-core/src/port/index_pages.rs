//! The read model from one end to the other, page by page: for checks and copies that must not hold it in memory.

use async_trait::async_trait;

use super::{BackendError, BlobRow, CommitRow, SnapshotRow, Timestamp};
use crate::id::{BlobId, CommitId, ObjectKey, SnapshotId};
use crate::name::{BranchName, RepoId};

/// A branch as the index knows it, also one that was deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchPosition {
    /// Its name.
    pub name: BranchName,
    /// Its head; none where it was deleted.
    pub head: Option<CommitId>,
    /// The number of its last move.
    pub sequence: u64,
    /// When it moved last.
    pub moved_at: Timestamp,
}

/// Repositories, and rows of one repository, in an order of the backend's own, which stays the same.
///
/// # Contract
/// A page has the first `limit` rows after the one that `after` names, the first of all where it names none. Whoever goes
/// on from the last row of each page until one is empty has seen every row once, apart from those that came meanwhile.
#[async_trait]
pub trait IndexPages: Send + Sync {
    /// The ids of all repositories, deleted ones among them.
    async fn repository_page(&self, after: Option<&RepoId>, limit: u32) -> Result<Vec<RepoId>, BackendError>;

    /// Branches.
    async fn branch_page(
        &self,
        repo: &RepoId,
        after: Option<&BranchName>,
        limit: u32,
    ) -> Result<Vec<BranchPosition>, BackendError>;

    /// Commits. One that lacks its place in the graph has the generation 0.
    async fn commit_page(
        &self,
        repo: &RepoId,
        after: Option<CommitId>,
        limit: u32,
    ) -> Result<Vec<CommitRow>, BackendError>;

    /// Snapshots.
    async fn snapshot_page(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotRow>, BackendError>;

    /// Blobs.
    async fn blob_page(
        &self,
        repo: &RepoId,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<Vec<BlobRow>, BackendError>;

    /// Of the first `limit` blobs after the one that `after` names those that no repository holds, and which was the last
    /// looked at; none at the end.
    async fn unheld_blobs(
        &self,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<(Vec<BlobRow>, Option<BlobId>), BackendError>;

    /// Up to `limit` commits that have a place in a repository's graph, and blobs that it is said to hold, without a row: rows
    /// that nothing but damage takes apart. A backend that cannot come into this state has none.
    async fn rowless(&self, repo: &RepoId, limit: u32) -> Result<Vec<ObjectKey>, BackendError>;
}
