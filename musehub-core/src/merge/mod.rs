//! Merging: two commits and the history they share, down to a tree or a list of conflicts. Pure: nothing here writes.
//!
//! A [`Merge`] says what it needs to know, as the [walks](crate::graph) do: commits of the graph, the trees of some of
//! them, and the contents of files that both sides changed. Whoever drives it fetches those and hands them in. Of a
//! criss-cross history the several bases are merged first, in the same way, into one that never existed; what cannot be
//! merged there is *unknown*, equal to no version of either side. A [`TreeMerge`] is the part below, for callers that have
//! three trees: a commit that is replayed on another one, for example.
//!
//! # Rules
//!
//! * What both sides have alike is taken, whatever the base says: equal ids never conflict.
//! * What one side changed and the other left is taken: an addition, a deletion, an edit, the executable bit by itself.
//! * A file that both sides edited is merged line by line. Changes of the same lines, or of lines that touch, conflict. A
//!   file with a NUL in it, or larger than [`MAX_TEXT_BYTES`] or [`MAX_TEXT_LINES`], is not text and conflicts.
//! * A file that one side moved without changing its bytes takes the other side's edit along. A move is a path deleted
//!   and one added with the same blob; where several were, those whose file names are alike and unique belong together and
//!   the rest are deletions and additions, as are moves of empty files and moves to where the other side has no room.
//!   What one side moved and the other deleted stays at its new path. Whole directories are not followed.
//! * A recorded directory is there if a side recorded it, unless the other one removed it.
//! * A file and something below the same path conflict.
//!
//! Conflicts refuse the merge ([`FileStrategy::Recursive`]) or are won by their side ([`FileStrategy::Overlay`]), line by
//! line in texts.

mod change;
mod mergeability;
mod plan;
pub(crate) mod rename;
mod run;
mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use mergeability::Mergeability;
pub use run::{Merge, Outcome, Step};
pub use tree::{Tree, TreeMerge, TreeStep};

use crate::id::{BlobId, HashAlgorithm};
use crate::path::RepoPath;
use crate::scheme::IdScheme;

/// The largest version of a file that is merged line by line, in bytes.
pub const MAX_TEXT_BYTES: u64 = 4 << 20;

/// The most lines of such a version. Finding the differences of long texts of few different lines takes far more than
/// linear time.
pub const MAX_TEXT_LINES: usize = 100_000;

/// How much text one merge reads at most, all versions of all files that both sides changed, in bytes.
pub const MAX_TOTAL_TEXT_BYTES: u64 = 256 << 20;

/// How many conflicts are listed; more are only counted.
pub const MAX_LISTED_CONFLICTS: usize = 1000;

/// How many best common ancestors two commits may have.
pub const MAX_BASES: usize = 16;

/// How many bases that never existed a merge may make out of several, those of bases included.
pub const MAX_VIRTUAL_BASES: usize = 64;

/// What becomes of conflicts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileStrategy {
    /// They refuse the merge.
    #[default]
    Recursive,
    /// Their side wins them.
    Overlay,
}

impl FileStrategy {
    /// The strategy's name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recursive => "recursive",
            Self::Overlay => "overlay",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Recursive, Self::Overlay].into_iter().find(|strategy| strategy.as_str() == name)
    }
}

/// How to merge.
#[derive(Clone, Copy, Debug)]
pub struct MergeOptions {
    /// What becomes of conflicts.
    pub strategy: FileStrategy,
    /// The scheme of the ids of merged files.
    pub scheme: IdScheme,
    /// Their hash function, where the scheme leaves a choice.
    pub algorithm: HashAlgorithm,
}

/// What stands in the way at one path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both sides changed the same lines.
    BothModified,
    /// One side changed what the other deleted.
    ModifyDelete,
    /// Both sides added a file here, with different contents.
    AddAdd,
    /// Both sides moved the file, to different paths.
    RenameRename {
        /// Where our side has it.
        ours: RepoPath,
        /// Where their side has it.
        theirs: RepoPath,
    },
    /// This path is a file, and another one needs it to be a directory.
    FileDirectory {
        /// A path below it, or the path itself where a directory is recorded there.
        below: RepoPath,
    },
    /// Both sides changed it, and a version is binary or too large to be merged line by line.
    Binary,
}

impl ConflictKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BothModified => "both_modified",
            Self::ModifyDelete => "modify_delete",
            Self::AddAdd => "add_add",
            Self::RenameRename { .. } => "rename_rename",
            Self::FileDirectory { .. } => "file_directory",
            Self::Binary => "binary",
        }
    }
}

/// A conflict, with the three versions of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// The path; where one side moved the file, the new one.
    pub path: RepoPath,
    /// What stands in the way.
    pub kind: ConflictKind,
    /// The version both sides began with; none where there was none, or none that is certain after a criss-cross.
    pub base: Option<BlobId>,
    /// Our version; none where it is deleted or elsewhere.
    pub ours: Option<BlobId>,
    /// Their version; none where it is deleted or elsewhere.
    pub theirs: Option<BlobId>,
}

/// Conflicts, in order of their paths within each kind of check.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Conflicts {
    /// The first [`MAX_LISTED_CONFLICTS`].
    pub listed: Vec<Conflict>,
    /// How many there are.
    pub total: usize,
}

impl Conflicts {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.total += other.total - other.listed.len();
        other.listed.into_iter().for_each(|conflict| self.add(conflict));
    }

    fn add(&mut self, conflict: Conflict) {
        self.total += 1;
        if self.listed.len() < MAX_LISTED_CONFLICTS {
            self.listed.push(conflict);
        }
    }
}

/// What a merge came to.
#[derive(Clone, Debug)]
pub struct MergedTree {
    /// The files and directories.
    pub tree: Tree,
    /// The merged files whose contents neither side has.
    pub blobs: BTreeMap<BlobId, Bytes>,
    /// The conflicts that their side won.
    pub overridden: Conflicts,
    /// Of a virtual base, the paths that have no version.
    unknown: BTreeSet<RepoPath>,
}

impl MergedTree {
    /// A tree that was there before.
    pub(crate) fn of(tree: Tree) -> Self {
        Self { tree, blobs: BTreeMap::new(), overridden: Conflicts::default(), unknown: BTreeSet::new() }
    }
}

/// The end of a merge of trees.
#[derive(Clone, Debug)]
pub enum Merged {
    /// There is a merged tree.
    Clean(MergedTree),
    /// There is none.
    Conflicts(Conflicts),
}

/// The content of a blob that a merge asked for.
#[derive(Clone)]
pub enum Content {
    /// Its bytes.
    Bytes(Bytes),
    /// It is larger than [`MAX_TEXT_BYTES`], so nobody need read it.
    TooLarge,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::TooLarge => f.write_str("too large"),
        }
    }
}

/// Why two commits are not merged here, though they might be elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// The files that both sides changed are too much to read.
    #[error("the files that both sides changed have more than {MAX_TOTAL_TEXT_BYTES} bytes together")]
    TooMuchText,
    /// The histories cross too often.
    #[error(
        "the histories cross too often: more than {MAX_BASES} best common ancestors, or {MAX_VIRTUAL_BASES} merges of such"
    )]
    TooManyBases,
    /// Both sides together have more files than a snapshot may have.
    #[error("the merged tree would have too many files")]
    TooManyFiles,
}
