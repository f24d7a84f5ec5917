//! What pages show: a log, the files of a snapshot, the bytes of a file.

use std::num::NonZeroUsize;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::{AccessError, Hub, Need, Opened, ReadError, Viewer};
use crate::canonical;
use crate::graph::History;
use crate::id::{BlobId, CommitId, ObjectKind, SnapshotId};
use crate::name::RepoId;
use crate::object::{IdProof, Snapshot};
use crate::port::{BackendError, BlobRow, CommitRow, RepositoryRecord};
use crate::scheme::IdScheme;

/// Repositories that are looked at together for whether one may be read.
const HOLDERS: u32 = 100;
/// How often: a blob that so many repositories hold, none of which somebody may read, is not looked for any further.
const MAX_HOLDER_PAGES: usize = 20;

/// What somebody may not see is not there for them.
fn unless_hidden(opened: Result<Opened, AccessError>) -> Result<Option<Opened>, BackendError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(AccessError::Backend(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

impl Hub {
    /// A page of the history of `tip`, newest first, after the commit `after`.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails.
    pub async fn log(
        &self,
        repo: &RepositoryRecord,
        tip: CommitId,
        after: Option<CommitId>,
        page_size: NonZeroUsize,
    ) -> Result<Vec<CommitRow>, BackendError> {
        let mut walk = History::new(tip).page_size(page_size);
        if let Some(cursor) = after {
            walk = walk.after(cursor);
        }
        let page = self.walk(&repo.repo_id, &mut walk).await?;
        self.commit_rows(repo, &page).await
    }

    /// One commit.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] where the repository does not hold it.
    pub async fn commit(&self, repo: &RepositoryRecord, id: CommitId) -> Result<CommitRow, ReadError> {
        let mut rows = self.backends.history.commits(&repo.repo_id, &[id]).await?;
        rows.pop().ok_or_else(|| ReadError::NotFound { what: format!("commit {id}") })
    }

    /// One snapshot.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] where the repository does not hold it.
    pub async fn snapshot(&self, repo: &RepositoryRecord, id: SnapshotId) -> Result<Snapshot, ReadError> {
        let row = self.backends.history.snapshots(&repo.repo_id, &[id]).await?.pop();
        let row = row.ok_or_else(|| ReadError::NotFound { what: format!("snapshot {id}") })?;
        let bytes = self.read_snapshots(repo, &[row]).await?.swap_remove(0);
        Snapshot::decode(id, &bytes).map_err(|error| {
            BackendError::Damaged { what: format!("snapshot {id}"), reason: error.to_string() }.into()
        })
    }

    /// Whether a snapshot's id is proven, or taken on its client's word. Only ids of one scheme can be either.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn snapshot_proof(
        &self,
        repo: &RepositoryRecord,
        id: SnapshotId,
    ) -> Result<IdProof, ReadError> {
        match repo.scheme {
            Some(IdScheme::TypedV1) => Ok(self.snapshot(repo, id).await?.id_proof(IdScheme::TypedV1)),
            _ => Ok(IdProof::Verified),
        }
    }

    /// Size and place of those blobs that the repository holds, in no order.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn blobs(&self, repo: &RepositoryRecord, ids: &[BlobId]) -> Result<Vec<BlobRow>, BackendError> {
        self.backends.history.blobs(&repo.repo_id, ids).await
    }

    /// A blob as whoever asks may read it: out of one repository, or out of any that holds it; none where they may read none.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn readable_blob(
        &self,
        id: BlobId,
        viewer: &Viewer,
        within: Option<&str>,
    ) -> Result<Option<BlobRow>, BackendError> {
        if let Some(repo) = within {
            let opened = unless_hidden(self.opened_by_id(repo, viewer, Need::Read).await)?;
            return match opened {
                Some(opened) => Ok(self.blobs(&opened.repository, &[id]).await?.pop()),
                None => Ok(None),
            };
        }
        let mut after: Option<RepoId> = None;
        for _ in 0..MAX_HOLDER_PAGES {
            let page = self.backends.repositories.holders(id, after.as_ref(), HOLDERS).await?;
            for repo in &page {
                let opened = self.opened_by_id(repo.repo_id.as_str(), viewer, Need::Read).await;
                if let Some(opened) = unless_hidden(opened)? {
                    return Ok(self.blobs(&opened.repository, &[id]).await?.pop());
                }
            }
            match page.last() {
                Some(last) if page.len() == HOLDERS as usize => after = Some(last.repo_id.clone()),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The contents of blobs, in the order given. All are in memory at once: callers bound the sum of sizes.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails or the bytes are damaged.
    pub async fn contents(&self, blobs: &[BlobRow]) -> Result<Vec<Bytes>, BackendError> {
        let canonical = self.read(blobs.iter().map(BlobRow::located)).await?;
        let payload = |(bytes, row): (Bytes, &BlobRow)| match canonical::payload_of(ObjectKind::Blob, &bytes)
        {
            Ok(payload) => Ok(bytes.slice_ref(payload)),
            Err(error) => {
                Err(BackendError::Damaged { what: format!("blob {}", row.id), reason: error.to_string() })
            }
        };
        canonical.into_iter().zip(blobs).map(payload).collect()
    }

    /// The content of one blob in pieces, for blobs that are too large to be in memory. A damaged one fails before its last
    /// piece.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails.
    pub async fn content_stream(
        &self,
        blob: &BlobRow,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        let mut header = canonical::header(ObjectKind::Blob, blob.size).len();
        let pieces = self.backends.objects.stream(blob.located()).await?;
        let payload = pieces.map_ok(move |piece| {
            let cut = header.min(piece.len());
            header -= cut;
            piece.slice(cut..)
        });
        Ok(payload.boxed())
    }

    /// How many commits the repository holds.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn commit_count(&self, repo: &RepositoryRecord) -> Result<u64, BackendError> {
        self.backends.history.commit_count(&repo.repo_id).await
    }
}
