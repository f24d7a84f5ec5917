//! A merge of two commits: their bases, the trees, the texts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::tree::{Base, Resolution};
use super::{
    Conflicts, Content, FileStrategy, MAX_BASES, MAX_VIRTUAL_BASES, MergeError, MergeOptions, Merged,
    MergedTree, Tree, TreeMerge, TreeStep,
};
use crate::graph::{self, CommitNode, MergeBases, Walk};
use crate::id::{BlobId, CommitId};

/// How far a [`Merge`] has come.
#[derive(Debug)]
pub enum Step {
    /// It needs to know of each of these commits: [`Merge::answer_commits`].
    Commits(Vec<CommitId>),
    /// It needs the tree of each of these commits: [`Merge::supply_tree`].
    Trees(Vec<CommitId>),
    /// It needs the content of each of these blobs: [`Merge::supply_content`].
    Contents(Vec<BlobId>),
    /// The end.
    Done(Outcome),
}

/// What there is to merge.
#[derive(Debug)]
pub enum Outcome {
    /// Both are the same commit.
    UpToDate,
    /// Our history has their commit: there is nothing to merge.
    Behind,
    /// Their history has our commit: the branch need only move.
    FastForward,
    /// The histories have no commit in common.
    Unrelated,
    /// There is a merged tree.
    Clean(MergedTree),
    /// There is none.
    Conflicts(Conflicts),
}

/// Why a run stops before its end.
enum Pause {
    Commits(Vec<CommitId>),
    Trees(Vec<CommitId>),
    Contents(Vec<BlobId>),
    Error(MergeError),
}

impl From<MergeError> for Pause {
    fn from(error: MergeError) -> Self {
        Self::Error(error)
    }
}

/// A merge of two commits, in steps. See the [module](super) for the rules.
///
/// A run goes from the start each time, over what has been found so far, until something is lacking. So the recursion
/// over the bases of bases reads as one.
#[derive(Debug)]
pub struct Merge {
    ours: CommitId,
    theirs: CommitId,
    options: MergeOptions,
    /// The walks for the bases of pairs of commits, and what they found.
    walks: HashMap<(CommitId, CommitId), MergeBases>,
    bases: HashMap<(CommitId, CommitId), Vec<CommitId>>,
    trees: HashMap<CommitId, Arc<Tree>>,
    /// The bases made of several commits.
    virtual_bases: HashMap<Vec<CommitId>, Base>,
    /// The files that only virtual bases have.
    virtual_blobs: BTreeMap<BlobId, Bytes>,
    /// The merge of trees that is under way.
    running: Option<TreeMerge>,
}

impl Merge {
    /// Starts a merge of `theirs` into `ours`.
    #[must_use]
    pub fn new(ours: CommitId, theirs: CommitId, options: MergeOptions) -> Self {
        Self {
            ours,
            theirs,
            options,
            walks: HashMap::new(),
            bases: HashMap::new(),
            trees: HashMap::new(),
            virtual_bases: HashMap::new(),
            virtual_blobs: BTreeMap::new(),
            running: None,
        }
    }

    /// Answers [`Step::Commits`]: every asked commit that is not among `nodes` is absent.
    pub fn answer_commits(&mut self, asked: &[CommitId], nodes: &[CommitNode]) {
        for walk in self.walks.values_mut() {
            walk.answer(asked, nodes.iter().cloned());
        }
    }

    /// Hands in the tree of a commit.
    pub fn supply_tree(&mut self, commit: CommitId, tree: Arc<Tree>) {
        self.trees.insert(commit, tree);
    }

    /// Hands in the content of a blob.
    pub fn supply_content(&mut self, blob: BlobId, content: Content) {
        if let Some(running) = &mut self.running {
            running.supply(blob, content);
        }
    }

    /// Runs as far as possible. May take long: texts are merged here. A merge is spent once it is done.
    ///
    /// # Errors
    /// [`MergeError`] where a limit is reached.
    pub fn step(&mut self) -> Result<Step, MergeError> {
        match self.run() {
            Ok(outcome) => Ok(Step::Done(outcome)),
            Err(Pause::Commits(ids)) => Ok(Step::Commits(ids)),
            Err(Pause::Trees(ids)) => Ok(Step::Trees(ids)),
            Err(Pause::Contents(ids)) => Ok(Step::Contents(ids)),
            Err(Pause::Error(error)) => Err(error),
        }
    }

    fn run(&mut self) -> Result<Outcome, Pause> {
        if self.ours == self.theirs {
            return Ok(Outcome::UpToDate);
        }
        let bases = self.bases_of(self.ours, self.theirs)?;
        match bases[..] {
            [] => return Ok(Outcome::Unrelated),
            [base] if base == self.theirs => return Ok(Outcome::Behind),
            [base] if base == self.ours => return Ok(Outcome::FastForward),
            _ => {}
        }
        let base = self.base_tree(&bases, 0)?;
        let (ours, theirs) = (self.tree(self.ours)?, self.tree(self.theirs)?);
        let resolution = match self.options.strategy {
            FileStrategy::Recursive => Resolution::Refuse,
            FileStrategy::Overlay => Resolution::Theirs,
        };
        match self.merge_trees(resolution, &base, ours, theirs)? {
            Merged::Clean(merged) => Ok(Outcome::Clean(merged)),
            Merged::Conflicts(conflicts) => Ok(Outcome::Conflicts(conflicts)),
        }
    }

    /// The best common ancestors of two commits.
    fn bases_of(&mut self, a: CommitId, b: CommitId) -> Result<Vec<CommitId>, Pause> {
        if let Some(bases) = self.bases.get(&(a, b)) {
            return Ok(bases.clone());
        }
        let walk = self.walks.entry((a, b)).or_insert_with(|| MergeBases::new(a, b));
        match walk.step() {
            graph::Step::Need(ids) => Err(Pause::Commits(ids)),
            graph::Step::Done(bases) if bases.len() > MAX_BASES => Err(MergeError::TooManyBases.into()),
            graph::Step::Done(bases) => {
                self.walks.remove(&(a, b));
                self.bases.insert((a, b), bases.clone());
                Ok(bases)
            }
        }
    }

    fn tree(&self, commit: CommitId) -> Result<Arc<Tree>, Pause> {
        self.trees.get(&commit).cloned().ok_or_else(|| Pause::Trees(vec![commit]))
    }

    /// The tree that a merge with these bases begins with. Several are merged one after the other, each from the bases
    /// that it has in common with the first.
    fn base_tree(&mut self, bases: &[CommitId], depth: usize) -> Result<Base, Pause> {
        let [first, .., last] = *bases else {
            let tree = bases.first().map_or_else(|| Ok(Arc::default()), |base| self.tree(*base))?;
            return Ok(Base { tree, ..Base::default() });
        };
        if let Some(base) = self.virtual_bases.get(bases) {
            return Ok(base.clone());
        }
        if depth.max(self.virtual_bases.len()) >= MAX_VIRTUAL_BASES {
            return Err(MergeError::TooManyBases.into());
        }
        let ours = self.base_tree(&bases[..bases.len() - 1], depth)?;
        let theirs = self.tree(last)?;
        let below = self.bases_of(first, last)?;
        let mut base = self.base_tree(&below, depth + 1)?;
        // What is unknown on a side is so in what they make together, whatever they began with.
        Arc::make_mut(&mut base.unknown).extend(ours.unknown.iter().cloned());
        let Merged::Clean(mut merged) = self.merge_trees(Resolution::Unknown, &base, ours.tree, theirs)?
        else {
            unreachable!("a virtual base leaves conflicts unknown");
        };
        merged.unknown.extend(ours.unknown.iter().cloned());
        self.virtual_blobs.append(&mut merged.blobs);
        let base = Base { tree: Arc::new(merged.tree), unknown: Arc::new(merged.unknown) };
        self.virtual_bases.insert(bases.to_vec(), base.clone());
        Ok(base)
    }

    fn merge_trees(
        &mut self,
        resolution: Resolution,
        base: &Base,
        ours: Arc<Tree>,
        theirs: Arc<Tree>,
    ) -> Result<Merged, Pause> {
        let options = self.options;
        let running =
            self.running.get_or_insert_with(|| TreeMerge::resolving(resolution, base, ours, theirs, options));
        loop {
            match running.step()? {
                TreeStep::Done(merged) => {
                    self.running = None;
                    return Ok(merged);
                }
                TreeStep::Contents(ids) => {
                    let (held, lacking): (Vec<_>, Vec<_>) =
                        ids.into_iter().partition(|id| self.virtual_blobs.contains_key(id));
                    if held.is_empty() {
                        return Err(Pause::Contents(lacking));
                    }
                    for id in held {
                        running.supply(id, Content::Bytes(self.virtual_blobs[&id].clone()));
                    }
                }
            }
        }
    }
}
