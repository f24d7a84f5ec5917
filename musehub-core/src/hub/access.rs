//! Who may do what. Deny by default; a private repository looks like an absent one.

use super::{AccessError, Hub};
use crate::name::{Handle, Slug};
use crate::port::{RepositoryRecord, Visibility};

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Viewer {
    /// Somebody without a token.
    Anonymous,
    /// The holder of a valid token.
    Identity(Handle),
}

impl Viewer {
    /// The handle of who asks, if known.
    #[must_use]
    pub const fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Anonymous => None,
            Self::Identity(handle) => Some(handle),
        }
    }

    fn is(&self, owner: &Handle) -> bool {
        self.handle().is_some_and(|handle| handle.as_str().eq_ignore_ascii_case(owner.as_str()))
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// See it.
    Read,
    /// Push to it.
    Write,
}

impl Hub {
    /// Opens a repository for somebody who wants something.
    ///
    /// # Errors
    /// [`AccessError`]: nothing of that name that they may see, or they may see it and no more.
    pub async fn open(
        &self,
        owner: &Handle,
        slug: &Slug,
        viewer: &Viewer,
        need: Need,
    ) -> Result<RepositoryRecord, AccessError> {
        if need == Need::Write && viewer.handle().is_none() {
            return Err(AccessError::Unauthenticated);
        }
        let repo = self.backends.repositories.repository(owner, slug).await?;
        let repo = repo.filter(|repo| !repo.deleted).ok_or(AccessError::NotFound)?;
        let owns = viewer.is(&repo.owner);
        if repo.visibility == Visibility::Private && !owns {
            return Err(AccessError::NotFound);
        }
        match need {
            Need::Read => Ok(repo),
            Need::Write if owns => Ok(repo),
            Need::Write => Err(AccessError::Forbidden),
        }
    }
}
