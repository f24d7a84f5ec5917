//! Rows of commits and snapshots whose objects the object store lacks, as they come with a database of rows alone. Until they
//! are back-filled, such a row keeps the record that the object is made from.

use async_trait::async_trait;

use super::{BackendError, BranchRow, CommitRow, SnapshotRow};
use crate::id::{CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use crate::name::RepoId;

/// A record that a row keeps. Nothing of it is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnstoredRecord {
    /// The id of the row.
    pub key: ObjectKey,
    /// The record as a client of the repository's scheme would send it, in JSON.
    pub json: String,
}

/// Rows without objects, to be added to what a repository holds. None has a place.
#[derive(Clone, Debug, Default)]
pub struct UnstoredRows {
    /// Snapshots, each with its record in JSON.
    pub snapshots: Vec<(SnapshotRow, String)>,
    /// Commits, each with its record in JSON.
    pub commits: Vec<(CommitRow, String)>,
    /// Branches that stand on them. Their number is 0: the log has no move of them.
    pub branches: Vec<BranchRow>,
}

/// How much the database alone has: rows without an object, branches without a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unstored {
    /// Commits.
    pub commits: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Branches that have a head and no move in the log.
    pub branches: u64,
}

impl Unstored {
    /// Whether the object store has everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commits == 0 && self.snapshots == 0 && self.branches == 0
    }
}

/// Rows without objects.
///
/// # Contract
/// Such a row is answered by every read of the [`HistoryIndex`](super::HistoryIndex) and of the
/// [`IndexPages`](super::IndexPages) as any other, without a place.
/// [`record_move`](super::HistoryIndex::record_move) replaces it by a row that has one, and its record is gone then.
#[async_trait]
pub trait UnstoredIndex: Send + Sync {
    /// Adds rows, all or none. What is there already stays as it is.
    async fn add_unstored(&self, repo: &RepoId, rows: UnstoredRows) -> Result<(), BackendError>;

    /// How many rows of a repository have no object, and how many of its branches no move.
    async fn unstored(&self, repo: &RepoId) -> Result<Unstored, BackendError>;

    /// The commits without an object, each with its generation, by generation and id: parents come first.
    async fn unstored_commits(&self, repo: &RepoId) -> Result<Vec<(u64, CommitId)>, BackendError>;

    /// The first `limit` snapshots without an object after the one that `after` names, by id.
    async fn unstored_snapshots(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotId>, BackendError>;

    /// The records that the rows of these commits or snapshots keep, in no order.
    async fn unstored_records(
        &self,
        repo: &RepoId,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<Vec<UnstoredRecord>, BackendError>;

    /// Takes back all that [`add_unstored`](Self::add_unstored) added to a repository and that has no object or move yet.
    async fn forget_unstored(&self, repo: &RepoId) -> Result<(), BackendError>;
}
