//! The job `intel.code.breakage`: looks for stale imports in the head of the default branch and keeps what is found.

use std::sync::Arc;

use async_trait::async_trait;
use musehub_core::CommitId;
use musehub_core::hub::ReadError;
use musehub_core::port::{BackendError, BreakageMeta, CommitRow, JobKind, RepositoryRecord, Severity};
use musehub_intel::Policy;
use serde::{Deserialize, Serialize};

use super::handler::{Handler, JobError, Summary, Task, Trigger};
use crate::app::App;
use crate::scan::{self, ScanError};

/// The kind of this job.
pub const KIND: &str = "intel.code.breakage";

#[derive(Deserialize)]
struct Payload {
    commit: CommitId,
}

/// What one scan counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Issues.
    pub total: u64,
    /// Those that are warnings.
    pub warnings: u64,
    /// Those that are errors.
    pub errors: u64,
    /// Python files of the snapshot.
    pub file_count: u64,
}

/// What the provider answers: its name with what it counted, or nothing where the manifest cannot be read.
pub type Results = Vec<(&'static str, Counts)>;

/// Its handler.
#[derive(Debug)]
pub(super) struct Breakage;

#[async_trait]
impl Handler for Breakage {
    fn kind(&self) -> JobKind {
        JobKind::new(KIND)
    }

    fn trigger(&self) -> Trigger {
        Trigger::DefaultBranch
    }

    /// Scans the commit of the payload and replaces the repository's issues. A commit that is the head no more is left to
    /// the job of the one that is.
    async fn run(&self, task: &Task<'_>) -> Result<Summary, JobError> {
        let payload: Payload = task.payload()?;
        let repo = task.repository().await?;
        let refs = task.app.hub.refs(&repo).await?;
        let head = refs.branches.iter().find(|row| row.name == refs.default_branch).map(|row| row.head);
        if head != Some(payload.commit) {
            return Summary::of(&Superseded { superseded: payload.commit });
        }
        Summary::of(&provide(task.app, &repo, payload.commit).await?)
    }
}

/// What is said of a commit that is not the head any more.
#[derive(Serialize)]
struct Superseded {
    superseded: CommitId,
}

/// Scans a commit and replaces the repository's issues in one transaction.
///
/// # Errors
/// [`JobError`] where a backend fails or the detector gives up. A manifest that is not there or is damaged is no error: nothing
/// is answered, and what an earlier scan found is left as it is.
pub async fn provide(app: &Arc<App>, repo: &RepositoryRecord, commit: CommitId) -> Result<Results, JobError> {
    let Some(commit) = readable(app, repo, commit).await? else {
        return Ok(Results::new());
    };
    let scanned = scan::scan(app, repo, &commit, Policy::Resolved).await?;
    let issues = scanned.issues(repo, &commit);
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    let counts = Counts {
        total: issues.len() as u64,
        warnings: count(Severity::Warning),
        errors: count(Severity::Error),
        file_count: scanned.report.files_scanned as u64,
    };
    let meta = BreakageMeta {
        commit: commit.id,
        total_issues: counts.total,
        warning_count: counts.warnings,
        error_count: counts.errors,
        file_count: counts.file_count,
        scanned_at: app.clock.now(),
    };
    app.breakage.replace_breakage(&repo.repo_id, &meta, &issues).await?;
    tracing::info!(
        repository = %format_args!("{}/{}", repo.owner, repo.slug), commit = %commit.id,
        partly_read = scanned.report.files_partly_read, not_read = scanned.report.files_not_read,
        parsed = scanned.files_parsed, checked = scanned.files_checked, "scanned"
    );
    Ok(vec![(KIND, counts)])
}

/// The commit, where its manifest can be read.
async fn readable(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    id: CommitId,
) -> Result<Option<CommitRow>, BackendError> {
    let read = async {
        let commit = app.hub.commit(repo, id).await?;
        app.hub.snapshot(repo, commit.snapshot).await?;
        Ok(commit)
    };
    match read.await {
        Ok(commit) => Ok(Some(commit)),
        Err(error @ (ReadError::NotFound { .. } | ReadError::Backend(BackendError::Damaged { .. }))) => {
            tracing::error!(repository = %repo.repo_id, commit = %id, %error, "a manifest cannot be read");
            Ok(None)
        }
        Err(ReadError::Backend(error)) => Err(error),
    }
}

impl From<ScanError> for JobError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Backend(error) => error.into(),
            ScanError::NotFound { .. } | ScanError::Failed(_) => Self::Hopeless(error.to_string()),
        }
    }
}
