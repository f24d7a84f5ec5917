//! The page of a repository: its head's files, its branches, its last commits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;

use musehub_core::CommitId;
use musehub_core::hub::Refs;
use musehub_core::port::{self, RepositoryRecord};

use super::breakage::scan;
use super::files::entries;
use super::{render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{BranchRow, RepoContent, RepoCounts, RepoHomePage};

/// Rows of the list of branches.
const BRANCHES: usize = 100;
/// Rows of the list of commits.
const COMMITS: NonZeroUsize = NonZeroUsize::new(10).expect("a page has rows");

/// `GET /{owner}/{slug}`
pub(crate) async fn repository(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let refs = exchange.app.hub.refs(repo).await?;
    let mut counts = RepoCounts {
        commits: exchange.app.hub.commit_count(repo).await?,
        branches: refs.branches.len() as u64,
        files: 0,
    };
    let content = match content(exchange, repo, &refs).await? {
        Some((content, files)) => {
            counts.files = files;
            Some(content)
        }
        None => None,
    };
    let page = RepoHomePage {
        repo: views::header(repo),
        base_url: exchange.base_url(),
        counts,
        content,
        breakage: scan(exchange, repo).await?,
    };
    render(exchange, &page)
}

/// What the default branch holds, or the first where that is missing; none in an empty repository. And how many files.
async fn content(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    refs: &Refs,
) -> Result<Option<(RepoContent, u64)>, ApiError> {
    let hub = &exchange.app.hub;
    let default = refs.branches.iter().find(|row| row.name == refs.default_branch);
    let Some(shown) = default.or(refs.branches.first()) else {
        return Ok(None);
    };
    let head = hub.commit(repo, shown.head).await?;
    let snapshot = hub.snapshot(repo, head.snapshot).await?;
    let (entries, entries_omitted) = entries(exchange, repo, snapshot.manifest(), "").await?;
    let commits = hub.log(repo, shown.head, None, COMMITS).await?;

    let mut rows: Vec<&port::BranchRow> = refs.branches.iter().collect();
    rows.sort_by_key(|row| row.name != shown.name);
    let branches_omitted = rows.len().saturating_sub(BRANCHES) as u64;
    rows.truncate(BRANCHES);
    let mut heads: HashMap<CommitId, port::CommitRow> = HashMap::new();
    for row in &rows {
        if let Entry::Vacant(absent) = heads.entry(row.head) {
            absent.insert(hub.commit(repo, row.head).await?);
        }
    }
    let branches = rows.iter().map(|row| BranchRow {
        name: row.name.to_string(),
        is_default: row.name == refs.default_branch,
        head: views::commit(heads[&row.head].clone()),
    });
    let content = RepoContent {
        branch: shown.name.to_string(),
        entries,
        entries_omitted,
        branches: branches.collect(),
        branches_omitted,
        commits: commits.into_iter().map(views::commit).collect(),
        head: views::commit(head),
    };
    Ok(Some((content, snapshot.manifest().len() as u64)))
}
