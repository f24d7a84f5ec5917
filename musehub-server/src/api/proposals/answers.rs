//! What proposals look like in JSON.

use musehub_core::BlobId;
use musehub_core::hub::proposals::{Approvals, Distance, ProposalMergeability, ProposalView, StandingReview};
use musehub_core::merge::{Conflict, ConflictKind, Conflicts, Mergeability};
use musehub_core::port::{Proposal, ProposalCounts, ProposalEntry, ProposalMerge, ProposalState};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalAnswer {
    number: u64,
    /// Counts its changes; also its ETag.
    version: u64,
    title: String,
    description: String,
    source_branch: String,
    target_branch: String,
    author: String,
    /// `open`, `closed` or `merged`.
    state: &'static str,
    draft: bool,
    /// The last head of the source that the target was seen not to have.
    head: String,
    /// The head of the target at that time.
    base: String,
    /// How it was merged; null where it is not.
    merge: Option<ProposalMergeAnswer>,
    created_at: String,
    updated_at: String,
    /// When it was closed or merged.
    closed_at: Option<String>,
    /// How many entries its conversation has.
    entries: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalMergeAnswer {
    /// The head of the target with it.
    commit_id: String,
    /// What was merged.
    source_head: String,
    /// The head of the target before.
    target_head: String,
    /// Null where a push brought the commits.
    merged_by: Option<String>,
    merged_at: String,
}

impl From<Proposal> for ProposalAnswer {
    fn from(proposal: Proposal) -> Self {
        let merged = proposal.state == ProposalState::Merged;
        Self {
            number: proposal.number.get(),
            version: proposal.version,
            title: proposal.title,
            description: proposal.description,
            source_branch: proposal.source.to_string(),
            target_branch: proposal.target.to_string(),
            author: proposal.author.to_string(),
            state: proposal.state.as_str(),
            draft: proposal.draft,
            head: proposal.head.to_string(),
            base: proposal.base.to_string(),
            merge: proposal.merge.filter(|_| merged).map(ProposalMergeAnswer::from),
            created_at: proposal.created_at.to_string(),
            updated_at: proposal.updated_at.to_string(),
            closed_at: proposal.closed_at.map(|at| at.to_string()),
            entries: proposal.entries,
        }
    }
}

impl From<ProposalMerge> for ProposalMergeAnswer {
    fn from(merge: ProposalMerge) -> Self {
        Self {
            commit_id: merge.commit.to_string(),
            source_head: merge.source.to_string(),
            target_head: merge.target.to_string(),
            merged_by: merge.by.map(|by| by.to_string()),
            merged_at: merge.at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalCountsAnswer {
    open: u64,
    closed: u64,
    merged: u64,
}

impl From<ProposalCounts> for ProposalCountsAnswer {
    fn from(counts: ProposalCounts) -> Self {
        Self { open: counts.open, closed: counts.closed, merged: counts.merged }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalViewAnswer {
    proposal: ProposalAnswer,
    /// Where the source stands; null where the branch is gone.
    source_head: Option<String>,
    /// Where the target stands; null where the branch is gone.
    target_head: Option<String>,
    mergeability: MergeabilityAnswer,
    /// How far its branches are apart; null where it is not open, or a branch is gone.
    distance: Option<DistanceAnswer>,
    approvals: ApprovalsAnswer,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DistanceAnswer {
    /// Commits that the source has and the target lacks.
    ahead: u64,
    /// Commits that the target has and the source lacks.
    behind: u64,
    /// Whether both numbers are exact; there may be more otherwise.
    exact: bool,
}

impl From<Distance> for DistanceAnswer {
    fn from(distance: Distance) -> Self {
        let Distance { ahead, behind, exact } = distance;
        Self { ahead, behind, exact }
    }
}

impl From<ProposalView> for ProposalViewAnswer {
    fn from(view: ProposalView) -> Self {
        Self {
            proposal: view.proposal.into(),
            source_head: view.source_head.map(|id| id.to_string()),
            target_head: view.target_head.map(|id| id.to_string()),
            mergeability: view.mergeability.into(),
            distance: view.distance.map(DistanceAnswer::from),
            approvals: view.approvals.into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MergeabilityAnswer {
    /// `clean`, `fast_forward`, `conflicts`, `behind`, `up_to_date` and `unrelated` by the graph; `not_open`, `branch_gone` and
    /// `too_large` where it is not asked.
    state: &'static str,
    /// What stands in the way, in words; null where nothing does.
    detail: Option<String>,
    /// The first 1,000 conflicts.
    conflicts: Vec<ConflictAnswer>,
    /// How many there are.
    conflict_count: usize,
}

impl From<ProposalMergeability> for MergeabilityAnswer {
    fn from(mergeability: ProposalMergeability) -> Self {
        let plain = |state, detail| Self { state, detail, conflicts: Vec::new(), conflict_count: 0 };
        match mergeability {
            ProposalMergeability::NotOpen => plain("not_open", None),
            ProposalMergeability::BranchGone { branch } => {
                plain("branch_gone", Some(format!("there is no branch '{branch}'")))
            }
            ProposalMergeability::Refused(error) => plain("too_large", Some(error.to_string())),
            ProposalMergeability::Known(Mergeability::Conflicts(conflicts)) => Self {
                state: "conflicts",
                detail: Some(format!("{} conflicts", conflicts.total)),
                conflict_count: conflicts.total,
                conflicts: conflict_answers(&conflicts),
            },
            ProposalMergeability::Known(found) => plain(found.as_str(), None),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConflictAnswer {
    path: String,
    /// `both_modified`, `modify_delete`, `add_add`, `rename_rename`, `file_directory` or `binary`.
    kind: &'static str,
    /// The version both sides began with.
    base: Option<String>,
    /// The target's version.
    ours: Option<String>,
    /// The source's version.
    theirs: Option<String>,
    /// Where the target has the file, of one that both sides moved.
    ours_path: Option<String>,
    /// Where the source has the file, of one that both sides moved.
    theirs_path: Option<String>,
}

/// Conflicts, as far as they are listed.
pub(crate) fn conflict_answers(conflicts: &Conflicts) -> Vec<ConflictAnswer> {
    conflicts.listed.iter().map(ConflictAnswer::from).collect()
}

impl From<&Conflict> for ConflictAnswer {
    fn from(conflict: &Conflict) -> Self {
        let id = |id: Option<BlobId>| id.map(|id| id.to_string());
        let (ours_path, theirs_path) = match &conflict.kind {
            ConflictKind::RenameRename { ours, theirs } => (Some(ours.to_string()), Some(theirs.to_string())),
            _ => (None, None),
        };
        Self {
            path: conflict.path.to_string(),
            kind: conflict.kind.as_str(),
            base: id(conflict.base),
            ours: id(conflict.ours),
            theirs: id(conflict.theirs),
            ours_path,
            theirs_path,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ApprovalsAnswer {
    /// How many count.
    approved: u32,
    /// How many a merge needs.
    required: u32,
    /// Whether they suffice.
    sufficient: bool,
    reviews: Vec<ReviewAnswer>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ReviewAnswer {
    reviewer: String,
    /// `approved` or `changes_requested`.
    verdict: &'static str,
    commit_id: String,
    /// Whether the source still stands there.
    is_current: bool,
    /// Whether the verdict counts.
    counts: bool,
    /// The entry of the conversation in which it was given.
    entry: u64,
    at: String,
}

impl From<Approvals> for ApprovalsAnswer {
    fn from(approvals: Approvals) -> Self {
        Self {
            approved: approvals.approved,
            required: approvals.required,
            sufficient: approvals.suffice(),
            reviews: approvals.reviews.into_iter().map(ReviewAnswer::from).collect(),
        }
    }
}

impl From<StandingReview> for ReviewAnswer {
    fn from(standing: StandingReview) -> Self {
        let counts = standing.approves() || standing.requests_changes();
        let StandingReview { review, is_current, .. } = standing;
        Self {
            reviewer: review.reviewer.to_string(),
            verdict: review.verdict.as_str(),
            commit_id: review.commit.to_string(),
            is_current,
            counts,
            entry: review.entry,
            at: review.at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EntryAnswer {
    id: u64,
    /// `comment`, `approved`, `changes_requested`, `reviewed`, `review_dismissed`, `retitled`, `retargeted`, `marked_draft`,
    /// `marked_ready`, `closed`, `reopened` or `merged`.
    kind: &'static str,
    /// Null of what a push did.
    author: Option<String>,
    /// Empty where it was deleted.
    body: String,
    /// The commit that it is about.
    commit_id: Option<String>,
    /// The title or target before, or whose review was dismissed.
    subject: Option<String>,
    created_at: String,
    edited_at: Option<String>,
    deleted: bool,
}

impl From<ProposalEntry> for EntryAnswer {
    fn from(entry: ProposalEntry) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind.as_str(),
            author: entry.author.map(|author| author.to_string()),
            body: entry.body,
            commit_id: entry.commit.map(|commit| commit.to_string()),
            subject: entry.subject,
            created_at: entry.at.to_string(),
            edited_at: entry.edited_at.map(|at| at.to_string()),
            deleted: entry.deleted,
        }
    }
}
