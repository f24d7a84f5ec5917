//! Proposals in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::index::{MemoryIndex, State};
use super::{conflict, missing};
use crate::name::{Handle, RepoId};
use crate::port::{
    BackendError, NewProposal, NewProposalEntry, Proposal, ProposalCheck, ProposalConversations,
    ProposalCounts, ProposalEntry, ProposalEntryKind, ProposalFilter, ProposalNumber, ProposalState,
    ProposalStore, Review, Timestamp,
};

/// The proposals of one repository.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    kept: BTreeMap<ProposalNumber, Kept>,
}

#[derive(Debug)]
struct Kept {
    proposal: Proposal,
    check: Option<ProposalCheck>,
    entries: Vec<ProposalEntry>,
    reviews: Vec<Review>,
}

impl Kept {
    fn add(&mut self, new: &NewProposalEntry) -> Result<ProposalEntry, BackendError> {
        let entry = ProposalEntry {
            id: self.proposal.entries + 1,
            kind: new.kind,
            author: new.author.clone(),
            body: new.body.clone(),
            commit: new.commit,
            subject: new.subject.clone(),
            at: new.at,
            edited_at: None,
            deleted: false,
        };
        if let Some(verdict) = new.kind.verdict() {
            let (Some(reviewer), Some(commit)) = (&new.author, new.commit) else {
                return Err(missing("the reviewer, or the commit that was reviewed,"));
            };
            self.reviews.retain(|review| !is_same(review.reviewer.as_str(), reviewer.as_str()));
            let (reviewer, entry) = (reviewer.clone(), entry.id);
            self.reviews.push(Review { reviewer, verdict, commit, entry, at: new.at });
        }
        if let (ProposalEntryKind::ReviewDismissed, Some(reviewer)) = (new.kind, &new.subject) {
            self.reviews.retain(|review| !is_same(review.reviewer.as_str(), reviewer));
        }
        self.proposal.entries = entry.id;
        self.proposal.updated_at = new.at;
        self.entries.push(entry.clone());
        Ok(entry)
    }
}

impl Proposals {
    /// Refuses a second open proposal of the same branches.
    fn require_only(&self, proposal: &Proposal) -> Result<(), BackendError> {
        let is_twin = |other: &Proposal| {
            other.number != proposal.number
                && other.state == ProposalState::Open
                && (&other.source, &other.target) == (&proposal.source, &proposal.target)
        };
        let open = proposal.state == ProposalState::Open;
        match self.kept.values().map(|kept| &kept.proposal).find(|other| open && is_twin(other)) {
            Some(twin) => Err(conflict(format!("proposal {} of the same branches", twin.number))),
            None => Ok(()),
        }
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn fits(proposal: &Proposal, filter: &ProposalFilter) -> bool {
    let ProposalFilter { state, author, source, target } = filter;
    let is_author = |author: &Handle| is_same(author.as_str(), proposal.author.as_str());
    state.is_none_or(|state| state == proposal.state)
        && author.as_ref().is_none_or(is_author)
        && source.as_ref().is_none_or(|source| *source == proposal.source)
        && target.as_ref().is_none_or(|target| *target == proposal.target)
}

impl State {
    fn kept(&self, repo: &RepoId, number: ProposalNumber) -> Option<&Kept> {
        self.proposals.get(repo)?.kept.get(&number)
    }

    fn require_kept(&mut self, repo: &RepoId, number: ProposalNumber) -> Result<&mut Kept, BackendError> {
        let kept = self.proposals.get_mut(repo).and_then(|proposals| proposals.kept.get_mut(&number));
        kept.ok_or_else(|| missing(format!("proposal {number}")))
    }
}

#[async_trait]
impl ProposalStore for MemoryIndex {
    async fn create_proposal(&self, repo: &RepoId, new: &NewProposal) -> Result<Proposal, BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let proposals = state.proposals.entry(repo.clone()).or_default();
        let last = proposals.kept.last_key_value().map_or(0, |(number, _)| number.get());
        let NewProposal { title, description, source, target, author, draft, head, base, at } = new.clone();
        let proposal = Proposal {
            number: ProposalNumber::new(last + 1),
            version: 1,
            title,
            description,
            source,
            target,
            author,
            state: ProposalState::Open,
            draft,
            head,
            base,
            merge: None,
            created_at: at,
            updated_at: at,
            closed_at: None,
            entries: 0,
        };
        proposals.require_only(&proposal)?;
        let kept = Kept { proposal: proposal.clone(), check: None, entries: Vec::new(), reviews: Vec::new() };
        proposals.kept.insert(proposal.number, kept);
        Ok(proposal)
    }

    async fn replace_proposal(
        &self,
        repo: &RepoId,
        proposal: &Proposal,
        entries: &[NewProposalEntry],
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let kept = state.require_kept(repo, proposal.number)?;
        if kept.proposal.version + 1 != proposal.version {
            return Ok(false);
        }
        if let Some(proposals) = state.proposals.get(repo) {
            proposals.require_only(proposal)?;
        }
        let kept = state.require_kept(repo, proposal.number)?;
        kept.proposal = Proposal {
            author: kept.proposal.author.clone(),
            created_at: kept.proposal.created_at,
            entries: kept.proposal.entries,
            ..proposal.clone()
        };
        for entry in entries {
            kept.add(entry)?;
        }
        Ok(true)
    }

    async fn proposal(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Option<Proposal>, BackendError> {
        Ok(self.state().kept(repo, number).map(|kept| kept.proposal.clone()))
    }

    async fn proposals(
        &self,
        repo: &RepoId,
        filter: &ProposalFilter,
        before: Option<ProposalNumber>,
        limit: u32,
    ) -> Result<Vec<Proposal>, BackendError> {
        let state = self.state();
        let Some(proposals) = state.proposals.get(repo) else {
            return Ok(Vec::new());
        };
        let newest_first = proposals.kept.values().rev().map(|kept| &kept.proposal);
        let later = newest_first.filter(|proposal| before.is_none_or(|before| proposal.number < before));
        Ok(later.filter(|proposal| fits(proposal, filter)).take(limit as usize).cloned().collect())
    }

    async fn proposal_counts(&self, repo: &RepoId) -> Result<ProposalCounts, BackendError> {
        let state = self.state();
        let kept = state.proposals.get(repo).into_iter().flat_map(|proposals| proposals.kept.values());
        let mut counts = ProposalCounts::default();
        for kept in kept {
            match kept.proposal.state {
                ProposalState::Open => counts.open += 1,
                ProposalState::Closed => counts.closed += 1,
                ProposalState::Merged => counts.merged += 1,
            }
        }
        Ok(counts)
    }

    async fn proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Option<ProposalCheck>, BackendError> {
        Ok(self.state().kept(repo, number).and_then(|kept| kept.check.clone()))
    }

    async fn put_proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        check: &ProposalCheck,
    ) -> Result<(), BackendError> {
        self.state().require_kept(repo, number)?.check = Some(check.clone());
        Ok(())
    }
}

#[async_trait]
impl ProposalConversations for MemoryIndex {
    async fn add_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        entry: &NewProposalEntry,
    ) -> Result<ProposalEntry, BackendError> {
        self.state().require_kept(repo, number)?.add(entry)
    }

    async fn change_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
        body: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let kept = state.require_kept(repo, number)?;
        let Some(entry) = kept.entries.iter_mut().find(|entry| entry.id == id && !entry.deleted) else {
            return Ok(false);
        };
        entry.body = body.unwrap_or_default().to_owned();
        entry.deleted = body.is_none();
        entry.edited_at = Some(at);
        kept.proposal.updated_at = at;
        Ok(true)
    }

    async fn proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
    ) -> Result<Option<ProposalEntry>, BackendError> {
        let state = self.state();
        let entries = state.kept(repo, number).map(|kept| &kept.entries);
        Ok(entries.and_then(|entries| entries.iter().find(|entry| entry.id == id)).cloned())
    }

    async fn proposal_entries(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ProposalEntry>, BackendError> {
        let state = self.state();
        let entries = state.kept(repo, number).into_iter().flat_map(|kept| &kept.entries);
        Ok(entries.filter(|entry| entry.id > after).take(limit as usize).cloned().collect())
    }

    async fn proposal_reviews(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Vec<Review>, BackendError> {
        Ok(self.state().kept(repo, number).map(|kept| kept.reviews.clone()).unwrap_or_default())
    }
}
