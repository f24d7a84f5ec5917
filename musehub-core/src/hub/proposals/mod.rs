//! Proposals to merge one branch into another: made, changed, closed. What people say of them is in `conversation`,
//! what the graph says in `standing` and `contents`, their merge in `merge`.
//!
//! Whoever calls has [opened](Hub::open) the repository for who asks: to make a proposal they need to write, to look or
//! speak to read. What depends on the proposal besides, as being its author, is decided here.

mod contents;
mod conversation;
mod error;
mod merge;
mod standing;

pub use contents::{ProposalCommits, ProposalRange};
pub use conversation::{ReviewKind, Said};
pub use error::ProposalError;
pub use merge::{MergeProposal, ProposalMerged};
pub use standing::{Approvals, Distance, ProposalMergeability, ProposalView, StandingReview};

use super::advance::MAX_RACES;
use super::{AccessError, Hub, Need, Viewer};
use crate::id::CommitId;
use crate::name::{BranchName, Handle};
use crate::port::{
    BackendError, NewProposal, NewProposalEntry, Proposal, ProposalCounts, ProposalEntryKind, ProposalFilter,
    ProposalNumber, ProposalState, RepositoryRecord,
};

/// The longest title of a proposal, in bytes.
pub const MAX_TITLE_BYTES: usize = 255;

/// The longest description or comment, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// The most entries of one conversation.
pub const MAX_ENTRIES: u64 = 10_000;

/// The use cases of proposals, over the backends of a hub.
#[derive(Clone, Copy, Debug)]
pub struct Proposals<'a> {
    hub: &'a Hub,
}

/// A proposal to be made.
#[derive(Clone, Debug)]
pub struct Propose {
    /// What it is called: one line of at most [`MAX_TITLE_BYTES`].
    pub title: String,
    /// What it is about: at most [`MAX_BODY_BYTES`].
    pub description: String,
    /// The branch to be merged.
    pub source: BranchName,
    /// The branch to merge into.
    pub target: BranchName,
    /// Whether it is not to be merged yet.
    pub draft: bool,
}

/// What to change about a proposal; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct EditProposal {
    /// The version that it must have: the compare of a compare-and-swap.
    pub expected_version: Option<u64>,
    /// What it is called.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// The branch to merge into.
    pub target: Option<BranchName>,
    /// Whether it is not to be merged yet.
    pub draft: Option<bool>,
}

/// What becomes of a proposal.
#[derive(Debug)]
enum Change {
    Edit(EditProposal),
    Close,
    Reopen,
}

impl Change {
    fn expected_version(&self) -> Option<u64> {
        match self {
            Self::Edit(edit) => edit.expected_version,
            Self::Close | Self::Reopen => None,
        }
    }
}

/// An entry of the conversation that says what changed: its kind, and what was there before.
type Note = (ProposalEntryKind, Option<String>);

impl Hub {
    /// The use cases of proposals.
    #[must_use]
    pub const fn proposals(&self) -> Proposals<'_> {
        Proposals { hub: self }
    }

    /// Whether somebody may push to a repository.
    async fn may_write(&self, repo: &RepositoryRecord, who: &Handle) -> Result<bool, BackendError> {
        let viewer = Viewer::Identity(who.clone());
        match self.open(&repo.owner, &repo.slug, &viewer, Need::Write).await {
            Ok(_) => Ok(true),
            Err(AccessError::Backend(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

impl Proposals<'_> {
    /// Makes a proposal.
    ///
    /// # Errors
    /// [`ProposalError`]: a branch is not there, there is nothing to merge, or an open proposal of the same branches.
    pub async fn create(
        &self,
        repo: &RepositoryRecord,
        author: &Handle,
        propose: Propose,
    ) -> Result<Proposal, ProposalError> {
        let Propose { title, description, source, target, draft } = propose;
        require_title(&title)?;
        require_body(&description)?;
        let (head, base) = self.require_proposable(repo, &source, &target).await?;
        let at = self.hub.backends.clock.now();
        let new = NewProposal {
            title,
            description,
            source: source.clone(),
            target: target.clone(),
            author: author.clone(),
            draft,
            head,
            base,
            at,
        };
        match self.hub.backends.proposals.create_proposal(&repo.repo_id, &new).await {
            Err(BackendError::Conflict { .. }) => {
                Err(ProposalError::Exists { source_branch: source, target })
            }
            other => Ok(other?),
        }
    }

    /// One proposal, as it stands. One whose commits came into its target by a push is merged from now on.
    ///
    /// # Errors
    /// [`ProposalError::NotFound`].
    pub async fn get(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
    ) -> Result<Proposal, ProposalError> {
        Ok(self.settled(repo, number).await?.0)
    }

    /// Up to `limit` proposals that fit, newest first, after the one of number `before`.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn list(
        &self,
        repo: &RepositoryRecord,
        filter: &ProposalFilter,
        before: Option<ProposalNumber>,
        limit: u32,
    ) -> Result<Vec<Proposal>, BackendError> {
        self.hub.backends.proposals.proposals(&repo.repo_id, filter, before, limit).await
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn counts(&self, repo: &RepositoryRecord) -> Result<ProposalCounts, BackendError> {
        self.hub.backends.proposals.proposal_counts(&repo.repo_id).await
    }

    /// Changes a proposal that was not merged. Its author may, and who may push.
    ///
    /// # Errors
    /// [`ProposalError`]; then nothing is changed.
    pub async fn edit(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        edit: EditProposal,
    ) -> Result<Proposal, ProposalError> {
        edit.title.as_deref().map(require_title).transpose()?;
        edit.description.as_deref().map(require_body).transpose()?;
        self.change(repo, who, number, &Change::Edit(edit)).await
    }

    /// Closes an open proposal. Its author may, and who may push.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn close(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
    ) -> Result<Proposal, ProposalError> {
        self.change(repo, who, number, &Change::Close).await
    }

    /// Opens a closed proposal again, if its branches are there and there is something to merge. Its author may, and who
    /// may push.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn reopen(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
    ) -> Result<Proposal, ProposalError> {
        self.change(repo, who, number, &Change::Reopen).await
    }

    /// Changes a proposal as it stands, again where somebody else was quicker.
    async fn change(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        change: &Change,
    ) -> Result<Proposal, ProposalError> {
        for _ in 0..MAX_RACES {
            let (proposal, _) = self.settled(repo, number).await?;
            if change.expected_version().is_some_and(|expected| expected != proposal.version) {
                return Err(ProposalError::Changed { number });
            }
            if !is_same(who, &proposal.author) && !self.hub.may_write(repo, who).await? {
                let rule = "only its author, and who may push, can change a proposal";
                return Err(ProposalError::Forbidden { rule });
            }
            let (mut next, entries) = self.changed(repo, proposal.clone(), change).await?;
            if next == proposal {
                return Ok(proposal);
            }
            let at = self.hub.backends.clock.now();
            let entry = |(kind, subject)| NewProposalEntry {
                kind,
                author: Some(who.clone()),
                body: String::new(),
                commit: None,
                subject,
                at,
            };
            let entries: Vec<NewProposalEntry> = entries.into_iter().map(entry).collect();
            if proposal.entries + entries.len() as u64 > MAX_ENTRIES {
                return Err(ProposalError::TooManyEntries);
            }
            next.version += 1;
            next.updated_at = at;
            match self.hub.backends.proposals.replace_proposal(&repo.repo_id, &next, &entries).await {
                Ok(true) => {
                    next.entries += entries.len() as u64;
                    return Ok(next);
                }
                Ok(false) => {}
                Err(BackendError::Conflict { .. }) => {
                    let Proposal { source, target, .. } = next;
                    return Err(ProposalError::Exists { source_branch: source, target });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ProposalError::Changed { number })
    }

    /// What a proposal becomes, and the entries that say so.
    async fn changed(
        &self,
        repo: &RepositoryRecord,
        mut proposal: Proposal,
        change: &Change,
    ) -> Result<(Proposal, Vec<Note>), ProposalError> {
        let notes = match change {
            Change::Edit(edit) => return self.edited(repo, proposal, edit).await,
            Change::Close => {
                require_state(&proposal, ProposalState::Open)?;
                proposal.state = ProposalState::Closed;
                proposal.closed_at = Some(self.hub.backends.clock.now());
                vec![(ProposalEntryKind::Closed, None)]
            }
            Change::Reopen => {
                require_state(&proposal, ProposalState::Closed)?;
                (proposal.head, proposal.base) =
                    self.require_proposable(repo, &proposal.source, &proposal.target).await?;
                proposal.state = ProposalState::Open;
                proposal.closed_at = None;
                vec![(ProposalEntryKind::Reopened, None)]
            }
        };
        Ok((proposal, notes))
    }

    async fn edited(
        &self,
        repo: &RepositoryRecord,
        mut proposal: Proposal,
        edit: &EditProposal,
    ) -> Result<(Proposal, Vec<Note>), ProposalError> {
        if proposal.state == ProposalState::Merged {
            return Err(ProposalError::NotOpen { number: proposal.number, state: proposal.state });
        }
        let mut notes = Vec::new();
        if let Some(title) = edit.title.as_ref().filter(|title| **title != proposal.title) {
            let before = std::mem::replace(&mut proposal.title, title.clone());
            notes.push((ProposalEntryKind::Retitled, Some(before)));
        }
        if let Some(description) = &edit.description {
            proposal.description.clone_from(description);
        }
        if let Some(target) = edit.target.as_ref().filter(|target| **target != proposal.target) {
            (proposal.head, proposal.base) = self.require_proposable(repo, &proposal.source, target).await?;
            notes.push((ProposalEntryKind::Retargeted, Some(proposal.target.to_string())));
            proposal.target.clone_from(target);
            // What was begun was a merge into another branch.
            proposal.merge = None;
        }
        if let Some(draft) = edit.draft.filter(|draft| *draft != proposal.draft) {
            let kind = if draft { ProposalEntryKind::MarkedDraft } else { ProposalEntryKind::MarkedReady };
            notes.push((kind, None));
            proposal.draft = draft;
        }
        Ok((proposal, notes))
    }

    /// The heads of two branches of which the one has commits that the other one lacks.
    async fn require_proposable(
        &self,
        repo: &RepositoryRecord,
        source: &BranchName,
        target: &BranchName,
    ) -> Result<(CommitId, CommitId), ProposalError> {
        if source == target {
            return Err(ProposalError::SameBranch);
        }
        let head = self.require_head(repo, source).await?;
        let base = self.require_head(repo, target).await?;
        if self.hub.is_ancestor(repo, head, base).await? {
            let (source_branch, target) = (source.clone(), target.clone());
            return Err(ProposalError::NothingProposed { source_branch, target });
        }
        Ok((head, base))
    }

    async fn require_head(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<CommitId, ProposalError> {
        let head = self.hub.position(repo, branch).await?.head;
        head.ok_or_else(|| ProposalError::NoSuchBranch { branch: branch.clone() })
    }
}

fn require_state(proposal: &Proposal, state: ProposalState) -> Result<(), ProposalError> {
    if proposal.state == state {
        return Ok(());
    }
    Err(ProposalError::NotOpen { number: proposal.number, state: proposal.state })
}

fn require_title(title: &str) -> Result<(), ProposalError> {
    let is_title =
        !title.trim().is_empty() && title.len() <= MAX_TITLE_BYTES && !title.chars().any(char::is_control);
    let rule = "a title is one line of 1 to 255 bytes without control characters";
    if is_title { Ok(()) } else { Err(ProposalError::Text { rule }) }
}

fn require_body(text: &str) -> Result<(), ProposalError> {
    let rule = "a description or comment may have 65536 bytes and no NUL";
    if text.len() > MAX_BODY_BYTES || text.contains('\0') {
        return Err(ProposalError::Text { rule });
    }
    Ok(())
}

fn is_same(one: &Handle, other: &Handle) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}
