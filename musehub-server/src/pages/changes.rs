//! The data of pages about changes: commits, comparisons, branches.
//!
//! As in [`views`](super::views) text is raw, times are as stored and ids are whole.

use serde::{Deserialize, Serialize};

use super::highlight::CodeLine;
use super::{CommitRow, Page, RepoHeader};

/// `GET /{owner}/{slug}/commits/{id}`: one commit and what it changed.
#[derive(Debug, Clone, Serialize)]
pub struct CommitPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// The commit.
    pub commit: CommitRow,
    /// Its message after the first line.
    pub body: String,
    /// Its parents, in order.
    pub parents: Vec<ParentView>,
    /// The branch on which it was made, by its record; may be empty.
    pub branch: String,
    /// Whole id of its snapshot.
    pub snapshot_id: String,
    /// Who and what made it.
    pub provenance: Provenance,
    /// Whether the snapshot's id is proven; else it is taken on its client's word.
    pub snapshot_verified: bool,
    /// What is known of its signature.
    pub signature: SignatureView,
    /// What its client says about its meaning.
    pub reported: Reported,
    /// What changed from the selected parent.
    pub diff: DiffView,
}

/// A parent of a commit.
#[derive(Debug, Clone, Serialize)]
pub struct ParentView {
    /// Whole commit id.
    pub id: String,
    /// Which parent it is, counted from 1.
    pub number: u64,
    /// Whether the changes are those from it.
    pub selected: bool,
}

/// Who and what made a commit, by its record. Empty texts were not recorded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Provenance {
    /// The agent.
    pub agent_id: String,
    /// Its model.
    pub model_id: String,
    /// The toolchain.
    pub toolchain_id: String,
    /// The hash of the prompt.
    pub prompt_hash: String,
    /// Who reviewed it.
    pub reviewed_by: Vec<String>,
    /// How often tests were run.
    pub test_runs: u64,
    /// Other things that were noted, by name.
    pub metadata: Vec<Note>,
    /// Entries left out of `metadata`.
    pub metadata_omitted: u64,
}

/// A name and what was noted under it.
#[derive(Debug, Clone, Serialize)]
pub struct Note {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
}

/// What is known of the signature of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// It fits, and its key is registered and in force.
    Valid,
    /// It fits, and its key was retired since.
    RetiredKey,
    /// It fits, and nobody registered its key; or the commit does not bring the key.
    UnknownKey,
    /// It does not fit the commit, or is none.
    Invalid,
    /// It was made with a secret that its maker shares with whoever should check it. Nobody else can.
    Unverifiable,
    /// There is none.
    Unsigned,
}

/// The signature of a commit.
#[derive(Debug, Clone, Serialize)]
pub struct SignatureView {
    /// What is known of it.
    pub state: SignatureState,
    /// Whose key it is, or was; none where that is not known.
    pub signer: Option<String>,
    /// Since when the key is retired.
    pub retired_at: Option<String>,
    /// The key that its record names; may be empty.
    pub key: String,
}

/// What a client says about the meaning of a commit. The hub has not checked any of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reported {
    /// `major`, `minor` or `patch`; none where it says nothing.
    pub bump: Option<String>,
    /// What breaks.
    pub breaking: Vec<String>,
    /// Entries left out of `breaking`.
    pub breaking_omitted: u64,
}

/// `GET /{owner}/{slug}/compare/{base}...{head}`: what one version has and another has not.
#[derive(Debug, Clone, Serialize)]
pub struct ComparePage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// What is compared with.
    pub base: EndView,
    /// What is compared.
    pub head: EndView,
    /// Whole ids of the best common ancestors.
    pub merge_bases: Vec<String>,
    /// How the two stand to each other.
    pub standing: Standing,
    /// The first paths in conflict.
    pub conflicts: Vec<String>,
    /// How many paths are in conflict.
    pub conflicts_total: u64,
    /// Commits that only the head has, newest first.
    pub commits: Vec<CommitRow>,
    /// How many those are.
    pub ahead: u64,
    /// How many commits only the base has.
    pub behind: u64,
    /// Whether both numbers are exact; there may be more otherwise.
    pub exact: bool,
    /// What changed from the common ancestor to the head.
    pub diff: DiffView,
}

/// What names one end of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// The id of a commit.
    Commit,
}

/// One end of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct EndView {
    /// How it was named: a branch, a tag or a whole commit id.
    pub name: String,
    /// Which of them.
    pub kind: EndKind,
    /// Whole id of its commit.
    pub commit_id: String,
}

/// How two commits stand to each other, as far as merging goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Both are the same commit.
    Same,
    /// The base has all of the head.
    Merged,
    /// The base can just be moved to the head.
    FastForward,
    /// They merge without conflict.
    Clean,
    /// They do not.
    Conflicts,
    /// They have no commit in common.
    Unrelated,
    /// Finding out would take too long.
    Unknown,
}

/// `GET /{owner}/{slug}/branches`.
#[derive(Debug, Clone, Serialize)]
pub struct BranchListPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// One page of branches: the default branch, then those that moved last.
    pub branches: Vec<BranchEntry>,
    /// How many there are.
    pub total: u64,
    /// Page shown, counted from 1.
    pub page: u64,
    /// Number of pages, at least 1.
    pub pages: u64,
}

/// A branch in a list.
#[derive(Debug, Clone, Serialize)]
pub struct BranchEntry {
    /// Its name, which may hold slashes.
    pub name: String,
    /// Whether it is the default branch.
    pub is_default: bool,
    /// Whether pushes to it are restricted.
    pub is_protected: bool,
    /// Its head.
    pub head: CommitRow,
    /// When it moved last.
    pub moved_at: String,
    /// How it stands to the default branch, where that is another one.
    pub apart: Option<ApartView>,
}

/// `GET /{owner}/{slug}/tags`, for people.
#[derive(Debug, Clone, Serialize)]
pub struct TagListPage {
    /// Head of the page.
    pub repo: RepoHeader,
    /// One page of tags, in order of their names.
    pub tags: Vec<TagEntry>,
    /// Whether none come before these.
    pub is_first: bool,
    /// Where the next page begins; none where this is the last.
    pub next_cursor: Option<String>,
}

/// A tag in a list.
#[derive(Debug, Clone, Serialize)]
pub struct TagEntry {
    /// Its name, which may be any text of one line.
    pub label: String,
    /// Who brought or made it.
    pub tagger: String,
    /// When it was made, as its client says it; may be empty.
    pub created_at: String,
    /// The commit that has it.
    pub commit: CommitRow,
}

/// How far a branch is from the default branch, in commits.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ApartView {
    /// What it has and the default branch has not.
    pub ahead: u64,
    /// What the default branch has and it has not.
    pub behind: u64,
    /// Whether both numbers are exact; there may be more otherwise.
    pub exact: bool,
}

/// How lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffMode {
    /// One below the other.
    #[default]
    Unified,
    /// Side by side.
    Split,
}

/// A page of changed files.
#[derive(Debug, Clone, Serialize)]
pub struct DiffView {
    /// How lines are shown.
    pub view: DiffMode,
    /// The parent that was asked for; kept in links.
    pub parent: Option<u64>,
    /// The one file that was asked for.
    pub file: Option<String>,
    /// Page shown, counted from 1.
    pub page: u64,
    /// Number of pages, at least 1.
    pub pages: u64,
    /// All changes, not only those of this page.
    pub totals: DiffTotals,
    /// The place of the first file of this page among all, counted from 1.
    pub first: u64,
    /// Changed files of this page.
    pub files: Vec<DiffFile>,
    /// Whole id of the commit before; none where there was nothing before.
    pub old_id: Option<String>,
    /// Whole id of the commit after.
    pub new_id: String,
    /// The largest version whose lines are compared, in bytes.
    pub limit: u64,
    /// The most lines of such a version.
    pub line_limit: u64,
}

/// How much changed.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct DiffTotals {
    /// Files that changed.
    pub files: u64,
    /// Files that were added.
    pub added: u64,
    /// Files that were deleted.
    pub deleted: u64,
    /// Files that were modified.
    pub modified: u64,
    /// Files that were moved.
    pub renamed: u64,
    /// Directories that are recorded now.
    pub directories_added: u64,
    /// Directories that are not recorded any more.
    pub directories_removed: u64,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFate {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// It is another.
    Modified,
    /// It was moved.
    Renamed,
}

/// What there is to show of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffKind {
    /// The lines that changed.
    Text,
    /// Nothing: its content did not change, or there is none.
    Same,
    /// It is no text.
    Binary,
    /// It is too large to be compared.
    Large,
    /// Too many lines changed to be shown among others.
    Long,
    /// The page is full.
    Omitted,
}

/// A file that changed.
#[derive(Debug, Clone, Serialize)]
pub struct DiffFile {
    /// What links on the page call it.
    pub anchor: String,
    /// Its path.
    pub path: String,
    /// The path it had before, where it was moved.
    pub from: Option<String>,
    /// What became of it.
    pub fate: FileFate,
    /// Whether it is executable now, where that changed or it is new and so.
    pub executable: Option<bool>,
    /// What there is to show.
    pub kind: DiffKind,
    /// Lines added, where lines were compared.
    pub added: u64,
    /// Lines deleted, where lines were compared.
    pub deleted: u64,
    /// Size of the version before, in bytes.
    pub old_size: Option<u64>,
    /// Size of the version after, in bytes.
    pub new_size: Option<u64>,
    /// Whether some of its bytes are no UTF-8.
    pub lossy: bool,
    /// Whether characters in it change the direction of text.
    pub bidi: bool,
    /// Whether it is folded up at first.
    pub folded: bool,
    /// The lines that changed.
    pub hunks: Vec<DiffHunk>,
}

/// Lines that changed and those around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffHunk {
    /// Its first line before, counted from 1; 0 where there is none.
    pub old_start: u32,
    /// How many lines before.
    pub old_lines: u32,
    /// Its first line after, counted from 1; 0 where there is none.
    pub new_start: u32,
    /// How many lines after.
    pub new_lines: u32,
    /// Its rows.
    pub rows: Vec<DiffRow>,
}

/// A row of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiffRow {
    /// One line across.
    One(DiffLine),
    /// Both versions side by side.
    Two(Option<DiffLine>, Option<DiffLine>),
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineFate {
    /// It is in both versions.
    Kept,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
}

/// A line of a file that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// What became of it.
    pub fate: LineFate,
    /// Its number before, counted from 1.
    pub old: Option<u32>,
    /// Its number after, counted from 1.
    pub new: Option<u32>,
    /// Its text in colour.
    pub code: CodeLine,
    /// The parts of it that changed: where each begins and ends, in bytes.
    pub words: Vec<(u32, u32)>,
    /// Bytes left out of its text.
    pub cut: u64,
    /// Whether a carriage return at its end is worth a mark.
    pub returns: bool,
    /// Whether it has no newline at its end.
    pub unended: bool,
}

impl Page for CommitPage {
    const TEMPLATE: &'static str = "commit.html";
}

impl Page for ComparePage {
    const TEMPLATE: &'static str = "compare.html";
}

impl Page for TagListPage {
    const TEMPLATE: &'static str = "tags.html";
}

impl Page for BranchListPage {
    const TEMPLATE: &'static str = "branches.html";
}
