//! The merge of a proposal.
//!
//! Order: the proposal is told which commit will merge it → the branch moves → the proposal is marked. A crash between the
//! first two leaves a word that means nothing, as the target never has that commit. One between the last two leaves a proposal
//! that whoever looks at it next finds merged.

use super::standing::Heads;
use super::{ProposalError, Proposals, require_state};
use crate::hub::push::Origin;
use crate::hub::{
    HistoryStrategy, Hub, MAX_MESSAGE_BYTES, MergeOutcome, MergeRefused, MergeRequest, PushError,
};
use crate::id::CommitId;
use crate::merge::{FileStrategy, Mergeability};
use crate::name::{BranchName, Handle};
use crate::port::{Proposal, ProposalFilter, ProposalMerge, ProposalNumber, ProposalState, RepositoryRecord};

/// How a proposal is to be merged.
#[derive(Clone, Debug, Default)]
pub struct MergeProposal {
    /// What history it leaves.
    pub history: HistoryStrategy,
    /// What becomes of conflicts.
    pub files: FileStrategy,
    /// Where the source must stand; none takes it as it is.
    pub expected_source: Option<CommitId>,
    /// Where the target must stand; none takes it as it is.
    pub expected_target: Option<CommitId>,
    /// Who wrote what is merged; the proposal's author where this is none.
    pub author: Option<String>,
    /// The message; made of the proposal's number and title where this is none.
    pub message: Option<String>,
    /// Whether the source branch goes, if it can: it stays where it moved meanwhile, is protected, is the default branch or
    /// the target of another open proposal.
    pub delete_source: bool,
}

/// A proposal that was merged.
#[derive(Clone, Debug)]
pub struct ProposalMerged {
    /// The proposal.
    pub proposal: Proposal,
    /// What the merge did.
    pub outcome: MergeOutcome,
}

impl Hub {
    /// Merges a proposal into its target. It is durable when this returns. A target that takes no direct pushes is moved all
    /// the same: this is the way that is left open.
    ///
    /// # Errors
    /// [`ProposalError`]; then no branch has moved. It is not open, or a draft, lacks approvals, conflicts, or a branch is not
    /// where it was expected: [`PushError::BranchMoved`] within it asks to look again and decide anew.
    pub async fn merge_proposal(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        number: ProposalNumber,
        merge: MergeProposal,
    ) -> Result<ProposalMerged, ProposalError> {
        let proposals = self.proposals();
        let (proposal, heads) = proposals.settled(repo, number).await?;
        let (source, target) = proposals.require_mergeable(repo, &proposal, heads, &merge).await?;
        let request = MergeRequest {
            target: proposal.target.clone(),
            expected_head: target,
            source,
            history: merge.history,
            files: merge.files,
            author: merge.author.unwrap_or_else(|| proposal.author.to_string()),
            message: merge.message.unwrap_or_else(|| message(&proposal)),
            delete_source: None,
        };
        let planned = self.plan_merge(repo, merger, &request, Some(number)).await?;
        let begun = ProposalMerge {
            commit: planned.head(&request),
            source,
            target,
            by: Some(merger.clone()),
            at: self.backends.clock.now(),
        };
        let begun = Proposal { version: proposal.version + 1, merge: Some(begun), ..proposal };
        if !self.backends.proposals.replace_proposal(&repo.repo_id, &begun, &[]).await? {
            return Err(ProposalError::Changed { number });
        }
        let mut outcome = match self.carry_out_merge(repo, merger, &request, planned, Origin::Proposal).await
        {
            Ok(outcome) => outcome,
            Err(error) => {
                proposals.give_up(repo, begun, &error).await;
                return Err(error.into());
            }
        };
        // The branch has moved, so the proposal is merged, whether its row can be written now or later.
        let proposal = match proposals.settled(repo, number).await {
            Ok((proposal, _)) => proposal,
            Err(_) => Proposal { state: ProposalState::Merged, ..begun },
        };
        if merge.delete_source {
            outcome.source_deleted = proposals.delete_source(repo, merger, &proposal.source, source).await;
        }
        Ok(ProposalMerged { proposal, outcome })
    }
}

impl Proposals<'_> {
    /// The heads to be merged, if nothing that is known by now stands in the way.
    async fn require_mergeable(
        &self,
        repo: &RepositoryRecord,
        proposal: &Proposal,
        heads: Heads,
        merge: &MergeProposal,
    ) -> Result<(CommitId, CommitId), ProposalError> {
        require_state(proposal, ProposalState::Open)?;
        let number = proposal.number;
        let gone = |branch: &BranchName| ProposalError::NoSuchBranch { branch: branch.clone() };
        let head = heads.source.ok_or_else(|| gone(&proposal.source))?;
        let target = heads.target.ok_or_else(|| gone(&proposal.target))?;
        if let Some(expected) = merge.expected_source.filter(|expected| *expected != head) {
            return Err(ProposalError::SourceMoved { expected, head });
        }
        if merge.expected_target.is_some_and(|expected| expected != target) {
            let (branch, expected) = (proposal.target.clone(), merge.expected_target);
            return Err(PushError::BranchMoved { branch, expected, head: Some(target) }.into());
        }
        if proposal.draft {
            return Err(ProposalError::Draft { number });
        }
        let approvals = self.approvals(repo, proposal, heads).await?;
        if !approvals.suffice() {
            let changes_requested = approvals.changes_requested();
            let (approved, required) = (approvals.approved, approvals.required);
            return Err(ProposalError::ApprovalGate { approved, required, changes_requested });
        }
        let whole = merge.files == FileStrategy::Recursive && merge.history != HistoryStrategy::Rebase;
        if whole && let Mergeability::Conflicts(conflicts) = self.check(repo, number, head, target).await? {
            return Err(MergeRefused::Conflicts(conflicts).into());
        }
        Ok((head, target))
    }

    /// Forgets a merge that was begun and will not be. Where it may have been made, or this fails, nothing is lost: what
    /// was begun counts only if the target has its commit.
    async fn give_up(&self, repo: &RepositoryRecord, begun: Proposal, error: &MergeRefused) {
        if matches!(error, MergeRefused::Push(PushError::Backend(_))) {
            return;
        }
        let next = Proposal { version: begun.version + 1, merge: None, ..begun };
        let _ = self.hub.backends.proposals.replace_proposal(&repo.repo_id, &next, &[]).await;
    }

    async fn delete_source(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        branch: &BranchName,
        head: CommitId,
    ) -> bool {
        let into_it = ProposalFilter {
            state: Some(ProposalState::Open),
            target: Some(branch.clone()),
            ..ProposalFilter::default()
        };
        match self.list(repo, &into_it, None, 1).await {
            Ok(open) if open.is_empty() => self.hub.delete_branch(repo, merger, branch, head).await.is_ok(),
            _ => false,
        }
    }
}

/// The message of a merge that nobody gave one.
fn message(proposal: &Proposal) -> String {
    let subject = format!("Merge proposal #{}: {}", proposal.number, proposal.title);
    if proposal.description.is_empty() || subject.len() + proposal.description.len() + 2 > MAX_MESSAGE_BYTES {
        return subject;
    }
    format!("{subject}\n\n{}", proposal.description)
}
