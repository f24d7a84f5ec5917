//! Names of branches that are about to be made.

use async_trait::async_trait;

use super::{BackendError, Timestamp};
use crate::name::{BranchName, RepoId};

/// Somebody is about to make a branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BranchClaim {
    /// Its name.
    pub branch: BranchName,
    /// Whoever claimed it has made it by then, or never will.
    pub until: Timestamp,
}

/// Keeps those apart that make branches of which one is [in the way](BranchName::is_in_the_way_of) of the other: the
/// [`RefStore`](super::RefStore) decides races about one name only.
///
/// # Contract
/// A claim is seen by every process once it is made. Of several callers that claim names in each other's way at a time, at
/// most one succeeds. One name may be claimed by many; the last claim of it counts.
#[async_trait]
pub trait BranchClaims: Send + Sync {
    /// Claims a name, unless another one that is in its way is claimed: gives that claim then, whether its time is over
    /// or not.
    async fn claim(&self, repo: &RepoId, claim: &BranchClaim) -> Result<Option<BranchClaim>, BackendError>;

    /// Removes a claim. Nothing happens where it is gone or the name was claimed again.
    async fn release(&self, repo: &RepoId, claim: &BranchClaim) -> Result<(), BackendError>;
}
