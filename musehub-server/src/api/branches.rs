//! Branches: listed, made at a commit, renamed, deleted.

use hyper::StatusCode;
use musehub_core::port::{BranchRow, RepositoryRecord};
use musehub_core::settings::Protection;
use musehub_core::{BranchName, CommitId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::RepositoryPath;
use super::paging::PageQuery;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct BranchListAnswer {
    /// In order of their names.
    branches: Vec<BranchAnswer>,
    /// `main` until the first push.
    default_branch: String,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BranchAnswer {
    name: String,
    head: String,
    is_default: bool,
    /// What may not happen to it; null where it is not protected.
    protection: Option<ProtectionAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProtectionAnswer {
    /// It may not lose commits.
    refuse_force: bool,
    /// It may not be deleted or renamed.
    refuse_deletion: bool,
    /// It moves by the merge of a proposal only.
    refuse_direct_push: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BranchDeletedAnswer {
    name: String,
    /// Where it stood.
    head: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateBranchRequest {
    name: String,
    /// A commit that the repository holds.
    #[schema(value_type = String)]
    commit_id: CommitId,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct RenameBranchRequest {
    /// Its new name.
    name: String,
    /// Where it stands, by what the caller saw. Where it is elsewhere, the answer is 409.
    #[schema(value_type = String)]
    expected_head: CommitId,
}

/// The branch that a path names
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
struct BranchPath {
    /// Whose the repository is.
    owner: String,
    /// Its name.
    slug: String,
    /// The name of the branch, which may have slashes.
    branch: String,
}

/// Where a branch is expected
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: the handler reads the query")]
struct ExpectedHeadQuery {
    /// Where it stands, by what the caller saw. Where it is elsewhere, the answer is 409.
    expected_head: String,
}

impl From<Protection> for ProtectionAnswer {
    fn from(protection: Protection) -> Self {
        let Protection { refuse_force, refuse_deletion, refuse_direct_push } = protection;
        Self { refuse_force, refuse_deletion, refuse_direct_push }
    }
}

fn answer(repo: &RepositoryRecord, name: &BranchName, head: CommitId) -> BranchAnswer {
    BranchAnswer {
        name: name.to_string(),
        head: head.to_string(),
        is_default: repo.default_branch.as_ref() == Some(name),
        protection: repo.settings.protection(name).map(ProtectionAnswer::from),
    }
}

/// Lists branches
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/branches",
    tag = "branches",
    params(RepositoryPath, PageQuery),
    responses((status = 200, description = "A page.", body = BranchListAnswer)),
)]
pub(crate) async fn list_branches(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let (limit, after) = (exchange.limit()? as usize, exchange.query("cursor"));
    let refs = exchange.app.hub.refs(repo).await?;
    let follows = |row: &&BranchRow| after.as_ref().is_none_or(|after| row.name.as_str() > after.as_str());
    let rows: Vec<&BranchRow> = refs.branches.iter().filter(follows).take(limit + 1).collect();
    let page = &rows[..rows.len().min(limit)];
    let answer = BranchListAnswer {
        branches: page.iter().map(|row| answer(repo, &row.name, row.head)).collect(),
        default_branch: refs.default_branch.to_string(),
        next_cursor: page.last().filter(|_| rows.len() > limit).map(|row| row.name.to_string()),
    };
    json(StatusCode::OK, &answer)
}

/// Makes a branch at a commit
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/branches",
    tag = "branches",
    params(RepositoryPath),
    request_body = CreateBranchRequest,
    responses((status = 201, description = "Made.", body = BranchAnswer)),
)]
pub(crate) async fn create_branch(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller) = (exchange.repository()?, exchange.caller()?);
    let request: CreateBranchRequest = exchange.decode(body).await?;
    let name = BranchName::parse(&request.name)?;
    exchange.app.hub.create_branch(repo, caller, &name, request.commit_id).await?;
    exchange.app.work.notify_one();
    json(StatusCode::CREATED, &answer(repo, &name, request.commit_id))
}

/// Renames a branch
#[utoipa::path(
    patch,
    path = "/api/v1/repos/{owner}/{slug}/branches/{branch}",
    tag = "branches",
    params(BranchPath),
    request_body = RenameBranchRequest,
    responses((status = 200, description = "Renamed.", body = BranchAnswer)),
)]
pub(crate) async fn rename_branch(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller) = (exchange.repository()?, exchange.caller()?);
    let request: RenameBranchRequest = exchange.decode(body).await?;
    let from = BranchName::parse(exchange.params.get("branch"))?;
    let to = BranchName::parse(&request.name)?;
    let head = request.expected_head;
    let repo = exchange.app.hub.rename_branch(repo, caller, (&from, &to), head).await?;
    exchange.app.work.notify_one();
    json(StatusCode::OK, &answer(&repo, &to, head))
}

/// Deletes a branch; its commits stay
#[utoipa::path(
    delete,
    path = "/api/v1/repos/{owner}/{slug}/branches/{branch}",
    tag = "branches",
    params(BranchPath, ExpectedHeadQuery),
    responses((status = 200, description = "Deleted.", body = BranchDeletedAnswer)),
)]
pub(crate) async fn delete_branch(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, caller) = (exchange.repository()?, exchange.caller()?);
    let name = BranchName::parse(exchange.params.get("branch"))?;
    let expected = exchange.query("expected_head");
    let expected = expected.ok_or_else(|| ApiError::invalid("'expected_head' of the query is missing"))?;
    let head = CommitId::parse(&expected)?;
    exchange.app.hub.delete_branch(repo, caller, &name, head).await?;
    json(StatusCode::OK, &BranchDeletedAnswer { name: name.to_string(), head: head.to_string() })
}
