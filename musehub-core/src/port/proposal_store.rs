//! Proposals to merge one branch into another.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, NewProposalEntry, Timestamp};
use crate::id::CommitId;
use crate::merge::Mergeability;
use crate::name::{BranchName, Handle, RepoId};

/// The number of a proposal, counted from 1 in each repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProposalNumber(u64);

impl ProposalNumber {
    /// The number `n`.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ProposalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ProposalNumber {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What became of a proposal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// It waits to be merged.
    Open,
    /// Somebody closed it. It can be opened again.
    Closed,
    /// The target has what it proposes.
    Merged,
}

impl ProposalState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Merged];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How the target came, or is about to come, to what is proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalMerge {
    /// The head of the target with it.
    pub commit: CommitId,
    /// What was merged.
    pub source: CommitId,
    /// The head of the target before; of a push, the last that was seen before.
    pub target: CommitId,
    /// Who merged it; none where a push brought its commits.
    pub by: Option<Handle>,
    /// When; of a push, when that was seen.
    pub at: Timestamp,
}

/// A proposal to merge one branch into another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its number in its repository.
    pub number: ProposalNumber,
    /// Counts its changes from 1, its conversation apart: the compare of a compare-and-swap.
    pub version: u64,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// The branch to be merged.
    pub source: BranchName,
    /// The branch to merge into.
    pub target: BranchName,
    /// Who made it.
    pub author: Handle,
    /// What became of it.
    pub state: ProposalState,
    /// Whether its author is not done: it cannot be merged then.
    pub draft: bool,
    /// The last head of the source that the target was seen not to have.
    pub head: CommitId,
    /// The head of the target at that time.
    pub base: CommitId,
    /// Of a merged proposal, how that came. Of any other, a merge that was begun, and made if the target has its commit.
    pub merge: Option<ProposalMerge>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its conversation changed last.
    pub updated_at: Timestamp,
    /// When it was closed or merged; none while it is open.
    pub closed_at: Option<Timestamp>,
    /// How many entries its conversation has. The store counts.
    pub entries: u64,
}

/// A proposal to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProposal {
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// The branch to be merged.
    pub source: BranchName,
    /// The branch to merge into.
    pub target: BranchName,
    /// Who makes it.
    pub author: Handle,
    /// Whether its author is not done.
    pub draft: bool,
    /// The head of the source.
    pub head: CommitId,
    /// The head of the target.
    pub base: CommitId,
    /// When.
    pub at: Timestamp,
}

/// Which proposals to list: those that fit everything that is set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProposalFilter {
    /// What became of them.
    pub state: Option<ProposalState>,
    /// Who made them; compared without case.
    pub author: Option<Handle>,
    /// The branch to be merged.
    pub source: Option<BranchName>,
    /// The branch to merge into.
    pub target: Option<BranchName>,
}

/// How many proposals a repository has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProposalCounts {
    /// That are open.
    pub open: u64,
    /// That were closed.
    pub closed: u64,
    /// That were merged.
    pub merged: u64,
}

/// Whether two heads can be merged, as it was found once: heads never change, so it holds for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalCheck {
    /// The head of the source.
    pub source: CommitId,
    /// The head of the target.
    pub target: CommitId,
    /// What was found, where conflicts refuse the merge.
    pub found: Mergeability,
}

/// Proposals. The database alone holds them.
///
/// # Contract
/// What a method wrote is durable when it returns. Texts come back as they were given. Methods that take a number which
/// was never given fail with [`BackendError::Missing`], but for those that look it up.
#[async_trait]
pub trait ProposalStore: Send + Sync {
    /// Keeps a proposal under the next number: of many at a time, each gets its own, without a gap.
    ///
    /// # Errors
    /// [`BackendError::Conflict`] where an open one has the same source and target.
    async fn create_proposal(&self, repo: &RepoId, new: &NewProposal) -> Result<Proposal, BackendError>;

    /// Replaces everything of a proposal but its number, author, creation and entries, if its version is the one before
    /// that of `proposal`; adds entries to its conversation with it. `false` where the version is another.
    ///
    /// # Errors
    /// [`BackendError::Conflict`] where it would be open and another open one has the same source and target.
    async fn replace_proposal(
        &self,
        repo: &RepoId,
        proposal: &Proposal,
        entries: &[NewProposalEntry],
    ) -> Result<bool, BackendError>;

    /// One proposal.
    async fn proposal(&self, repo: &RepoId, number: ProposalNumber)
    -> Result<Option<Proposal>, BackendError>;

    /// Up to `limit` proposals that fit, newest first, of those with a number below `before`.
    async fn proposals(
        &self,
        repo: &RepoId,
        filter: &ProposalFilter,
        before: Option<ProposalNumber>,
        limit: u32,
    ) -> Result<Vec<Proposal>, BackendError>;

    /// How many there are.
    async fn proposal_counts(&self, repo: &RepoId) -> Result<ProposalCounts, BackendError>;

    /// What was found last about the heads of a proposal. May be forgotten at any time.
    async fn proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Option<ProposalCheck>, BackendError>;

    /// Remembers what was found about the heads of a proposal, instead of what was found before.
    async fn put_proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        check: &ProposalCheck,
    ) -> Result<(), BackendError>;
}
