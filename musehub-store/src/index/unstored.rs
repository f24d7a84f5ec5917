//! [`UnstoredIndex`]: rows whose `storage_uri` is NULL.

use async_trait::async_trait;
use musehub_core::id::{CommitId, ObjectId, ObjectKey, ObjectKind, SnapshotId};
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, Unstored, UnstoredIndex, UnstoredRecord, UnstoredRows};
use sea_orm::QueryResult;

use super::SqlIndex;
use super::dialect::among;
use super::entity::history::{commit, snapshot};
use super::history::{COMMIT_COLUMNS, SNAPSHOT_COLUMNS, commit_values, insert_edges, snapshot_values};
use super::retry;
use super::sql::{Row, Rows, Write, id_array};

pub(super) const COUNT_COMMITS: &str =
    "SELECT COUNT(*) FROM musehub_commits WHERE repo_id = $1 AND storage_uri IS NULL";

pub(super) const COUNT_SNAPSHOTS: &str =
    "SELECT COUNT(*) FROM musehub_snapshots WHERE repo_id = $1 AND storage_uri IS NULL";

pub(super) const COUNT_BRANCHES: &str = "SELECT COUNT(*) FROM musehub_branches WHERE repo_id = $1 AND sequence = 0 AND head_commit_id IS NOT NULL";

const COUNT_ALL: &str = "\
    SELECT (SELECT COUNT(*) FROM musehub_commits AS c JOIN musehub_repos AS r ON r.repo_id = c.repo_id \
            WHERE c.storage_uri IS NULL AND r.deleted = $1) \
        + (SELECT COUNT(*) FROM musehub_snapshots AS s JOIN musehub_repos AS r ON r.repo_id = s.repo_id \
            WHERE s.storage_uri IS NULL AND r.deleted = $1) \
        + (SELECT COUNT(*) FROM musehub_branches AS b JOIN musehub_repos AS r ON r.repo_id = b.repo_id \
            WHERE b.sequence = 0 AND b.head_commit_id IS NOT NULL AND r.deleted = $1)";

/// In an order in which nothing is left that refers to what is gone.
pub(super) const FORGET: [&str; 4] = [
    "DELETE FROM musehub_branches WHERE repo_id = $1 AND sequence = 0",
    "DELETE FROM musehub_commit_graph WHERE repo_id = $1 AND commit_id IN \
        (SELECT commit_id FROM musehub_commits WHERE repo_id = $1 AND storage_uri IS NULL)",
    "DELETE FROM musehub_commits WHERE repo_id = $1 AND storage_uri IS NULL",
    "DELETE FROM musehub_snapshots WHERE repo_id = $1 AND storage_uri IS NULL",
];

pub(super) const COMMITS: &str = "\
    SELECT DISTINCT g.generation, c.commit_id \
    FROM musehub_commits AS c JOIN musehub_commit_graph AS g ON g.repo_id = $1 AND g.commit_id = c.commit_id \
    WHERE c.repo_id = $1 AND c.storage_uri IS NULL ORDER BY g.generation, c.commit_id";

pub(super) const SNAPSHOTS: &str = "\
    SELECT snapshot_id FROM musehub_snapshots \
    WHERE repo_id = $1 AND storage_uri IS NULL AND snapshot_id > $2 ORDER BY snapshot_id LIMIT $3";

pub(super) const COMMIT_RECORDS: &str = concat!(
    "SELECT commit_id, record FROM musehub_commits WHERE repo_id = $1 AND storage_uri IS NULL \
    AND record IS NOT NULL AND ",
    among!("commit_id", "$2")
);

pub(super) const SNAPSHOT_RECORDS: &str = concat!(
    "SELECT snapshot_id, record FROM musehub_snapshots WHERE repo_id = $1 AND storage_uri IS NULL \
    AND record IS NOT NULL AND ",
    among!("snapshot_id", "$2")
);

const ADD_BRANCH: &str = "\
    INSERT INTO musehub_branches (repo_id, name, head_commit_id, sequence, moved_at) VALUES ($1, $2, $3, 0, $4) \
    ON CONFLICT DO NOTHING";

#[async_trait]
impl UnstoredIndex for SqlIndex {
    async fn add_unstored(&self, repo: &RepoId, rows: UnstoredRows) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding rows without objects").await?;
            add_snapshots(&write, repo, &rows).await?;
            add_commits(&write, repo, &rows).await?;
            for branch in &rows.branches {
                let values = [
                    repo.as_str().into(),
                    branch.name.as_str().into(),
                    branch.head.to_string().into(),
                    branch.moved_at.as_millis().into(),
                ];
                write.execute(ADD_BRANCH, values).await?;
            }
            write.commit().await
        })
        .await
    }

    async fn unstored(&self, repo: &RepoId) -> Result<Unstored, BackendError> {
        let count = async |table: &'static str, query: &str| -> Result<u64, BackendError> {
            let rows = self.rows("counting rows without objects", query, [repo.as_str().into()]).await?;
            rows.first().map_or(Ok(0), |row| Row::of(table, row).number(0, "COUNT(*)"))
        };
        Ok(Unstored {
            commits: count("musehub_commits", COUNT_COMMITS).await?,
            snapshots: count("musehub_snapshots", COUNT_SNAPSHOTS).await?,
            branches: count("musehub_branches", COUNT_BRANCHES).await?,
        })
    }

    async fn unstored_commits(&self, repo: &RepoId) -> Result<Vec<(u64, CommitId)>, BackendError> {
        let rows = self.rows("listing rows without objects", COMMITS, [repo.as_str().into()]).await?;
        let listed = |row: &QueryResult| {
            let row = Row::of("musehub_commits", row);
            Ok((row.number(0, "generation")?, row.parse(1, "commit_id")?))
        };
        rows.iter().map(listed).collect()
    }

    async fn unstored_snapshots(
        &self,
        repo: &RepoId,
        after: Option<SnapshotId>,
        limit: u32,
    ) -> Result<Vec<SnapshotId>, BackendError> {
        // No id comes before the empty text.
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let values = [repo.as_str().into(), after.into(), i64::from(limit).into()];
        let rows = self.rows("listing rows without objects", SNAPSHOTS, values).await?;
        rows.iter().map(|row| Row::of("musehub_snapshots", row).parse(0, "snapshot_id")).collect()
    }

    async fn unstored_records(
        &self,
        repo: &RepoId,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<Vec<UnstoredRecord>, BackendError> {
        let (table, query) = match kind {
            ObjectKind::Blob => return Ok(Vec::new()),
            ObjectKind::Snapshot => ("musehub_snapshots", SNAPSHOT_RECORDS),
            ObjectKind::Commit => ("musehub_commits", COMMIT_RECORDS),
        };
        let values = [repo.as_str().into(), id_array(ids)];
        let rows = self.rows("reading records of rows", query, values).await?;
        let record = |row: &QueryResult| {
            let row = Row::of(table, row);
            let key = ObjectKey { kind, id: row.parse(0, "id")? };
            Ok(UnstoredRecord { key, json: row.get(1, "record")? })
        };
        rows.iter().map(record).collect()
    }

    async fn forget_unstored(&self, repo: &RepoId) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("taking back rows without objects").await?;
            for statement in FORGET {
                write.execute(statement, [repo.as_str().into()]).await?;
            }
            write.commit().await
        })
        .await
    }
}

impl SqlIndex {
    /// How many commits and snapshots are rows without objects, and how many branches stand nowhere in a log: no object store
    /// has them. Those of repositories that are shown: nobody misses what a load left that failed.
    ///
    /// # Errors
    /// [`BackendError`] where the database fails.
    pub async fn unstored_rows(&self) -> Result<u64, BackendError> {
        let rows = self.rows("counting rows without objects", COUNT_ALL, [false.into()]).await?;
        rows.first().map_or(Ok(0), |row| Row::of("musehub_commits", row).number(0, "COUNT(*)"))
    }
}

async fn add_snapshots(write: &Write, repo: &RepoId, rows: &UnstoredRows) -> Result<(), BackendError> {
    let mut sorted: Vec<_> = rows.snapshots.iter().collect();
    sorted.sort_unstable_by_key(|(row, _)| row.id);
    let values: Rows<'_, 6> = Box::new(sorted.into_iter().map(|(row, json)| {
        let [repo, id, entry_count, size, place] = snapshot_values(repo, row)?;
        Ok([repo, id, entry_count, size, place, json.as_str().into()])
    }));
    let [repo, id, entry_count, size, place] = SNAPSHOT_COLUMNS;
    let columns = [repo, id, entry_count, size, place, snapshot::Column::Record];
    write.insert_new::<snapshot::Entity, 6>(columns, values).await.map(drop)
}

async fn add_commits(write: &Write, repo: &RepoId, rows: &UnstoredRows) -> Result<(), BackendError> {
    let mut sorted: Vec<_> = rows.commits.iter().collect();
    sorted.sort_unstable_by_key(|(row, _)| row.id);
    let commits: Vec<_> = sorted.iter().map(|(row, _)| row).collect();
    insert_edges(write, repo, &commits).await?;
    let values: Rows<'_, 12> = Box::new(sorted.into_iter().map(|(row, json)| {
        let [repo, id, snapshot, author, message, time, agent, branch, size, place, opaque] =
            commit_values(repo, row)?;
        let json = json.as_str().into();
        Ok([repo, id, snapshot, author, message, time, agent, branch, size, place, opaque, json])
    }));
    let [repo, id, snapshot, author, message, time, agent, branch, size, place, opaque] = COMMIT_COLUMNS;
    let record = commit::Column::Record;
    let columns = [repo, id, snapshot, author, message, time, agent, branch, size, place, opaque, record];
    write.insert_new::<commit::Entity, 12>(columns, values).await.map(drop)
}
