//! [`MaintenanceIndex`].

use async_trait::async_trait;
use musehub_core::ObjectKind;
use musehub_core::id::BlobId;
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, BlobRow, MaintenanceIndex, Place, Relocation};
use sea_orm::Value;

use super::retry;
use super::sql::integer;
use super::{SqlIndex, history};

pub(super) const RELOCATE_BLOB: &str =
    "UPDATE musehub_objects SET storage_uri = $3 WHERE object_id = $1 AND storage_uri = $2";

pub(super) const RELOCATE_SNAPSHOT: &str =
    "UPDATE musehub_snapshots SET storage_uri = $3 WHERE snapshot_id = $1 AND storage_uri = $2";

pub(super) const RELOCATE_COMMIT: &str =
    "UPDATE musehub_commits SET storage_uri = $3 WHERE commit_id = $1 AND storage_uri = $2";

/// Only where no repository holds it: a push may have found it a moment ago.
pub(super) const FORGET_BLOB: &str = "DELETE FROM musehub_objects WHERE object_id = $1 AND storage_uri = $2 \
    AND NOT EXISTS (SELECT 1 FROM musehub_object_refs AS r WHERE r.object_id = $1)";

macro_rules! some_of {
    ($table:literal by $key:literal) => {
        concat!("DELETE FROM ", $table, " WHERE {some of ", $table, " by ", $key, "}")
    };
}

/// What hangs on a repository and may be much, some rows at a time: one statement for all of it takes longer than a
/// statement may. Branches go first, since a repository without them is one that the log knows nothing of either. What hangs
/// on a proposal goes before it.
pub(super) const FORGET_SOME: [&str; 15] = [
    some_of!("musehub_branches" by "repo_id, name"),
    some_of!("musehub_commits" by "repo_id, commit_id"),
    some_of!("musehub_commit_graph" by "repo_id, commit_id, position"),
    some_of!("musehub_snapshots" by "repo_id, snapshot_id"),
    some_of!("musehub_object_refs" by "repo_id, object_id"),
    some_of!("musehub_background_jobs" by "job_id"),
    some_of!("musehub_intel_breakage_issues" by "issue_id"),
    some_of!("musehub_intel_breakage_scans" by "repo_id, ref"),
    some_of!("musehub_fetch_mpack_cache" by "cache_id"),
    some_of!("musehub_proposal_checks" by "repo_id, number"),
    some_of!("musehub_proposal_reviews" by "repo_id, number, reviewer_key"),
    some_of!("musehub_proposal_entries" by "repo_id, number, entry_id"),
    some_of!("musehub_proposals" by "repo_id, number"),
    some_of!("musehub_releases" by "repo_id, tag"),
    some_of!("musehub_wire_tags" by "repo_id, label, commit_id"),
];

/// How many rows are some.
const SOME: u64 = 5_000;

/// The few rows that still hang on the repository go with it.
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

    async fn restore_blobs(&self, blobs: &[BlobRow]) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("restoring blobs").await?;
            history::insert_objects(&write, &history::sorted(blobs, |blob| blob.id)).await?;
            write.commit().await
        })
        .await
    }

    async fn forget_repository(&self, repo: &RepoId) -> Result<(), BackendError> {
        for statement in FORGET_SOME {
            while self.forget(statement, [repo.as_str().into(), integer(SOME)?.into()]).await? >= SOME {}
        }
        self.forget(FORGET_REPOSITORY, [repo.as_str().into()]).await.map(drop)
    }
}

impl SqlIndex {
    /// Runs a statement about a repository in a transaction of its own; how many rows it removed.
    async fn forget<const VALUES: usize>(
        &self,
        statement: &str,
        values: [Value; VALUES],
    ) -> Result<u64, BackendError> {
        retry::transaction(|| async {
            let write = self.write("forgetting a repository").await?;
            let removed = write.execute(statement, values.clone()).await?;
            write.commit().await?;
            Ok(removed)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;
    use crate::index::schema::declared;

    /// Each has one row, or as many as people were let in.
    const FEW: [&str; 3] = ["musehub_branch_claims", "musehub_collaborators", "musehub_intel_breakage_meta"];

    #[test]
    fn every_table_of_a_repository_is_forgotten_in_parts_by_its_key_or_is_short() {
        for (name, table) in declared::catalogue(DbBackend::Sqlite).tables {
            let of_repository =
                table.foreign_keys.iter().any(|key| key.columns.0.iter().any(|column| column == "repo_id"));
            let statement = FORGET_SOME.iter().find(|text| text.starts_with(&format!("DELETE FROM {name} ")));
            let few = FEW.contains(&name.as_str());
            assert_eq!(of_repository, statement.is_some() || few, "{name}");
            if let Some(statement) = statement {
                let key = table.primary_key.columns.0.join(", ");
                assert!(statement.ends_with(&format!("{{some of {name} by {key}}}")), "{statement}: {key}");
            }
        }
    }
}
