//! Releases and tags of repositories.

use async_trait::async_trait;

use super::{BackendError, Timestamp};
use crate::id::CommitId;
use crate::name::RepoId;
use crate::release::{Channel, CommitTag, Release, ReleaseTag};

/// Which releases are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReleaseFilter {
    /// Those of one channel; of all otherwise.
    pub channel: Option<Channel>,
    /// Whether drafts are among them.
    pub drafts: bool,
}

/// Keeps releases and tags. Nothing else holds them, so they belong into a backup.
#[async_trait]
pub trait ReleaseStore: Send + Sync {
    /// Keeps a release; [`BackendError::Conflict`] where the repository has one of its tag.
    async fn add_release(&self, repo: &RepoId, release: &Release) -> Result<(), BackendError>;

    /// Up to `limit` releases, the newest first, those of one moment by tag from the last to the first; after the one
    /// named by its time and tag.
    async fn releases(
        &self,
        repo: &RepoId,
        filter: ReleaseFilter,
        after: Option<(Timestamp, &ReleaseTag)>,
        limit: u32,
    ) -> Result<Vec<Release>, BackendError>;

    /// Removes a release; whether there was one.
    async fn remove_release(&self, repo: &RepoId, tag: &ReleaseTag) -> Result<bool, BackendError>;

    /// Keeps those tags whose commit does not have their label yet; how many those were. All are kept or none.
    async fn add_tags(&self, repo: &RepoId, tags: &[CommitTag]) -> Result<u64, BackendError>;

    /// Up to `limit` tags, ordered by label and commit, after the one named by them.
    async fn tags(
        &self,
        repo: &RepoId,
        after: Option<(&str, CommitId)>,
        limit: u32,
    ) -> Result<Vec<CommitTag>, BackendError>;

    /// Gives the tag of a label and commit another label, and keeps what else is known of it; whether there was one.
    /// [`BackendError::Conflict`] where the commit has that label already, and nothing changes.
    async fn rename_tag(
        &self,
        repo: &RepoId,
        tag: (&str, CommitId),
        label: &str,
    ) -> Result<bool, BackendError>;

    /// Removes the tag of a label and commit; whether there was one.
    async fn remove_tag(&self, repo: &RepoId, tag: (&str, CommitId)) -> Result<bool, BackendError>;
}
