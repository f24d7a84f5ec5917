//! Scans of stored commits: what the detector finds in one, with the facts of blobs learned once and kept, and which commits
//! took away what is missing.

mod history;
mod kept;
mod learn;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use musehub_core::hub::ReadError;
use musehub_core::object::Manifest;
use musehub_core::port::{
    BackendError, BlobRow, BreakageIssue, CommitRow, Definition, Help, RemovedBy, RepositoryRecord, Severity,
};
use musehub_core::scheme::typed_v2;
use musehub_core::{BlobId, HashAlgorithm};
use musehub_intel::history::Lack;
use musehub_intel::{Finding, Policy, Report, Scan, Snapshot, SnapshotBuilder};

use crate::app::App;

use kept::Kept;
pub use kept::KeptScans;
use learn::Known;

/// Why a commit could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The repository does not hold it, or not its files.
    #[error("{what} is not in this repository")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The detector gave up.
    #[error("the detector failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<ReadError> for ScanError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound { what } => Self::NotFound { what },
            ReadError::Backend(error) => error.into(),
        }
    }
}

/// What a scan found, and what it cost.
#[derive(Debug)]
pub struct Scanned {
    /// The findings.
    pub report: Report,
    /// Files that were parsed: their blobs had never been seen.
    pub files_parsed: usize,
    /// Files whose imports were checked: the findings of the others were known.
    pub files_checked: usize,
    removals: Arc<HashMap<Lack, Option<RemovedBy>>>,
}

impl Scanned {
    /// All help for a finding.
    #[must_use]
    pub fn help(&self, finding: &Finding) -> Help {
        let found = finding.help.as_ref();
        let place = found.and_then(|help| help.moved_to.as_ref());
        Help {
            did_you_mean: found.and_then(|help| help.did_you_mean.clone()),
            moved_to: place.map(|place| Definition { file_path: place.file_path.clone(), line: place.line }),
            removed_by: finding.lack().and_then(|lack| self.removals.get(&lack).cloned().flatten()),
        }
    }

    /// The findings as rows of the index; the same finding twice in one file is one row, at its first line.
    #[must_use]
    pub fn issues(&self, repo: &RepositoryRecord, commit: &CommitRow) -> Vec<BreakageIssue> {
        let mut rows = BTreeMap::new();
        for finding in &self.report.findings {
            let (file_path, issue_type) = (&finding.file_path, finding.issue_type.as_str());
            let name =
                format!("{}:{}:{file_path}:{issue_type}:{}", repo.repo_id, commit.id, finding.description);
            let issue_id = typed_v2::blob_id(HashAlgorithm::Sha256, name.as_bytes());
            rows.entry(issue_id).or_insert_with(|| BreakageIssue {
                issue_id,
                issue_type: issue_type.to_owned(),
                file_path: file_path.clone(),
                line: finding.line,
                column: finding.column,
                subject: finding.subject.clone(),
                description: finding.description.clone(),
                severity: match finding.severity {
                    musehub_intel::Severity::Error => Severity::Error,
                    musehub_intel::Severity::Warning => Severity::Warning,
                },
                help: self.help(finding),
            });
        }
        rows.into_values().collect()
    }
}

/// Scans a commit. What the last scan of the repository left in memory is used where it helps and needed nowhere.
///
/// # Errors
/// [`ScanError`] where the commit or its files cannot be had.
pub async fn scan(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    commit: &CommitRow,
    policy: Policy,
) -> Result<Scanned, ScanError> {
    let tree = app.hub.snapshot(repo, commit.snapshot).await?;
    let previous = app.scans.of(&repo.repo_id);
    let known = previous.as_ref().map(|kept| &kept.known);
    let (known, files_parsed) = learn::facts(app, repo, tree.manifest(), known).await?;
    let hints = hints(app, repo, tree.manifest(), previous.as_deref()).await?;
    let snapshot = snapshot(tree.manifest(), &known, &hints);
    if policy == Policy::NameUnion {
        let detect = move || musehub_intel::detect(&snapshot, policy);
        let report = tokio::task::spawn_blocking(detect).await?;
        let files_checked = report.files_scanned;
        return Ok(Scanned { report, files_parsed, files_checked, removals: Arc::default() });
    }
    let before = previous.clone();
    let check = move || match before {
        Some(kept) => kept.scan.next(snapshot),
        None => Scan::new(snapshot),
    };
    let scan = tokio::task::spawn_blocking(check).await?;
    let lacks = scan.report().findings.iter().filter_map(Finding::lack).collect();
    let removals = history::removals(app, repo, commit, lacks, previous.as_deref()).await?;
    let removals = Arc::new(removals);
    let scanned = Scanned {
        report: scan.report().clone(),
        files_parsed,
        files_checked: scan.files_checked(),
        removals: removals.clone(),
    };
    app.scans.keep(&repo.repo_id, Kept { commit: commit.id, scan, known, hints, removals });
    Ok(scanned)
}

/// A manifest as the detector sees it.
fn snapshot(manifest: &Manifest, known: &Known, hints: &HashMap<BlobId, Arc<str>>) -> Snapshot {
    let mut builder = SnapshotBuilder::new();
    for (path, blob) in manifest {
        let text = path.as_str();
        if musehub_intel::is_hint(text)
            && let Some(hint) = hints.get(blob)
        {
            builder.hint(text, hint);
        }
        match known.get(text, *blob) {
            Some(facts) => builder.python(text, facts),
            None => builder.file(text),
        };
    }
    builder.build()
}

/// The texts of build and test configuration, which are few and small.
async fn hints(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    manifest: &Manifest,
    previous: Option<&Kept>,
) -> Result<HashMap<BlobId, Arc<str>>, BackendError> {
    let mut hints = HashMap::new();
    let mut unknown = Vec::new();
    for blob in
        manifest.iter().filter(|(path, _)| musehub_intel::is_hint(path.as_str())).map(|(_, blob)| *blob)
    {
        match previous.and_then(|kept| kept.hints.get(&blob)) {
            Some(text) => drop(hints.insert(blob, text.clone())),
            None => unknown.push(blob),
        }
    }
    if unknown.is_empty() {
        return Ok(hints);
    }
    let rows: Vec<BlobRow> = app.hub.blobs(repo, &unknown).await?;
    for row in rows.into_iter().filter(|row| row.size <= musehub_intel::MAX_FILE_BYTES as u64) {
        let content = app.hub.contents(&[row]).await?.swap_remove(0);
        hints.insert(row.id, String::from_utf8_lossy(&content).into());
    }
    Ok(hints)
}
