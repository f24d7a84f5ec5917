//! The read model in memory: its state, and the rows of repositories.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::history::Holdings;
use super::identity::Identities;
use super::intel::Intel;
use super::jobs::Jobs;
use super::proposals::Proposals;
use super::releases::AllNamed;
use super::{FoldedName, conflict, folded, lock, missing};
use crate::id::BlobId;
use crate::name::{BranchName, Handle, RepoId, Slug};
use crate::port::{
    BackendError, FetchKey, FetchPack, RepositoryIndex, RepositoryRecord, Timestamp, Visibility,
};

/// Every port of the read model in memory: [`RepositoryIndex`], [`HistoryIndex`](crate::port::HistoryIndex),
/// [`UnstoredIndex`](crate::port::UnstoredIndex), [`BranchClaims`](crate::port::BranchClaims), [`JobQueue`](crate::port::JobQueue),
/// [`BreakageIndex`](crate::port::BreakageIndex), [`FactCache`](crate::port::FactCache), [`ReleaseStore`](crate::port::ReleaseStore),
/// [`IdentityStore`](crate::port::IdentityStore),
/// [`KeyStore`](crate::port::KeyStore), [`ProofGuard`](crate::port::ProofGuard), [`Collaborators`](crate::port::Collaborators),
/// [`ProposalStore`](crate::port::ProposalStore) and [`ProposalConversations`](crate::port::ProposalConversations).
///
/// # Errors
/// [`BackendError::Missing`] for rows about a repository that [`RepositoryIndex::put_repository`] never wrote, and for
/// a move that names commits or snapshots which the repository lacks. [`BackendError::Conflict`] for rows that
/// contradict what is held: a wrong generation, other parents under one id, other facts of one blob, a token of
/// somebody else.
#[derive(Debug)]
pub struct MemoryIndex {
    state: Mutex<State>,
    pub(super) window: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    repositories: HashMap<RepoId, RepositoryRecord>,
    names: BTreeMap<FoldedName, RepoId>,
    pub(super) holdings: HashMap<RepoId, Holdings>,
    pub(super) claims: HashMap<RepoId, BTreeMap<BranchName, Timestamp>>,
    pub(super) fetch_packs: BTreeMap<FetchKey, FetchPack>,
    pub(super) jobs: Jobs,
    pub(super) intel: Intel,
    pub(super) identities: Identities,
    pub(super) proposals: HashMap<RepoId, Proposals>,
    pub(super) named: AllNamed,
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self { state: Mutex::default(), window: true }
    }
}

impl MemoryIndex {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether [`commit_nodes`](crate::port::HistoryIndex::commit_nodes) sends ancestors along. It does by default;
    /// without, every walk has to ask for each generation.
    #[must_use]
    pub fn with_window(mut self, window: bool) -> Self {
        self.window = window;
        self
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Removes a repository and everything about it.
    pub(super) fn forget(&mut self, repo: &RepoId) {
        self.repositories.remove(repo);
        self.names.retain(|_, holder| holder != repo);
        self.holdings.remove(repo);
        self.claims.remove(repo);
        self.proposals.remove(repo);
        self.fetch_packs.retain(|_, pack| pack.file.repo != *repo);
        self.jobs.forget(repo);
        self.intel.forget(repo);
        self.identities.forget(repo);
        self.named.forget(repo);
    }

    /// All repositories' ids, in order.
    pub(super) fn repository_ids(&self) -> Vec<&RepoId> {
        let mut ids: Vec<&RepoId> = self.repositories.keys().collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn require_repository(&self, repo: &RepoId) -> Result<(), BackendError> {
        if self.repositories.contains_key(repo) { Ok(()) } else { Err(missing(format!("repository {repo}"))) }
    }
}

#[async_trait]
impl RepositoryIndex for MemoryIndex {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let mut state = self.state();
        let held = state.repositories.get(&record.repo_id);
        if held.is_some_and(|held| held.version >= record.version) {
            return Ok(());
        }
        let before = held.map(|held| folded(&held.owner, &held.slug));
        let name = folded(&record.owner, &record.slug);
        if state.names.get(&name).is_some_and(|holder| *holder != record.repo_id) {
            return Err(conflict(format!("{}/{}", record.owner, record.slug)));
        }
        if let Some(before) = before {
            state.names.remove(&before);
        }
        state.names.insert(name, record.repo_id.clone());
        state.repositories.insert(record.repo_id.clone(), record.clone());
        Ok(())
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        let state = self.state();
        let repo = state.names.get(&folded(owner, slug));
        Ok(repo.and_then(|repo| state.repositories.get(repo)).cloned())
    }

    async fn repository_by_id(&self, repo: &RepoId) -> Result<Option<RepositoryRecord>, BackendError> {
        Ok(self.state().repositories.get(repo).cloned())
    }

    async fn holders(
        &self,
        blob: BlobId,
        after: Option<&RepoId>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        let state = self.state();
        let holds =
            |repo: &RepoId| state.holdings.get(repo).is_some_and(|held| held.blobs.contains_key(&blob));
        let mut found: Vec<&RepositoryRecord> =
            state.repositories.values().filter(|record| holds(&record.repo_id)).collect();
        found.retain(|record| after.is_none_or(|after| record.repo_id > *after));
        found.sort_by(|a, b| a.repo_id.cmp(&b.repo_id));
        Ok(found.into_iter().take(limit as usize).cloned().collect())
    }

    async fn public_repositories(
        &self,
        after: Option<(&Handle, &Slug)>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, |(owner, slug)| Bound::Excluded(folded(owner, slug)));
        let later = state.names.range((start, Bound::Unbounded));
        let records = later.filter_map(|(_, repo)| state.repositories.get(repo));
        let public = records.filter(|record| record.visibility == Visibility::Public && !record.deleted);
        Ok(public.take(limit as usize).cloned().collect())
    }
}
