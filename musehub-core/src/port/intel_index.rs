//! What intelligence found, and the facts of blobs that it found it with.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, Timestamp};
use crate::id::{BlobId, CommitId};
use crate::name::RepoId;

/// How bad an issue is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Running the code as it is fails.
    Error,
    /// Using a part of the code fails.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Where something is defined.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The file.
    pub file_path: String,
    /// The line, from 1.
    pub line: u32,
}

/// The commit that took something away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemovedBy {
    /// The commit.
    pub commit: CommitId,
    /// Who wrote it.
    pub author: String,
    /// When, verbatim from its record.
    pub committed_at: String,
}

/// What to do about an issue.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Help {
    /// The nearest name that exists in the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// Where what is missing is defined now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Definition>,
    /// The commit that removed what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_by: Option<RemovedBy>,
}

/// One issue of the breakage page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakageIssue {
    /// Blob id of `repo_id:ref:file_path:issue_type:description` under `typed-v2`.
    pub issue_id: BlobId,
    /// E.g. `stale_import`.
    pub issue_type: String,
    /// The file that has it.
    pub file_path: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// What is missing, by its full dotted name, e.g. `pkg.mod.gone`: issues of one subject tell one story.
    pub subject: String,
    /// A sentence for people.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
    /// What to do about it.
    pub help: Help,
}

/// The sums of one scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakageMeta {
    /// The commit scanned.
    pub commit: CommitId,
    /// Issues of any severity.
    pub total_issues: u64,
    /// Issues that are warnings.
    pub warning_count: u64,
    /// Issues that are errors.
    pub error_count: u64,
    /// Files scanned.
    pub file_count: u64,
    /// When the scan ended.
    pub scanned_at: Timestamp,
}

/// What part of the issues to show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BreakageFilter {
    /// Only this type.
    pub issue_type: Option<String>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only of this file.
    pub file_path: Option<String>,
    /// Only with this subject.
    pub subject: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What the issues of a group have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakageGrouping {
    /// The file.
    File,
    /// The subject.
    Subject,
}

/// Issues with one file or one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakageGroup {
    /// The file or subject.
    pub name: String,
    /// How many issues.
    pub issues: u64,
    /// How many of them are errors.
    pub errors: u64,
    /// In how many files.
    pub files: u64,
    /// With how many subjects.
    pub subjects: u64,
    /// The first of them, by file and line.
    pub first: Vec<BreakageIssue>,
}

/// Scans whose sums are kept for each repository.
pub const BREAKAGE_HISTORY: u32 = 100;

/// Issues of the last scan of each repository, and the sums of its last [`BREAKAGE_HISTORY`] scans.
#[async_trait]
pub trait BreakageIndex: Send + Sync {
    /// Replaces a repository's issues and sums and remembers the scan, in one transaction. A commit that is scanned again is
    /// one scan, the later.
    async fn replace_breakage(
        &self,
        repo: &RepoId,
        meta: &BreakageMeta,
        issues: &[BreakageIssue],
    ) -> Result<(), BackendError>;

    /// The sums of the last scan; none before the first.
    async fn breakage_meta(&self, repo: &RepoId) -> Result<Option<BreakageMeta>, BackendError>;

    /// Issues ordered by file and line, and how many the filter matches in all.
    async fn breakage_issues(
        &self,
        repo: &RepoId,
        filter: &BreakageFilter,
    ) -> Result<(Vec<BreakageIssue>, u64), BackendError>;

    /// Groups of the issues that match, the largest first, ties by name, each with its first `each` issues; and how many groups
    /// there are in all. The limit and offset of the filter count groups.
    async fn breakage_groups(
        &self,
        repo: &RepoId,
        by: BreakageGrouping,
        filter: &BreakageFilter,
        each: u32,
    ) -> Result<(Vec<BreakageGroup>, u64), BackendError>;

    /// The sums of the last scans, oldest first.
    async fn breakage_history(&self, repo: &RepoId, limit: u32) -> Result<Vec<BreakageMeta>, BackendError>;
}

/// Facts of blobs, kept for ever: a blob never changes, so what is learned from it once holds.
#[async_trait]
pub trait FactCache: Send + Sync {
    /// The facts of those blobs that are known under `kind`, which names the extractor and its version.
    async fn facts(&self, kind: &str, blobs: &[BlobId]) -> Result<Vec<(BlobId, String)>, BackendError>;

    /// Keeps facts: JSON text by blob.
    async fn put_facts(&self, kind: &str, facts: &[(BlobId, String)]) -> Result<(), BackendError>;
}
