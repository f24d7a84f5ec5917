//! Changes of what a repository is, apart from its history: each writes the next version of its record.

use super::advance::MAX_RACES;
use super::{Hub, UpdateError};
use crate::name::BranchName;
use crate::port::{BackendError, RepositoryRecord, Visibility};
use crate::settings::RepositorySettings;

/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4096;

/// What to change about a repository; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct RepositoryChange {
    /// Who may read it.
    pub visibility: Option<Visibility>,
    /// What it is about.
    pub description: Option<String>,
    /// The branch that pages show and clients check out.
    pub default_branch: Option<BranchName>,
    /// All of its settings.
    pub settings: Option<RepositorySettings>,
    /// Whether nobody sees it any more.
    pub deleted: Option<bool>,
}

impl RepositoryChange {
    fn check(&self) -> Result<(), UpdateError> {
        if let Some(settings) = &self.settings {
            settings.check()?;
        }
        match &self.description {
            Some(text) if text.len() > MAX_DESCRIPTION_BYTES || text.contains('\0') => {
                Err(UpdateError::Description)
            }
            _ => Ok(()),
        }
    }

    fn apply(&self, record: &mut RepositoryRecord) {
        fn set<T: Clone>(place: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                place.clone_from(new);
            }
        }
        set(&mut record.visibility, self.visibility.as_ref());
        set(&mut record.description, self.description.as_ref());
        set(&mut record.settings, self.settings.as_ref());
        set(&mut record.deleted, self.deleted.as_ref());
        if self.default_branch.is_some() {
            record.default_branch.clone_from(&self.default_branch);
        }
    }
}

impl Hub {
    /// Changes a repository: gives the record in force then. Changes that others make meanwhile stay, as far as they are about
    /// something else. A change that changes nothing writes nothing.
    ///
    /// # Errors
    /// [`UpdateError`]; then nothing is changed.
    pub async fn update_repository(
        &self,
        repo: &RepositoryRecord,
        change: &RepositoryChange,
    ) -> Result<RepositoryRecord, UpdateError> {
        change.check()?;
        if let Some(branch) = &change.default_branch {
            let position = self.position(repo, branch).await?;
            position.head.ok_or_else(|| UpdateError::NoSuchBranch { branch: branch.clone() })?;
        }
        let mut present = repo.clone();
        for _ in 0..MAX_RACES {
            let mut next = present.clone();
            change.apply(&mut next);
            if next == present {
                return Ok(present);
            }
            if self.put_version(&mut next).await? {
                return Ok(next);
            }
            // A repository that was deleted meanwhile is changed by whoever restores it, and by nobody else.
            if next.deleted && !repo.deleted {
                return Err(UpdateError::NotFound);
            }
            present = next;
        }
        Err(UpdateError::Busy)
    }

    /// Writes `repo` as the next version of its record; its number is counted on here. `false` where another version came
    /// first: `repo` is the one in force then.
    pub(super) async fn put_version(&self, repo: &mut RepositoryRecord) -> Result<bool, BackendError> {
        repo.version += 1;
        let won = match self.backends.refs.put_repository(repo).await {
            Ok(()) => true,
            Err(BackendError::Conflict { .. }) => {
                let present = self.backends.refs.repository(&repo.owner, &repo.slug).await?;
                let what = || format!("the record of {}/{}", repo.owner, repo.slug);
                *repo = present.ok_or_else(|| BackendError::Missing { what: what() })?;
                false
            }
            Err(error) => return Err(error),
        };
        self.backends.repositories.put_repository(repo).await?;
        Ok(won)
    }
}
