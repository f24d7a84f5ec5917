//! [`MaintenanceIndex`].

use async_trait::async_trait;
use musehub_core::ObjectKind;
use musehub_core::id::BlobId;
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, MaintenanceIndex, Place, Relocation};

use super::SqlIndex;
use super::retry;

pub(super) const RELOCATE_BLOB: &str =
    "UPDATE musehub_objects SET storage_uri = $3 WHERE object_id = $1 AND storage_uri = $2";

pub(super) const RELOCATE_SNAPSHOT: &str =
    "UPDATE musehub_snapshots SET storage_uri = $3 WHERE snapshot_id = $1 AND storage_uri = $2";

pub(super) const RELOCATE_COMMIT: &str =
    "UPDATE musehub_commits SET storage_uri = $3 WHERE commit_id = $1 AND storage_uri = $2";

pub(super) const FORGET_BLOB: &str = "DELETE FROM musehub_objects WHERE object_id = $1 AND storage_uri = $2";

/// What hangs on the repository goes with it.
pub(super) const FORGET_REPOSITORY: &str = "DELETE FROM musehub_repos WHERE repo_id = $1";

#[async_trait]
impl MaintenanceIndex for SqlIndex {
    async fn relocate(&self, moves: &[Relocation]) -> Result<u64, BackendError> {
        retry::transaction(|| async {
            let write = self.write("relocating objects").await?;
            let mut relocated = 0;
            // Whoever else writes these rows takes them in this order, too.
            let mut moves: Vec<&Relocation> = moves.iter().collect();
            moves.sort_by_key(|relocation| relocation.key);
            for Relocation { key, from, to } in moves {
                let statement = match key.kind {
                    ObjectKind::Blob => RELOCATE_BLOB,
                    ObjectKind::Snapshot => RELOCATE_SNAPSHOT,
                    ObjectKind::Commit => RELOCATE_COMMIT,
                };
                let values = [key.id.to_string().into(), from.to_string().into(), to.to_string().into()];
                relocated += write.execute(statement, values).await?;
            }
            write.commit().await?;
            Ok(relocated)
        })
        .await
    }

    async fn forget_blobs(&self, blobs: &[(BlobId, Place)]) -> Result<u64, BackendError> {
        retry::transaction(|| async {
            let write = self.write("forgetting blobs").await?;
            let mut forgotten = 0;
            let mut blobs: Vec<&(BlobId, Place)> = blobs.iter().collect();
            blobs.sort_by_key(|(id, _)| *id);
            for (id, place) in blobs {
                forgotten +=
                    write.execute(FORGET_BLOB, [id.to_string().into(), place.to_string().into()]).await?;
            }
            write.commit().await?;
            Ok(forgotten)
        })
        .await
    }

    async fn forget_repository(&self, repo: &RepoId) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("forgetting a repository").await?;
            write.execute(FORGET_REPOSITORY, [repo.as_str().into()]).await?;
            write.commit().await
        })
        .await
    }
}
