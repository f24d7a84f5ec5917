//! Who may do what. Deny by default; a private repository looks like an absent one.

use super::{AccessError, Hub};
use crate::name::{Handle, RepoId, Slug};
use crate::port::{BackendError, RepositoryRecord, Role, Scope, Visibility};

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Viewer {
    /// Somebody without a token.
    Anonymous,
    /// Somebody who proved to be this one.
    Identity(Handle),
    /// The same, by a proof that goes so far and no further: a token made for reading, say.
    Limited(Handle, Need),
}

impl Viewer {
    /// The handle of who asks, if known.
    #[must_use]
    pub const fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Anonymous => None,
            Self::Identity(handle) | Self::Limited(handle, _) => Some(handle),
        }
    }

    /// Refuses what goes beyond the proof of who asks, whoever they are.
    ///
    /// # Errors
    /// [`AccessError::Scope`].
    pub const fn require_scope(&self, need: Need) -> Result<(), AccessError> {
        match self {
            Self::Limited(_, scope) if need as u8 > *scope as u8 => {
                Err(AccessError::Scope { scope: *scope, need })
            }
            _ => Ok(()),
        }
    }

    /// The holder of a token that counts.
    #[must_use]
    pub const fn by_token(handle: Handle, scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Limited(handle, Need::Read),
            Scope::Push => Self::Limited(handle, Need::Write),
            Scope::Admin => Self::Identity(handle),
        }
    }

    fn is(&self, owner: &Handle) -> bool {
        self.handle().is_some_and(|handle| handle.as_str().eq_ignore_ascii_case(owner.as_str()))
    }
}

/// What somebody wants to do. Each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Need {
    /// See it.
    Read,
    /// Push to it.
    Write,
    /// Change its settings, and who may do what.
    Admin,
    /// Give it away or remove it.
    Owner,
}

impl Need {
    /// All, least first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Owner];

    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl From<Role> for Need {
    fn from(role: Role) -> Self {
        match role {
            Role::Read => Self::Read,
            Role::Write => Self::Write,
            Role::Admin => Self::Admin,
        }
    }
}

/// A repository that was opened for somebody.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The repository.
    pub repository: RepositoryRecord,
    /// The most that they may do.
    pub granted: Need,
}

impl Opened {
    /// Refuses what goes beyond the grant.
    ///
    /// # Errors
    /// [`AccessError::Forbidden`].
    pub const fn require(&self, need: Need) -> Result<(), AccessError> {
        if need as u8 <= self.granted as u8 { Ok(()) } else { Err(AccessError::Forbidden { need }) }
    }
}

impl Hub {
    /// Opens a repository for somebody who wants something, and says what else they may do.
    ///
    /// # Errors
    /// [`AccessError`]: nothing of that name that they may see, or they may see it and do less than they want.
    pub async fn opened(
        &self,
        owner: &Handle,
        slug: &Slug,
        viewer: &Viewer,
        need: Need,
    ) -> Result<Opened, AccessError> {
        if need > Need::Read && viewer.handle().is_none() {
            return Err(AccessError::Unauthenticated);
        }
        let repository = self.backends.repositories.repository(owner, slug).await?;
        self.admit(repository, viewer, need).await
    }

    /// Opens what was found, or says that there is nothing.
    async fn admit(
        &self,
        repository: Option<RepositoryRecord>,
        viewer: &Viewer,
        need: Need,
    ) -> Result<Opened, AccessError> {
        let repository = repository.filter(|repo| !repo.deleted).ok_or(AccessError::NotFound)?;
        let granted = self.granted(&repository, viewer).await?.ok_or(AccessError::NotFound)?;
        viewer.require_scope(need)?;
        let granted = match viewer {
            Viewer::Limited(_, scope) => granted.min(*scope),
            _ => granted,
        };
        let opened = Opened { repository, granted };
        opened.require(need)?;
        self.catch_up_announced(&opened.repository).await;
        self.require_not_lost(&opened.repository).await?;
        Ok(opened)
    }

    /// Opens the repository of an id, by the same rules. A text that is no id is that of no repository.
    ///
    /// # Errors
    /// As [`opened`](Self::opened).
    pub async fn opened_by_id(&self, id: &str, viewer: &Viewer, need: Need) -> Result<Opened, AccessError> {
        if need > Need::Read && viewer.handle().is_none() {
            return Err(AccessError::Unauthenticated);
        }
        let repository = match RepoId::parse(id) {
            Ok(id) => self.backends.repositories.repository_by_id(&id).await?,
            Err(_) => None,
        };
        self.admit(repository, viewer, need).await
    }

    /// As [`opened`](Self::opened), for whoever needs the record alone.
    ///
    /// # Errors
    /// As [`opened`](Self::opened).
    pub async fn open(
        &self,
        owner: &Handle,
        slug: &Slug,
        viewer: &Viewer,
        need: Need,
    ) -> Result<RepositoryRecord, AccessError> {
        Ok(self.opened(owner, slug, viewer, need).await?.repository)
    }

    /// The most that somebody may do with a repository; none where they may not see it.
    async fn granted(&self, repo: &RepositoryRecord, viewer: &Viewer) -> Result<Option<Need>, BackendError> {
        if viewer.is(&repo.owner) {
            return Ok(Some(Need::Owner));
        }
        let role = match viewer.handle() {
            Some(handle) => self.backends.collaborators.role(&repo.repo_id, handle).await?,
            None => None,
        };
        let open = (repo.visibility == Visibility::Public).then_some(Need::Read);
        Ok(role.map(Need::from).max(open))
    }
}
