//! Pages of proposals: the list, and one with its conversation, commits, files and conflicts.

use musehub_core::hub::Refs;
use musehub_core::hub::proposals::{
    Approvals, Distance, ProposalError, ProposalMergeability, ProposalRange, ProposalView, Proposals,
};
use musehub_core::merge::{Conflict, ConflictKind, Conflicts, Mergeability};
use musehub_core::object::Snapshot;
use musehub_core::port::{
    Proposal, ProposalEntry, ProposalEntryKind, ProposalFilter, ProposalNumber, ProposalState,
    RepositoryRecord, Verdict,
};
use musehub_core::{BlobId, BranchName, CommitId};

use super::version::missing;
use super::{diff, render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{
    ApartView, ApprovalsView, ConflictChange, ConflictVersion, ConflictView, EntryFate, EntryView, MergeView,
    ProposalFate, ProposalListPage, ProposalPage, ProposalRow, ProposalTab, ProposalTotals, ReviewView,
    Standing,
};

/// Rows of the list.
const PROPOSALS: u32 = 30;
/// Entries of a part of a conversation.
const ENTRIES: u32 = 100;
/// Rows of the list of commits.
const COMMITS: usize = 50;
/// Conflicts that are listed.
const CONFLICTS: usize = 200;

/// `GET /{owner}/{slug}/proposals`
pub(crate) async fn proposals(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let proposals = exchange.app.hub.proposals();
    let asked = exchange.query("state");
    let state = match asked.as_deref() {
        Some("all") => None,
        Some(name) => Some(ProposalState::from_name(name).unwrap_or(ProposalState::Open)),
        None => Some(ProposalState::Open),
    };
    let before = exchange.query("cursor").and_then(|text| text.parse::<ProposalNumber>().ok());
    let filter = ProposalFilter { state, ..ProposalFilter::default() };
    let mut rows = proposals.list(repo, &filter, before, PROPOSALS + 1).await?;
    let more = rows.len() > PROPOSALS as usize;
    rows.truncate(PROPOSALS as usize);
    let counts = proposals.counts(repo).await?;
    let refs = exchange.app.hub.refs(repo).await?;
    let page = ProposalListPage {
        repo: views::header(repo),
        shown: state.map(fate),
        counts: ProposalTotals { open: counts.open, merged: counts.merged, closed: counts.closed },
        is_first: before.is_none(),
        next_cursor: rows.last().filter(|_| more).map(|row| row.number.get()),
        proposals: rows.iter().map(|proposal| row(proposal, &refs)).collect(),
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/proposals/{number}`
pub(crate) async fn proposal(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    show(exchange, ProposalTab::Conversation).await
}

/// `GET /{owner}/{slug}/proposals/{number}/{tab}`
pub(crate) async fn proposal_tab(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let tab = match exchange.params.get("tab") {
        "commits" => ProposalTab::Commits,
        "files" => ProposalTab::Files,
        "conflicts" => ProposalTab::Conflicts,
        _ => return Err(missing("part of a proposal")),
    };
    show(exchange, tab).await
}

async fn show(exchange: &Exchange<'_>, tab: ProposalTab) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let proposals = exchange.app.hub.proposals();
    let number: ProposalNumber = exchange.params.get("number").parse().map_err(|_| missing("proposal"))?;
    let view = proposals.view(repo, number).await.map_err(refused)?;
    let range = proposals.range(repo, number).await.map_err(refused)?;
    let refs = exchange.app.hub.refs(repo).await?;
    let mut page = head(repo, &view, &refs, tab);
    page.commits_total = proposals.commits(repo, number, None, 0).await.map_err(refused)?.total as u64;
    match tab {
        ProposalTab::Conversation => converse(exchange, repo, &proposals, number, &mut page).await?,
        ProposalTab::Commits => {
            let after = exchange.query("cursor").and_then(|text| CommitId::parse(&text).ok());
            let commits = proposals.commits(repo, number, after, COMMITS).await.map_err(refused)?;
            let last = commits.commits.last().filter(|_| commits.more);
            page.next_commit = last.map(|row| row.id.to_string());
            page.is_first = after.is_none();
            page.commits = commits.commits.into_iter().map(views::commit).collect();
        }
        ProposalTab::Files => {
            let from = range.base.unwrap_or(range.target);
            let choice = diff::Choice::of(exchange);
            page.diff = Some(diff::view(exchange, repo, Some(from), range.source, choice).await?);
        }
        ProposalTab::Conflicts => {
            if let ProposalMergeability::Known(Mergeability::Conflicts(conflicts)) = &view.mergeability {
                page.conflicts = conflict_views(exchange, repo, conflicts, range).await?;
            }
        }
    }
    render(exchange, &page)
}

/// What all tabs of a proposal show.
fn head(repo: &RepositoryRecord, view: &ProposalView, refs: &Refs, tab: ProposalTab) -> ProposalPage {
    let proposal = &view.proposal;
    let (standing, gone, conflicts_total) = standing(&view.mergeability);
    let merge = proposal.merge.as_ref().filter(|_| proposal.state == ProposalState::Merged);
    ProposalPage {
        repo: views::header(repo),
        proposal: row(proposal, refs),
        tab,
        standing,
        apart: view.distance.map(|Distance { ahead, behind, exact }| ApartView { ahead, behind, exact }),
        gone,
        merge: merge.map(|merge| MergeView {
            commit_id: merge.commit.to_string(),
            by: merge.by.as_ref().map(ToString::to_string),
            at: merge.at.to_string(),
        }),
        approvals: approvals(&view.approvals),
        commits_total: 0,
        conflicts_total,
        description: proposal.description.clone(),
        entries: Vec::new(),
        next_entry: None,
        is_first: true,
        commits: Vec::new(),
        next_commit: None,
        diff: None,
        conflicts: Vec::new(),
    }
}

async fn converse(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    proposals: &Proposals<'_>,
    number: ProposalNumber,
    page: &mut ProposalPage,
) -> Result<(), ApiError> {
    let after = exchange.query("cursor").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let mut entries = proposals.conversation(repo, number, after, ENTRIES + 1).await?;
    let more = entries.len() > ENTRIES as usize;
    entries.truncate(ENTRIES as usize);
    page.is_first = after == 0;
    page.next_entry = entries.last().filter(|_| more).map(|entry| entry.id);
    page.entries = entries.into_iter().map(entry).collect();
    Ok(())
}

/// A proposal that is not there is a page that is not there; any other refusal to be read is a failure.
fn refused(error: ProposalError) -> ApiError {
    match error {
        ProposalError::NotFound { .. } => missing("proposal"),
        ProposalError::Read(error) => error.into(),
        ProposalError::Backend(error) => error.into(),
        other => ApiError::internal(other),
    }
}

const fn fate(state: ProposalState) -> ProposalFate {
    match state {
        ProposalState::Open => ProposalFate::Open,
        ProposalState::Merged => ProposalFate::Merged,
        ProposalState::Closed => ProposalFate::Closed,
    }
}

fn row(proposal: &Proposal, refs: &Refs) -> ProposalRow {
    let gone = |branch: &BranchName| refs.branches.iter().all(|row| row.name != *branch);
    ProposalRow {
        number: proposal.number.get(),
        title: proposal.title.clone(),
        author: proposal.author.to_string(),
        source: proposal.source.to_string(),
        source_gone: gone(&proposal.source),
        target: proposal.target.to_string(),
        target_gone: gone(&proposal.target),
        fate: fate(proposal.state),
        draft: proposal.draft,
        created_at: proposal.created_at.to_string(),
        closed_at: proposal.closed_at.map(|at| at.to_string()),
        entries: proposal.entries,
    }
}

/// What merging would come to, the branch that is gone, and how many paths are in conflict.
fn standing(mergeability: &ProposalMergeability) -> (Option<Standing>, Option<String>, u64) {
    match mergeability {
        ProposalMergeability::NotOpen => (None, None, 0),
        ProposalMergeability::BranchGone { branch } => (None, Some(branch.to_string()), 0),
        ProposalMergeability::Refused(_) => (Some(Standing::Unknown), None, 0),
        ProposalMergeability::Known(found) => {
            let (standing, conflicts) = super::compare::standing_of(found);
            (Some(standing), None, conflicts)
        }
    }
}

fn approvals(approvals: &Approvals) -> ApprovalsView {
    let reviews = approvals.reviews.iter().map(|standing| ReviewView {
        reviewer: standing.review.reviewer.to_string(),
        approves: standing.review.verdict == Verdict::Approved,
        counts: standing.approves() || standing.requests_changes(),
        is_current: standing.is_current,
    });
    ApprovalsView {
        approved: approvals.approved.into(),
        required: approvals.required.into(),
        reviews: reviews.collect(),
    }
}

fn entry(entry: ProposalEntry) -> EntryView {
    EntryView {
        number: entry.id,
        kind: match entry.kind {
            ProposalEntryKind::Comment => EntryFate::Comment,
            ProposalEntryKind::Approved => EntryFate::Approved,
            ProposalEntryKind::ChangesRequested => EntryFate::ChangesRequested,
            ProposalEntryKind::Reviewed => EntryFate::Reviewed,
            ProposalEntryKind::ReviewDismissed => EntryFate::ReviewDismissed,
            ProposalEntryKind::Retitled => EntryFate::Retitled,
            ProposalEntryKind::Retargeted => EntryFate::Retargeted,
            ProposalEntryKind::MarkedDraft => EntryFate::MarkedDraft,
            ProposalEntryKind::MarkedReady => EntryFate::MarkedReady,
            ProposalEntryKind::Closed => EntryFate::Closed,
            ProposalEntryKind::Reopened => EntryFate::Reopened,
            ProposalEntryKind::Merged => EntryFate::Merged,
        },
        author: entry.author.map(|author| author.to_string()),
        body: entry.body,
        commit_id: entry.commit.map(|commit| commit.to_string()),
        subject: entry.subject,
        at: entry.at.to_string(),
        edited_at: entry.edited_at.map(|at| at.to_string()),
        deleted: entry.deleted,
    }
}

/// The first conflicts, with links to the versions that a commit has at their path.
async fn conflict_views(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    conflicts: &Conflicts,
    range: ProposalRange,
) -> Result<Vec<ConflictView>, ApiError> {
    let mut sides: Vec<(CommitId, Snapshot)> = Vec::new();
    for commit in [range.base, Some(range.target), Some(range.source)].into_iter().flatten() {
        let row = exchange.app.hub.commit(repo, commit).await?;
        sides.push((commit, exchange.app.hub.snapshot(repo, row.snapshot).await?));
    }
    let version = |side, blob: Option<BlobId>, commit: Option<CommitId>, path: &str| {
        let holder = sides.iter().find(|(id, _)| Some(*id) == commit);
        let holder = holder.filter(|(_, snapshot)| blob.is_some() && snapshot.manifest().get(path) == blob);
        ConflictVersion {
            side,
            blob_id: blob.map(|blob| blob.to_string()),
            rev: holder.map(|(id, _)| id.to_string()),
        }
    };
    let change = |side, to: CommitId| {
        range.base.map(|from| ConflictChange { side, from: from.to_string(), to: to.to_string() })
    };
    let view = |conflict: &Conflict| {
        let path = conflict.path.as_str();
        // What was moved, or is a directory on one side, changed at other paths too.
        let moved =
            matches!(conflict.kind, ConflictKind::RenameRename { .. } | ConflictKind::FileDirectory { .. });
        let changes = [change("target", range.target), change("source", range.source)];
        ConflictView {
            path: path.to_owned(),
            sentence: sentence(&conflict.kind, conflict),
            versions: vec![
                version("before", conflict.base, range.base, path),
                version("target", conflict.ours, Some(range.target), path),
                version("source", conflict.theirs, Some(range.source), path),
            ],
            changes: if moved { Vec::new() } else { changes.into_iter().flatten().collect() },
        }
    };
    Ok(conflicts.listed.iter().take(CONFLICTS).map(view).collect())
}

fn sentence(kind: &ConflictKind, conflict: &Conflict) -> String {
    match kind {
        ConflictKind::BothModified => "Both sides changed the same lines.".into(),
        ConflictKind::ModifyDelete if conflict.ours.is_none() => {
            "The target deleted what the source changed.".into()
        }
        ConflictKind::ModifyDelete => "The source deleted what the target changed.".into(),
        ConflictKind::AddAdd => "Both sides added it, with different contents.".into(),
        ConflictKind::RenameRename { ours, theirs } => {
            format!("Both sides moved it: the target to {ours}, the source to {theirs}.")
        }
        ConflictKind::FileDirectory { below } => {
            format!("It is a file on one side, and {below} needs it to be a directory.")
        }
        ConflictKind::Binary => {
            "Both sides changed it, and it is binary or too large to be merged line by line.".into()
        }
    }
}
