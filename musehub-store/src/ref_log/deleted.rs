//! The log of a repository that was deleted for good.
//!
//! Order: the record is looked at, then the log is marked, then the record is looked at once more. Whoever restores the
//! repository meanwhile is seen by the second look, and the mark is lifted. From the mark on nobody reads or writes the log.

use futures::{StreamExt, TryStreamExt};
use musehub_core::RepoId;
use musehub_core::port::{BackendError, RefStore, RepositoryRecord, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::folded::{purge_path, segment_directory};
use super::{PARALLEL, RefLog, numbered, repository_directory};
use crate::backend::failed;

/// What there is of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LogSize {
    /// Bytes of its files, each counted as one at least.
    pub(crate) bytes: u64,
    /// When somebody last moved a branch, but for moves that are folded.
    pub(crate) moved: Timestamp,
}

impl RefLog {
    /// Repositories whose record has said since before `before` that they are deleted.
    pub(crate) async fn deleted_repositories(
        &self,
        before: Timestamp,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        let deleted = self.repositories().await?.into_iter().filter(|record| record.deleted);
        let written = futures::stream::iter(deleted)
            .map(|record| async move { Ok((self.written(&record).await?, record)) })
            .buffered(PARALLEL);
        let old = written.try_filter_map(|(written, record)| async move {
            Ok(written.is_some_and(|written| written < before).then_some(record))
        });
        old.try_collect().await
    }

    /// Whether a repository is deleted still, and nobody has touched it since `before`: an import writes moves of a repository
    /// that is not seen yet.
    pub(crate) async fn is_gone(
        &self,
        repo: &RepositoryRecord,
        before: Timestamp,
    ) -> Result<bool, BackendError> {
        let Some(record) = self.repository(&repo.owner, &repo.slug).await? else {
            return Ok(false);
        };
        if record != *repo || self.written(&record).await?.is_none_or(|written| written >= before) {
            return Ok(false);
        }
        Ok(self.size(&repo.repo_id).await?.moved < before)
    }

    /// When a version of a record was written; none where it is not there.
    async fn written(&self, record: &RepositoryRecord) -> Result<Option<Timestamp>, BackendError> {
        let directory = repository_directory(&record.owner, &record.slug);
        match self.backend.fast.head(&numbered(&directory, record.version)).await {
            Ok(found) => Ok(Some(Timestamp::from_millis(found.last_modified.timestamp_millis()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("reading a repository's record", error)),
        }
    }

    /// What there is of the log of a repository.
    pub(crate) async fn size(&self, repo: &RepoId) -> Result<LogSize, BackendError> {
        let segments = segment_directory(repo);
        let entries = self.backend.fast.list(Some(&Path::from(format!("refs/{repo}"))));
        let sum = entries.try_fold(LogSize::default(), |mut sum, entry| {
            sum.bytes += entry.size.max(1);
            // What is in there was written by the upkeep.
            if !entry.location.as_ref().starts_with(&segments) {
                sum.moved = sum.moved.max(Timestamp::from_millis(entry.last_modified.timestamp_millis()));
            }
            futures::future::ready(Ok(sum))
        });
        sum.await.map_err(|error| failed("listing the log", error))
    }

    /// Marks the log of a repository as being removed: it reads as empty, and takes no moves.
    pub(crate) async fn mark_purged(&self, repo: &RepoId) -> Result<(), BackendError> {
        let written = self.backend.durable.put(&purge_path(repo), bytes::Bytes::new().into()).await;
        written.map(drop).map_err(|error| failed("marking a log as removed", error))
    }

    /// Takes the mark back.
    pub(crate) async fn unmark_purged(&self, repo: &RepoId) -> Result<(), BackendError> {
        self.remove(vec![purge_path(repo)]).await.map(drop)
    }

    /// Removes the log of a repository, which is marked, and the mark last.
    pub(crate) async fn purge(&self, repo: &RepoId) -> Result<(), BackendError> {
        let mark = purge_path(repo);
        let entries = self.backend.fast.list(Some(&Path::from(format!("refs/{repo}"))));
        let paths: Vec<Path> = entries
            .map_ok(|entry| entry.location)
            .try_filter(|path| futures::future::ready(*path != mark))
            .try_collect()
            .await
            .map_err(|error| failed("listing the log", error))?;
        self.remove(paths).await?;
        self.remove(vec![mark]).await.map(drop)
    }
}
