//! The use cases of a hub over the ports: who may see a repository, what a push must prove, what a fetch gets.
//!
//! Order of every push: pack → ref log entry → index rows → answer. A crash between two steps leaves the old state or the
//! new one visible, never a mixture; [`Hub::catch_up`] brings the index up to the log again.

mod access;
mod advance;
mod announced;
mod behind;
mod branches;
mod catch_up;
mod collaborators;
mod commit_files;
mod compare;
mod compose;
mod error;
mod fetch;
mod incoming;
mod keyring;
mod loose;
mod merging;
pub mod mpack;
mod new_branch;
pub mod proposals;
mod push;
mod read;
mod rebuild;
mod records;
pub mod recovery;
mod releases;
mod repository;
mod rows;
mod signatures;
mod staged;
mod supply;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

pub use crate::merge::Mergeability;
pub use access::{Need, Opened, Viewer};
pub use catch_up::{CaughtUp, LeftBehind};
pub use collaborators::MAX_COLLABORATORS;
pub use commit_files::{
    CommitFiles, FileChange, FileContent, InitialCommit, MAX_AUTHOR_BYTES, MAX_FILE_CHANGES,
    MAX_MESSAGE_BYTES, algorithm_of,
};
pub use error::{
    AccessError, BranchError, CollaboratorError, CommitError, CreateError, FetchError, InitialiseError,
    KeyringError, MergeRefused, Missing, PushError, ReadError, Refused, UpdateError,
};
pub use fetch::{FetchPlan, Negotiation};
pub use incoming::{InlineBlob, Push};
pub use keyring::{CHALLENGE_MILLIS, Challenge, KeyProof, Keyring, MAX_KEYS};
pub use merging::{HistoryStrategy, MAX_REPLAYED_COMMITS, MergeOutcome, MergeRequest};
pub use push::PushOutcome;
pub use releases::{ReleaseError, Releases};
pub use repository::{MAX_DESCRIPTION_BYTES, RepositoryChange};
pub use staged::StagingLimits;

use crate::graph::{Step, Walk};
use crate::id::CommitId;
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::object::OpaqueIds;
use crate::port::{
    BackendError, BranchClaims, BranchRow, Clock, Collaborators, HistoryIndex, JobKind, KeyStore,
    ObjectStore, ProposalConversations, ProposalStore, RefStore, RepositoryIndex, RepositoryRecord, Staging,
    UnstoredIndex, Visibility,
};
use crate::scheme::IdScheme;
use crate::settings::RepositorySettings;

/// How many ancestors a backend may send along with the commits that a walk asks for.
const WALK_WINDOW: u32 = 512;

/// The backends of a hub.
#[derive(Clone)]
pub struct Backends {
    /// Objects.
    pub objects: Arc<dyn ObjectStore>,
    /// The staging area of the same object store.
    pub staging: Arc<dyn Staging>,
    /// Branch moves and repository records.
    pub refs: Arc<dyn RefStore>,
    /// The read model of repositories.
    pub repositories: Arc<dyn RepositoryIndex>,
    /// The read model of history.
    pub history: Arc<dyn HistoryIndex>,
    /// Rows of history whose objects the object store lacks.
    pub unstored: Arc<dyn UnstoredIndex>,
    /// The names of branches that are about to be made, seen by all processes that serve the same repositories.
    pub claims: Arc<dyn BranchClaims>,
    /// Who may do what with a repository of somebody else's.
    pub collaborators: Arc<dyn Collaborators>,
    /// The keys that commits are signed with.
    pub keys: Arc<dyn KeyStore>,
    /// Proposals to merge branches.
    pub proposals: Arc<dyn ProposalStore>,
    /// What people say of proposals.
    pub conversations: Arc<dyn ProposalConversations>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").finish_non_exhaustive()
    }
}

/// What can be chosen; everything has a default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Kinds of the jobs that a move of the default branch enqueues. Their payload is `{"commit":"<id>"}`.
    pub default_branch_jobs: Vec<JobKind>,
    /// Kinds of the jobs that a move of any branch to a commit enqueues. Their payload is `{"branch":"<name>","commit":"<id>"}`.
    pub branch_jobs: Vec<JobKind>,
}

/// A hub. Cheap to clone; clones share the backends.
#[derive(Clone)]
pub struct Hub {
    backends: Backends,
    options: Arc<Options>,
    loose: Option<loose::LooseObjects>,
    staging: StagingLimits,
    behind: Arc<behind::Behind>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A repository to be created.
#[derive(Clone, Debug)]
pub struct NewRepository {
    /// Whose it will be.
    pub owner: Handle,
    /// Its name.
    pub slug: Slug,
    /// Who may read it.
    pub visibility: Visibility,
    /// What it is about.
    pub description: String,
    /// How its ids are computed; none leaves it to the first push.
    pub scheme: Option<IdScheme>,
}

/// What a client asks first: the heads of a repository.
#[derive(Clone, Debug)]
pub struct Refs {
    /// The branches that have a head, ordered by name.
    pub branches: Vec<BranchRow>,
    /// The default branch; `main` before the first push.
    pub default_branch: BranchName,
}

impl Hub {
    /// A hub over backends.
    #[must_use]
    pub fn new(backends: Backends, options: Options) -> Self {
        Self {
            backends,
            options: Arc::new(options),
            loose: None,
            staging: StagingLimits::default(),
            behind: Arc::default(),
        }
    }

    /// Creates an empty repository.
    ///
    /// # Errors
    /// [`CreateError::Exists`] where the owner has one of that name.
    pub async fn create_repository(&self, new: NewRepository) -> Result<RepositoryRecord, CreateError> {
        let record = RepositoryRecord {
            version: 1,
            repo_id: RepoId::random(),
            owner: new.owner,
            slug: new.slug,
            visibility: new.visibility,
            description: new.description,
            scheme: new.scheme,
            default_branch: None,
            settings: RepositorySettings::default(),
            created_at: self.backends.clock.now(),
            deleted: false,
        };
        match self.backends.refs.put_repository(&record).await {
            Err(BackendError::Conflict { .. }) => {
                // Whoever claimed the name may have died before the index knew of it.
                if let Some(present) = self.backends.refs.repository(&record.owner, &record.slug).await? {
                    self.backends.repositories.put_repository(&present).await?;
                }
                return Err(CreateError::Exists { owner: record.owner, slug: record.slug });
            }
            other => other?,
        }
        self.backends.repositories.put_repository(&record).await?;
        Ok(record)
    }

    /// The heads of a repository.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn refs(&self, repo: &RepositoryRecord) -> Result<Refs, BackendError> {
        let branches = self.backends.history.branches(&repo.repo_id).await?;
        Ok(Refs { branches, default_branch: default_branch(repo) })
    }

    /// Where a branch stands by the index.
    async fn position(&self, repo: &RepositoryRecord, branch: &BranchName) -> Result<Position, BackendError> {
        let (head, sequence) = self.backends.history.branch(&repo.repo_id, branch).await?;
        Ok(Position { head, sequence })
    }

    /// Drives a walk over what a repository holds.
    async fn walk<W: Walk>(&self, repo: &RepoId, walk: &mut W) -> Result<W::Output, BackendError> {
        loop {
            match walk.step() {
                Step::Done(output) => return Ok(output),
                Step::Need(ids) => {
                    let nodes = self.backends.history.commit_nodes(repo, &ids, WALK_WINDOW).await?;
                    walk.answer(&ids, nodes);
                }
            }
        }
    }
}

/// The default branch of a repository, `main` before its first push.
fn default_branch(repo: &RepositoryRecord) -> BranchName {
    repo.default_branch.clone().unwrap_or_else(|| BranchName::parse("main").expect("'main' is a branch name"))
}

/// What a repository does about ids of no known form.
const fn opaque_ids(repo: &RepositoryRecord) -> OpaqueIds {
    if repo.settings.accept_opaque_ids { OpaqueIds::Accept } else { OpaqueIds::Refuse }
}

/// The first few of many ids, as errors name them.
fn first_few<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 3;
    let mut text = items.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

/// A set in order, so that answers and packs do not depend on hashing.
fn sorted<T: Copy + Ord>(set: &HashSet<T>) -> Vec<T> {
    let mut list: Vec<T> = set.iter().copied().collect();
    list.sort_unstable();
    list
}

/// Where a branch stands: its head, and the number of its last move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Position {
    head: Option<CommitId>,
    sequence: u64,
}

#[cfg(test)]
mod tests;
