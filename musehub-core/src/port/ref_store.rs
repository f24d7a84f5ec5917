//! Branch moves and repository records: numbered entries that are created once and never changed.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, PackId, Timestamp};
use crate::id::CommitId;
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::scheme::IdScheme;
use crate::settings::RepositorySettings;

/// Who may read a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Its owner.
    Private,
}

impl Visibility {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// One version of what a repository is, apart from its history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RepositoryRecord {
    /// Counts from 1; the highest is in force.
    pub version: u64,
    /// The id that stays when names change.
    pub repo_id: RepoId,
    /// Whose it is.
    pub owner: Handle,
    /// Its name below the owner.
    pub slug: Slug,
    /// Who may read it.
    pub visibility: Visibility,
    /// What it is about, for people.
    pub description: String,
    /// How its ids are computed; fixed by its first push.
    pub scheme: Option<IdScheme>,
    /// The branch that pages show and clients check out; set by the first push.
    pub default_branch: Option<BranchName>,
    /// What those who administer it decided.
    #[serde(default)]
    pub settings: RepositorySettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it was deleted: nobody sees it, its name is free again for its owner to restore.
    pub deleted: bool,
}

/// One move of a branch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefLogEntry {
    /// The repository.
    pub repo_id: RepoId,
    /// The branch.
    pub branch: BranchName,
    /// Counts the moves of this branch from 1.
    pub sequence: u64,
    /// The head before; none where the branch was made by this move.
    pub old: Option<CommitId>,
    /// The head after; none where the move deleted the branch.
    pub new: Option<CommitId>,
    /// Whether the new head does not descend from the old one by the pusher's own wish.
    pub forced: bool,
    /// Who moved it.
    pub pusher: Handle,
    /// When.
    pub at: Timestamp,
    /// The packs that were written for this move: all its new commits and snapshots, and most of its new blobs.
    pub packs: Vec<PackId>,
    /// Packs of other moves in which the rest of its new blobs lie.
    pub borrowed: Vec<PackId>,
}

/// What can be read where not all of it can.
#[derive(Debug)]
pub struct Readable<T> {
    /// What can be read.
    pub items: Vec<T>,
    /// What is damaged or lost, each once.
    pub damage: Vec<BackendError>,
}

impl<T> Default for Readable<T> {
    fn default() -> Self {
        Self { items: Vec::new(), damage: Vec::new() }
    }
}

impl<T> Readable<T> {
    /// Adds what was read, or why it was not.
    ///
    /// # Errors
    /// What is no damage: a store that cannot be asked.
    pub fn add(&mut self, read: Result<T, BackendError>) -> Result<(), BackendError> {
        match read {
            Ok(item) => self.items.push(item),
            Err(error) => self.set_aside(error)?,
        }
        Ok(())
    }

    /// Adds damage.
    ///
    /// # Errors
    /// What is none.
    pub fn set_aside(&mut self, error: BackendError) -> Result<(), BackendError> {
        if !error.is_damage() {
            return Err(error);
        }
        self.damage.push(error);
        Ok(())
    }
}

/// Branch moves and repository records.
///
/// # Contract
/// Entries are durable when a method returns, and never change. Of several callers that create one number, exactly one
/// succeeds; the others get [`BackendError::Conflict`]. That is the compare-and-swap of the hub.
#[async_trait]
pub trait RefStore: Send + Sync {
    /// Creates a version of a repository record, version 1 claiming the name.
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError>;

    /// Has the version in force count as written now, where the store removes what nobody has touched for long: somebody works
    /// on a repository that nobody sees yet. Where nothing is removed there is nothing to do.
    async fn renew_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let _ = record;
        Ok(())
    }

    /// The version in force of the repository of that name.
    async fn repository(&self, owner: &Handle, slug: &Slug)
    -> Result<Option<RepositoryRecord>, BackendError>;

    /// The version in force of every repository.
    async fn repositories(&self) -> Result<Vec<RepositoryRecord>, BackendError>;

    /// The repositories that have moves, whether or not there is a record of them; in no order, each once.
    async fn moved_repositories(&self) -> Result<Vec<RepoId>, BackendError>;

    /// Creates the entry of a move.
    async fn append(&self, entry: &RefLogEntry) -> Result<(), BackendError>;

    /// The last move of every branch of a repository.
    async fn heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError>;

    /// The moves of one branch after number `after`, oldest first.
    async fn history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, BackendError>;

    /// Does what [`repositories`](Self::repositories) does, and passes over records that are damaged. Never gives an older
    /// version in the place of one.
    ///
    /// A store whose entries cannot be damaged one by one has no need of its own.
    async fn readable_repositories(&self) -> Result<Readable<RepositoryRecord>, BackendError> {
        Ok(Readable { items: self.repositories().await?, damage: Vec::new() })
    }

    /// All moves of a repository, those of each branch in their order and without a gap; of a branch that has a damaged or
    /// lost one, those before it, or, where those before it are lost, those after it.
    ///
    /// A store whose entries cannot be damaged one by one has no need of its own.
    async fn readable_moves(&self, repo: &RepoId) -> Result<Readable<RefLogEntry>, BackendError> {
        let mut items = Vec::new();
        for last in self.heads(repo).await? {
            items.extend(self.history(repo, &last.branch, 0).await?);
        }
        Ok(Readable { items, damage: Vec::new() })
    }
}
