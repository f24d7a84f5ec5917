//! Ports that fail, die or make room for others, by number of call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use musehub_core::graph::CommitNode;
use musehub_core::hub::Backends;
use musehub_core::port::{
    BackendError, BlobRow, BranchClaim, BranchClaims, BranchRow, CommitRow, HistoryIndex, Located, MoveRows,
    NewObject, NewProposal, NewProposalEntry, ObjectStore, PackId, PackedObject, Place, Proposal,
    ProposalCheck, ProposalConversations, ProposalCounts, ProposalEntry, ProposalFilter, ProposalNumber,
    ProposalStore, PutReceipt, RefLogEntry, RefStore, RepositoryIndex, RepositoryRecord, Review, RowTimes,
    SnapshotRow, StageWriter, Staged, Staging, Timestamp, Unstored, UnstoredIndex, UnstoredRecord,
    UnstoredRows, Waiting,
};
use musehub_core::{
    BlobId, BranchName, CommitId, Handle, ObjectId, ObjectKey, ObjectKind, RepoId, Slug, SnapshotId,
};

/// What becomes of the call that is to fail, and of those after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails without effect.
    Refused,
    /// It has its effect, and the answer is lost.
    AnswerLost,
    /// The process dies before it.
    DiesBefore,
    /// The process dies after it.
    DiesAfter,
}

/// Ports in front of others.
pub(crate) struct Disturbed {
    inner: Backends,
    calls: AtomicU64,
    fault: Option<(Fault, u64)>,
    /// Bit `n` says whether call `n` lets somebody else go first.
    pauses: u64,
}

impl Disturbed {
    /// The call of number `at`, counted from 0, goes wrong.
    pub(crate) fn failing(inner: Backends, fault: Fault, at: u64) -> Arc<Self> {
        Self::new(inner, Some((fault, at)), 0)
    }

    /// Calls wait where `pauses` says.
    pub(crate) fn pausing(inner: Backends, pauses: u64) -> Arc<Self> {
        Self::new(inner, None, pauses)
    }

    fn new(inner: Backends, fault: Option<(Fault, u64)>, pauses: u64) -> Arc<Self> {
        Arc::new(Self { inner, calls: AtomicU64::new(0), fault, pauses })
    }

    pub(crate) fn backends(self: &Arc<Self>) -> Backends {
        Backends {
            objects: self.clone(),
            staging: self.clone(),
            refs: self.clone(),
            repositories: self.clone(),
            history: self.clone(),
            unstored: self.clone(),
            claims: self.clone(),
            collaborators: self.inner.collaborators.clone(),
            keys: self.inner.keys.clone(),
            proposals: self.clone(),
            conversations: self.clone(),
            clock: self.inner.clock.clone(),
        }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the call that was to go wrong was reached.
    pub(crate) fn struck(&self) -> bool {
        self.fault.is_some_and(|(_, at)| self.calls() > at)
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.pauses >> (number % 64) & 1 == 1 {
            pause().await;
        }
        let lost = || Err(BackendError::unavailable("a call that was to fail", "as it was told"));
        match self.fault {
            Some((Fault::Refused | Fault::DiesBefore, at)) if number == at => lost(),
            Some((Fault::AnswerLost | Fault::DiesAfter, at)) if number == at => {
                call.await?;
                lost()
            }
            Some((Fault::DiesBefore | Fault::DiesAfter, at)) if number > at => lost(),
            _ => call.await,
        }
    }
}

/// Lets every other future of the executor go on first.
async fn pause() {
    let mut paused = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Passes the methods of a port on.
macro_rules! pass_on {
    ($port:ident, $field:ident, {
        $(fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $answer:ty;)*
    }) => {
        #[async_trait]
        impl $port for Disturbed {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer, BackendError> {
                self.call(self.inner.$field.$name($($arg),*)).await
            })*
        }
    };
}

pass_on!(ObjectStore, objects, {
    fn put(objects: Vec<NewObject>) -> PutReceipt;
    fn locate(keys: &[ObjectKey]) -> Vec<Option<Place>>;
    fn present(places: &[Place]) -> Vec<bool>;
    fn read(objects: &[Located]) -> Vec<Bytes>;
    fn stream(object: Located) -> BoxStream<'static, Result<Bytes, BackendError>>;
    fn packs() -> Vec<PackId>;
    fn pack_objects(pack: PackId) -> Vec<PackedObject>;
});

pass_on!(Staging, staging, {
    fn begin(repo: &RepoId) -> Box<dyn StageWriter>;
    fn find(repo: &RepoId, ids: &[BlobId]) -> Vec<Option<Staged>>;
    fn waiting(repo: &RepoId) -> Waiting;
    fn discard(repo: &RepoId, uploads: &[String]) -> ();
    fn expire(before: Timestamp) -> u64;
});

pass_on!(RefStore, refs, {
    fn put_repository(record: &RepositoryRecord) -> ();
    fn repository(owner: &Handle, slug: &Slug) -> Option<RepositoryRecord>;
    fn repositories() -> Vec<RepositoryRecord>;
    fn moved_repositories() -> Vec<RepoId>;
    fn append(entry: &RefLogEntry) -> ();
    fn heads(repo: &RepoId) -> Vec<RefLogEntry>;
    fn history(repo: &RepoId, branch: &BranchName, after: u64) -> Vec<RefLogEntry>;
});

pass_on!(RepositoryIndex, repositories, {
    fn put_repository(record: &RepositoryRecord) -> ();
    fn repository(owner: &Handle, slug: &Slug) -> Option<RepositoryRecord>;
    fn repository_by_id(repo: &RepoId) -> Option<RepositoryRecord>;
    fn holders(blob: BlobId, after: Option<&RepoId>, limit: u32) -> Vec<RepositoryRecord>;
    fn public_repositories(after: Option<(&Handle, &Slug)>, limit: u32) -> Vec<RepositoryRecord>;
});

pass_on!(BranchClaims, claims, {
    fn claim(repo: &RepoId, claim: &BranchClaim) -> Option<BranchClaim>;
    fn announce(repo: &RepoId, claim: &BranchClaim) -> ();
    fn claims(repo: &RepoId) -> Vec<BranchClaim>;
    fn release(repo: &RepoId, claim: &BranchClaim) -> ();
});

pass_on!(UnstoredIndex, unstored, {
    fn add_unstored(repo: &RepoId, rows: UnstoredRows) -> ();
    fn unstored(repo: &RepoId) -> Unstored;
    fn unstored_commits(repo: &RepoId) -> Vec<(u64, CommitId)>;
    fn unstored_snapshots(repo: &RepoId, after: Option<SnapshotId>, limit: u32) -> Vec<SnapshotId>;
    fn unstored_records(repo: &RepoId, kind: ObjectKind, ids: &[ObjectId]) -> Vec<UnstoredRecord>;
    fn forget_unstored(repo: &RepoId) -> ();
});

pass_on!(HistoryIndex, history, {
    fn record_move(rows: MoveRows) -> RowTimes;
    fn branches(repo: &RepoId) -> Vec<BranchRow>;
    fn branch(repo: &RepoId, branch: &BranchName) -> (Option<CommitId>, u64);
    fn commit_nodes(repo: &RepoId, ids: &[CommitId], window: u32) -> Vec<CommitNode>;
    fn commits(repo: &RepoId, ids: &[CommitId]) -> Vec<CommitRow>;
    fn snapshots(repo: &RepoId, ids: &[SnapshotId]) -> Vec<SnapshotRow>;
    fn blobs(repo: &RepoId, ids: &[BlobId]) -> Vec<BlobRow>;
    fn commit_count(repo: &RepoId) -> u64;
});

pass_on!(ProposalStore, proposals, {
    fn create_proposal(repo: &RepoId, new: &NewProposal) -> Proposal;
    fn replace_proposal(repo: &RepoId, proposal: &Proposal, entries: &[NewProposalEntry]) -> bool;
    fn proposal(repo: &RepoId, number: ProposalNumber) -> Option<Proposal>;
    fn proposals(
        repo: &RepoId,
        filter: &ProposalFilter,
        before: Option<ProposalNumber>,
        limit: u32,
    ) -> Vec<Proposal>;
    fn proposal_counts(repo: &RepoId) -> ProposalCounts;
    fn proposal_check(repo: &RepoId, number: ProposalNumber) -> Option<ProposalCheck>;
    fn put_proposal_check(repo: &RepoId, number: ProposalNumber, check: &ProposalCheck) -> ();
});

pass_on!(ProposalConversations, conversations, {
    fn add_proposal_entry(repo: &RepoId, number: ProposalNumber, entry: &NewProposalEntry) -> ProposalEntry;
    fn change_proposal_entry(
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
        body: Option<&str>,
        at: Timestamp,
    ) -> bool;
    fn proposal_entry(repo: &RepoId, number: ProposalNumber, id: u64) -> Option<ProposalEntry>;
    fn proposal_entries(repo: &RepoId, number: ProposalNumber, after: u64, limit: u32) -> Vec<ProposalEntry>;
    fn proposal_reviews(repo: &RepoId, number: ProposalNumber) -> Vec<Review>;
});
