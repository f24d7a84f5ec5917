//! The job `intel.code.breakage`: looks for stale imports in a commit, with the facts of blobs learned once and kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use musehub_core::hub::ReadError;
use musehub_core::object::Manifest;
use musehub_core::port::{
    BlobRow, BreakageIssue, BreakageMeta, Definition, Help, NewJob, RepositoryRecord, Severity,
};
use musehub_core::scheme::typed_v2;
use musehub_core::{BlobId, CommitId, HashAlgorithm, RepoPath};
use musehub_intel::facts::{FACTS_VERSION, FileFacts};
use musehub_intel::{Finding, Policy, Report, Snapshot, SnapshotBuilder};
use serde::Deserialize;

use super::JobError;
use crate::app::App;

/// The kind of this job.
pub const KIND: &str = "intel.code.breakage";

/// How many bytes of files are read and parsed together.
const BATCH: u64 = 16 << 20;

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
    let commit = app.hub.commit(&repo, payload.commit).await.map_err(hopeless)?;
    let tree = app.hub.snapshot(&repo, commit.snapshot).await.map_err(hopeless)?;

    let (snapshot, parsed) = read_snapshot(app, &repo, tree.manifest()).await?;
    let report = tokio::task::spawn_blocking(move || musehub_intel::detect(&snapshot, Policy::Resolved));
    let report = report.await.map_err(|error| JobError::Hopeless(format!("the detector failed: {error}")))?;
    let issues = issues(&repo, payload.commit, &report);
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    let meta = BreakageMeta {
        commit: payload.commit,
        total_issues: issues.len() as u64,
        warning_count: count(Severity::Warning),
        error_count: count(Severity::Error),
        file_count: report.files_scanned as u64,
        scanned_at: app.clock.now(),
    };
    app.breakage.replace_breakage(&repo.repo_id, &meta, &issues).await?;
    Ok(format!(
        "{}/{} at {}: total={} warnings={} errors={} file_count={} parsed={parsed}",
        repo.owner,
        repo.slug,
        payload.commit,
        meta.total_issues,
        meta.warning_count,
        meta.error_count,
        meta.file_count
    ))
}

fn hopeless(error: ReadError) -> JobError {
    match error {
        ReadError::NotFound { what } => JobError::Hopeless(format!("{what} is not there")),
        ReadError::Backend(error) => error.into(),
    }
}

/// A snapshot as the detector sees it, and how many of its files had to be parsed.
async fn read_snapshot(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    manifest: &Manifest,
) -> Result<(Snapshot, usize), JobError> {
    let (mut facts, parsed) = facts(app, repo, manifest).await?;
    let mut builder = SnapshotBuilder::new();
    let mut hints: Vec<(&RepoPath, BlobId)> = Vec::new();
    for (path, blob) in manifest {
        let text = path.as_str();
        match facts.get_mut(&(fact_kind(text), *blob)) {
            Some(facts) if musehub_intel::is_python(text) => {
                builder.python(text, facts.clone());
            }
            _ => {
                builder.file(text);
            }
        }
        if musehub_intel::is_hint(text) {
            hints.push((path, *blob));
        }
    }
    let ids: Vec<BlobId> = hints.iter().map(|(_, blob)| *blob).collect();
    let rows: HashMap<BlobId, BlobRow> =
        app.hub.blobs(repo, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    for (path, blob) in hints {
        let Some(row) = rows.get(&blob).filter(|row| row.size <= musehub_intel::MAX_FILE_BYTES as u64) else {
            continue;
        };
        let content = app.hub.contents(&[*row]).await?.swap_remove(0);
        builder.hint(path.as_str(), &String::from_utf8_lossy(&content));
    }
    Ok((builder.build(), parsed))
}

/// Under which name facts of a file are kept: what is extracted depends on the version and on `.py` or `.pyi`.
fn fact_kind(path: &str) -> &'static str {
    // A bump of the version gives a new name, so that facts of an older build are not mixed in.
    const _: () = assert!(FACTS_VERSION == 1, "name the facts after their version");
    if path.ends_with(".pyi") { "python.pyi.1" } else { "python.py.1" }
}

type Facts = HashMap<(&'static str, BlobId), Arc<FileFacts>>;

/// The facts of every Python file, from the cache or, for blobs never seen, from their bytes.
async fn facts(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    manifest: &Manifest,
) -> Result<(Facts, usize), JobError> {
    let python = manifest.iter().filter(|(path, _)| musehub_intel::is_python(path.as_str()));
    let wanted: HashSet<(&'static str, BlobId)> =
        python.map(|(path, blob)| (fact_kind(path.as_str()), *blob)).collect();
    let mut known = Facts::with_capacity(wanted.len());
    for kind in ["python.py.1", "python.pyi.1"] {
        let ids: Vec<BlobId> = wanted.iter().filter(|(of, _)| *of == kind).map(|(_, blob)| *blob).collect();
        for (blob, text) in app.facts.facts(kind, &ids).await? {
            // Facts that cannot be read are made anew.
            if let Ok(facts) = serde_json::from_str::<FileFacts>(&text) {
                known.insert((kind, blob), Arc::new(facts));
            }
        }
    }
    let unknown: Vec<(&'static str, BlobId)> =
        wanted.into_iter().filter(|key| !known.contains_key(key)).collect();
    let parsed = unknown.len();
    let ids: Vec<BlobId> = unknown.iter().map(|(_, blob)| *blob).collect();
    let rows: HashMap<BlobId, BlobRow> =
        app.hub.blobs(repo, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let readable = unknown.into_iter().filter_map(|(kind, blob)| Some((kind, *rows.get(&blob)?)));
    // What is larger than the extractor reads is not fetched at all: its path alone is known.
    let readable = readable.filter(|(_, row)| row.size <= musehub_intel::MAX_FILE_BYTES as u64);
    for batch in batches(readable.collect()) {
        for (key, facts) in learn(app, batch).await? {
            known.insert(key, facts);
        }
    }
    Ok((known, parsed))
}

/// Extracts facts of blobs and keeps them.
async fn learn(
    app: &Arc<App>,
    batch: Vec<(&'static str, BlobRow)>,
) -> Result<Vec<((&'static str, BlobId), Arc<FileFacts>)>, JobError> {
    let rows: Vec<BlobRow> = batch.iter().map(|(_, row)| *row).collect();
    let contents = app.hub.contents(&rows).await?;
    let kinds: Vec<&'static str> = batch.iter().map(|(kind, _)| *kind).collect();
    let extracted = tokio::task::spawn_blocking(move || {
        let name = |kind: &str| if kind == "python.pyi.1" { "x.pyi" } else { "x.py" };
        let files: Vec<(&str, &[u8])> =
            kinds.iter().zip(&contents).map(|(kind, bytes)| (name(kind), &bytes[..])).collect();
        let facts = musehub_intel::extract_many(files);
        facts.into_iter().map(|facts| (serde_json::to_string(&facts), facts)).collect::<Vec<_>>()
    });
    let extracted =
        extracted.await.map_err(|error| JobError::Hopeless(format!("the parser failed: {error}")))?;
    let mut by_kind: HashMap<&'static str, Vec<(BlobId, String)>> = HashMap::new();
    let mut learned = Vec::with_capacity(extracted.len());
    for ((kind, row), (text, facts)) in batch.into_iter().zip(extracted) {
        if let Ok(text) = text {
            by_kind.entry(kind).or_default().push((row.id, text));
        }
        learned.push(((kind, row.id), Arc::new(facts)));
    }
    for (kind, facts) in by_kind {
        app.facts.put_facts(kind, &facts).await?;
    }
    Ok(learned)
}

/// Blobs in groups that fit into memory.
fn batches(mut rows: Vec<(&'static str, BlobRow)>) -> Vec<Vec<(&'static str, BlobRow)>> {
    rows.sort_unstable_by_key(|(_, row)| row.place);
    let mut batches: Vec<Vec<(&'static str, BlobRow)>> = Vec::new();
    let mut bytes = 0;
    for entry in rows {
        bytes += entry.1.size;
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH => batch.push(entry),
            _ => {
                bytes = entry.1.size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

/// The findings as rows; the same finding twice in one file is one row, at its first line.
fn issues(repo: &RepositoryRecord, commit: CommitId, report: &Report) -> Vec<BreakageIssue> {
    let mut seen = HashSet::new();
    let rows = report.findings.iter().map(|finding| issue(repo, commit, finding));
    rows.filter(|issue| seen.insert(issue.issue_id)).collect()
}

fn issue(repo: &RepositoryRecord, commit: CommitId, finding: &Finding) -> BreakageIssue {
    let (file_path, issue_type) = (&finding.file_path, finding.issue_type.as_str());
    let name = format!("{}:{commit}:{file_path}:{issue_type}:{}", repo.repo_id, finding.description);
    BreakageIssue {
        issue_id: typed_v2::blob_id(HashAlgorithm::Sha256, name.as_bytes()),
        issue_type: issue_type.to_owned(),
        file_path: file_path.clone(),
        line: finding.line,
        column: finding.column,
        subject: subject(finding),
        description: finding.description.clone(),
        severity: match finding.severity {
            musehub_intel::Severity::Error => Severity::Error,
            musehub_intel::Severity::Warning => Severity::Warning,
        },
        help: finding.help.as_ref().map_or_else(Help::default, |help| Help {
            did_you_mean: help.did_you_mean.clone(),
            moved_to: help
                .moved_to
                .as_ref()
                .map(|place| Definition { file_path: place.file_path.clone(), line: place.line }),
            removed_by: None,
        }),
    }
}

/// What is missing, by its dotted name: below the file that should hold it where that is known, as the source writes it
/// elsewhere.
fn subject(finding: &Finding) -> String {
    let Some(name) = &finding.name else {
        return finding.module.clone();
    };
    let module = match &finding.target {
        Some(target) => target.trim_end_matches(".pyi").trim_end_matches(".py").replace('/', "."),
        None => finding.module.clone(),
    };
    format!("{}.{name}", module.trim_end_matches(".__init__").trim_end_matches('.'))
}
