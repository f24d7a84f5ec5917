//! Branches made, renamed and deleted without a push.

use super::advance::{Advance, Expected, Novelty, Way, protection};
use super::{BranchError, Hub, PushError, Refused, default_branch};
use crate::id::CommitId;
use crate::name::{BranchName, Handle};
use crate::port::{BackendError, RepositoryRecord};

impl Hub {
    /// Creates a branch at a commit that the repository holds.
    ///
    /// # Errors
    /// [`BranchError`]; where the branch is there already, [`PushError::BranchMoved`] within it.
    pub async fn create_branch(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        branch: &BranchName,
        at: CommitId,
    ) -> Result<(), BranchError> {
        self.commit(repo, at).await?;
        let expected = Expected::Head(None);
        let way = Way::Direct;
        let advance = Advance { repo, branch, to: Some(at), expected, force: false, way, pusher: who };
        self.advance(advance, &Novelty::default()).await?;
        Ok(())
    }

    /// Deletes a branch that stands at `expected_head`. Its commits stay, as the log still names them.
    ///
    /// # Errors
    /// [`BranchError`]; the default branch is never deleted.
    pub async fn delete_branch(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        branch: &BranchName,
        expected_head: CommitId,
    ) -> Result<(), BranchError> {
        if default_branch(repo) == *branch {
            return Err(BranchError::IsDefault { branch: branch.clone() });
        }
        let expected = Expected::Head(Some(expected_head));
        // The branch loses commits by this, at the wish of who deletes it.
        let way = Way::Direct;
        let advance = Advance { repo, branch, to: None, expected, force: true, way, pusher: who };
        self.advance(advance, &Novelty::default()).await?;
        Ok(())
    }

    /// Renames a branch that stands at `expected_head`; the default branch stays the default. Gives the repository as it
    /// is then.
    ///
    /// The new name is made before the old one goes: a crash between the two leaves both.
    ///
    /// # Errors
    /// [`BranchError`]: the new name is taken or in the way of another one, or the branch stands elsewhere.
    pub async fn rename_branch(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        (from, to): (&BranchName, &BranchName),
        expected_head: CommitId,
    ) -> Result<RepositoryRecord, BranchError> {
        let (head, expected) = (self.position(repo, from).await?.head, Some(expected_head));
        if head != expected {
            return Err(PushError::BranchMoved { branch: from.clone(), expected, head }.into());
        }
        // The old name goes last, so that it must go is found out first.
        let protection = protection(repo, from);
        if protection.refuse_direct_push || protection.refuse_deletion {
            let refused = if protection.refuse_direct_push { Refused::DirectPush } else { Refused::Deletion };
            return Err(PushError::Protected { branch: from.clone(), refused }.into());
        }
        self.create_branch(repo, who, to, expected_head).await?;
        let mut repo = repo.clone();
        if default_branch(&repo) == *from {
            repo.version += 1;
            repo.default_branch = Some(to.clone());
            match self.backends.refs.put_repository(&repo).await {
                Err(BackendError::Conflict { .. }) => {
                    return Err(PushError::Busy { branch: from.clone() }.into());
                }
                other => other?,
            }
            self.backends.repositories.put_repository(&repo).await?;
        }
        self.delete_branch(&repo, who, from, expected_head).await?;
        Ok(repo)
    }
}
