//! What a use case of proposals refuses, and why.

use crate::hub::{MergeRefused, PushError, ReadError};
use crate::id::CommitId;
use crate::name::{BranchName, Handle};
use crate::port::{BackendError, ProposalNumber, ProposalState};

use super::MAX_ENTRIES;

/// Why nothing is done with a proposal. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// There is no such proposal.
    #[error("there is no proposal {number}")]
    NotFound {
        /// Its number.
        number: ProposalNumber,
    },
    /// Its conversation has no such entry.
    #[error("there is no such entry in the conversation")]
    NoSuchEntry,
    /// There is no such branch.
    #[error("there is no branch '{branch}'")]
    NoSuchBranch {
        /// The branch.
        branch: BranchName,
    },
    /// A branch cannot be merged into itself.
    #[error("source and target are the same branch")]
    SameBranch,
    /// The target has all of the source.
    #[error("'{target}' has every commit of '{source_branch}' already")]
    NothingProposed {
        /// The branch to be merged.
        source_branch: BranchName,
        /// The branch to merge into.
        target: BranchName,
    },
    /// There is an open one of the same branches.
    #[error("there is an open proposal to merge '{source_branch}' into '{target}'")]
    Exists {
        /// The branch to be merged.
        source_branch: BranchName,
        /// The branch to merge into.
        target: BranchName,
    },
    /// A text is too long, empty, or holds what it may not.
    #[error("{rule}")]
    Text {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// It is somebody else's.
    #[error("{rule}")]
    Forbidden {
        /// Who may do this.
        rule: &'static str,
    },
    /// It is not open, or was merged.
    #[error("proposal {number} is {}", state.as_str())]
    NotOpen {
        /// Its number.
        number: ProposalNumber,
        /// What became of it.
        state: ProposalState,
    },
    /// It is a draft.
    #[error("proposal {number} is a draft")]
    Draft {
        /// Its number.
        number: ProposalNumber,
    },
    /// It is not as who asks expects it.
    #[error("proposal {number} was changed meanwhile: look at it again")]
    Changed {
        /// Its number.
        number: ProposalNumber,
    },
    /// The source is not where who asks expects it.
    #[error("the source moved: expected its head to be {expected}, but it is {head}")]
    SourceMoved {
        /// Where it was expected.
        expected: CommitId,
        /// Where it is.
        head: CommitId,
    },
    /// Too many entries.
    #[error("a conversation has at most {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// It lacks approvals, or somebody wants changes.
    #[error(
        "{approved} of {required} required approvals{}",
        if changes_requested.is_empty() { "" } else { ", and changes are requested" }
    )]
    ApprovalGate {
        /// How many approvals count.
        approved: u32,
        /// How many it needs.
        required: u32,
        /// Who asks for changes.
        changes_requested: Vec<Handle>,
    },
    /// The merge is refused.
    #[error(transparent)]
    Merge(#[from] MergeRefused),
    /// A commit or branch is not there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<PushError> for ProposalError {
    fn from(error: PushError) -> Self {
        Self::Merge(error.into())
    }
}
