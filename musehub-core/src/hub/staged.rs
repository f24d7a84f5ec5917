//! Uploads that wait for a push, and how much of them a repository may have.

use super::{Hub, PushError};
use crate::port::{BackendError, RepositoryRecord, StageWriter, Waiting};

/// What of uploads may wait in one repository for a push that claims them. One upload more than that begins is refused; those
/// under way are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StagingLimits {
    /// Uploads. Each is looked through by every push.
    pub uploads: u64,
    /// Their bytes together.
    pub bytes: u64,
}

impl Default for StagingLimits {
    fn default() -> Self {
        Self { uploads: 10_000, bytes: 64 << 30 }
    }
}

impl Hub {
    /// The same hub with other limits of what may wait for pushes.
    #[must_use]
    pub fn with_staging_limits(self, staging: StagingLimits) -> Self {
        Self { staging, ..self }
    }

    /// Begins an upload of blobs to a repository.
    ///
    /// # Errors
    /// [`PushError::StagingFull`] where too much waits there already.
    pub async fn begin_upload(&self, repo: &RepositoryRecord) -> Result<Box<dyn StageWriter>, PushError> {
        let Waiting { uploads, bytes } = self.backends.staging.waiting(&repo.repo_id).await?;
        if uploads >= self.staging.uploads || bytes >= self.staging.bytes {
            return Err(PushError::StagingFull { uploads, bytes });
        }
        Ok(self.backends.staging.begin(&repo.repo_id).await?)
    }

    /// Discards an upload that is of no more use.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails; then it expires.
    pub async fn discard_upload(&self, repo: &RepositoryRecord, upload: String) -> Result<(), BackendError> {
        self.backends.staging.discard(&repo.repo_id, &[upload]).await
    }
}
