//! Who may do what with a repository that is somebody else's.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, Timestamp};
use crate::name::{Handle, RepoId};

/// What a collaborator may do. Each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See the repository.
    Read,
    /// Push to it.
    Write,
    /// Change its settings, and who may do what.
    Admin,
}

impl Role {
    /// All, least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role or scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownWord(pub(crate) &'static str);

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or(UnknownWord("read, write, admin"))
    }
}

/// Somebody who may do something with a repository of somebody else's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collaborator {
    /// Who, by the name that the identity was first written with.
    pub handle: Handle,
    /// What they may do.
    pub role: Role,
    /// Who let them.
    pub added_by: Handle,
    /// Since when.
    pub added_at: Timestamp,
}

/// Keeps the collaborators of repositories. Handles compare without case.
#[async_trait]
pub trait Collaborators: Send + Sync {
    /// Lets somebody do something, or something else than before.
    ///
    /// # Errors
    /// [`BackendError::Missing`] where there is no such identity or repository.
    async fn put_collaborator(&self, repo: &RepoId, collaborator: &Collaborator) -> Result<(), BackendError>;

    /// Takes it back; whether there was anything to take back.
    async fn remove_collaborator(&self, repo: &RepoId, handle: &Handle) -> Result<bool, BackendError>;

    /// What somebody may do as a collaborator.
    async fn role(&self, repo: &RepoId, handle: &Handle) -> Result<Option<Role>, BackendError>;

    /// The collaborators of a repository, by handle in lower case.
    async fn collaborators(&self, repo: &RepoId) -> Result<Vec<Collaborator>, BackendError>;
}
