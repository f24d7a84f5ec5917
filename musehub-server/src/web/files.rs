//! The files of a version: folders, one file in colour, and its bytes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
};
use musehub_core::object::{Manifest, Snapshot};
use musehub_core::port::{self, BlobRow, RepositoryRecord};
use musehub_core::{BlobId, CommitId, RepoPath};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Semaphore;

use super::version::missing;
use super::{render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{
    BlobContent, BlobKind, BlobPage, BreakageCounts, Crumb, EntryKind, Highlighted, IssueRow, TreeEntry,
    TreePage, VersionView, highlight, plain_lines,
};

/// Rows of the list of files.
const ENTRIES: usize = 1000;
/// The largest file that is shown, in bytes.
const SHOWN_BYTES: u64 = 1 << 20;
/// The most lines that are shown.
const SHOWN_LINES: usize = 20_000;
/// The largest file that is highlighted, in bytes.
pub(super) const HIGHLIGHTED_BYTES: usize = 512 << 10;
/// What highlighting a file may cost. The first file of a language costs most, as its patterns are compiled then.
const BUDGET: Duration = Duration::from_secs(2);
/// How many files are highlighted at a time; more are shown plain.
pub(super) static HIGHLIGHTERS: Semaphore = Semaphore::const_new(4);
/// How far into a file a NUL makes it binary, in bytes.
const SNIFFED: usize = 8_000;
/// Findings listed above a file.
const ISSUES: u32 = 20;

/// The policy of bytes that somebody pushed, should a browser show them after all.
const RAW_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// `GET /{owner}/{slug}/tree/{ref}/{path}`
pub(crate) async fn tree(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let Place { at, snapshot, path } = locate(exchange, repo).await?;
    let (entries, entries_omitted) = entries(exchange, repo, snapshot.manifest(), &path).await?;
    if entries.is_empty() && !path.is_empty() {
        return Err(missing("folder"));
    }
    let page = TreePage {
        repo: views::header(repo),
        path: crumbs(&path),
        folder: path,
        at,
        entries,
        entries_omitted,
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/blob/{ref}/{path}`
pub(crate) async fn blob(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let Place { at, snapshot, path } = locate(exchange, repo).await?;
    let row = file(exchange, repo, &snapshot, &path).await?;
    let content = content(exchange, &row, &path).await?;
    let (issues, issues_total, counts) = issues(exchange, repo, &at, &path).await?;
    let page = BlobPage {
        repo: views::header(repo),
        path: crumbs(&path),
        file: path,
        at,
        size: row.size,
        content,
        issues,
        issues_total,
        counts,
    };
    render(exchange, &page)
}

/// `GET /{owner}/{slug}/raw/{ref}/{path}`: never anything that a browser would run.
pub(crate) async fn raw(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let Place { snapshot, path, .. } = locate(exchange, repo).await?;
    let row = file(exchange, repo, &snapshot, &path).await?;
    let pieces = exchange.app.hub.content_stream(&row).await?;
    let mut reply =
        Response::new(StreamBody::new(pieces.map_ok(Frame::data).map_err(Into::into)).boxed_unsync());
    let name = path.rsplit('/').next().unwrap_or_default();
    let disposition = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(row.size));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(RAW_POLICY));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::try_from(disposition).map_err(ApiError::internal)?);
    Ok(reply)
}

/// A version of a repository and a path in it, which may be empty.
struct Place {
    at: VersionView,
    snapshot: Snapshot,
    path: String,
}

/// Reads `{ref}/{path}`. The ref is a branch, whose name may hold slashes, or a commit id.
async fn locate(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Result<Place, ApiError> {
    let hub = &exchange.app.hub;
    let place = exchange.params.get("place");
    let refs = hub.refs(repo).await?;
    // At most one fits: the branches `a` and `a/b` do not coexist.
    let branch = refs.branches.iter().find_map(|row| {
        let rest = place.strip_prefix(row.name.as_str())?;
        let path = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
        Some((row, path))
    });
    let (commit, branch, path) = match branch {
        Some((row, path)) => (row.head, Some(row.name.to_string()), path),
        None => {
            let (id, path) = place.split_once('/').unwrap_or((place, ""));
            (CommitId::parse(id).map_err(|_| missing("branch or commit"))?, None, path)
        }
    };
    if !path.is_empty() {
        RepoPath::parse(path).map_err(|_| missing("file"))?;
    }
    let row = hub.commit(repo, commit).await?;
    let snapshot = hub.snapshot(repo, row.snapshot).await?;
    let rev = branch.clone().unwrap_or_else(|| commit.to_string());
    let at = VersionView { rev, branch, commit: views::commit(row) };
    Ok(Place { at, snapshot, path: path.to_owned() })
}

fn crumbs(path: &str) -> Vec<Crumb> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain((!path.is_empty()).then_some(path.len()));
    let crumb = |end| {
        let path = &path[..end];
        Crumb { name: path.rsplit('/').next().unwrap_or_default().to_owned(), path: path.to_owned() }
    };
    ends.map(crumb).collect()
}

/// The names in a folder of a manifest, directories first, and how many were left out.
pub(super) async fn entries(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    manifest: &Manifest,
    folder: &str,
) -> Result<(Vec<TreeEntry>, u64), ApiError> {
    let mut directories: BTreeMap<&str, u64> = BTreeMap::new();
    let mut files: Vec<(&str, BlobId)> = Vec::new();
    for (path, blob) in manifest {
        let below = match folder {
            "" => Some(path.as_str()),
            folder => path.as_str().strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        match below.map(|below| below.split_once('/').ok_or(below)) {
            Some(Ok((directory, _))) => *directories.entry(directory).or_default() += 1,
            Some(Err(name)) => files.push((name, *blob)),
            None => {}
        }
    }
    let omitted = (directories.len() + files.len()).saturating_sub(ENTRIES) as u64;
    files.truncate(ENTRIES.saturating_sub(directories.len()));
    let ids: Vec<BlobId> = files.iter().map(|(_, blob)| *blob).collect();
    let rows = exchange.app.hub.blobs(repo, &ids).await?;
    let sizes: HashMap<BlobId, u64> = rows.into_iter().map(|row| (row.id, row.size)).collect();
    let directories = directories.into_iter().take(ENTRIES).map(|(name, files)| TreeEntry {
        name: name.to_owned(),
        kind: EntryKind::Directory,
        size: None,
        files: Some(files),
    });
    let files = files.into_iter().map(|(name, blob)| TreeEntry {
        name: name.to_owned(),
        kind: EntryKind::File,
        size: sizes.get(&blob).copied(),
        files: None,
    });
    Ok((directories.chain(files).collect(), omitted))
}

/// The blob of a path.
async fn file(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    snapshot: &Snapshot,
    path: &str,
) -> Result<BlobRow, ApiError> {
    let id = snapshot.manifest().get(path).ok_or_else(|| missing("file"))?;
    exchange.app.hub.blobs(repo, &[id]).await?.pop().ok_or_else(|| missing("file"))
}

/// What of a file can be shown, in colour where that is cheap.
async fn content(exchange: &Exchange<'_>, row: &BlobRow, path: &str) -> Result<BlobContent, ApiError> {
    let empty = BlobContent {
        kind: BlobKind::Empty,
        lines: Vec::new(),
        language: None,
        lossy: false,
        bidi: false,
        limit: SHOWN_BYTES,
        line_limit: SHOWN_LINES as u64,
    };
    if row.size == 0 {
        return Ok(empty);
    }
    if row.size > SHOWN_BYTES {
        return Ok(BlobContent { kind: BlobKind::Large, ..empty });
    }
    let bytes = exchange.app.hub.contents(std::slice::from_ref(row)).await?.swap_remove(0);
    if bytes.iter().take(SNIFFED).any(|byte| *byte == 0) {
        return Ok(BlobContent { kind: BlobKind::Binary, ..empty });
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    if text.lines().nth(SHOWN_LINES).is_some() {
        return Ok(BlobContent { kind: BlobKind::Large, ..empty });
    }
    let lossy = std::str::from_utf8(&bytes).is_err();
    let bidi = text.contains(turns_text);
    let Highlighted { lines, language } = colour(path, text).await?;
    Ok(BlobContent { kind: BlobKind::Text, lines, language, lossy, bidi, ..empty })
}

/// The controls that let text read otherwise than it runs.
pub(super) const fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The lines of a file, plain where colour would cost too much or everybody else is being served.
async fn colour(path: &str, text: String) -> Result<Highlighted, ApiError> {
    let permit = HIGHLIGHTERS.try_acquire();
    if text.len() > HIGHLIGHTED_BYTES || permit.is_err() {
        return Ok(Highlighted { lines: plain_lines(&text), language: None });
    }
    let path = path.to_owned();
    let painted = tokio::task::spawn_blocking(move || highlight(&path, &text, BUDGET));
    painted.await.map_err(ApiError::internal)
}

/// The findings in a file where this version is the one that was scanned.
async fn issues(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    at: &VersionView,
    path: &str,
) -> Result<(Vec<IssueRow>, u64, Option<BreakageCounts>), ApiError> {
    let index = &exchange.app.breakage;
    let meta = index.breakage_meta(&repo.repo_id).await?;
    let Some(meta) = meta.filter(|meta| meta.commit.to_string() == at.commit.id) else {
        return Ok((Vec::new(), 0, None));
    };
    let filter = port::BreakageFilter {
        file_path: Some(path.to_owned()),
        limit: ISSUES,
        ..port::BreakageFilter::default()
    };
    let (issues, total) = index.breakage_issues(&repo.repo_id, &filter).await?;
    Ok((issues.into_iter().map(views::issue).collect(), total, Some(views::counts(meta))))
}
