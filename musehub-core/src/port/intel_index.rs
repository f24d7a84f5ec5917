//! What intelligence found, and the facts of blobs that it found it with.

use async_trait::async_trait;

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
    /// A sentence for people.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
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
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// Issues of the last scan of each repository.
#[async_trait]
pub trait BreakageIndex: Send + Sync {
    /// Replaces a repository's issues and sums, in one transaction.
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
}

/// Facts of blobs, kept for ever: a blob never changes, so what is learned from it once holds.
#[async_trait]
pub trait FactCache: Send + Sync {
    /// The facts of those blobs that are known under `kind`, which names the extractor and its version.
    async fn facts(&self, kind: &str, blobs: &[BlobId]) -> Result<Vec<(BlobId, String)>, BackendError>;

    /// Keeps facts: JSON text by blob.
    async fn put_facts(&self, kind: &str, facts: &[(BlobId, String)]) -> Result<(), BackendError>;
}
