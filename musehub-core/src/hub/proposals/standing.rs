//! Where a proposal stands by the graph: whether it was merged, whether it can be, and what its reviews count for.
//!
//! A proposal is merged once its target has the commit that a merge of it made or, where nobody merged it, every commit of
//! its source. So a merge whose process died between the move of the branch and the row is found, and so are pushes that
//! bring what is proposed.

use super::super::advance::MAX_RACES;
use super::{ProposalError, Proposals, is_same};
use crate::graph::{IsAncestor, Reachable};
use crate::hub::{Hub, MergeRefused};
use crate::id::CommitId;
use crate::merge::{FileStrategy, MergeError, Mergeability};
use crate::name::{BranchName, Handle};
use crate::port::{
    BackendError, NewProposalEntry, Proposal, ProposalCheck, ProposalEntryKind, ProposalFilter,
    ProposalMerge, ProposalNumber, ProposalState, RepositoryRecord, Review, Verdict,
};

/// How many open proposals into a branch are looked at when it moves. Others are when somebody looks at them.
const MAX_SETTLED_BY_A_MOVE: u32 = 500;

/// How many commits are visited to find out how far the branches of a proposal are apart.
const MAX_VISITS: usize = 1_000;

/// Where the branches of a proposal stand; none for one that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heads {
    pub(super) source: Option<CommitId>,
    pub(super) target: Option<CommitId>,
}

/// Whether a proposal can be merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProposalMergeability {
    /// It was merged or closed.
    NotOpen,
    /// One of its branches is gone.
    BranchGone {
        /// Which.
        branch: BranchName,
    },
    /// What merging would come to, where conflicts refuse the merge.
    Known(Mergeability),
    /// It takes more than this hub does to find out.
    Refused(MergeError),
}

/// A verdict that stands, and what it counts for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandingReview {
    /// The verdict.
    pub review: Review,
    /// Whether it was given to the head of the source as it is now. An approval of another head counts for nothing.
    pub is_current: bool,
    /// Whether it is of somebody who may push. Nobody else's counts.
    pub may_push: bool,
}

impl StandingReview {
    /// Whether it is an approval that counts.
    #[must_use]
    pub fn approves(&self) -> bool {
        self.review.verdict == Verdict::Approved && self.is_current && self.may_push
    }

    /// Whether it is a request for changes that counts. It does until its author approves or somebody dismisses it, wherever
    /// the source moves.
    #[must_use]
    pub fn requests_changes(&self) -> bool {
        self.review.verdict == Verdict::ChangesRequested && self.may_push
    }
}

/// What the reviews of a proposal come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approvals {
    /// The verdicts that stand, ordered by when they were given.
    pub reviews: Vec<StandingReview>,
    /// How many approvals count.
    pub approved: u32,
    /// How many a merge needs.
    pub required: u32,
}

impl Approvals {
    /// Who asks for changes.
    #[must_use]
    pub fn changes_requested(&self) -> Vec<Handle> {
        let asking = self.reviews.iter().filter(|review| review.requests_changes());
        asking.map(|review| review.review.reviewer.clone()).collect()
    }

    /// Whether the gate is open. Where no approval is required, requests for changes are advice.
    #[must_use]
    pub fn suffice(&self) -> bool {
        self.required == 0 || (self.approved >= self.required && self.changes_requested().is_empty())
    }
}

/// How far the branches of an open proposal are apart, in commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Distance {
    /// What the source has and the target lacks.
    pub ahead: u64,
    /// What the target has and the source lacks: how far it went on without what is proposed.
    pub behind: u64,
    /// Whether both numbers are exact; there may be more otherwise.
    pub exact: bool,
}

/// A proposal with what its page shows first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalView {
    /// The proposal.
    pub proposal: Proposal,
    /// Where its source stands; none where the branch is gone.
    pub source_head: Option<CommitId>,
    /// Where its target stands; none where the branch is gone.
    pub target_head: Option<CommitId>,
    /// Whether it can be merged.
    pub mergeability: ProposalMergeability,
    /// How far its branches are apart, while it is open and both are there.
    pub distance: Option<Distance>,
    /// Its reviews.
    pub approvals: Approvals,
}

impl Proposals<'_> {
    /// A proposal, where its branches stand, whether it can be merged, and its reviews.
    ///
    /// # Errors
    /// [`ProposalError::NotFound`].
    pub async fn view(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
    ) -> Result<ProposalView, ProposalError> {
        let (proposal, heads) = self.settled(repo, number).await?;
        let mergeability = self.mergeability(repo, &proposal, heads).await?;
        let approvals = self.approvals(repo, &proposal, heads).await?;
        let distance = self.distance(repo, &proposal, heads).await?;
        let Heads { source: source_head, target: target_head } = heads;
        Ok(ProposalView { proposal, source_head, target_head, mergeability, distance, approvals })
    }

    async fn distance(
        &self,
        repo: &RepositoryRecord,
        proposal: &Proposal,
        heads: Heads,
    ) -> Result<Option<Distance>, BackendError> {
        let (ProposalState::Open, Some(source), Some(target)) = (proposal.state, heads.source, heads.target)
        else {
            return Ok(None);
        };
        let apart = self.hub.divergence(repo, target, source, MAX_VISITS).await?;
        let (ahead, behind) = (apart.right.len() as u64, apart.left.len() as u64);
        Ok(Some(Distance { ahead, behind, exact: apart.complete }))
    }

    async fn mergeability(
        &self,
        repo: &RepositoryRecord,
        proposal: &Proposal,
        heads: Heads,
    ) -> Result<ProposalMergeability, ProposalError> {
        if proposal.state != ProposalState::Open {
            return Ok(ProposalMergeability::NotOpen);
        }
        let (source, target) = match (heads.source, heads.target) {
            (Some(source), Some(target)) => (source, target),
            (None, _) => return Ok(ProposalMergeability::BranchGone { branch: proposal.source.clone() }),
            (_, None) => return Ok(ProposalMergeability::BranchGone { branch: proposal.target.clone() }),
        };
        match self.check(repo, proposal.number, source, target).await {
            Ok(found) => Ok(ProposalMergeability::Known(found)),
            Err(MergeRefused::Limit(error)) => Ok(ProposalMergeability::Refused(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// What merging two heads would come to, found once for each pair.
    pub(super) async fn check(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
        source: CommitId,
        target: CommitId,
    ) -> Result<Mergeability, MergeRefused> {
        let store = &self.hub.backends.proposals;
        let known = store.proposal_check(&repo.repo_id, number).await?;
        if let Some(known) = known.filter(|known| (known.source, known.target) == (source, target)) {
            return Ok(known.found);
        }
        let found = self.hub.mergeability(repo, target, source, FileStrategy::Recursive).await?;
        let check = ProposalCheck { source, target, found: found.clone() };
        store.put_proposal_check(&repo.repo_id, number, &check).await?;
        Ok(found)
    }

    /// What the reviews come to. Nobody approves what they propose.
    pub(super) async fn approvals(
        &self,
        repo: &RepositoryRecord,
        proposal: &Proposal,
        heads: Heads,
    ) -> Result<Approvals, BackendError> {
        let merged = proposal.merge.as_ref().filter(|_| proposal.state == ProposalState::Merged);
        let head = merged.map_or(heads.source.unwrap_or(proposal.head), |merge| merge.source);
        let standing =
            self.hub.backends.conversations.proposal_reviews(&repo.repo_id, proposal.number).await?;
        let mut reviews = Vec::with_capacity(standing.len());
        for review in standing {
            let may_push = !is_same(&review.reviewer, &proposal.author)
                && self.hub.may_write(repo, &review.reviewer).await?;
            reviews.push(StandingReview { is_current: review.commit == head, may_push, review });
        }
        let approved = reviews.iter().filter(|review| review.approves()).count();
        let approved = u32::try_from(approved).unwrap_or(u32::MAX);
        Ok(Approvals { reviews, approved, required: repo.settings.required_approvals })
    }

    /// A proposal as it stands, and where its branches stand.
    pub(super) async fn settled(
        &self,
        repo: &RepositoryRecord,
        number: ProposalNumber,
    ) -> Result<(Proposal, Heads), ProposalError> {
        let store = &self.hub.backends.proposals;
        for _ in 0..MAX_RACES {
            let found = store.proposal(&repo.repo_id, number).await?;
            let proposal = found.ok_or(ProposalError::NotFound { number })?;
            let heads = Heads {
                source: self.hub.position(repo, &proposal.source).await?.head,
                target: self.hub.position(repo, &proposal.target).await?.head,
            };
            let Some((mut next, entries)) = self.next(repo, &proposal, heads).await? else {
                return Ok((proposal, heads));
            };
            next.version += 1;
            if store.replace_proposal(&repo.repo_id, &next, &entries).await? {
                next.entries += entries.len() as u64;
                return Ok((next, heads));
            }
        }
        Err(ProposalError::Changed { number })
    }

    /// What a proposal becomes by where its branches stand; none where it stays as it is.
    async fn next(
        &self,
        repo: &RepositoryRecord,
        proposal: &Proposal,
        heads: Heads,
    ) -> Result<Option<(Proposal, Vec<NewProposalEntry>)>, BackendError> {
        let Some(target) = heads.target.filter(|_| proposal.state != ProposalState::Merged) else {
            return Ok(None);
        };
        if let Some(begun) = &proposal.merge
            && self.hub.is_ancestor(repo, begun.commit, target).await?
        {
            return Ok(Some(merged(proposal, begun.clone())));
        }
        let known = proposal.head;
        let source = heads.source.unwrap_or(known);
        if proposal.state != ProposalState::Open || (source, target) == (known, proposal.base) {
            return Ok(None);
        }
        let has_known = self.hub.is_ancestor(repo, known, target).await?;
        let has_source =
            if source == known { has_known } else { self.hub.is_ancestor(repo, source, target).await? };
        if has_known && has_source {
            // A source that was set back brings nothing; what it brought before is what came.
            let grew = source != known && self.hub.is_ancestor(repo, known, source).await?;
            let merge = ProposalMerge {
                commit: target,
                source: if grew { source } else { known },
                target: proposal.base,
                by: None,
                at: self.hub.backends.clock.now(),
            };
            return Ok(Some(merged(proposal, merge)));
        }
        if has_source || source == known {
            return Ok(None);
        }
        Ok(Some((Proposal { head: source, base: target, ..proposal.clone() }, Vec::new())))
    }
}

fn merged(proposal: &Proposal, merge: ProposalMerge) -> (Proposal, Vec<NewProposalEntry>) {
    let entry = NewProposalEntry {
        kind: ProposalEntryKind::Merged,
        author: merge.by.clone(),
        body: String::new(),
        commit: Some(merge.commit),
        subject: None,
        at: merge.at,
    };
    let next = Proposal {
        state: ProposalState::Merged,
        updated_at: merge.at,
        closed_at: Some(merge.at),
        merge: Some(merge),
        ..proposal.clone()
    };
    (next, vec![entry])
}

impl Hub {
    /// Whether a commit is in the history of another.
    pub(in crate::hub) async fn is_ancestor(
        &self,
        repo: &RepositoryRecord,
        ancestor: CommitId,
        descendant: CommitId,
    ) -> Result<bool, BackendError> {
        self.walk(&repo.repo_id, &mut IsAncestor::new(ancestor, descendant)).await
    }

    /// Marks those proposals as merged that the move of a branch brought into it.
    pub(in crate::hub) async fn settle_proposals(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        old: Option<CommitId>,
        new: CommitId,
    ) -> Result<(), ProposalError> {
        let filter = ProposalFilter {
            state: Some(ProposalState::Open),
            target: Some(branch.clone()),
            ..ProposalFilter::default()
        };
        let open =
            self.backends.proposals.proposals(&repo.repo_id, &filter, None, MAX_SETTLED_BY_A_MOVE).await?;
        if open.is_empty() {
            return Ok(());
        }
        // One walk over what came, however many proposals there are.
        let came = self.walk(&repo.repo_id, &mut Reachable::new([new], old)).await?.commits;
        let has_come = |commit: &CommitId| came.contains(commit);
        let concerns = |proposal: &&Proposal| {
            has_come(&proposal.head) || proposal.merge.as_ref().is_some_and(|merge| has_come(&merge.commit))
        };
        let concerned: Vec<ProposalNumber> =
            open.iter().filter(concerns).map(|proposal| proposal.number).collect();
        for number in concerned {
            self.proposals().settled(repo, number).await?;
        }
        Ok(())
    }
}
