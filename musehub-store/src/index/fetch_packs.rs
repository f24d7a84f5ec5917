//! [`FetchPacks`].

use std::collections::HashSet;

use async_trait::async_trait;
use musehub_core::mpack::MpackId;
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, FetchKey, FetchPack, FetchPacks, MpackArea, MpackFile, Timestamp};
use sea_orm::QueryResult;

use super::SqlIndex;
use super::dialect::among;
use super::retry;
use super::sql::{Row, damaged, id_array, integer};

const TABLE: &str = "musehub_fetch_mpack_cache";

/// The columns that a pack is read from, in the order of [`read`].
macro_rules! columns {
    () => {
        "cache_id, repo_id, mpack_id, file, size, commit_count, snapshot_count, object_count, created_at, expires_at"
    };
}

pub(super) const BY_KEY: &str =
    concat!("SELECT ", columns!(), " FROM musehub_fetch_mpack_cache WHERE cache_id = $1");

pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM musehub_fetch_mpack_cache WHERE repo_id = $1 AND mpack_id = $2 ORDER BY expires_at DESC, cache_id DESC LIMIT 1"
);

/// By an expression, as no index has this order: PostgreSQL would walk all packs by their end instead of those of the repository.
pub(super) const OF_REPOSITORY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM musehub_fetch_mpack_cache WHERE repo_id = $1 ORDER BY expires_at + 0 DESC, cache_id DESC LIMIT $2"
);

pub(super) const EXPIRED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM musehub_fetch_mpack_cache WHERE expires_at < $1 ORDER BY expires_at, cache_id LIMIT $2"
);

const RECORD: &str = concat!(
    "INSERT INTO musehub_fetch_mpack_cache (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (cache_id) DO UPDATE SET \
        mpack_id = excluded.mpack_id, file = excluded.file, size = excluded.size, \
        commit_count = excluded.commit_count, snapshot_count = excluded.snapshot_count, \
        object_count = excluded.object_count, created_at = excluded.created_at, expires_at = excluded.expires_at"
);

pub(super) const END: &str = concat!(
    "UPDATE musehub_fetch_mpack_cache SET expires_at = $2 WHERE repo_id = $1 AND expires_at > $2 AND NOT ",
    among!("cache_id", "$3")
);

pub(super) const FORGET: &str =
    concat!("DELETE FROM musehub_fetch_mpack_cache WHERE expires_at < $2 AND ", among!("cache_id", "$1"));

pub(super) const RECORDED: &str =
    concat!("SELECT repo_id, file FROM musehub_fetch_mpack_cache WHERE ", among!("file", "$1"));

#[async_trait]
impl FetchPacks for SqlIndex {
    async fn fetch_pack(&self, key: &FetchKey) -> Result<Option<FetchPack>, BackendError> {
        let rows = self.rows("finding a built pack", BY_KEY, [key.as_str().into()]).await?;
        rows.first().map(read).transpose()
    }

    async fn fetch_pack_by_id(&self, repo: &RepoId, id: MpackId) -> Result<Option<FetchPack>, BackendError> {
        let values = [repo.as_str().into(), id.to_string().into()];
        let rows = self.rows("finding a built pack", BY_ID, values).await?;
        rows.first().map(read).transpose()
    }

    async fn fetch_packs(&self, repo: &RepoId, limit: u32) -> Result<Vec<FetchPack>, BackendError> {
        let values = [repo.as_str().into(), i64::from(limit).into()];
        let rows = self.rows("finding built packs", OF_REPOSITORY, values).await?;
        rows.iter().map(read).collect()
    }

    async fn record_fetch_pack(&self, pack: &FetchPack) -> Result<Option<MpackFile>, BackendError> {
        retry::transaction(|| async {
            let write = self.write("recording a built pack").await?;
            let before = write.rows(BY_KEY, [pack.key.as_str().into()]).await?;
            let before = before.first().map(read).transpose()?;
            let values = [
                pack.key.as_str().into(),
                pack.file.repo.as_str().into(),
                pack.id.to_string().into(),
                pack.file.name().into(),
                integer(pack.size)?.into(),
                integer(pack.commits)?.into(),
                integer(pack.snapshots)?.into(),
                integer(pack.blobs)?.into(),
                pack.created_at.as_millis().into(),
                pack.expires_at.as_millis().into(),
            ];
            write.execute(RECORD, values).await?;
            write.commit().await?;
            Ok(before.map(|before| before.file).filter(|file| *file != pack.file))
        })
        .await
    }

    async fn end_fetch_packs(
        &self,
        repo: &RepoId,
        keep: &[FetchKey],
        end: Timestamp,
    ) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("ending built packs").await?;
            let kept = id_array(keep.iter().map(FetchKey::as_str));
            write.execute(END, [repo.as_str().into(), end.as_millis().into(), kept]).await?;
            write.commit().await
        })
        .await
    }

    async fn expired_fetch_packs(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<FetchPack>, BackendError> {
        let values = [before.as_millis().into(), i64::from(limit).into()];
        let rows = self.rows("finding expired packs", EXPIRED, values).await?;
        rows.iter().map(read).collect()
    }

    async fn forget_fetch_packs(&self, keys: &[FetchKey], before: Timestamp) -> Result<(), BackendError> {
        if keys.is_empty() {
            return Ok(());
        }
        retry::transaction(|| async {
            let write = self.write("forgetting built packs").await?;
            let keys = id_array(keys.iter().map(FetchKey::as_str));
            write.execute(FORGET, [keys, before.as_millis().into()]).await?;
            write.commit().await
        })
        .await
    }

    async fn recorded_files(&self, files: &[MpackFile]) -> Result<Vec<MpackFile>, BackendError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let names = id_array(files.iter().map(MpackFile::name));
        let rows = self.rows("finding built packs", RECORDED, [names]).await?;
        let file = |row: &QueryResult| {
            let row = Row::of(TABLE, row);
            named(&repo_id(&row, 0)?, &row.get::<String>(1, "file")?)
        };
        let recorded: HashSet<MpackFile> = rows.iter().map(file).collect::<Result<_, _>>()?;
        Ok(files.iter().filter(|file| recorded.contains(*file)).cloned().collect())
    }
}

fn repo_id(row: &Row<'_>, at: usize) -> Result<RepoId, BackendError> {
    let text: String = row.get(at, "repo_id")?;
    RepoId::parse(&text).map_err(|error| damaged(TABLE, "repo_id", error))
}

fn named(repo: &RepoId, name: &str) -> Result<MpackFile, BackendError> {
    MpackFile::from_stored(MpackArea::Built, repo, name)
        .ok_or_else(|| damaged(TABLE, "file", "no file has that name"))
}

fn read(row: &QueryResult) -> Result<FetchPack, BackendError> {
    let row = Row::of(TABLE, row);
    let repo = repo_id(&row, 1)?;
    Ok(FetchPack {
        key: FetchKey::from_stored(row.get(0, "cache_id")?),
        id: row.parse(2, "mpack_id")?,
        file: named(&repo, &row.get::<String>(3, "file")?)?,
        size: row.number(4, "size")?,
        commits: row.number(5, "commit_count")?,
        snapshots: row.number(6, "snapshot_count")?,
        blobs: row.number(7, "object_count")?,
        created_at: row.moment(8, "created_at")?,
        expires_at: row.moment(9, "expires_at")?,
    })
}
