//! Two versions beside each other: what one has that the other lacks, and whether they merge.

use std::time::Duration;

use musehub_core::CommitId;
use musehub_core::hub::Mergeability;
use musehub_core::merge::FileStrategy;
use musehub_core::port::RepositoryRecord;
use tokio::sync::Semaphore;

use super::version::{Version, resolve};
use super::{diff, render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{ComparePage, EndView, Standing};

/// How many commits are visited to find out how far two versions are apart.
const VISITS: usize = 5_000;
/// Commits that are listed.
const COMMITS: usize = 100;
/// Paths in conflict that are listed.
const CONFLICTS: usize = 20;
/// How long a trial merge may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many are tried at a time.
static TRIALS: Semaphore = Semaphore::const_new(2);

/// `GET /{owner}/{slug}/compare/{base}...{head}`; without a base the default branch is one.
pub(crate) async fn compare(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let hub = &exchange.app.hub;
    let refs = hub.refs(repo).await?;
    let range = exchange.params.get("range");
    let (base, head) = range.split_once("...").unwrap_or((refs.default_branch.as_str(), range));
    let base = resolve(exchange, &refs, base).await?;
    let head = resolve(exchange, &refs, head).await?;
    for end in [&base, &head] {
        hub.commit(repo, end.commit).await?;
    }
    let merge_bases = hub.merge_bases(repo, base.commit, head.commit).await?;
    let apart = hub.divergence(repo, base.commit, head.commit, VISITS).await?;
    let listed: Vec<CommitId> = apart.right.iter().copied().take(COMMITS).collect();
    let commits = hub.commit_rows(repo, &listed).await?;
    let (standing, conflicts, conflicts_total) = standing(exchange, repo, base.commit, head.commit).await;
    // Without a common ancestor, or with several, the difference is that of the versions themselves or from one of them.
    let from = merge_bases.first().copied().unwrap_or(base.commit);
    let choice = diff::Choice::of(exchange);
    let page = ComparePage {
        repo: views::header(repo),
        merge_bases: merge_bases.iter().map(ToString::to_string).collect(),
        standing,
        conflicts,
        conflicts_total,
        commits: commits.into_iter().map(views::commit).collect(),
        ahead: apart.right.len() as u64,
        behind: apart.left.len() as u64,
        exact: apart.complete,
        diff: diff::view(exchange, repo, Some(from), head.commit, choice).await?,
        base: end(base),
        head: end(head),
    };
    render(exchange, &page)
}

fn end(version: Version) -> EndView {
    EndView { name: version.name, kind: version.kind, commit_id: version.commit.to_string() }
}

/// Whether one version merges into another, the first paths in conflict, and how many there are.
async fn standing(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    base: CommitId,
    head: CommitId,
) -> (Standing, Vec<String>, u64) {
    let nothing = |standing| (standing, Vec::new(), 0);
    let Ok(_trial) = TRIALS.try_acquire() else {
        return nothing(Standing::Unknown);
    };
    let trial = exchange.app.hub.mergeability(repo, base, head, FileStrategy::Recursive);
    match tokio::time::timeout(PATIENCE, trial).await {
        Ok(Ok(found)) => {
            let listed = match &found {
                Mergeability::Conflicts(conflicts) => &conflicts.listed[..],
                _ => &[],
            };
            let paths = listed.iter().take(CONFLICTS).map(|conflict| conflict.path.to_string()).collect();
            let (standing, total) = standing_of(&found);
            (standing, paths, total)
        }
        // A limit of merging was reached, or time is up.
        Ok(Err(_)) | Err(_) => nothing(Standing::Unknown),
    }
}

/// What merging would come to, and how many paths are in conflict.
pub(super) const fn standing_of(found: &Mergeability) -> (Standing, u64) {
    match found {
        Mergeability::UpToDate => (Standing::Same, 0),
        Mergeability::Behind => (Standing::Merged, 0),
        Mergeability::FastForward => (Standing::FastForward, 0),
        Mergeability::Clean => (Standing::Clean, 0),
        Mergeability::Unrelated => (Standing::Unrelated, 0),
        Mergeability::Conflicts(conflicts) => (Standing::Conflicts, conflicts.total as u64),
    }
}
