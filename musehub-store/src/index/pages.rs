//! [`IndexPages`].

use async_trait::async_trait;
use musehub_core::id::{BlobId, CommitId, ObjectKey, ObjectKind, SnapshotId};
use musehub_core::name::{BranchName, RepoId};
use musehub_core::port::{BackendError, BlobRow, BranchPosition, CommitRow, IndexPages, SnapshotRow};
use sea_orm::QueryResult;

use super::SqlIndex;
use super::history::{blob_row, commit_rows, snapshot_row};
use super::sql::{Row, damaged};

const TABLE: &str = "musehub_branches";

pub(super) const REPOSITORY_PAGE: &str =
    "SELECT repo_id FROM musehub_repos WHERE repo_id > $1 ORDER BY repo_id LIMIT $2";

pub(super) const BRANCH_PAGE: &str = "\
    SELECT name, head_commit_id, sequence, moved_at FROM musehub_branches \
    WHERE repo_id = $1 AND name > $2 ORDER BY name LIMIT $3";

pub(super) const COMMIT_PAGE: &str = "\
    SELECT c.commit_id, c.snapshot_id, c.author, c.message, c.committed_at, c.agent_id, c.branch, c.size, \
        c.storage_uri, COALESCE(g.generation, 0), g.parent_id, c.id_opaque \
    FROM (SELECT * FROM musehub_commits WHERE repo_id = $1 AND commit_id > $2 ORDER BY commit_id LIMIT $3) AS c \
    LEFT JOIN musehub_commit_graph AS g ON g.repo_id = $1 AND g.commit_id = c.commit_id \
    ORDER BY c.commit_id, g.position";

pub(super) const SNAPSHOT_PAGE: &str = "\
    SELECT snapshot_id, entry_count, size, storage_uri FROM musehub_snapshots \
    WHERE repo_id = $1 AND snapshot_id > $2 ORDER BY snapshot_id LIMIT $3";

pub(super) const BLOB_PAGE: &str = "\
    SELECT object_id, size, storage_uri FROM musehub_objects \
    WHERE object_id {of SELECT object_id FROM musehub_object_refs WHERE repo_id = $1 AND object_id > $2 \
        ORDER BY object_id LIMIT $3} \
    ORDER BY object_id";

/// Whether anybody holds a blob is looked up for each: a question for existence PostgreSQL may answer by reading all that
/// anybody holds.
pub(super) const UNHELD_BLOBS: &str = "\
    SELECT o.object_id, o.size, o.storage_uri, \
        (SELECT COUNT(*) FROM (SELECT 1 FROM musehub_object_refs AS r WHERE r.object_id = o.object_id LIMIT 1) AS held) \
    FROM musehub_objects AS o WHERE o.object_id > $1 ORDER BY o.object_id LIMIT $2";

pub(super) const ROWLESS_COMMITS: &str = "\
    SELECT DISTINCT g.commit_id FROM musehub_commit_graph AS g WHERE g.repo_id = $1 AND NOT EXISTS \
        (SELECT 1 FROM musehub_commits AS c WHERE c.repo_id = $1 AND c.commit_id = g.commit_id) \
    ORDER BY g.commit_id LIMIT $2";

pub(super) const ROWLESS_BLOBS: &str = "\
    SELECT r.object_id FROM musehub_object_refs AS r WHERE r.repo_id = $1 AND NOT EXISTS \
        (SELECT 1 FROM musehub_objects AS o WHERE o.object_id = r.object_id) \
    ORDER BY r.object_id LIMIT $2";

/// No id and no name comes before the empty text.
fn cursor<T: ToString>(after: Option<T>) -> String {
    after.map(|after| after.to_string()).unwrap_or_default()
}

#[async_trait]
impl IndexPages for SqlIndex {
    async fn repository_page(&self, after: Option<&RepoId>, limit: u32) -> Result<Vec<RepoId>, BackendError> {
        let rows = self.rows(
            "listing repositories",
            REPOSITORY_PAGE,
            [cursor(after).into(), i64::from(limit).into()],
        );
        let id = |row: &QueryResult| {
            let id: String = Row::of("musehub_repos", row).get(0, "repo_id")?;
            RepoId::parse(&id).map_err(|error| damaged("musehub_repos", "repo_id", error))
        };
        rows.await?.iter().map(id).collect()
    }

    async fn branch_page(
        &self,
        repo: &RepoId,
        after: Option<&BranchName>,
        limit: u32,
    ) -> Result<Vec<BranchPosition>, BackendError> {
        let values = [repo.as_str().into(), cursor(after).into(), i64::from(limit).into()];
        let rows = self.rows("reading branches", BRANCH_PAGE, values).await?;
        let position = |row: &QueryResult| {
            let row = Row::of(TABLE, row);
            let name: String = row.get(0, "name")?;
            Ok(BranchPosition {
                name: BranchName::parse(&name).map_err(|error| damaged(TABLE, "name", error))?,
                head: row.parse_nullable(1, "head_commit_id")?,
                sequence: row.number(2, "sequence")?,
                moved_at: row.moment(3, "moved_at")?,
            })
        };
        rows.iter().map(position).collect()
    }

    async fn commit_page(
        &self,
        repo: &RepoId,
        after: Option<CommitId>,
        limit: u32,
    ) -> Result<Vec<CommitRow>, BackendError> {
        let values = [repo.as_str().into(), cursor(after).into(), i64::from(limit).into()];
        commit_rows(&self.rows("reading commits", COMMIT_PAGE, values).await?)
    }

    async fn snapshot_page(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotRow>, BackendError> {
        let values = [repo.as_str().into(), cursor(after).into(), i64::from(limit).into()];
        self.rows("reading snapshots", SNAPSHOT_PAGE, values).await?.iter().map(snapshot_row).collect()
    }

    async fn blob_page(
        &self,
        repo: &RepoId,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<Vec<BlobRow>, BackendError> {
        let values = [repo.as_str().into(), cursor(after).into(), i64::from(limit).into()];
        self.rows("reading blobs", BLOB_PAGE, values).await?.iter().map(blob_row).collect()
    }

    async fn unheld_blobs(
        &self,
        after: Option<BlobId>,
        limit: u32,
    ) -> Result<(Vec<BlobRow>, Option<BlobId>), BackendError> {
        let values = [cursor(after).into(), i64::from(limit).into()];
        let rows = self.rows("reading blobs", UNHELD_BLOBS, values).await?;
        let last =
            rows.last().map(|row| Row::of("musehub_objects", row).parse(0, "object_id")).transpose()?;
        let unheld =
            rows.iter().filter_map(|row| match Row::of("musehub_objects", row).get::<i64>(3, "held") {
                Ok(0) => Some(blob_row(row)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
        Ok((unheld.collect::<Result<_, _>>()?, last))
    }

    async fn rowless(&self, repo: &RepoId, limit: u32) -> Result<Vec<ObjectKey>, BackendError> {
        let mut rowless = Vec::new();
        for (kind, query, table) in [
            (ObjectKind::Commit, ROWLESS_COMMITS, "musehub_commit_graph"),
            (ObjectKind::Blob, ROWLESS_BLOBS, "musehub_object_refs"),
        ] {
            let values = [repo.as_str().into(), i64::from(limit).into()];
            for row in self.rows("looking for rows without their counterpart", query, values).await? {
                rowless.push(ObjectKey { kind, id: Row::of(table, &row).parse(0, "id")? });
            }
        }
        rowless.truncate(limit as usize);
        Ok(rowless)
    }
}
