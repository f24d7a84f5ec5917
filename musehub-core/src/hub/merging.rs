//! Merges made by the hub: what there is to merge, and the commits of the merge in the history that was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::advance::{Advance, Expected, Novelty};
use super::commit_files::{algorithm_of, require_texts};
use super::compose::{Composer, Says};
use super::push::Origin;
use super::{Hub, InlineBlob, MergeRefused, Push};
use crate::cpu;
use crate::graph::Reachable;
use crate::id::{BlobId, CommitId};
use crate::merge::{
    Conflicts, Content, FileStrategy, MAX_TEXT_BYTES, Merge, MergeOptions, Mergeability, Merged, MergedTree,
    Outcome, Step, Tree, TreeMerge, TreeStep,
};
use crate::name::{BranchName, Handle};
use crate::object::{Commit, SnapshotRecord};
use crate::port::{BackendError, ProposalNumber, RepositoryRecord};
use crate::scheme::IdScheme;

/// The most commits of one rebase.
pub const MAX_REPLAYED_COMMITS: usize = 1000;

/// What history a merge leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HistoryStrategy {
    /// One commit with both parents, even where the branch could just be moved.
    #[default]
    Merge,
    /// One commit with one parent.
    Squash,
    /// Each commit of the source made again on top of the branch; those that change nothing there are left out. Where the
    /// branch can just be moved, it is.
    Rebase,
    /// None but the source's: the branch is moved.
    FastForward,
}

/// A merge to be made.
#[derive(Clone, Debug)]
pub struct MergeRequest {
    /// The branch to merge into.
    pub target: BranchName,
    /// Where it stands, by who asks.
    pub expected_head: CommitId,
    /// The commit to merge.
    pub source: CommitId,
    /// What history it leaves.
    pub history: HistoryStrategy,
    /// What becomes of conflicts.
    pub files: FileStrategy,
    /// Who wrote what is merged; of a rebase, each commit keeps its own author.
    pub author: String,
    /// The message; of a rebase, each commit keeps its own.
    pub message: String,
    /// A branch to delete after the merge, if it stands at `source` then.
    pub delete_source: Option<BranchName>,
}

/// What a merge did.
#[derive(Clone, Debug)]
pub struct MergeOutcome {
    /// The head of the target now.
    pub head: CommitId,
    /// The commits that were made, parents first; none where the branch was just moved.
    pub commits: Vec<CommitId>,
    /// The conflicts that the source won.
    pub overridden: Conflicts,
    /// Whether the source branch was deleted.
    pub source_deleted: bool,
}

/// The commits of a merge, to be pushed; none where the branch can just be moved.
#[derive(Debug, Default)]
pub(super) struct PlannedMerge {
    commits: Vec<Commit>,
    snapshots: Vec<SnapshotRecord>,
    blobs: BTreeMap<BlobId, Bytes>,
    overridden: Conflicts,
}

impl PlannedMerge {
    /// The head that the target will have.
    pub(super) fn head(&self, request: &MergeRequest) -> CommitId {
        self.commits.last().map_or(request.source, Commit::id)
    }
}

/// Who merges, and by which proposal.
#[derive(Clone, Copy, Debug)]
struct Merger<'a> {
    merger: &'a Handle,
    proposal: Option<ProposalNumber>,
}

impl Hub {
    /// Whether `source` can be merged into `target`. Writes nothing.
    ///
    /// # Errors
    /// [`MergeRefused`] where a commit is not there or a limit is reached.
    pub async fn mergeability(
        &self,
        repo: &RepositoryRecord,
        target: CommitId,
        source: CommitId,
        files: FileStrategy,
    ) -> Result<Mergeability, MergeRefused> {
        self.merge_commits(repo, target, source, files).await.map(Mergeability::from)
    }

    /// Merges a commit into a branch. It is durable when this returns.
    ///
    /// # Errors
    /// [`MergeRefused`]; then nothing is visible. [`PushError::BranchMoved`](super::PushError::BranchMoved) within it where the
    /// branch is not where it was expected.
    pub async fn merge(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        request: MergeRequest,
    ) -> Result<MergeOutcome, MergeRefused> {
        let planned = self.plan_merge(repo, merger, &request, None).await?;
        self.carry_out_merge(repo, merger, &request, planned, Origin::Hub).await
    }

    /// Makes the commits of a merge. Writes nothing.
    pub(super) async fn plan_merge(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        request: &MergeRequest,
        proposal: Option<ProposalNumber>,
    ) -> Result<PlannedMerge, MergeRefused> {
        require_texts(&request.message, &request.author)?;
        let (ours, source) = (request.expected_head, request.source);
        self.require_head(repo, &request.target, Some(ours)).await?;
        let merger = Merger { merger, proposal };
        let outcome = self.merge_commits(repo, ours, source, request.files).await?;
        Ok(match (outcome, request.history) {
            (Outcome::UpToDate | Outcome::Behind, _) => return Err(MergeRefused::NothingToMerge),
            (Outcome::Unrelated, _) => return Err(MergeRefused::Unrelated),
            (Outcome::FastForward, HistoryStrategy::FastForward | HistoryStrategy::Rebase) => {
                PlannedMerge::default()
            }
            (_, HistoryStrategy::FastForward) => return Err(MergeRefused::NotFastForward),
            // What conflicts as a whole may not when it comes commit by commit, and the other way round.
            (_, HistoryStrategy::Rebase) => self.replay(repo, merger, request).await?,
            (Outcome::Conflicts(conflicts), _) => return Err(MergeRefused::Conflicts(conflicts)),
            (Outcome::Clean(merged), _) => self.join(repo, merger, request, merged)?,
            (Outcome::FastForward, _) => {
                let tree = self.tree_of(repo, source).await?;
                self.join(repo, merger, request, MergedTree::of(tree))?
            }
        })
    }

    /// Moves the target to the commits of a merge. It is durable when this returns.
    pub(super) async fn carry_out_merge(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        request: &MergeRequest,
        planned: PlannedMerge,
        origin: Origin,
    ) -> Result<MergeOutcome, MergeRefused> {
        let head = planned.head(request);
        self.move_target(repo, merger, request, &planned, origin).await?;
        let source_deleted = match &request.delete_source {
            None => false,
            // The merge is made; a branch that moved meanwhile, or that must stay, stays.
            Some(branch) => self.delete_branch(repo, merger, branch, request.source).await.is_ok(),
        };
        let commits = planned.commits.iter().map(Commit::id).collect();
        Ok(MergeOutcome { head, commits, overridden: planned.overridden, source_deleted })
    }

    /// Moves the target to the commits that were made, or where there are none to the source.
    async fn move_target(
        &self,
        repo: &RepositoryRecord,
        merger: &Handle,
        request: &MergeRequest,
        planned: &PlannedMerge,
        origin: Origin,
    ) -> Result<(), MergeRefused> {
        let expected = Expected::Head(Some(request.expected_head));
        if planned.commits.is_empty() {
            let (branch, to, way) = (&request.target, Some(request.source), origin.way());
            let advance = Advance { repo, branch, to, expected, force: false, way, pusher: merger };
            self.advance(advance, &Novelty::default()).await?;
            return Ok(());
        }
        let blobs =
            planned.blobs.iter().map(|(id, content)| InlineBlob { id: *id, content: content.clone() });
        let push = Push {
            branch: request.target.clone(),
            force: false,
            scheme: scheme_of(repo),
            commits: planned.commits.iter().map(|commit| commit.record().clone()).collect(),
            snapshots: planned.snapshots.clone(),
            blobs: blobs.collect(),
        };
        self.receive(repo, merger, push, expected, origin).await?;
        Ok(())
    }

    /// One commit of the merged tree.
    fn join(
        &self,
        repo: &RepositoryRecord,
        merger: Merger<'_>,
        request: &MergeRequest,
        merged: MergedTree,
    ) -> Result<PlannedMerge, MergeRefused> {
        let composer = self.composer(repo, request);
        let snapshot = composer.snapshot(merged.tree)?;
        let parents = match request.history {
            HistoryStrategy::Merge => vec![request.expected_head, request.source],
            _ => vec![request.expected_head],
        };
        let says = Says {
            author: &request.author,
            message: &request.message,
            merged_by: Some(merger.merger),
            proposal: merger.proposal,
            ..Says::default()
        };
        let commit = composer.commit(&parents, &snapshot, &says)?;
        let (commits, snapshots) = (vec![commit], vec![snapshot]);
        Ok(PlannedMerge { commits, snapshots, blobs: merged.blobs, overridden: merged.overridden })
    }

    /// The commits of the source again, on top of the target.
    async fn replay(
        &self,
        repo: &RepositoryRecord,
        merger: Merger<'_>,
        request: &MergeRequest,
    ) -> Result<PlannedMerge, MergeRefused> {
        let mut walk = Reachable::new([request.source], [request.expected_head]);
        let ids = self.walk(&repo.repo_id, &mut walk).await?.commits;
        if ids.len() > MAX_REPLAYED_COMMITS {
            return Err(MergeRefused::TooManyCommits);
        }
        let composer = self.composer(repo, request);
        let options = options(repo, request.expected_head, request.files);
        let mut made = PlannedMerge::default();
        let (mut head, mut tree) =
            (request.expected_head, Arc::new(self.tree_of(repo, request.expected_head).await?));
        for id in ids.into_iter().rev() {
            let replayed = self.commit_record(repo, id).await?;
            let base = match *replayed.parents() {
                [] => Tree::default(),
                [parent] => self.tree_of(repo, parent).await?,
                _ => return Err(MergeRefused::ReplaysMerge { commit: id }),
            };
            let theirs = Arc::new(self.tree_of(repo, id).await?);
            let merge = TreeMerge::new(Arc::new(base), Arc::clone(&tree), theirs, options);
            let merged = match self.merge_trees(repo, merge, &made.blobs).await? {
                Merged::Clean(merged) => merged,
                Merged::Conflicts(conflicts) => return Err(MergeRefused::Conflicts(conflicts)),
            };
            if merged.tree == *tree {
                continue;
            }
            tree = Arc::new(merged.tree.clone());
            made.blobs.extend(merged.blobs);
            made.overridden.append(merged.overridden);
            let snapshot = composer.snapshot(merged.tree)?;
            let says = Says {
                author: replayed.text("author"),
                message: replayed.text("message"),
                merged_by: Some(merger.merger),
                proposal: merger.proposal,
                replays: Some(&replayed),
            };
            let commit = composer.commit(&[head], &snapshot, &says)?;
            head = commit.id();
            made.commits.push(commit);
            made.snapshots.push(snapshot);
        }
        if made.commits.is_empty() { Err(MergeRefused::NothingToMerge) } else { Ok(made) }
    }

    fn composer<'a>(&self, repo: &RepositoryRecord, request: &'a MergeRequest) -> Composer<'a> {
        Composer {
            scheme: scheme_of(repo),
            algorithm: algorithm_of(Some(request.expected_head)),
            branch: &request.target,
            at: self.backends.clock.now(),
        }
    }

    /// Drives a merge of two commits.
    async fn merge_commits(
        &self,
        repo: &RepositoryRecord,
        ours: CommitId,
        theirs: CommitId,
        files: FileStrategy,
    ) -> Result<Outcome, MergeRefused> {
        for id in [ours, theirs] {
            self.commit(repo, id).await?;
        }
        let mut merge = Merge::new(ours, theirs, options(repo, ours, files));
        loop {
            let (back, step) = cpu::run(move || {
                let step = merge.step();
                (merge, step)
            })
            .await;
            merge = back;
            match step? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Commits(ids) => {
                    let nodes =
                        self.backends.history.commit_nodes(&repo.repo_id, &ids, super::WALK_WINDOW).await?;
                    merge.answer_commits(&ids, &nodes);
                }
                Step::Trees(ids) => {
                    for id in ids {
                        merge.supply_tree(id, Arc::new(self.tree_of(repo, id).await?));
                    }
                }
                Step::Contents(ids) => {
                    for (id, content) in self.merge_contents(repo, &ids, &BTreeMap::new()).await? {
                        merge.supply_content(id, content);
                    }
                }
            }
        }
    }

    /// Drives a merge of three trees, some of whose files are not stored yet.
    async fn merge_trees(
        &self,
        repo: &RepositoryRecord,
        mut merge: TreeMerge,
        new: &BTreeMap<BlobId, Bytes>,
    ) -> Result<Merged, MergeRefused> {
        loop {
            let (back, step) = cpu::run(move || {
                let step = merge.step();
                (merge, step)
            })
            .await;
            merge = back;
            match step? {
                TreeStep::Done(merged) => return Ok(merged),
                TreeStep::Contents(ids) => {
                    for (id, content) in self.merge_contents(repo, &ids, new).await? {
                        merge.supply(id, content);
                    }
                }
            }
        }
    }

    /// The contents that a merge asks for. It asks for few files at a time.
    async fn merge_contents(
        &self,
        repo: &RepositoryRecord,
        ids: &[BlobId],
        new: &BTreeMap<BlobId, Bytes>,
    ) -> Result<Vec<(BlobId, Content)>, BackendError> {
        let mut contents: Vec<(BlobId, Content)> =
            ids.iter().filter_map(|id| Some((*id, Content::Bytes(new.get(id)?.clone())))).collect();
        let stored: Vec<BlobId> = ids.iter().copied().filter(|id| !new.contains_key(id)).collect();
        let rows = self.backends.history.blobs(&repo.repo_id, &stored).await?;
        if let Some(absent) = stored.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
            return Err(BackendError::Missing { what: format!("blob {absent}") });
        }
        let (small, large): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.size <= MAX_TEXT_BYTES);
        contents.extend(large.into_iter().map(|row| (row.id, Content::TooLarge)));
        let bytes = self.contents(&small).await?.into_iter().map(Content::Bytes);
        contents.extend(small.iter().map(|row| row.id).zip(bytes));
        Ok(contents)
    }
}

/// The scheme of a repository that has commits.
pub(super) fn scheme_of(repo: &RepositoryRecord) -> IdScheme {
    repo.scheme.unwrap_or(IdScheme::TypedV2)
}

fn options(repo: &RepositoryRecord, ours: CommitId, strategy: FileStrategy) -> MergeOptions {
    MergeOptions { strategy, scheme: scheme_of(repo), algorithm: algorithm_of(Some(ours)) }
}
