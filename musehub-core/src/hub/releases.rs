//! What people call commits: releases and tags.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::Hub;
use crate::id::{CommitId, HashAlgorithm};
use crate::name::{Handle, RepoId};
use crate::port::{BackendError, ReleaseFilter, ReleaseStore, RepositoryRecord};
use crate::release::{CommitTag, LabelError, Release, ReleaseTag, check_label};

/// Rows that are read at a time.
const PAGE: u32 = 100;

/// The use cases around releases and tags. Cheap to clone.
#[derive(Clone)]
pub struct Releases {
    hub: Hub,
    store: Arc<dyn ReleaseStore>,
}

impl fmt::Debug for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Releases").finish_non_exhaustive()
    }
}

/// Why something is not named, or a name not removed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// What would be named is not in the repository.
    #[error("commit {commit} is not in this repository: push it first")]
    NoSuchCommit {
        /// The first such commit.
        commit: CommitId,
    },
    /// The repository has a release of that tag.
    #[error("there is a release {tag} already")]
    Exists {
        /// The tag.
        tag: ReleaseTag,
    },
    /// There is no release of that tag.
    #[error("there is no release {tag}")]
    NotFound {
        /// The tag, as it was asked for.
        tag: String,
    },
    /// A tag is called by something that is no label.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The commit has that tag.
    #[error("commit {commit} has the tag {label} already")]
    Tagged {
        /// The label.
        label: String,
        /// The commit.
        commit: CommitId,
    },
    /// The commit has no such tag.
    #[error("commit {commit} has no tag of that name")]
    NoSuchTag {
        /// The commit.
        commit: CommitId,
    },
    /// The answer would be larger than may be answered.
    #[error("the answer would have more than {limit} bytes; ask for one channel")]
    TooLarge {
        /// What may be answered.
        limit: u64,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl Releases {
    /// The use cases over a hub and a store.
    #[must_use]
    pub fn new(hub: Hub, store: Arc<dyn ReleaseStore>) -> Self {
        Self { hub, store }
    }

    /// Publishes a release of a commit that the repository holds.
    ///
    /// # Errors
    /// [`ReleaseError::NoSuchCommit`], [`ReleaseError::Exists`].
    pub async fn publish(&self, repo: &RepositoryRecord, release: &Release) -> Result<(), ReleaseError> {
        self.require(&repo.repo_id, [release.commit]).await?;
        match self.store.add_release(&repo.repo_id, release).await {
            Err(BackendError::Conflict { .. }) => Err(ReleaseError::Exists { tag: release.tag.clone() }),
            other => Ok(other?),
        }
    }

    /// The releases of a repository, the newest first. `size` says how much of an answer one is.
    ///
    /// # Errors
    /// [`ReleaseError::TooLarge`] where all of them are more than `limit` bytes.
    pub async fn list(
        &self,
        repo: &RepositoryRecord,
        filter: ReleaseFilter,
        limit: u64,
        size: impl Fn(&Release) -> u64,
    ) -> Result<Vec<Release>, ReleaseError> {
        let mut all: Vec<Release> = Vec::new();
        let mut bytes = 0_u64;
        loop {
            let after = all.last().map(|last| (last.created_at, &last.tag));
            let page = self.store.releases(&repo.repo_id, filter, after, PAGE).await?;
            bytes = bytes.saturating_add(page.iter().map(&size).sum());
            if bytes > limit {
                return Err(ReleaseError::TooLarge { limit });
            }
            let last = page.len() < PAGE as usize;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// Takes a release back. What was released stays.
    ///
    /// # Errors
    /// [`ReleaseError::NotFound`]; a text that is no tag names no release.
    pub async fn retract(&self, repo: &RepositoryRecord, tag: &str) -> Result<(), ReleaseError> {
        let removed = match ReleaseTag::parse(tag) {
            Ok(tag) => self.store.remove_release(&repo.repo_id, &tag).await?,
            Err(_) => false,
        };
        if removed { Ok(()) } else { Err(ReleaseError::NotFound { tag: tag.chars().take(80).collect() }) }
    }

    /// Keeps tags of commits that the repository holds; how many are new.
    ///
    /// # Errors
    /// [`ReleaseError::NoSuchCommit`]; then none is kept.
    pub async fn tag(&self, repo: &RepositoryRecord, tags: &[CommitTag]) -> Result<u64, ReleaseError> {
        self.require(&repo.repo_id, tags.iter().map(|tag| tag.commit)).await?;
        Ok(self.store.add_tags(&repo.repo_id, tags).await?)
    }

    /// Makes a tag of a commit that the repository holds.
    ///
    /// # Errors
    /// [`ReleaseError::Label`], [`ReleaseError::NoSuchCommit`], [`ReleaseError::Tagged`].
    pub async fn create_tag(
        &self,
        repo: &RepositoryRecord,
        tagger: &Handle,
        label: &str,
        commit: CommitId,
    ) -> Result<CommitTag, ReleaseError> {
        check_label(label)?;
        let tag = CommitTag {
            label: label.to_owned(),
            commit,
            tag_id: RepoId::random().as_str().to_owned(),
            created_at: self.hub.backends.clock.now().to_string(),
            tagger: tagger.clone(),
        };
        match self.tag(repo, std::slice::from_ref(&tag)).await? {
            0 => Err(ReleaseError::Tagged { label: tag.label, commit }),
            _ => Ok(tag),
        }
    }

    /// Gives a tag another label.
    ///
    /// # Errors
    /// [`ReleaseError::Label`], [`ReleaseError::NoSuchTag`], [`ReleaseError::Tagged`]; then nothing is changed.
    pub async fn rename_tag(
        &self,
        repo: &RepositoryRecord,
        (label, commit): (&str, CommitId),
        to: &str,
    ) -> Result<(), ReleaseError> {
        check_label(to)?;
        match self.store.rename_tag(&repo.repo_id, (label, commit), to).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReleaseError::NoSuchTag { commit }),
            Err(BackendError::Conflict { .. }) => Err(ReleaseError::Tagged { label: to.to_owned(), commit }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a tag from its commit.
    ///
    /// # Errors
    /// [`ReleaseError::NoSuchTag`].
    pub async fn remove_tag(
        &self,
        repo: &RepositoryRecord,
        (label, commit): (&str, CommitId),
    ) -> Result<(), ReleaseError> {
        let removed = self.store.remove_tag(&repo.repo_id, (label, commit)).await?;
        if removed { Ok(()) } else { Err(ReleaseError::NoSuchTag { commit }) }
    }

    /// Up to `limit` tags of a repository, ordered by label and commit, after the one named by them.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn tags(
        &self,
        repo: &RepositoryRecord,
        after: Option<(&str, CommitId)>,
        limit: u32,
    ) -> Result<Vec<CommitTag>, BackendError> {
        self.store.tags(&repo.repo_id, after, limit).await
    }

    /// The first of the commits that have a tag of this label, up to `limit`, in their order.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn tagged(
        &self,
        repo: &RepositoryRecord,
        label: &str,
        limit: u32,
    ) -> Result<Vec<CommitId>, BackendError> {
        // The ids of a repository are all of one hash function, and these come before every other of theirs.
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Blake3] {
            let before = CommitId::new(algorithm, [0; 32]);
            let tags = self.store.tags(&repo.repo_id, Some((label, before)), limit).await?;
            let tagged = tags.into_iter().take_while(|tag| tag.label == label).map(|tag| tag.commit);
            let tagged: Vec<CommitId> = tagged.collect();
            if !tagged.is_empty() {
                return Ok(tagged);
            }
        }
        Ok(Vec::new())
    }

    async fn require(
        &self,
        repo: &RepoId,
        commits: impl IntoIterator<Item = CommitId>,
    ) -> Result<(), ReleaseError> {
        let wanted: HashSet<CommitId> = commits.into_iter().collect();
        let wanted = super::sorted(&wanted);
        let held = self.hub.backends.history.commit_nodes(repo, &wanted, 0).await?;
        let held: HashSet<CommitId> = held.into_iter().map(|node| node.id).collect();
        match wanted.into_iter().find(|commit| !held.contains(commit)) {
            Some(commit) => Err(ReleaseError::NoSuchCommit { commit }),
            None => Ok(()),
        }
    }
}
