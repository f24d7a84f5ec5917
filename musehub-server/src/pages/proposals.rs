//! The data of pages about proposals: the list, and one with its conversation, commits, files and conflicts.
//!
//! As in [`views`](super::views) text is raw, times are as stored and ids are whole.

use serde::Serialize;

use super::{ApartView, CommitRow, DiffView, Page, RepoHeader, Standing};

/// `GET /{owner}/{slug}/proposals`.
#[derive(Debug, Clone, Serialize)]
pub struct ProposalListPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// Which are listed; all where it is none.
    pub shown: Option<ProposalFate>,
    /// How many there are.
    pub counts: ProposalTotals,
    /// One page of them, newest first.
    pub proposals: Vec<ProposalRow>,
    /// Whether this page starts with the newest.
    pub is_first: bool,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<u64>,
}

/// How many proposals there are.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ProposalTotals {
    /// That are open.
    pub open: u64,
    /// That were merged.
    pub merged: u64,
    /// That were closed.
    pub closed: u64,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposalFate {
    /// It waits to be merged.
    Open,
    /// It was merged.
    Merged,
    /// Somebody closed it.
    Closed,
}

/// A proposal in a list, and at the head of its pages.
#[derive(Debug, Clone, Serialize)]
pub struct ProposalRow {
    /// Its number.
    pub number: u64,
    /// What it is called.
    pub title: String,
    /// Who made it.
    pub author: String,
    /// The branch to be merged.
    pub source: String,
    /// Whether that branch is not there any more.
    pub source_gone: bool,
    /// The branch to merge into.
    pub target: String,
    /// Whether that branch is not there any more.
    pub target_gone: bool,
    /// What became of it.
    pub fate: ProposalFate,
    /// Whether its author is not done.
    pub draft: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was closed or merged.
    pub closed_at: Option<String>,
    /// Entries of its conversation.
    pub entries: u64,
}

/// `GET /{owner}/{slug}/proposals/{number}` and its tabs.
#[derive(Debug, Clone, Serialize)]
pub struct ProposalPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// The proposal.
    pub proposal: ProposalRow,
    /// Which tab is shown.
    pub tab: ProposalTab,
    /// What merging would come to, while it is open.
    pub standing: Option<Standing>,
    /// How far its branches are apart, while it is open.
    pub apart: Option<ApartView>,
    /// The branch that is gone, if one is.
    pub gone: Option<String>,
    /// How it was merged.
    pub merge: Option<MergeView>,
    /// What reviews come to.
    pub approvals: ApprovalsView,
    /// Commits that it brings.
    pub commits_total: u64,
    /// Paths in conflict.
    pub conflicts_total: u64,
    /// What it is about; of the conversation alone.
    pub description: String,
    /// The conversation, oldest first.
    pub entries: Vec<EntryView>,
    /// Cursor of the rest of the conversation, if there is more.
    pub next_entry: Option<u64>,
    /// Whether this part of the conversation is the first.
    pub is_first: bool,
    /// The commits, newest first.
    pub commits: Vec<CommitRow>,
    /// Cursor of more commits, if there are more.
    pub next_commit: Option<String>,
    /// What it changes.
    pub diff: Option<DiffView>,
    /// The first paths in conflict.
    pub conflicts: Vec<ConflictView>,
}

/// The tabs of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposalTab {
    /// What people say.
    Conversation,
    /// What it brings, commit by commit.
    Commits,
    /// What it changes, file by file.
    Files,
    /// What stands in the way of a merge.
    Conflicts,
}

/// How a proposal was merged.
#[derive(Debug, Clone, Serialize)]
pub struct MergeView {
    /// Whole id of the head of the target with it.
    pub commit_id: String,
    /// Who merged it; none where a push brought its commits.
    pub by: Option<String>,
    /// When.
    pub at: String,
}

/// What the reviews of a proposal come to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ApprovalsView {
    /// How many approvals count.
    pub approved: u64,
    /// How many a merge needs.
    pub required: u64,
    /// The verdicts that stand.
    pub reviews: Vec<ReviewView>,
}

/// A verdict that stands.
#[derive(Debug, Clone, Serialize)]
pub struct ReviewView {
    /// Whose.
    pub reviewer: String,
    /// Whether it is an approval; a request for changes otherwise.
    pub approves: bool,
    /// Whether it counts for the merge.
    pub counts: bool,
    /// Whether it is about the source as it is now.
    pub is_current: bool,
}

/// An entry of a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct EntryView {
    /// Its number in the conversation.
    pub number: u64,
    /// What it is.
    pub kind: EntryFate,
    /// Whose; none of what a push did.
    pub author: Option<String>,
    /// What they wrote.
    pub body: String,
    /// Whole id of the commit that it is about.
    pub commit_id: Option<String>,
    /// Whom or what else it is about.
    pub subject: Option<String>,
    /// When.
    pub at: String,
    /// When it was changed last.
    pub edited_at: Option<String>,
    /// Whether what was written was deleted.
    pub deleted: bool,
}

/// What an entry of a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryFate {
    /// Somebody said something.
    Comment,
    /// Somebody approved.
    Approved,
    /// Somebody asked for changes.
    ChangesRequested,
    /// Somebody reviewed without a verdict.
    Reviewed,
    /// A verdict was dismissed.
    ReviewDismissed,
    /// The title was changed.
    Retitled,
    /// The target was changed.
    Retargeted,
    /// It was made a draft.
    MarkedDraft,
    /// It is no draft any more.
    MarkedReady,
    /// It was closed.
    Closed,
    /// It was opened again.
    Reopened,
    /// It was merged.
    Merged,
}

/// A path in conflict.
#[derive(Debug, Clone, Serialize)]
pub struct ConflictView {
    /// The path.
    pub path: String,
    /// What stands in the way.
    pub sentence: String,
    /// The versions: of the common ancestor, of the target and of the source.
    pub versions: Vec<ConflictVersion>,
    /// What each side changed at that path, where that can be shown.
    pub changes: Vec<ConflictChange>,
}

/// What one side changed at a path in conflict.
#[derive(Debug, Clone, Serialize)]
pub struct ConflictChange {
    /// `target` or `source`.
    pub side: &'static str,
    /// Whole id of the commit that both sides began with.
    pub from: String,
    /// Whole id of the side's commit.
    pub to: String,
}

/// A version of a path in conflict.
#[derive(Debug, Clone, Serialize)]
pub struct ConflictVersion {
    /// Whose version it is.
    pub side: &'static str,
    /// Whole id of its content; none where there is none.
    pub blob_id: Option<String>,
    /// Whole id of a commit that has it at the path, if one is known.
    pub rev: Option<String>,
}

impl Page for ProposalListPage {
    const TEMPLATE: &'static str = "proposals.html";
}

impl Page for ProposalPage {
    const TEMPLATE: &'static str = "proposal.html";
}
