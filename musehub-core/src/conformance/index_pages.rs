//! The contract of [`IndexPages`], over rows that its [`HistoryIndex`] took.

use super::fixtures::{create_repositories, record, repo};
use super::history_rows::{blob, chain, entry, first_move, rows};
use super::run_cases;
use crate::name::RepoId;
use crate::port::{BranchPosition, HistoryIndex, IndexPages, MoveRows, RepositoryIndex, RepositoryRecord};

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`IndexPages`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex + HistoryIndex + IndexPages,
{
    run_cases!(
        "index_pages",
        fresh,
        [
            pages_of_repositories_are_all_of_them,
            pages_of_any_length_are_the_whole_and_of_one_repository,
            deleted_branches_are_there,
            an_empty_repository_has_empty_pages,
        ]
    );
}

const BLOBS: [&str; 5] = ["a", "b", "c", "d", "e"];

async fn fill<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    for n in [1, 2] {
        let commits = chain(&format!("of {n}"), 7);
        let blobs = BLOBS.iter().take(3 + n as usize).map(|seed| blob(seed)).collect();
        let move_rows = MoveRows { blobs, ..first_move(&repo(n), "main", &commits) };
        index.record_move(move_rows).await.expect("record_move takes a first move");
    }
}

async fn pages_of_repositories_are_all_of_them<B: RepositoryIndex + HistoryIndex + IndexPages>(index: &B) {
    assert_eq!(index.repository_page(None, 10).await.expect("repository_page"), [], "none at first");
    create_repositories(index, 5).await;
    let deleted = RepositoryRecord { version: 2, deleted: true, ..record(2, "fixture", "repository-2") };
    index.put_repository(&deleted).await.expect("put_repository");
    for limit in [1, 2, 100] {
        let mut all: Vec<RepoId> = Vec::new();
        loop {
            let page = index.repository_page(all.last(), limit).await.expect("repository_page");
            assert!(page.len() <= limit as usize, "a page has at most {limit} repositories");
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.sort_unstable();
        let mut expected: Vec<RepoId> = (1..=5).map(repo).collect();
        expected.sort_unstable();
        assert_eq!(all, expected, "each once, one that is deleted among them");
    }
}

async fn pages_of_any_length_are_the_whole_and_of_one_repository<
    B: RepositoryIndex + HistoryIndex + IndexPages,
>(
    index: &B,
) {
    fill(index).await;
    for limit in [1, 3, 100] {
        let (mut commits, mut snapshots, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let after = commits.last().map(|row: &crate::port::CommitRow| row.id);
            let page = index.commit_page(&repo(1), after, limit).await.expect("commit_page");
            assert!(page.len() <= limit as usize, "a page has at most {limit} commits");
            if page.is_empty() {
                break;
            }
            commits.extend(page);
        }
        loop {
            let after = snapshots.last().map(|row: &crate::port::SnapshotRow| row.id);
            let page = index.snapshot_page(&repo(1), after, limit).await.expect("snapshot_page");
            assert!(page.len() <= limit as usize, "a page has at most {limit} snapshots");
            if page.is_empty() {
                break;
            }
            snapshots.extend(page);
        }
        loop {
            let after = blobs.last().map(|row: &crate::port::BlobRow| row.id);
            let page = index.blob_page(&repo(1), after, limit).await.expect("blob_page");
            assert!(page.len() <= limit as usize, "a page has at most {limit} blobs");
            if page.is_empty() {
                break;
            }
            blobs.extend(page);
        }
        commits.sort_by_key(|row| row.generation);
        assert_eq!(commits, chain("of 1", 7), "every commit once, its parents with it");
        assert_eq!(snapshots.len(), 7, "every snapshot once");
        blobs.sort_by_key(|row| row.id);
        let mut expected: Vec<_> = BLOBS.iter().take(4).map(|seed| blob(seed)).collect();
        expected.sort_by_key(|row| row.id);
        assert_eq!(blobs, expected, "every blob once, and none of another repository");
    }
}

async fn deleted_branches_are_there<B: RepositoryIndex + HistoryIndex + IndexPages>(index: &B) {
    fill(index).await;
    let head = chain("of 1", 7).pop().map(|row| row.id);
    for (sequence, old, new) in [(1, None, head), (2, head, None)] {
        let moved = rows(entry(&repo(1), "gone", sequence, old, new), &[]);
        index.record_move(moved).await.expect("record_move takes a deletion");
    }
    let mut seen: Vec<BranchPosition> = Vec::new();
    loop {
        let after = seen.last().map(|row| row.name.clone());
        let page = index.branch_page(&repo(1), after.as_ref(), 1).await.expect("branch_page");
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let seen: Vec<_> = seen.iter().map(|row| (row.name.as_str(), row.head, row.sequence)).collect();
    assert_eq!(seen, [("gone", None, 2), ("main", head, 1)]);
}

async fn an_empty_repository_has_empty_pages<B: RepositoryIndex + HistoryIndex + IndexPages>(index: &B) {
    create_repositories(index, 1).await;
    assert!(index.branch_page(&repo(1), None, 9).await.expect("branch_page").is_empty());
    assert!(index.commit_page(&repo(1), None, 9).await.expect("commit_page").is_empty());
    assert!(index.snapshot_page(&repo(1), None, 9).await.expect("snapshot_page").is_empty());
    assert!(index.blob_page(&repo(1), None, 9).await.expect("blob_page").is_empty());
}
