//! What a proposal brings: its commits, and where they begin and end.

use super::standing::Heads;
use super::{ProposalError, Proposals};
use crate::graph::{MergeBases, Reachable};
use crate::id::CommitId;
use crate::port::{CommitRow, Proposal, ProposalNumber, ProposalState, RepositoryRecord};

/// A page of the commits that a proposal brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalCommits {
    /// The commits, children before parents.
    pub commits: Vec<CommitRow>,
    /// How many there are in all.
    pub total: usize,
    /// Whether more follow.
    pub more: bool,
}

/// The commits between which a proposal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProposalRange {
    /// Where source and target part: what the source changed since then is what the proposal brings. Of several such places
    /// after a criss-cross it is the one whose id comes first; none where the two have nothing in common.
    pub base: Option<CommitId>,
    /// The head of the source; of a merged proposal, what was merged.
    pub source: CommitId,
    /// The head of the target; of a merged proposal, the one before.
    pub target: CommitId,
}

fn ends(proposal: &Proposal, heads: Heads) -> (CommitId, CommitId) {
    match &proposal.merge {
        Some(merge) if proposal.state == ProposalState::Merged => (merge.source, merge.target),
        _ => (heads.source.unwrap_or(proposal.head), heads.target.unwrap_or(proposal.base)),
    }
}

impl Proposals<'_> {
    /// The commits of the source that the target lacks; of a merged proposal, lacked. A page of `limit`, after the commit
    /// `after`.
    ///
    /// # Errors
    /// [`ProposalError::NotFound`].
    pub async fn commits(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        after: Option<CommitId>,
        limit: usize,
    ) -> Result<ProposalCommits, ProposalError> {
        let (proposal, heads) = self.settled(repo, number).await?;
        let (source, target) = ends(&proposal, heads);
        let ids = self.hub.walk(&repo.repo_id, &mut Reachable::new([source], [target])).await?.commits;
        let start = match after {
            None => 0,
            Some(after) => ids.iter().position(|id| *id == after).map_or(ids.len(), |at| at + 1),
        };
        let page: Vec<CommitId> = ids[start..].iter().take(limit).copied().collect();
        let more = start + page.len() < ids.len();
        Ok(ProposalCommits { commits: self.hub.commit_rows(repo, &page).await?, total: ids.len(), more })
    }

    /// The commits between which a proposal is.
    ///
    /// # Errors
    /// [`ProposalError::NotFound`].
    pub async fn range(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
    ) -> Result<ProposalRange, ProposalError> {
        let (proposal, heads) = self.settled(repo, number).await?;
        let (source, target) = ends(&proposal, heads);
        let bases = self.hub.walk(&repo.repo_id, &mut MergeBases::new(target, source)).await?;
        Ok(ProposalRange { base: bases.first().copied(), source, target })
    }
}
