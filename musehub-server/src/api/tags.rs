//! Tags: listed, made at a commit, renamed, deleted.

use std::fmt;
use std::str::FromStr;

use hyper::StatusCode;
use musehub_core::CommitId;
use musehub_core::id::IdError;
use musehub_core::release::CommitTag;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::RepositoryPath;
use super::paging::PageQuery;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct TagListAnswer {
    /// In order of their names, then of their commits.
    tags: Vec<TagAnswer>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TagAnswer {
    /// Any text; several commits may have it.
    name: String,
    commit_id: String,
    /// Who brought or made it.
    tagger: String,
    /// When it was made, in the words of the client that did.
    created_at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TagOfCommitAnswer {
    name: String,
    commit_id: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateTagRequest {
    /// 1 to 255 bytes without control characters, and without white space at the ends.
    name: String,
    /// A commit that the repository holds.
    #[schema(value_type = String)]
    commit_id: CommitId,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct RenameTagRequest {
    /// Its new name.
    name: String,
    /// The commit that has it: others may have a tag of the same name.
    #[schema(value_type = String)]
    commit_id: CommitId,
}

/// The tag that a path names
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
struct TagPath {
    /// Whose the repository is.
    owner: String,
    /// Its name.
    slug: String,
    /// The name of the tag, which may have slashes.
    tag: String,
}

/// The commit that has a tag
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: the handler reads the query")]
struct TaggedQuery {
    /// The commit that has it: others may have a tag of the same name.
    commit_id: String,
}

/// Where a page of tags begins: behind this one.
pub(crate) struct TagCursor {
    /// Its commit.
    pub(crate) commit: CommitId,
    /// Its name.
    pub(crate) label: String,
}

impl From<&CommitTag> for TagCursor {
    fn from(tag: &CommitTag) -> Self {
        Self { commit: tag.commit, label: tag.label.clone() }
    }
}

impl fmt::Display for TagCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.commit, self.label)
    }
}

impl FromStr for TagCursor {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (commit, label) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { commit: CommitId::parse(commit)?, label: label.to_owned() })
    }
}

impl From<CommitTag> for TagAnswer {
    fn from(tag: CommitTag) -> Self {
        let CommitTag { label, commit, created_at, tagger, .. } = tag;
        Self { name: label, commit_id: commit.to_string(), tagger: tagger.to_string(), created_at }
    }
}

/// A page of at most `limit` tags and where the next one begins.
pub(crate) async fn page(
    exchange: &Exchange<'_>,
    after: Option<TagCursor>,
    limit: u32,
) -> Result<(Vec<CommitTag>, Option<TagCursor>), ApiError> {
    let after = after.as_ref().map(|after| (after.label.as_str(), after.commit));
    let mut tags = exchange.app.releases.tags(exchange.repository()?, after, limit + 1).await?;
    let more = tags.len() > limit as usize;
    tags.truncate(limit as usize);
    let next = tags.last().filter(|_| more).map(TagCursor::from);
    Ok((tags, next))
}

/// Lists tags
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/tags",
    tag = "tags",
    params(RepositoryPath, PageQuery),
    responses((status = 200, description = "A page.", body = TagListAnswer)),
)]
pub(crate) async fn list_tags(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (tags, next) = page(exchange, exchange.cursor()?, exchange.limit()?).await?;
    let answer = TagListAnswer {
        tags: tags.into_iter().map(TagAnswer::from).collect(),
        next_cursor: next.map(|cursor| cursor.to_string()),
    };
    json(StatusCode::OK, &answer)
}

/// Makes a tag of a commit
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/tags",
    tag = "tags",
    params(RepositoryPath),
    request_body = CreateTagRequest,
    responses((status = 201, description = "Made.", body = TagAnswer)),
)]
pub(crate) async fn create_tag(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, caller) = (exchange.repository()?, exchange.caller()?);
    let request: CreateTagRequest = exchange.decode(body).await?;
    let tag = exchange.app.releases.create_tag(repo, caller, &request.name, request.commit_id).await?;
    // Packs bring tags along.
    exchange.app.mpacks.end_built(repo).await?;
    json(StatusCode::CREATED, &TagAnswer::from(tag))
}

/// Renames a tag of a commit
#[utoipa::path(
    patch,
    path = "/api/v1/repos/{owner}/{slug}/tags/{tag}",
    tag = "tags",
    params(TagPath),
    request_body = RenameTagRequest,
    responses((status = 200, description = "Renamed.", body = TagOfCommitAnswer)),
)]
pub(crate) async fn rename_tag(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: RenameTagRequest = exchange.decode(body).await?;
    let tag = (exchange.params.get("tag"), request.commit_id);
    exchange.app.releases.rename_tag(repo, tag, &request.name).await?;
    exchange.app.mpacks.end_built(repo).await?;
    let answer = TagOfCommitAnswer { name: request.name, commit_id: request.commit_id.to_string() };
    json(StatusCode::OK, &answer)
}

/// Deletes a tag of a commit
#[utoipa::path(
    delete,
    path = "/api/v1/repos/{owner}/{slug}/tags/{tag}",
    tag = "tags",
    params(TagPath, TaggedQuery),
    responses((status = 200, description = "Deleted.", body = TagOfCommitAnswer)),
)]
pub(crate) async fn delete_tag(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let name = exchange.params.get("tag");
    let commit = exchange.query("commit_id");
    let commit = commit.ok_or_else(|| ApiError::invalid("'commit_id' of the query is missing"))?;
    let commit = CommitId::parse(&commit)?;
    exchange.app.releases.remove_tag(repo, (name, commit)).await?;
    exchange.app.mpacks.end_built(repo).await?;
    json(StatusCode::OK, &TagOfCommitAnswer { name: name.to_owned(), commit_id: commit.to_string() })
}
