//! The read model of history: branches, commits, snapshots and which repository holds what.

use std::time::Duration;

use async_trait::async_trait;

use super::{BackendError, Located, NewJob, Place, RefLogEntry, Timestamp};
use crate::graph::CommitNode;
use crate::id::{BlobId, CommitId, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::object::IdProof;

/// A branch that has a head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchRow {
    /// Its name.
    pub name: BranchName,
    /// Its head.
    pub head: CommitId,
    /// The number of its last move.
    pub sequence: u64,
    /// When it moved last.
    pub moved_at: Timestamp,
}

/// A commit that a repository holds, as far as pages and walks ask for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitRow {
    /// Its id.
    pub id: CommitId,
    /// Its parents, in the order of the record.
    pub parents: Vec<CommitId>,
    /// 1 for a root, else one more than the highest of its parents.
    pub generation: u64,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// Who wrote it; who pushed it where the record does not say.
    pub author: String,
    /// Its message.
    pub message: String,
    /// The time of its record, verbatim.
    pub committed_at: String,
    /// The agent that made it, empty for none.
    pub agent_id: String,
    /// The branch on which it was made, by its record.
    pub branch: String,
    /// Length of the payload of its record, in bytes.
    pub size: u64,
    /// Where this repository's record of it lies; none while only its row has the record
    /// ([`UnstoredIndex`](super::UnstoredIndex)).
    pub place: Option<Place>,
    /// What its id proves.
    pub id_proof: IdProof,
}

/// A snapshot that a repository holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRow {
    /// Its id.
    pub id: SnapshotId,
    /// How many files it has.
    pub entry_count: u64,
    /// Length of its payload, in bytes.
    pub size: u64,
    /// Where this repository's record of it lies; none while only its row has the record
    /// ([`UnstoredIndex`](super::UnstoredIndex)).
    pub place: Option<Place>,
}

/// A blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobRow {
    /// Its id.
    pub id: BlobId,
    /// Length of its payload, in bytes.
    pub size: u64,
    /// Where it lies.
    pub place: Place,
}

impl BlobRow {
    /// Its name and place.
    #[must_use]
    pub const fn located(&self) -> Located {
        Located { key: self.id.key(), place: self.place }
    }
}

/// Everything that one move of a branch adds to the read model.
#[derive(Clone, Debug)]
pub struct MoveRows {
    /// The move.
    pub entry: RefLogEntry,
    /// Commits that the repository did not hold, parents first.
    pub commits: Vec<CommitRow>,
    /// Snapshots that the repository did not hold.
    pub snapshots: Vec<SnapshotRow>,
    /// Blobs that the repository did not hold, wherever they lie.
    pub blobs: Vec<BlobRow>,
    /// Places of some of those blobs where nothing lies any more: a row that says such a place says the move's from now on.
    pub lost: Vec<Located>,
    /// Work to do because of the move.
    pub jobs: Vec<NewJob>,
}

/// How long the parts of recording a move took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RowTimes {
    /// Blobs.
    pub objects: Duration,
    /// Which of them the repository holds.
    pub object_refs: Duration,
    /// Snapshots.
    pub snapshots: Duration,
    /// Commits and their graph, and the end of the transaction.
    pub commits: Duration,
}

/// History, queryable. Every answer is about what one repository holds; what it does not hold is not there for it.
///
/// # Contract
/// [`record_move`](Self::record_move) is atomic and idempotent. It never moves a branch back: a move whose number is not
/// above the branch's present one adds its rows and leaves the head. Rows that are there already stay as they are, but for
/// those of commits and snapshots without a place, which the move's replace, and those of blobs that say a place which the move
/// names as [`lost`](MoveRows::lost).
#[async_trait]
pub trait HistoryIndex: Send + Sync {
    /// Adds a move and what came with it; says how long that took, as far as the backend measures it.
    async fn record_move(&self, rows: MoveRows) -> Result<RowTimes, BackendError>;

    /// The branches of a repository, ordered by name.
    async fn branches(&self, repo: &RepoId) -> Result<Vec<BranchRow>, BackendError>;

    /// One branch, and the number of its last move even where that deleted it.
    async fn branch(
        &self,
        repo: &RepoId,
        branch: &BranchName,
    ) -> Result<(Option<CommitId>, u64), BackendError>;

    /// The graph around commits: a node for each of `ids` that the repository holds, and for as many of their
    /// ancestors as the backend finds useful to send along, up to `window` in all beyond those asked.
    async fn commit_nodes(
        &self,
        repo: &RepoId,
        ids: &[CommitId],
        window: u32,
    ) -> Result<Vec<CommitNode>, BackendError>;

    /// The rows of those commits that the repository holds, in no order.
    async fn commits(&self, repo: &RepoId, ids: &[CommitId]) -> Result<Vec<CommitRow>, BackendError>;

    /// The rows of those snapshots that the repository holds, in no order.
    async fn snapshots(&self, repo: &RepoId, ids: &[SnapshotId]) -> Result<Vec<SnapshotRow>, BackendError>;

    /// The rows of those blobs that the repository holds, in no order.
    async fn blobs(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<BlobRow>, BackendError>;

    /// How many commits a repository holds.
    async fn commit_count(&self, repo: &RepoId) -> Result<u64, BackendError>;
}
