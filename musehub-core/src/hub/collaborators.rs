//! Letting others in: who may, whom, and how many.

use super::{CollaboratorError, Hub};
use crate::name::Handle;
use crate::port::{BackendError, Collaborator, RepositoryRecord, Role};

/// The most collaborators of a repository.
pub const MAX_COLLABORATORS: usize = 1000;

impl Hub {
    /// The collaborators of a repository, by handle.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn collaborators(&self, repo: &RepositoryRecord) -> Result<Vec<Collaborator>, BackendError> {
        self.backends.collaborators.collaborators(&repo.repo_id).await
    }

    /// Lets somebody do something with a repository, or something else than before.
    ///
    /// # Errors
    /// [`CollaboratorError`]: the owner has no role, an identity must be there, and a repository has only so many
    /// collaborators.
    pub async fn set_collaborator(
        &self,
        repo: &RepositoryRecord,
        handle: &Handle,
        role: Role,
        by: &Handle,
    ) -> Result<Collaborator, CollaboratorError> {
        if handle.as_str().eq_ignore_ascii_case(repo.owner.as_str()) {
            return Err(CollaboratorError::Owner { handle: handle.clone() });
        }
        let present = self.collaborators(repo).await?;
        let is_one = |other: &&Collaborator| other.handle.as_str().eq_ignore_ascii_case(handle.as_str());
        if present.len() >= MAX_COLLABORATORS && !present.iter().any(|other| is_one(&other)) {
            return Err(CollaboratorError::TooMany);
        }
        let collaborator = Collaborator {
            handle: handle.clone(),
            role,
            added_by: by.clone(),
            added_at: self.backends.clock.now(),
        };
        match self.backends.collaborators.put_collaborator(&repo.repo_id, &collaborator).await {
            Err(BackendError::Missing { .. }) => Err(CollaboratorError::Unknown { handle: handle.clone() }),
            done => Ok(done.map(|()| collaborator)?),
        }
    }

    /// Takes back what a collaborator may do.
    ///
    /// # Errors
    /// [`CollaboratorError::None`] where they are none.
    pub async fn remove_collaborator(
        &self,
        repo: &RepositoryRecord,
        handle: &Handle,
    ) -> Result<(), CollaboratorError> {
        if self.backends.collaborators.remove_collaborator(&repo.repo_id, handle).await? {
            Ok(())
        } else {
            Err(CollaboratorError::None { handle: handle.clone() })
        }
    }
}
