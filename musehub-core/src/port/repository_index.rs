//! The read model of repositories.

use async_trait::async_trait;

use super::{BackendError, RepositoryRecord};
use crate::id::BlobId;
use crate::name::{Handle, RepoId, Slug};

/// Finds repositories. Rows mirror the records of the [`RefStore`](super::RefStore), the latest version only.
#[async_trait]
pub trait RepositoryIndex: Send + Sync {
    /// Writes a record, unless the index holds the same or a later version of it.
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError>;

    /// The repository of that name. Names compare without case.
    async fn repository(&self, owner: &Handle, slug: &Slug)
    -> Result<Option<RepositoryRecord>, BackendError>;

    /// The repository of that id.
    async fn repository_by_id(&self, repo: &RepoId) -> Result<Option<RepositoryRecord>, BackendError>;

    /// Up to `limit` repositories that hold a blob, deleted and private ones among them, ordered by id, after the one given.
    async fn holders(
        &self,
        blob: BlobId,
        after: Option<&RepoId>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError>;

    /// Up to `limit` public repositories that are not deleted, ordered by name, after the name given.
    async fn public_repositories(
        &self,
        after: Option<(&Handle, &Slug)>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError>;
}
