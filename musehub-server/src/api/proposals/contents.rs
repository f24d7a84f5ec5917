//! What a proposal brings.

use hyper::StatusCode;
use musehub_core::CommitId;
use musehub_core::diff::{ChangeKind, ChangedFile, FileVersion, Selection, Totals};
use serde::Serialize;
use utoipa::ToSchema;

use super::ProposalPath;
use crate::api::commits::CommitAnswer;
use crate::api::paging::PageQuery;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalCommitsAnswer {
    /// Children before parents.
    commits: Vec<CommitAnswer>,
    /// How many there are in all.
    total: usize,
    /// Null on the last page.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalFilesAnswer {
    /// Where source and target part; null where they have nothing in common.
    base: Option<String>,
    /// The head of the source; of a merged proposal, what was merged.
    source_head: String,
    /// The head of the target; of a merged proposal, the one before.
    target_head: String,
    /// In order of their paths.
    files: Vec<ChangedFileAnswer>,
    totals: ChangeTotalsAnswer,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// A file that the source changed since it parted from the target
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedFileAnswer {
    path: String,
    /// `added`, `deleted`, `modified` or `renamed`.
    change: &'static str,
    /// The path it had before, where that is another.
    from: Option<String>,
    /// Null of an added file.
    old: Option<FileVersionAnswer>,
    /// Null of a deleted file.
    new: Option<FileVersionAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FileVersionAnswer {
    object_id: String,
    executable: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeTotalsAnswer {
    added: usize,
    deleted: usize,
    modified: usize,
    renamed: usize,
}

impl From<ChangedFile> for ChangedFileAnswer {
    fn from(file: ChangedFile) -> Self {
        let change = match file.kind() {
            ChangeKind::Added => "added",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Modified => "modified",
            ChangeKind::Renamed => "renamed",
        };
        let version = |version: FileVersion| FileVersionAnswer {
            object_id: version.blob.to_string(),
            executable: version.executable,
        };
        Self {
            path: file.path.to_string(),
            change,
            from: file.from.map(|path| path.to_string()),
            old: file.old.map(version),
            new: file.new.map(version),
        }
    }
}

impl From<Totals> for ChangeTotalsAnswer {
    fn from(totals: Totals) -> Self {
        let Totals { added, deleted, modified, renamed, .. } = totals;
        Self { added, deleted, modified, renamed }
    }
}

/// Lists the commits of a proposal's source that its target lacks
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/commits",
    tag = "proposals",
    params(ProposalPath, PageQuery),
    responses((status = 200, description = "A page.", body = ProposalCommitsAnswer)),
)]
pub(crate) async fn list_proposal_commits(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, number) = (exchange.repository()?, exchange.proposal_number()?);
    let (limit, after) = (exchange.limit()?, exchange.cursor::<CommitId>()?);
    let page = exchange.app.hub.proposals().commits(repo, number, after, limit as usize).await?;
    let next_cursor = page.commits.last().filter(|_| page.more).map(|row| row.id.to_string());
    let commits = page.commits.into_iter().map(CommitAnswer::from).collect();
    json(StatusCode::OK, &ProposalCommitsAnswer { commits, total: page.total, next_cursor })
}

/// Lists the files that a proposal changes
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}/proposals/{number}/files",
    tag = "proposals",
    params(ProposalPath, PageQuery),
    responses((status = 200, description = "A page.", body = ProposalFilesAnswer)),
)]
pub(crate) async fn list_proposal_files(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, number) = (exchange.repository()?, exchange.proposal_number()?);
    let (limit, offset) = (exchange.limit()? as usize, exchange.cursor::<usize>()?.unwrap_or(0));
    let hub = &exchange.app.hub;
    let range = hub.proposals().range(repo, number).await?;
    let page = Selection::Page { offset, limit };
    let diff = hub.changed_files(repo, range.base, range.source, page).await?;
    let end = offset.saturating_add(diff.files.len());
    let answer = ProposalFilesAnswer {
        base: range.base.map(|id| id.to_string()),
        source_head: range.source.to_string(),
        target_head: range.target.to_string(),
        next_cursor: (end < diff.totals.files() && !diff.files.is_empty()).then(|| end.to_string()),
        totals: diff.totals.into(),
        files: diff.files.into_iter().map(ChangedFileAnswer::from).collect(),
    };
    json(StatusCode::OK, &answer)
}
