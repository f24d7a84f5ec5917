//! [`RepositoryIndex`].

use async_trait::async_trait;
use musehub_core::BlobId;
use musehub_core::name::{BranchName, Handle, RepoId, Slug};
use musehub_core::port::{BackendError, RepositoryIndex, RepositoryRecord, Timestamp, Visibility};
use sea_orm::{FromQueryResult, QueryResult, SqlErr, Value};

use super::SqlIndex;
use super::dialect::among;
use super::entity::repo::repository::Model;
use super::retry;
use super::sql::{Row, damaged, id_array, integer, number, parse};
use super::text;

const TABLE: &str = "musehub_repos";

const PUT: &str = "\
    INSERT INTO musehub_repos (repo_id, owner, slug, owner_key, slug_key, version, visibility, description, scheme, \
        default_branch, settings, created_at, deleted) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
    ON CONFLICT (repo_id) DO UPDATE SET \
        owner = excluded.owner, slug = excluded.slug, owner_key = excluded.owner_key, slug_key = excluded.slug_key, \
        version = excluded.version, visibility = excluded.visibility, description = excluded.description, \
        scheme = excluded.scheme, default_branch = excluded.default_branch, settings = excluded.settings, \
        created_at = excluded.created_at, \
        deleted = excluded.deleted \
    WHERE excluded.version > musehub_repos.version";

pub(super) const BY_NAME: &str = "SELECT * FROM musehub_repos WHERE owner_key = $1 AND slug_key = $2";

pub(super) const BY_ID: &str = "SELECT * FROM musehub_repos WHERE repo_id = $1";

pub(super) const PUBLIC: &str = "\
    SELECT * FROM musehub_repos \
    WHERE visibility = 'public' AND deleted = $1 AND (owner_key, slug_key) > ($2, $3) \
    ORDER BY owner_key, slug_key LIMIT $4";

pub(super) const HOLDERS: &str = "\
    SELECT repo_id FROM musehub_object_refs WHERE object_id = $1 AND repo_id > $2 ORDER BY repo_id LIMIT $3";

pub(super) const BY_IDS: &str =
    concat!("SELECT * FROM musehub_repos WHERE ", among!("repo_id", "$1"), " ORDER BY repo_id");

#[async_trait]
impl RepositoryIndex for SqlIndex {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let conflict = match self.try_put_repository(record).await {
            Err(conflict @ BackendError::Conflict { .. }) => conflict,
            done => return done,
        };
        // Of several that insert one new repository at a time, PostgreSQL lets the later ones meet its name, which is an
        // error, before its id, which is not. Once it is there, they meet the id.
        if self.repository_by_id(&record.repo_id).await?.is_none() {
            return Err(conflict);
        }
        self.try_put_repository(record).await
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        let rows =
            self.rows("finding a repository", BY_NAME, [key(owner.as_str()), key(slug.as_str())]).await?;
        rows.first().map(record).transpose()
    }

    async fn repository_by_id(&self, repo: &RepoId) -> Result<Option<RepositoryRecord>, BackendError> {
        let rows = self.rows("finding a repository", BY_ID, [repo.as_str().into()]).await?;
        rows.first().map(record).transpose()
    }

    async fn holders(
        &self,
        blob: BlobId,
        after: Option<&RepoId>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        let after = after.map_or("", RepoId::as_str);
        let values = [blob.to_string().into(), after.into(), i64::from(limit).into()];
        let rows = self.rows("finding who holds a blob", HOLDERS, values).await?;
        let holder = |row| Row::of("musehub_object_refs", row).get::<String>(0, "repo_id");
        let holders: Vec<String> = rows.iter().map(holder).collect::<Result<_, _>>()?;
        let rows = self.rows("reading repositories", BY_IDS, [id_array(holders)]).await?;
        rows.iter().map(record).collect()
    }

    async fn public_repositories(
        &self,
        after: Option<(&Handle, &Slug)>,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        // No name is empty, so the first page is what comes after the empty one.
        let (owner, slug) = after.map_or(("", ""), |(owner, slug)| (owner.as_str(), slug.as_str()));
        let values = [false.into(), key(owner), key(slug), i64::from(limit).into()];
        let rows = self.rows("listing repositories", PUBLIC, values).await?;
        rows.iter().map(record).collect()
    }
}

impl SqlIndex {
    /// Writes a version, or fails with a conflict where a name is taken.
    async fn try_put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let settings = serde_json::to_string(&record.settings)
                .map_err(|error| BackendError::unavailable("indexing a repository", error))?;
            let write = self.write("indexing a repository").await?;
            let (owner, slug) = (record.owner.as_str(), record.slug.as_str());
            let values: [Value; 13] = [
                record.repo_id.as_str().into(),
                owner.into(),
                slug.into(),
                key(owner),
                key(slug),
                integer(record.version)?.into(),
                record.visibility.as_str().into(),
                record.description.as_str().into(),
                record.scheme.map(|scheme| scheme.as_str()).into(),
                record.default_branch.as_ref().map(BranchName::as_str).into(),
                settings.as_str().into(),
                record.created_at.as_millis().into(),
                record.deleted.into(),
            ];
            write.try_execute(PUT, values).await.map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => {
                    BackendError::Conflict { what: format!("another repository of the name {owner}/{slug}") }
                }
                _ => BackendError::unavailable("indexing a repository", error),
            })?;
            write.commit().await
        })
        .await
    }
}

/// Names compare by it.
fn key(name: &str) -> Value {
    name.to_ascii_lowercase().into()
}

fn record(row: &QueryResult) -> Result<RepositoryRecord, BackendError> {
    let row = Model::from_query_result(row, "").map_err(|error| damaged(TABLE, "of any name", error))?;
    let broken = |column, error| damaged(TABLE, column, error);
    Ok(RepositoryRecord {
        version: number(TABLE, "version", row.version)?,
        repo_id: RepoId::parse(&row.repo_id).map_err(|error| broken("repo_id", error))?,
        owner: Handle::parse(&row.owner).map_err(|error| broken("owner", error))?,
        slug: Slug::parse(&row.slug).map_err(|error| broken("slug", error))?,
        visibility: visibility(&row.visibility)?,
        description: text::read(row.description),
        scheme: row.scheme.map(|scheme| parse(TABLE, "scheme", &scheme)).transpose()?,
        default_branch: row
            .default_branch
            .map(|branch| BranchName::parse(&branch).map_err(|error| broken("default_branch", error)))
            .transpose()?,
        settings: serde_json::from_str(&text::read(row.settings))
            .map_err(|error| damaged(TABLE, "settings", error))?,
        created_at: Timestamp::from_millis(row.created_at),
        deleted: row.deleted,
    })
}

fn visibility(word: &str) -> Result<Visibility, BackendError> {
    [Visibility::Public, Visibility::Private]
        .into_iter()
        .find(|visibility| visibility.as_str() == word)
        .ok_or_else(|| damaged(TABLE, "visibility", "no visibility has that name"))
}
