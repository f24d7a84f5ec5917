//! The merge of a proposal.

use hyper::StatusCode;
use musehub_core::CommitId;
use musehub_core::hub::HistoryStrategy;
use musehub_core::hub::proposals::MergeProposal;
use musehub_core::merge::FileStrategy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ProposalPath;
use super::answers::{ConflictAnswer, ProposalAnswer, conflict_answers};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Deserialize, Default, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HistoryName {
    #[default]
    Merge,
    Squash,
    Rebase,
    FastForward,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StrategyName {
    #[default]
    Recursive,
    Overlay,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct MergeProposalRequest {
    /// What history it leaves: `merge` (one commit with both parents) where this is left out.
    #[serde(default)]
    history: HistoryName,
    /// What becomes of conflicts: `recursive` refuses the merge, `overlay` lets the source win.
    #[serde(default)]
    strategy: StrategyName,
    /// Where the source must stand; else 409.
    #[schema(value_type = Option<String>)]
    expected_source: Option<CommitId>,
    /// Where the target must stand; else 409.
    #[schema(value_type = Option<String>)]
    expected_target: Option<CommitId>,
    /// At most 64 KiB; made of number, title and description where this is left out.
    message: Option<String>,
    /// At most 256 bytes; the proposal's author where this is left out.
    author: Option<String>,
    /// Whether the source branch goes, if it can.
    #[serde(default)]
    delete_source: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MergeAnswer {
    proposal: ProposalAnswer,
    /// The head of the target now.
    head: String,
    /// The commits that were made, parents first; none where the branch was just moved.
    commits: Vec<String>,
    /// The conflicts that the source won: the first 1,000.
    overridden: Vec<ConflictAnswer>,
    source_deleted: bool,
}

/// Merges a proposal
#[utoipa::path(
    post,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/merge",
    tag = "proposals",
    params(ProposalPath),
    request_body = MergeProposalRequest,
    responses((status = 200, description = "Merged.", body = MergeAnswer)),
)]
pub(crate) async fn merge_proposal(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (repo, number) = (exchange.repository()?.clone(), exchange.proposal_number()?);
    let merger = exchange.caller()?.clone();
    let request: MergeProposalRequest = exchange.decode(body).await?;
    let how = MergeProposal {
        history: match request.history {
            HistoryName::Merge => HistoryStrategy::Merge,
            HistoryName::Squash => HistoryStrategy::Squash,
            HistoryName::Rebase => HistoryStrategy::Rebase,
            HistoryName::FastForward => HistoryStrategy::FastForward,
        },
        files: match request.strategy {
            StrategyName::Recursive => FileStrategy::Recursive,
            StrategyName::Overlay => FileStrategy::Overlay,
        },
        expected_source: request.expected_source,
        expected_target: request.expected_target,
        author: request.author,
        message: request.message,
        delete_source: request.delete_source,
    };
    // On its own task: a client that hangs up does not stop it halfway.
    let hub = exchange.app.hub.clone();
    let merged = tokio::spawn(async move { hub.merge_proposal(&repo, &merger, number, how).await });
    let merged = merged.await.map_err(ApiError::internal)??;
    exchange.app.work.notify_one();
    let answer = MergeAnswer {
        proposal: merged.proposal.into(),
        head: merged.outcome.head.to_string(),
        commits: merged.outcome.commits.iter().map(ToString::to_string).collect(),
        overridden: conflict_answers(&merged.outcome.overridden),
        source_deleted: merged.outcome.source_deleted,
    };
    json(StatusCode::OK, &answer)
}
