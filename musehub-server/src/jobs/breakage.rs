//! The job `intel.code.breakage`: looks for stale imports in the head of the default branch and keeps what is found.

use std::sync::Arc;

use musehub_core::CommitId;
use musehub_core::port::{BreakageMeta, NewJob, Severity};
use musehub_intel::Policy;
use serde::Deserialize;

use super::JobError;
use crate::app::App;
use crate::scan::{self, ScanError};

/// The kind of this job.
pub const KIND: &str = "intel.code.breakage";

#[derive(Deserialize)]
struct Payload {
    commit: CommitId,
}

/// Scans the commit of the payload and replaces the repository's issues. A commit that is the head no more is left to
/// the job of the one that is.
pub(super) async fn run(app: &Arc<App>, work: &NewJob) -> Result<String, JobError> {
    let payload: Payload = serde_json::from_str(&work.payload)
        .map_err(|error| JobError::Hopeless(format!("its payload: {error}")))?;
    let repo = app.repositories.repository_by_id(&work.repo_id).await?;
    let repo = repo
        .filter(|repo| !repo.deleted)
        .ok_or_else(|| JobError::Hopeless("its repository is gone".into()))?;
    let refs = app.hub.refs(&repo).await?;
    let head = refs.branches.iter().find(|row| row.name == refs.default_branch).map(|row| row.head);
    if head != Some(payload.commit) {
        return Ok(format!("{} is not the head any more", payload.commit));
    }
    let commit = app.hub.commit(&repo, payload.commit).await.map_err(ScanError::from)?;
    let scanned = scan::scan(app, &repo, &commit, Policy::Resolved).await?;
    let issues = scanned.issues(&repo, &commit);
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    let meta = BreakageMeta {
        commit: payload.commit,
        total_issues: issues.len() as u64,
        warning_count: count(Severity::Warning),
        error_count: count(Severity::Error),
        file_count: scanned.report.files_scanned as u64,
        scanned_at: app.clock.now(),
    };
    app.breakage.replace_breakage(&repo.repo_id, &meta, &issues).await?;
    Ok(format!(
        "{}/{} at {}: total={} warnings={} errors={} file_count={} partly_read={} not_read={} parsed={} checked={}",
        repo.owner,
        repo.slug,
        payload.commit,
        meta.total_issues,
        meta.warning_count,
        meta.error_count,
        meta.file_count,
        scanned.report.files_partly_read,
        scanned.report.files_not_read,
        scanned.files_parsed,
        scanned.files_checked
    ))
}

impl From<ScanError> for JobError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Backend(error) => error.into(),
            ScanError::NotFound { .. } | ScanError::Failed(_) => Self::Hopeless(error.to_string()),
        }
    }
}
