//! [`ReleaseStore`].

use async_trait::async_trait;
use musehub_core::CommitId;
use musehub_core::name::RepoId;
use musehub_core::port::{BackendError, ReleaseFilter, ReleaseStore, Timestamp};
use musehub_core::release::{Channel, CommitTag, Release, ReleaseTag};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::entity::release::tag;
use super::retry;
use super::sql::{Row, damaged};

const RELEASES: &str = "musehub_releases";
const TAGS: &str = "musehub_wire_tags";

const ADD: &str = "\
    INSERT INTO musehub_releases (repo_id, tag, channel, is_draft, commit_id, publisher, created_at, record) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (repo_id, tag) DO NOTHING";

/// The newest first, after a moment and a tag; `$2` is empty for all channels, `$3` says whether drafts are among them.
pub(super) const LIST: &str = "\
    SELECT tag, channel, is_draft, commit_id, publisher, created_at, record FROM musehub_releases \
    WHERE repo_id = $1 AND (channel = $2 OR $2 = '') AND (is_draft = $3 OR is_draft = $4) \
        AND (created_at, tag) < ($5, $6) \
    ORDER BY created_at DESC, tag DESC LIMIT $7";

pub(super) const REMOVE: &str = "DELETE FROM musehub_releases WHERE repo_id = $1 AND tag = $2";

pub(super) const LIST_TAGS: &str = "\
    SELECT label, commit_id, tag_id, created_at, tagger FROM musehub_wire_tags \
    WHERE repo_id = $1 AND (label, commit_id) > ($2, $3) ORDER BY label, commit_id LIMIT $4";

/// Does nothing where the commit has the label already, or where there is no such tag.
pub(super) const COPY_TAG: &str = "\
    INSERT INTO musehub_wire_tags (repo_id, label, commit_id, tag_id, created_at, tagger) \
    SELECT repo_id, $4, commit_id, tag_id, created_at, tagger FROM musehub_wire_tags \
    WHERE repo_id = $1 AND label = $2 AND commit_id = $3 ON CONFLICT (repo_id, label, commit_id) DO NOTHING";

pub(super) const HAS_TAG: &str = "\
    SELECT count(*) FROM musehub_wire_tags WHERE repo_id = $1 AND label = $2 AND commit_id = $3";

pub(super) const REMOVE_TAG: &str =
    "DELETE FROM musehub_wire_tags WHERE repo_id = $1 AND label = $2 AND commit_id = $3";

#[async_trait]
impl ReleaseStore for SqlIndex {
    async fn add_release(&self, repo: &RepoId, release: &Release) -> Result<(), BackendError> {
        let record = serde_json::to_string(&release.record)
            .map_err(|error| BackendError::unavailable("writing a release", error))?;
        retry::transaction(|| async {
            let write = self.write("keeping a release").await?;
            let values: [Value; 8] = [
                repo.as_str().into(),
                release.tag.as_str().into(),
                release.channel.as_str().into(),
                release.is_draft.into(),
                release.commit.to_string().into(),
                release.publisher.as_str().into(),
                release.created_at.as_millis().into(),
                record.as_str().into(),
            ];
            if write.execute(ADD, values).await? == 0 {
                return Err(BackendError::Conflict { what: format!("release {}", release.tag) });
            }
            write.commit().await
        })
        .await
    }

    async fn releases(
        &self,
        repo: &RepoId,
        filter: ReleaseFilter,
        after: Option<(Timestamp, &ReleaseTag)>,
        limit: u32,
    ) -> Result<Vec<Release>, BackendError> {
        let (moment, tag) = after.map_or((i64::MAX, ""), |(moment, tag)| (moment.as_millis(), tag.as_str()));
        let values: [Value; 7] = [
            repo.as_str().into(),
            filter.channel.map_or("", Channel::as_str).into(),
            false.into(),
            filter.drafts.into(),
            moment.into(),
            tag.into(),
            i64::from(limit).into(),
        ];
        self.rows("listing releases", LIST, values).await?.iter().map(release).collect()
    }

    async fn remove_release(&self, repo: &RepoId, tag: &ReleaseTag) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("removing a release").await?;
            let removed = write.execute(REMOVE, [repo.as_str().into(), tag.as_str().into()]).await?;
            write.commit().await?;
            Ok(removed > 0)
        })
        .await
    }

    async fn add_tags(&self, repo: &RepoId, tags: &[CommitTag]) -> Result<u64, BackendError> {
        if tags.is_empty() {
            return Ok(0);
        }
        retry::transaction(|| async {
            let write = self.write("keeping tags").await?;
            let columns = [
                tag::Column::RepoId,
                tag::Column::Label,
                tag::Column::CommitId,
                tag::Column::TagId,
                tag::Column::CreatedAt,
                tag::Column::Tagger,
            ];
            let row = |tag: &CommitTag| -> Result<[Value; 6], BackendError> {
                Ok([
                    repo.as_str().into(),
                    tag.label.as_str().into(),
                    tag.commit.to_string().into(),
                    tag.tag_id.as_str().into(),
                    tag.created_at.as_str().into(),
                    tag.tagger.as_str().into(),
                ])
            };
            let mut tags: Vec<&CommitTag> = tags.iter().collect();
            tags.sort_by(|a, b| (&a.label, a.commit).cmp(&(&b.label, b.commit)));
            let rows: Vec<_> = tags.into_iter().map(row).collect();
            let added = write.insert_new::<tag::Entity, 6>(columns, rows).await?;
            write.commit().await?;
            Ok(added)
        })
        .await
    }

    async fn tags(
        &self,
        repo: &RepoId,
        after: Option<(&str, CommitId)>,
        limit: u32,
    ) -> Result<Vec<CommitTag>, BackendError> {
        let (label, commit) =
            after.map_or((String::new(), String::new()), |(label, id)| (label.to_owned(), id.to_string()));
        let values: [Value; 4] = [repo.as_str().into(), label.into(), commit.into(), i64::from(limit).into()];
        self.rows("listing tags", LIST_TAGS, values).await?.iter().map(commit_tag).collect()
    }

    async fn rename_tag(
        &self,
        repo: &RepoId,
        (label, commit): (&str, CommitId),
        to: &str,
    ) -> Result<bool, BackendError> {
        let tag = || -> [Value; 3] { [repo.as_str().into(), label.into(), commit.to_string().into()] };
        retry::transaction(|| async {
            let write = self.write("renaming a tag").await?;
            let [a, b, c] = tag();
            let copied = write.execute(COPY_TAG, [a, b, c, to.into()]).await? > 0;
            if !copied && count(&write.rows(HAS_TAG, tag()).await?)? > 0 {
                return Err(BackendError::Conflict { what: format!("tag {to} of {commit}") });
            }
            // Whoever renames or removes it at the same moment comes first or finds nothing; a copy alone is not kept.
            if !copied || write.execute(REMOVE_TAG, tag()).await? == 0 {
                return Ok(false);
            }
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn remove_tag(
        &self,
        repo: &RepoId,
        (label, commit): (&str, CommitId),
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("removing a tag").await?;
            let values: [Value; 3] = [repo.as_str().into(), label.into(), commit.to_string().into()];
            let removed = write.execute(REMOVE_TAG, values).await?;
            write.commit().await?;
            Ok(removed > 0)
        })
        .await
    }
}

fn count(rows: &[QueryResult]) -> Result<u64, BackendError> {
    rows.first().map_or(Ok(0), |row| Row::of(TAGS, row).number(0, "count"))
}

fn release(row: &QueryResult) -> Result<Release, BackendError> {
    let row = Row::of(RELEASES, row);
    let record: String = row.get(6, "record")?;
    Ok(Release {
        tag: row.parse(0, "tag")?,
        channel: row.parse(1, "channel")?,
        is_draft: row.get(2, "is_draft")?,
        commit: row.parse(3, "commit_id")?,
        publisher: handle(RELEASES, "publisher", &row.get::<String>(4, "publisher")?)?,
        created_at: row.moment(5, "created_at")?,
        record: serde_json::from_str(&record).map_err(|error| damaged(RELEASES, "record", error))?,
    })
}

fn commit_tag(row: &QueryResult) -> Result<CommitTag, BackendError> {
    let row = Row::of(TAGS, row);
    Ok(CommitTag {
        label: row.get(0, "label")?,
        commit: row.parse(1, "commit_id")?,
        tag_id: row.get(2, "tag_id")?,
        created_at: row.get(3, "created_at")?,
        tagger: handle(TAGS, "tagger", &row.get::<String>(4, "tagger")?)?,
    })
}

fn handle(
    table: &'static str,
    column: &'static str,
    text: &str,
) -> Result<musehub_core::Handle, BackendError> {
    musehub_core::Handle::parse(text).map_err(|error| damaged(table, column, error))
}
