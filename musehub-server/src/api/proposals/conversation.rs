//! What people say of a proposal.

use hyper::StatusCode;
use musehub_core::hub::proposals::{ReviewKind, Said};
use musehub_core::{CommitId, Handle};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ProposalPath;
use super::answers::EntryAnswer;
use crate::api::paging::PageQuery;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationAnswer {
    /// Oldest first.
    entries: Vec<EntryAnswer>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct CommentRequest {
    /// At most 64 KiB, and not empty.
    body: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReviewVerdict {
    Approve,
    RequestChanges,
    Comment,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct ReviewRequest {
    verdict: ReviewVerdict,
    /// At most 64 KiB; needed but for an approval.
    #[serde(default)]
    body: String,
    /// The head of the source that was looked at. Where it stands elsewhere, the review is refused with 409.
    #[schema(value_type = Option<String>)]
    commit_id: Option<CommitId>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct DismissalRequest {
    /// Why; at most 64 KiB, and not empty.
    reason: String,
}

/// The entry of a conversation that a path names
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
struct ProposalEntryPath {
    /// Whose the repository is.
    owner: String,
    /// Its name.
    slug: String,
    /// The number of the proposal.
    number: u64,
    /// The id of the entry.
    entry: u64,
}

/// The reviewer of a proposal that a path names
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
struct ProposalReviewerPath {
    /// Whose the repository is.
    owner: String,
    /// Its name.
    slug: String,
    /// The number of the proposal.
    number: u64,
    /// Whose verdict it is.
    reviewer: String,
}

impl Exchange<'_> {
    fn entry_id(&self) -> Result<u64, ApiError> {
        let id = self.params.get("entry").parse();
        id.map_err(|_| ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such entry"))
    }
}

/// Lists what was said of a proposal and what happened to it
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/conversation",
    tag = "proposals",
    params(ProposalPath, PageQuery),
    responses((status = 200, description = "A page.", body = ConversationAnswer)),
)]
pub(crate) async fn list_conversation(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, number) = (exchange.repository()?, exchange.proposal_number()?);
    let (limit, after) = (exchange.limit()?, exchange.cursor::<u64>()?.unwrap_or(0));
    let proposals = exchange.app.hub.proposals();
    proposals.get(repo, number).await?;
    let mut entries = proposals.conversation(repo, number, after, limit + 1).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let answer = ConversationAnswer {
        next_cursor: entries.last().filter(|_| more).map(|last| last.id.to_string()),
        entries: entries.into_iter().map(EntryAnswer::from).collect(),
    };
    json(StatusCode::OK, &answer)
}

/// Says something about a proposal
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/comments",
    tag = "proposals",
    params(ProposalPath),
    request_body = CommentRequest,
    responses((status = 201, description = "Said.", body = EntryAnswer)),
)]
pub(crate) async fn comment_on_proposal(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let request: CommentRequest = exchange.decode(body).await?;
    let entry = exchange.app.hub.proposals().comment(repo, caller, number, request.body).await?;
    json(StatusCode::CREATED, &EntryAnswer::from(entry))
}

/// Changes what one wrote
#[utoipa::path(
    patch,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/comments/{entry}",
    tag = "proposals",
    params(ProposalEntryPath),
    request_body = CommentRequest,
    responses((status = 200, description = "Changed.", body = EntryAnswer)),
)]
pub(crate) async fn edit_comment(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let id = exchange.entry_id()?;
    let request: CommentRequest = exchange.decode(body).await?;
    let entry = exchange.app.hub.proposals().edit_entry(repo, caller, number, id, &request.body).await?;
    json(StatusCode::OK, &EntryAnswer::from(entry))
}

/// Deletes what one wrote
#[utoipa::path(
    delete,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/comments/{entry}",
    tag = "proposals",
    params(ProposalEntryPath),
    responses((status = 200, description = "Deleted.", body = EntryAnswer)),
)]
pub(crate) async fn delete_comment(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let id = exchange.entry_id()?;
    let entry = exchange.app.hub.proposals().delete_entry(repo, caller, number, id).await?;
    json(StatusCode::OK, &EntryAnswer::from(entry))
}

/// Reviews a proposal
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/reviews",
    tag = "proposals",
    params(ProposalPath),
    request_body = ReviewRequest,
    responses((status = 201, description = "Reviewed.", body = EntryAnswer)),
)]
pub(crate) async fn review_proposal(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let request: ReviewRequest = exchange.decode(body).await?;
    let kind = match request.verdict {
        ReviewVerdict::Approve => ReviewKind::Approve,
        ReviewVerdict::RequestChanges => ReviewKind::RequestChanges,
        ReviewVerdict::Comment => ReviewKind::Comment,
    };
    let said = Said { kind, body: request.body, commit: request.commit_id };
    let entry = exchange.app.hub.proposals().review(repo, caller, number, said).await?;
    json(StatusCode::CREATED, &EntryAnswer::from(entry))
}

/// Takes away the verdict of a reviewer
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/reviews/{reviewer}/dismissal",
    tag = "proposals",
    params(ProposalReviewerPath),
    request_body = DismissalRequest,
    responses((status = 201, description = "Dismissed.", body = EntryAnswer)),
)]
pub(crate) async fn dismiss_review(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let reviewer = Handle::parse(exchange.params.get("reviewer"))?;
    let request: DismissalRequest = exchange.decode(body).await?;
    let proposals = exchange.app.hub.proposals();
    let entry = proposals.dismiss_review(repo, caller, number, &reviewer, request.reason).await?;
    json(StatusCode::CREATED, &EntryAnswer::from(entry))
}
