//! What people say of a proposal: comments and reviews.

use super::{MAX_ENTRIES, ProposalError, Proposals, is_same, require_body, require_state};
use crate::id::CommitId;
use crate::name::Handle;
use crate::port::{
    BackendError, NewProposalEntry, ProposalEntry, ProposalEntryKind, ProposalNumber, ProposalState,
    RepositoryRecord,
};

/// What a review comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewKind {
    /// It may be merged.
    Approve,
    /// It may not, as it is.
    RequestChanges,
    /// Neither: an earlier verdict stays.
    Comment,
}

/// A review to be given.
#[derive(Clone, Debug)]
pub struct Said {
    /// What it comes to.
    pub kind: ReviewKind,
    /// What is said; needed but for an approval.
    pub body: String,
    /// The head of the source that was looked at, if who reviews knows it: a review of another one is refused.
    pub commit: Option<CommitId>,
}

impl Proposals<'_> {
    /// A page of a conversation, oldest first, after the entry `after`; the first page after 0.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn conversation(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ProposalEntry>, BackendError> {
        self.hub.backends.conversations.proposal_entries(&repo.repo_id, number, after, limit).await
    }

    /// Says something, whatever became of the proposal.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn comment(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        body: String,
    ) -> Result<ProposalEntry, ProposalError> {
        require_comment(&body)?;
        self.settled(repo, number).await?;
        self.add(repo, number, self.entry(ProposalEntryKind::Comment, who, body)).await
    }

    /// Reviews an open proposal. Authors do not approve what they propose themselves, nor ask themselves for changes.
    ///
    /// A verdict stands until its author gives another one or it is dismissed, and is about the head of the source as it is
    /// then: once the source moves, an approval counts no more; a request for changes goes on counting.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn review(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        said: Said,
    ) -> Result<ProposalEntry, ProposalError> {
        let Said { kind, body, commit } = said;
        match kind {
            ReviewKind::Approve => require_body(&body)?,
            ReviewKind::RequestChanges | ReviewKind::Comment => require_comment(&body)?,
        }
        let (proposal, heads) = self.settled(repo, number).await?;
        require_state(&proposal, ProposalState::Open)?;
        if kind != ReviewKind::Comment && is_same(who, &proposal.author) {
            let rule = "authors give no verdict on what they propose themselves";
            return Err(ProposalError::Forbidden { rule });
        }
        let head = heads.source.unwrap_or(proposal.head);
        if let Some(expected) = commit.filter(|commit| *commit != head) {
            return Err(ProposalError::SourceMoved { expected, head });
        }
        let kind = match kind {
            ReviewKind::Approve => ProposalEntryKind::Approved,
            ReviewKind::RequestChanges => ProposalEntryKind::ChangesRequested,
            ReviewKind::Comment => ProposalEntryKind::Reviewed,
        };
        let entry = NewProposalEntry { commit: Some(head), ..self.entry(kind, who, body) };
        self.add(repo, number, entry).await
    }

    /// Takes away somebody's verdict, for a reason. Whoever may push may, and everybody their own.
    ///
    /// # Errors
    /// [`ProposalError::NoSuchEntry`] where they gave none.
    pub async fn dismiss_review(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        reviewer: &Handle,
        reason: String,
    ) -> Result<ProposalEntry, ProposalError> {
        require_comment(&reason)?;
        let (proposal, _) = self.settled(repo, number).await?;
        require_state(&proposal, ProposalState::Open)?;
        let standing = self.hub.backends.conversations.proposal_reviews(&repo.repo_id, number).await?;
        if !standing.iter().any(|review| is_same(&review.reviewer, reviewer)) {
            return Err(ProposalError::NoSuchEntry);
        }
        // An author who could dismiss what is asked of them would need nobody's approval.
        let is_own = is_same(who, reviewer);
        if is_same(who, &proposal.author) || (!is_own && !self.hub.may_write(repo, who).await?) {
            let rule = "only who may push, and is not the author, can dismiss a review of somebody else";
            return Err(ProposalError::Forbidden { rule });
        }
        let entry = self.entry(ProposalEntryKind::ReviewDismissed, who, reason);
        self.add(repo, number, NewProposalEntry { subject: Some(reviewer.to_string()), ..entry }).await
    }

    /// Changes what one wrote oneself.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn edit_entry(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        id: u64,
        body: &str,
    ) -> Result<ProposalEntry, ProposalError> {
        require_comment(body)?;
        let entry = self.require_written(repo, number, id).await?;
        if !is_author(&entry, who) {
            let rule = "only who wrote it can change it";
            return Err(ProposalError::Forbidden { rule });
        }
        self.rewrite(repo, number, id, Some(body)).await
    }

    /// Deletes what one wrote oneself; whoever may push deletes what anybody wrote. A verdict given with it stands.
    ///
    /// # Errors
    /// [`ProposalError`].
    pub async fn delete_entry(
        &self,
        repo: &RepositoryRecord,
        who: &Handle,
        number: ProposalNumber,
        id: u64,
    ) -> Result<ProposalEntry, ProposalError> {
        let entry = self.require_written(repo, number, id).await?;
        if !is_author(&entry, who) && !self.hub.may_write(repo, who).await? {
            let rule = "only who wrote it, and who may push, can delete it";
            return Err(ProposalError::Forbidden { rule });
        }
        self.rewrite(repo, number, id, None).await
    }

    /// An entry that holds what somebody wrote.
    async fn require_written(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        id: u64,
    ) -> Result<ProposalEntry, ProposalError> {
        let entry = self.hub.backends.conversations.proposal_entry(&repo.repo_id, number, id).await?;
        entry.filter(|entry| entry.kind.is_writing() && !entry.deleted).ok_or(ProposalError::NoSuchEntry)
    }

    async fn rewrite(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        id: u64,
        body: Option<&str>,
    ) -> Result<ProposalEntry, ProposalError> {
        let conversations = &self.hub.backends.conversations;
        let at = self.hub.backends.clock.now();
        if !conversations.change_proposal_entry(&repo.repo_id, number, id, body, at).await? {
            return Err(ProposalError::NoSuchEntry);
        }
        conversations.proposal_entry(&repo.repo_id, number, id).await?.ok_or(ProposalError::NoSuchEntry)
    }

    fn entry(&self, kind: ProposalEntryKind, who: &Handle, body: String) -> NewProposalEntry {
        let at = self.hub.backends.clock.now();
        NewProposalEntry { kind, author: Some(who.clone()), body, commit: None, subject: None, at }
    }

    async fn add(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        entry: NewProposalEntry,
    ) -> Result<ProposalEntry, ProposalError> {
        let proposal = self.hub.backends.proposals.proposal(&repo.repo_id, number).await?;
        if proposal.is_some_and(|proposal| proposal.entries >= MAX_ENTRIES) {
            return Err(ProposalError::TooManyEntries);
        }
        Ok(self.hub.backends.conversations.add_proposal_entry(&repo.repo_id, number, &entry).await?)
    }
}

fn is_author(entry: &ProposalEntry, who: &Handle) -> bool {
    entry.author.as_ref().is_some_and(|author| is_same(author, who))
}

fn require_comment(text: &str) -> Result<(), ProposalError> {
    if text.trim().is_empty() {
        return Err(ProposalError::Text { rule: "a comment says something" });
    }
    require_body(text)
}
