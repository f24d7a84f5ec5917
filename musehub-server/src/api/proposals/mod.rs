//! Proposals: listed, made, shown, changed, closed and opened again.

pub(crate) mod answers;
pub(crate) mod contents;
pub(crate) mod conversation;
pub(crate) mod merging;

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, IF_MATCH};
use musehub_core::hub::proposals::{EditProposal, Propose};
use musehub_core::port::{Proposal, ProposalFilter, ProposalNumber, ProposalState};
use musehub_core::{BranchName, Handle};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::answers::{ProposalAnswer, ProposalCountsAnswer, ProposalViewAnswer};
use super::RepositoryPath;
use super::paging::PageQuery;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalListAnswer {
    /// Newest first.
    proposals: Vec<ProposalAnswer>,
    /// How many the repository has in all, whatever was asked for.
    counts: ProposalCountsAnswer,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateProposalRequest {
    /// One line of at most 255 bytes.
    title: String,
    /// At most 64 KiB.
    #[serde(default)]
    description: String,
    /// The branch to be merged.
    source_branch: String,
    /// The branch to merge into; the default branch where this is left out.
    target_branch: Option<String>,
    /// Whether it is not to be merged yet.
    #[serde(default)]
    draft: bool,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct EditProposalRequest {
    /// One line of at most 255 bytes.
    title: Option<String>,
    /// At most 64 KiB.
    description: Option<String>,
    /// The branch to merge into.
    target_branch: Option<String>,
    /// Whether it is not to be merged yet.
    draft: Option<bool>,
}

/// Which proposals to list: those that fit everything
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: the handler reads the query")]
struct ProposalListQuery {
    /// `open`, `closed`, `merged`, or `all` as where this is left out.
    state: Option<String>,
    /// Who made them.
    author: Option<String>,
    /// The branch to be merged.
    source: Option<String>,
    /// The branch to merge into.
    target: Option<String>,
}

/// The proposal that a path names
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
pub(super) struct ProposalPath {
    /// Whose the repository is.
    owner: String,
    /// Its name.
    slug: String,
    /// The number of the proposal.
    number: u64,
}

impl Exchange<'_> {
    /// The number of the proposal that the path names.
    pub(super) fn proposal_number(&self) -> Result<ProposalNumber, ApiError> {
        let number = self.params.get("number").parse();
        number.map_err(|_| ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such proposal"))
    }

    fn branch_query(&self, name: &str) -> Result<Option<BranchName>, ApiError> {
        Ok(self.query(name).map(|text| BranchName::parse(&text)).transpose()?)
    }
}

/// A proposal, with its version as the tag to give back with a change.
fn tagged(status: StatusCode, proposal: Proposal) -> Result<Reply, ApiError> {
    let tag = tag(proposal.version);
    let mut reply = json(status, &ProposalAnswer::from(proposal))?;
    reply.headers_mut().insert(ETAG, tag);
    Ok(reply)
}

fn tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are a header")
}

/// The version that `If-Match` asks for; none where it is absent or `*`.
fn expected_version(exchange: &Exchange<'_>) -> Result<Option<u64>, ApiError> {
    let invalid = || ApiError::invalid("'If-Match' is the ETag of the proposal");
    match exchange.header(&IF_MATCH) {
        "" | "*" => Ok(None),
        tag => {
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            version.and_then(|version| version.parse().ok()).map(Some).ok_or_else(invalid)
        }
    }
}

/// Lists proposals
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/proposals",
    tag = "proposals",
    params(RepositoryPath, ProposalListQuery, PageQuery),
    responses((status = 200, description = "A page.", body = ProposalListAnswer)),
)]
pub(crate) async fn list_proposals(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let state = match exchange.query("state").as_deref() {
        None | Some("all") => None,
        Some(word) => Some(
            ProposalState::from_name(word)
                .ok_or_else(|| ApiError::invalid("'state' is one of 'open', 'closed', 'merged' and 'all'"))?,
        ),
    };
    let filter = ProposalFilter {
        state,
        author: exchange.query("author").map(|text| Handle::parse(&text)).transpose()?,
        source: exchange.branch_query("source")?,
        target: exchange.branch_query("target")?,
    };
    let (limit, cursor) = (exchange.limit()?, exchange.cursor::<ProposalNumber>()?);
    let proposals = exchange.app.hub.proposals();
    let mut found = proposals.list(repo, &filter, cursor, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let answer = ProposalListAnswer {
        next_cursor: found.last().filter(|_| more).map(|last| last.number.to_string()),
        proposals: found.into_iter().map(ProposalAnswer::from).collect(),
        counts: proposals.counts(repo).await?.into(),
    };
    json(StatusCode::OK, &answer)
}

/// Proposes to merge a branch
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals",
    tag = "proposals",
    params(RepositoryPath),
    request_body = CreateProposalRequest,
    responses((status = 201, description = "Made.", body = ProposalAnswer)),
)]
pub(crate) async fn create_proposal(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller) = (exchange.repository()?, exchange.caller()?);
    let request: CreateProposalRequest = exchange.decode(body).await?;
    let target = match (&request.target_branch, &repo.default_branch) {
        (Some(name), _) => BranchName::parse(name)?,
        (None, Some(default)) => default.clone(),
        (None, None) => return Err(ApiError::invalid("there is no branch yet")),
    };
    let propose = Propose {
        title: request.title,
        description: request.description,
        source: BranchName::parse(&request.source_branch)?,
        target,
        draft: request.draft,
    };
    let proposal = exchange.app.hub.proposals().create(repo, caller, propose).await?;
    tagged(StatusCode::CREATED, proposal)
}

/// Shows a proposal, whether it can be merged, and its reviews
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}",
    tag = "proposals",
    params(ProposalPath),
    responses((status = 200, description = "The proposal.", body = ProposalViewAnswer)),
)]
pub(crate) async fn show_proposal(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, number) = (exchange.repository()?, exchange.proposal_number()?);
    let view = exchange.app.hub.proposals().view(repo, number).await?;
    let tag = tag(view.proposal.version);
    let mut reply = json(StatusCode::OK, &ProposalViewAnswer::from(view))?;
    reply.headers_mut().insert(ETAG, tag);
    Ok(reply)
}

/// Changes a proposal
#[utoipa::path(
    patch,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}",
    tag = "proposals",
    params(ProposalPath),
    request_body = EditProposalRequest,
    responses((status = 200, description = "Changed.", body = ProposalAnswer)),
)]
pub(crate) async fn edit_proposal(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    let request: EditProposalRequest = exchange.decode(body).await?;
    let edit = EditProposal {
        expected_version: expected_version(exchange)?,
        title: request.title,
        description: request.description,
        target: request.target_branch.map(|name| BranchName::parse(&name)).transpose()?,
        draft: request.draft,
    };
    let proposal = exchange.app.hub.proposals().edit(repo, caller, number, edit).await?;
    tagged(StatusCode::OK, proposal)
}

/// Closes a proposal
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/close",
    tag = "proposals",
    params(ProposalPath),
    responses((status = 200, description = "Closed.", body = ProposalAnswer)),
)]
pub(crate) async fn close_proposal(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    tagged(StatusCode::OK, exchange.app.hub.proposals().close(repo, caller, number).await?)
}

/// Opens a closed proposal again
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/reopen",
    tag = "proposals",
    params(ProposalPath),
    responses((status = 200, description = "Open.", body = ProposalAnswer)),
)]
pub(crate) async fn reopen_proposal(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, caller, number) = (exchange.repository()?, exchange.caller()?, exchange.proposal_number()?);
    tagged(StatusCode::OK, exchange.app.hub.proposals().reopen(repo, caller, number).await?)
}
