//! What people say about proposals: comments, reviews, and what happened in between.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, ProposalNumber, Timestamp};
use crate::id::CommitId;
use crate::name::{Handle, RepoId};

/// What a reviewer says of a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ChangesRequested => "changes_requested",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Approved, Self::ChangesRequested].into_iter().find(|verdict| verdict.as_str() == name)
    }
}

/// What an entry of a conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalEntryKind {
    /// Somebody said something.
    Comment,
    /// Somebody reviewed `commit` and approved it.
    Approved,
    /// Somebody reviewed `commit` and wants something else.
    ChangesRequested,
    /// Somebody reviewed `commit` and said something; their verdict stays what it was.
    Reviewed,
    /// The verdict of `subject` was dismissed.
    ReviewDismissed,
    /// The title was changed; `subject` was it before.
    Retitled,
    /// The target was changed; `subject` was it before.
    Retargeted,
    /// It was made a draft.
    MarkedDraft,
    /// It is no draft any more.
    MarkedReady,
    /// It was closed.
    Closed,
    /// It was opened again.
    Reopened,
    /// It was merged; `commit` is the head of the target since then.
    Merged,
}

impl ProposalEntryKind {
    const ALL: [Self; 12] = [
        Self::Comment,
        Self::Approved,
        Self::ChangesRequested,
        Self::Reviewed,
        Self::ReviewDismissed,
        Self::Retitled,
        Self::Retargeted,
        Self::MarkedDraft,
        Self::MarkedReady,
        Self::Closed,
        Self::Reopened,
        Self::Merged,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Approved => "approved",
            Self::ChangesRequested => "changes_requested",
            Self::Reviewed => "reviewed",
            Self::ReviewDismissed => "review_dismissed",
            Self::Retitled => "retitled",
            Self::Retargeted => "retargeted",
            Self::MarkedDraft => "marked_draft",
            Self::MarkedReady => "marked_ready",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Merged => "merged",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The verdict that stands for its author after it.
    #[must_use]
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Approved => Some(Verdict::Approved),
            Self::ChangesRequested => Some(Verdict::ChangesRequested),
            _ => None,
        }
    }

    /// Whether it holds what its author wrote, so that they may change it.
    #[must_use]
    pub const fn is_writing(self) -> bool {
        matches!(self, Self::Comment | Self::Approved | Self::ChangesRequested | Self::Reviewed)
    }
}

/// An entry of a proposal's conversation to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProposalEntry {
    /// What it is.
    pub kind: ProposalEntryKind,
    /// Whose it is; none of what a push did.
    pub author: Option<Handle>,
    /// What they wrote.
    pub body: String,
    /// The commit that it is about.
    pub commit: Option<CommitId>,
    /// Whom or what else it is about.
    pub subject: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An entry of a proposal's conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalEntry {
    /// Counts the entries of the proposal from 1.
    pub id: u64,
    /// What it is.
    pub kind: ProposalEntryKind,
    /// Whose it is; none of what a push did.
    pub author: Option<Handle>,
    /// What they wrote; empty where that was deleted.
    pub body: String,
    /// The commit that it is about.
    pub commit: Option<CommitId>,
    /// Whom or what else it is about.
    pub subject: Option<String>,
    /// When.
    pub at: Timestamp,
    /// When it was changed or deleted last.
    pub edited_at: Option<Timestamp>,
    /// Whether what was written was deleted.
    pub deleted: bool,
}

/// The verdict that stands for a reviewer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Review {
    /// Who.
    pub reviewer: Handle,
    /// What.
    pub verdict: Verdict,
    /// Of which head of the source.
    pub commit: CommitId,
    /// The entry in which they gave it.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
}

/// The conversations about proposals. The database alone holds them.
///
/// # Contract
/// What a method wrote is durable when it returns. Texts come back as they were given. Entries of one proposal are
/// numbered without a gap, in the order in which they are seen. An entry about a proposal that is not there fails with
/// [`BackendError::Missing`].
#[async_trait]
pub trait ProposalConversations: Send + Sync {
    /// Adds an entry. One that has a [verdict](ProposalEntryKind::verdict) makes it the one that stands for its author; one
    /// that [dismisses](ProposalEntryKind::ReviewDismissed) takes away that of its subject. Reviewers compare without case.
    async fn add_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        entry: &NewProposalEntry,
    ) -> Result<ProposalEntry, BackendError>;

    /// Changes what an entry says; none deletes it, for good. `false` where there is no such entry or it was deleted.
    async fn change_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
        body: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, BackendError>;

    /// One entry.
    async fn proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
    ) -> Result<Option<ProposalEntry>, BackendError>;

    /// Up to `limit` entries, oldest first, of those with an id above `after`.
    async fn proposal_entries(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ProposalEntry>, BackendError>;

    /// The verdicts that stand, ordered by when they were given. There are at most as many as entries.
    async fn proposal_reviews(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Vec<Review>, BackendError>;
}
