//! Names of branches that are about to be made or moved.

use async_trait::async_trait;

use super::{BackendError, Timestamp};
use crate::name::{BranchName, RepoId};

/// Somebody is about to make a branch, or to move one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchClaim {
    /// Its name.
    pub branch: BranchName,
    /// Whoever claimed it has done so by then, or never will.
    pub until: Timestamp,
}

/// Keeps those apart that make branches of which one is [in the way](BranchName::is_in_the_way_of) of the other: the
/// [`RefStore`](super::RefStore) decides races about one name only. And says which branches may have moved further than the
/// [`HistoryIndex`](super::HistoryIndex) knows: a move is claimed before its entry of the log, and released after its rows.
///
/// # Contract
/// A claim is seen by every process once it is made. Of several callers that claim names in each other's way at a time, at
/// most one succeeds. One name may be claimed by many; the last claim of it counts.
#[async_trait]
pub trait BranchClaims: Send + Sync {
    /// Claims a name, unless another one that is in its way is claimed: gives that claim then, whether its time is over
    /// or not.
    async fn claim(&self, repo: &RepoId, claim: &BranchClaim) -> Result<Option<BranchClaim>, BackendError>;

    /// Claims the name of a branch that is there, whatever else is claimed.
    async fn announce(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError>;

    /// The claims of a repository, whether their time is over or not, ordered by name.
    async fn claims(&self, repo: &RepoId) -> Result<Vec<BranchClaim>, BackendError>;

    /// Removes a claim. Nothing happens where it is gone or the name was claimed again.
    async fn release(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError>;
}
