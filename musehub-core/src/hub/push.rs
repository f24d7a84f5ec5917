//! The receipt of a push.

use std::collections::{HashMap, HashSet};

use super::advance::{Advance, Advanced, Expected, MAX_RACES, Novelty, Way};
use super::incoming::{Incoming, Push, verify_snapshots};
use super::rebuild::PushedSnapshots;
use super::{Hub, Missing, PushError, opaque_ids, sorted};
use crate::graph::{CommitNode, number_commits, topological_order};
use crate::id::{CommitId, SnapshotId};
use crate::name::{BranchName, Handle};
use crate::object::SnapshotRecord;
use crate::port::{BranchRow, RepositoryRecord};
use crate::scheme::IdScheme;

/// What a push did.
#[derive(Clone, Debug)]
pub struct PushOutcome {
    /// The branch's head now.
    pub head: CommitId,
    /// Every head of the repository now.
    pub branches: Vec<BranchRow>,
    /// Commits that the repository did not hold.
    pub commits_stored: usize,
    /// Snapshots that the repository did not hold.
    pub snapshots_stored: usize,
    /// Blobs that the repository did not hold.
    pub blobs_stored: usize,
    /// Those of them that the store had already, as another repository holds them.
    pub blobs_shared: usize,
}

/// Who made the commits of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Whoever pushes them.
    Client,
    /// The hub, for somebody who asked it to. It holds nobody's key, so what it makes is not signed; that somebody may write
    /// is known already.
    Hub,
    /// The hub, as it merges a proposal.
    Proposal,
}

impl Origin {
    /// How the move of the branch comes about.
    pub(super) const fn way(self) -> Way {
        match self {
            Self::Client | Self::Hub => Way::Direct,
            Self::Proposal => Way::Proposal,
        }
    }
}

/// A push with what only some generations say: where the branch is to go, and snapshots as deltas.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) push: Push,
    /// Where the branch is to go; none where that is the commit which is nobody's parent.
    pub(super) head: Option<CommitId>,
    pub(super) deltas: PushedSnapshots,
    /// Commits that the repository has to hold afterwards, as something else of the push is about them.
    pub(super) named: Vec<CommitId>,
}

impl From<Push> for Received {
    fn from(push: Push) -> Self {
        Self { push, head: None, deltas: PushedSnapshots::default(), named: Vec::new() }
    }
}

impl Hub {
    /// Receives a push: verifies it, stores it, moves the branch. It is durable when this returns.
    ///
    /// # Errors
    /// [`PushError`]; then nothing of the push is visible.
    pub async fn receive_push(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        push: Push,
    ) -> Result<PushOutcome, PushError> {
        self.receive(repo, pusher, push, Expected::Any, Origin::Client).await
    }

    /// Receives a push whose sender says which commit the branch is to point at: one of the push, or one that the repository
    /// holds.
    ///
    /// # Errors
    /// As [`receive_push`](Self::receive_push); [`PushError::Incomplete`] where there is no such commit.
    pub async fn receive_push_to(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        push: Push,
        head: CommitId,
    ) -> Result<PushOutcome, PushError> {
        let received = Received { head: Some(head), ..push.into() };
        self.receive_all(repo, pusher, received, Expected::Any, Origin::Client).await
    }

    /// Receives what a client pushed or the hub itself made.
    pub(super) async fn receive(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        push: Push,
        expected: Expected,
        origin: Origin,
    ) -> Result<PushOutcome, PushError> {
        self.receive_all(repo, pusher, push.into(), expected, origin).await
    }

    /// Receives what came as a pack.
    pub(super) async fn receive_pack(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        received: Received,
    ) -> Result<PushOutcome, PushError> {
        self.receive_all(repo, pusher, received, Expected::Any, Origin::Client).await
    }

    async fn receive_all(
        &self,
        repo: &RepositoryRecord,
        pusher: &Handle,
        received: Received,
        expected: Expected,
        origin: Origin,
    ) -> Result<PushOutcome, PushError> {
        let Received { push, head, deltas, named } = received;
        let scheme = repo.scheme.unwrap_or(push.scheme);
        let Push { branch, force, commits, snapshots, blobs, .. } = push;
        let incoming = Incoming::verify(scheme, opaque_ids(repo), commits, blobs).await?;
        let tip = match head {
            Some(head) => Some(head),
            None => incoming.tip(&branch)?,
        };
        let Some(tip) = tip else {
            self.require_named(repo, named, &Novelty::default()).await?;
            return self.push_nothing(repo, &branch).await;
        };
        let novelty = if incoming.commits.contains_key(&tip) {
            self.novelty(repo, scheme, incoming, tip, snapshots, deltas).await?
        } else {
            self.require_held(repo, tip).await?;
            Novelty::default()
        };
        self.require_named(repo, named, &novelty).await?;
        if origin == Origin::Client {
            let commits = novelty.nodes.iter().map(|node| &novelty.incoming.commits[&node.id]);
            self.require_signatures(repo, scheme, commits).await?;
        }
        let repo = &self.prepare_first_push(repo, scheme, &branch).await?;
        let advance =
            Advance { repo, branch: &branch, to: Some(tip), expected, force, way: origin.way(), pusher };
        let mut novelty = novelty;
        for _ in 0..MAX_RACES {
            match self.advance(advance, &novelty).await? {
                Advanced::Moved => return self.outcome(repo, tip, &novelty).await,
                Advanced::Stands => return self.outcome(repo, tip, &Novelty::default()).await,
                Advanced::Unstaged => self.collect_again(repo, scheme, &mut novelty).await?,
            }
        }
        Err(PushError::Busy { branch })
    }

    /// Refuses to move a branch to a commit that is neither in the push nor in the repository.
    async fn require_held(&self, repo: &RepositoryRecord, head: CommitId) -> Result<(), PushError> {
        if self.backends.history.commit_nodes(&repo.repo_id, &[head], 0).await?.is_empty() {
            return Err(PushError::Incomplete(Missing { commits: vec![head], ..Missing::default() }));
        }
        Ok(())
    }

    /// Refuses a push that says something of commits which are neither new by it nor in the repository.
    async fn require_named(
        &self,
        repo: &RepositoryRecord,
        named: Vec<CommitId>,
        novelty: &Novelty,
    ) -> Result<(), PushError> {
        let mut named: HashSet<CommitId> = named.into_iter().collect();
        let new: HashSet<CommitId> = novelty.nodes.iter().map(|node| node.id).collect();
        named.retain(|id| !new.contains(id));
        if named.is_empty() {
            return Ok(());
        }
        let held = self.backends.history.commit_nodes(&repo.repo_id, &sorted(&named), 0).await?;
        let held: HashSet<CommitId> = held.iter().map(|node| node.id).collect();
        named.retain(|id| !held.contains(id));
        if named.is_empty() {
            return Ok(());
        }
        Err(PushError::Incomplete(Missing { commits: sorted(&named), ..Missing::default() }))
    }

    /// A push without commits: a branch that is there stays as it is.
    async fn push_nothing(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
    ) -> Result<PushOutcome, PushError> {
        let position = self.position(repo, branch).await?;
        let head = position.head.ok_or_else(|| PushError::NothingToPush { branch: branch.clone() })?;
        self.outcome(repo, head, &Novelty::default()).await
    }

    /// Finds what the repository lacks of a push, and refuses one that would leave a hole.
    async fn novelty(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        incoming: Incoming,
        tip: CommitId,
        snapshots: Vec<SnapshotRecord>,
        deltas: PushedSnapshots,
    ) -> Result<Novelty, PushError> {
        let nodes = self.new_commits(repo, &incoming, tip).await?;
        let needed: HashSet<SnapshotId> =
            nodes.iter().map(|node| incoming.commits[&node.id].snapshot()).collect();
        let held = self.backends.history.snapshots(&repo.repo_id, &sorted(&needed)).await?;
        let held: HashSet<SnapshotId> = held.iter().map(|row| row.id).collect();
        let lacking: HashSet<SnapshotId> = needed.difference(&held).copied().collect();
        let rebuilt = self.rebuild_snapshots(repo, scheme, &snapshots, deltas, &lacking).await?;
        let (mut snapshots, mut blobs) =
            verify_snapshots(scheme, opaque_ids(repo), snapshots, lacking.clone()).await?;
        snapshots.extend(rebuilt.0);
        blobs.extend(rebuilt.1);
        let ready: HashSet<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();

        let mut novelty = Novelty { incoming, nodes, snapshots, ..Novelty::default() };
        let missing = Missing {
            commits: Vec::new(),
            snapshots: sorted(&lacking.difference(&ready).copied().collect()),
            blobs: self.collect_blobs(repo, scheme, sorted(&blobs), &mut novelty).await?,
        };
        if missing.is_empty() { Ok(novelty) } else { Err(PushError::Incomplete(missing)) }
    }

    /// The commits of the push that the repository lacks, parents first; refuses those whose parents are nowhere.
    async fn new_commits(
        &self,
        repo: &RepositoryRecord,
        incoming: &Incoming,
        tip: CommitId,
    ) -> Result<Vec<CommitNode>, PushError> {
        let reachable = incoming.reachable_from(tip);
        let edges = |id: &CommitId| (*id, incoming.commits[id].parents().to_vec());
        let named: HashSet<CommitId> =
            reachable.iter().map(edges).flat_map(|(id, parents)| parents.into_iter().chain([id])).collect();
        let held = self.backends.history.commit_nodes(&repo.repo_id, &sorted(&named), 0).await?;
        let held: HashMap<CommitId, u64> = held.into_iter().map(|node| (node.id, node.generation)).collect();

        let fresh: Vec<_> = reachable.iter().filter(|id| !held.contains_key(id)).map(edges).collect();
        let known = |id: &CommitId| held.contains_key(id) || incoming.commits.contains_key(id);
        let absent: HashSet<CommitId> =
            fresh.iter().flat_map(|(_, parents)| parents.iter().copied()).filter(|id| !known(id)).collect();
        if !absent.is_empty() {
            return Err(PushError::Incomplete(Missing { commits: sorted(&absent), ..Missing::default() }));
        }
        let order = topological_order(&fresh)?;
        let nodes = number_commits(&fresh, &order, |id| held.get(&id).copied())
            .expect("every parent is held or comes earlier in the order");
        Ok(nodes)
    }

    async fn outcome(
        &self,
        repo: &RepositoryRecord,
        head: CommitId,
        novelty: &Novelty,
    ) -> Result<PushOutcome, PushError> {
        Ok(PushOutcome {
            head,
            branches: self.backends.history.branches(&repo.repo_id).await?,
            commits_stored: novelty.nodes.len(),
            snapshots_stored: novelty.snapshots.len(),
            blobs_stored: novelty.blobs.len() + novelty.shared.len(),
            blobs_shared: novelty.shared.len(),
        })
    }
}
