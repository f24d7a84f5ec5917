//! Names of new branches: clients keep a branch as a file, so `a` and `a/b` cannot be side by side.
//!
//! The log decides races about one name. About two names that are in each other's way, a claim does, which is made before
//! the entry of the log and removed after its rows. So whoever claims a name and looks at the branches after that sees
//! every other branch, or the claim of it.

use super::announced::new_claim;
use super::{Hub, PushError};
use crate::name::BranchName;
use crate::port::{BranchClaim, RepositoryRecord};

/// How many claims of others that came to nothing are cleared away for one branch.
const MAX_CLAIMS: usize = 64;

impl Hub {
    /// Refuses the name of a new branch that is in the way of a branch, and any in a repository whose objects are not all
    /// written: the branch could stand on what the log does not know.
    pub(super) async fn require_free_name(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<(), PushError> {
        let branches = self.backends.history.branches(&repo.repo_id).await?;
        if let Some(row) = branches.iter().find(|row| row.sequence == 0) {
            return Err(PushError::Unstored { branch: row.name.clone() });
        }
        match branches.into_iter().find(|row| row.name.is_in_the_way_of(branch)) {
            None => Ok(()),
            Some(row) => Err(PushError::BranchConflict { branch: branch.clone(), existing: row.name }),
        }
    }

    /// Claims the name of a new branch: until the claim is released or its time is over, nobody makes one in its way.
    pub(super) async fn claim_name(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<BranchClaim, PushError> {
        let claims = &self.backends.claims;
        for _ in 0..MAX_CLAIMS {
            let now = self.backends.clock.now();
            let claim = new_claim(branch, now);
            let Some(other) = claims.claim(&repo.repo_id, &claim).await? else {
                return match self.require_free_name(repo, branch).await {
                    Ok(()) => Ok(claim),
                    Err(error) => {
                        self.release(repo, &claim).await;
                        Err(error)
                    }
                };
            };
            // Whoever made that claim may have died before the index knew of the branch.
            self.catch_up_branch(repo, &other.branch).await?;
            let made = self.position(repo, &other.branch).await?.head.is_some();
            if made || other.until > now {
                return Err(PushError::BranchConflict { branch: branch.clone(), existing: other.branch });
            }
            claims.release(&repo.repo_id, &other).await?;
        }
        Err(PushError::Busy { branch: branch.clone() })
    }
}
