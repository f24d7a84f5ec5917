//! History in the SQL index.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::collections::HashSet;

use musehub_core::id::CommitId;
use musehub_core::port::{
    BackendError, BranchRow, CommitRow, HistoryIndex, JobKind, JobQueue, JobStatus, MoveRows, NewJob,
    RepositoryIndex, RepositoryRecord, UnstoredIndex, UnstoredRows,
};

use crate::index_fixtures::{
    HOSTILE, SqlIndex, at, bare, blob_id, blob_row, branch, commit_id, commit_row, entry, history, index,
    record, repo, snapshot_id, snapshot_row,
};

fn first_push() -> MoveRows {
    MoveRows {
        commits: vec![commit_row(1, &[], 1), commit_row(2, &[1], 2)],
        snapshots: vec![snapshot_row(1), snapshot_row(2)],
        blobs: vec![blob_row(1), blob_row(2), blob_row(3)],
        ..bare(entry(1, 1, Some(commit_id(2))))
    }
}

fn sorted<T: Ord + Copy>(ids: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_move_comes_back_as_it_was_recorded() {
    let index = index().await;
    index.record_move(first_push()).await.unwrap();

    let main = BranchRow { name: branch("main"), head: commit_id(2), sequence: 1, moved_at: at(1) };
    assert_eq!(index.branches(&repo(1)).await.unwrap(), [main]);
    assert_eq!(index.branch(&repo(1), &branch("main")).await.unwrap(), (Some(commit_id(2)), 1));
    assert_eq!(index.branch(&repo(1), &branch("other")).await.unwrap(), (None, 0));
    assert_eq!(index.commit_count(&repo(1)).await.unwrap(), 2);
    let asked = [commit_id(2), commit_id(7), commit_id(2)];
    assert_eq!(index.commits(&repo(1), &asked).await.unwrap(), [commit_row(2, &[1], 2)]);
    let asked = [snapshot_id(2), snapshot_id(7)];
    assert_eq!(index.snapshots(&repo(1), &asked).await.unwrap(), [snapshot_row(2)]);
    assert_eq!(index.blobs(&repo(1), &[blob_id(3), blob_id(7)]).await.unwrap(), [blob_row(3)]);
    assert_eq!(index.blobs(&repo(1), &[]).await.unwrap(), []);
}

#[tokio::test]
async fn recording_a_move_again_changes_nothing() {
    let index = index().await;
    let job = NewJob::new(JobKind::new("scan"), repo(1), "{}".to_owned());
    let rows = MoveRows { jobs: vec![job.clone()], ..first_push() };
    index.record_move(rows.clone()).await.unwrap();
    index.record_move(rows.clone()).await.unwrap();
    assert_eq!(index.commit_count(&repo(1)).await.unwrap(), 2);

    index.claim("worker", &["scan"], at(10), 1_000).await.unwrap().unwrap();
    index.complete(&job.id(), "worker", "done", at(11)).await.unwrap();
    index.record_move(rows).await.unwrap();
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!(latest.status, JobStatus::Done, "a repeated move does not start finished work again");

    index.record_move(MoveRows { jobs: vec![job], ..bare(entry(1, 2, Some(commit_id(1)))) }).await.unwrap();
    let latest = index.latest(&repo(1), "scan").await.unwrap().unwrap();
    assert_eq!(latest.status, JobStatus::Pending, "a new move does");
}

#[tokio::test]
async fn a_branch_never_moves_back_and_a_deleted_one_keeps_its_number() {
    let index = index().await;
    index.record_move(first_push()).await.unwrap();
    index.record_move(bare(entry(1, 3, Some(commit_id(1))))).await.unwrap();
    let late = MoveRows { blobs: vec![blob_row(9)], ..bare(entry(1, 2, Some(commit_id(2)))) };
    index.record_move(late).await.unwrap();
    assert_eq!(index.branch(&repo(1), &branch("main")).await.unwrap(), (Some(commit_id(1)), 3));
    assert_eq!(index.blobs(&repo(1), &[blob_id(9)]).await.unwrap().len(), 1, "its rows are there");

    index.record_move(bare(entry(1, 4, None))).await.unwrap();
    assert_eq!(index.branch(&repo(1), &branch("main")).await.unwrap(), (None, 4));
    assert_eq!(index.branches(&repo(1)).await.unwrap(), []);
}

#[tokio::test]
async fn repositories_do_not_see_each_other() {
    let index = index().await;
    index.record_move(first_push()).await.unwrap();
    assert_eq!(index.branches(&repo(2)).await.unwrap(), []);
    assert_eq!(index.commits(&repo(2), &[commit_id(1)]).await.unwrap(), []);
    assert_eq!(index.commit_nodes(&repo(2), &[commit_id(2)], 10).await.unwrap(), []);
    assert_eq!(index.snapshots(&repo(2), &[snapshot_id(1)]).await.unwrap(), []);
    assert_eq!(index.blobs(&repo(2), &[blob_id(1)]).await.unwrap(), []);
    assert_eq!(index.commit_count(&repo(2)).await.unwrap(), 0);

    // Under flat-v1 the id of a commit does not cover its author.
    let other = CommitRow { author: "somebody else".to_owned(), ..commit_row(1, &[], 1) };
    index.record_move(history(2, vec![other.clone()])).await.unwrap();
    assert_eq!(index.commits(&repo(2), &[commit_id(1)]).await.unwrap(), [other]);
    assert_eq!(index.commits(&repo(1), &[commit_id(1)]).await.unwrap(), [commit_row(1, &[], 1)]);
}

#[tokio::test]
async fn nothing_of_a_refused_move_is_visible() {
    let index = index().await;
    let stranger = NewJob::new(JobKind::new("scan"), repo(77), String::new());
    let refused = index.record_move(MoveRows { jobs: vec![stranger], ..first_push() }).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
    assert_eq!(index.branches(&repo(1)).await.unwrap(), []);
    assert_eq!(index.commit_count(&repo(1)).await.unwrap(), 0);
    assert_eq!(index.blobs(&repo(1), &[blob_id(1)]).await.unwrap(), []);

    let unknown = index.record_move(bare(entry(9, 1, None))).await;
    assert!(matches!(unknown, Err(BackendError::Missing { .. })), "{unknown:?}");
}

#[tokio::test]
async fn forty_thousand_ids_are_one_question() {
    let index = index().await;
    let many = 40_000;
    let commits = (0..many).map(|n| commit_row(n, &[], 1)).collect();
    let blobs = (0..many).map(blob_row).collect();
    index.record_move(MoveRows { blobs, ..history(1, commits) }).await.unwrap();
    // Half of what is asked is not held.
    let asked = || (many / 2)..(many / 2 + many);
    let half = usize::try_from(many / 2).unwrap();
    let blobs = index.blobs(&repo(1), &asked().map(blob_id).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(blobs.len(), half);
    let commits: Vec<CommitId> = asked().map(commit_id).collect();
    assert_eq!(index.commits(&repo(1), &commits).await.unwrap().len(), half);
    assert_eq!(index.commit_nodes(&repo(1), &commits, 100).await.unwrap().len(), half);
    let snapshots = asked().map(snapshot_id).collect::<Vec<_>>();
    assert_eq!(index.snapshots(&repo(1), &snapshots).await.unwrap().len(), half);
}

#[tokio::test]
async fn a_window_holds_the_nearest_ancestors_of_a_long_chain() {
    let index = index().await;
    let chain: Vec<CommitRow> = (0..10_000)
        .map(|n| if n == 0 { commit_row(0, &[], 1) } else { commit_row(n, &[n - 1], n + 1) })
        .collect();
    index.record_move(history(1, chain)).await.unwrap();

    for window in [0, 1, 500] {
        let nodes = index.commit_nodes(&repo(1), &[commit_id(9_999)], window).await.unwrap();
        let expected = (9_999 - u64::from(window)..=9_999).map(commit_id);
        assert_eq!(sorted(nodes.iter().map(|node| node.id)), sorted(expected));
        for node in nodes {
            assert_eq!(node.parents, [commit_id(node.generation - 2)]);
        }
    }
    let whole = index.commit_nodes(&repo(1), &[commit_id(9_999)], u32::MAX).await.unwrap();
    assert_eq!(whole.len(), 10_000);
    assert!(whole.iter().any(|node| node.parents.is_empty() && node.generation == 1));
}

/// Two commits per rung, each a merge of both below: 2^rungs paths from the top to the root.
fn ladder(rungs: u64) -> Vec<CommitRow> {
    let mut rows = vec![commit_row(0, &[], 1), commit_row(1, &[], 1)];
    for rung in 1..rungs {
        let below = [2 * rung - 2, 2 * rung - 1];
        rows.push(commit_row(2 * rung, &below, rung + 1));
        rows.push(commit_row(2 * rung + 1, &[below[1], below[0]], rung + 1));
    }
    rows
}

async fn with_ladder(rungs: u64) -> SqlIndex {
    let index = index().await;
    index.record_move(history(1, ladder(rungs))).await.unwrap();
    index
}

#[tokio::test]
async fn a_ladder_of_merges_is_walked_by_commits_and_not_by_paths() {
    let index = with_ladder(300).await;
    let nodes = index.commit_nodes(&repo(1), &[commit_id(599)], 10_000).await.unwrap();
    assert_eq!(nodes.len(), 599);
    let distinct: HashSet<CommitId> = nodes.iter().map(|node| node.id).collect();
    assert_eq!(distinct.len(), nodes.len());
    let top = nodes.iter().find(|node| node.id == commit_id(599)).unwrap();
    assert_eq!(top.parents, [commit_id(597), commit_id(596)], "parents keep their order");
    assert_eq!(index.commit_nodes(&repo(1), &[commit_id(599)], 7).await.unwrap().len(), 8);
}

#[tokio::test]
async fn ids_that_are_not_held_take_nothing_of_the_window_and_widen_it_not() {
    let index = with_ladder(50).await;
    let asked = [commit_id(99), commit_id(70_000), commit_id(99), commit_id(70_001), commit_id(98)];
    let nodes = index.commit_nodes(&repo(1), &asked, 4).await.unwrap();
    assert_eq!(sorted(nodes.iter().map(|node| node.id)), sorted([94, 95, 96, 97, 98, 99].map(commit_id)));
}

#[tokio::test]
async fn hostile_texts_come_back_verbatim() {
    let index = index().await;
    let rows: Vec<CommitRow> = (0..)
        .zip(HOSTILE)
        .map(|(n, text)| CommitRow {
            author: (*text).to_owned(),
            message: (*text).to_owned(),
            committed_at: (*text).to_owned(),
            agent_id: (*text).to_owned(),
            branch: (*text).to_owned(),
            ..commit_row(n, &[], 1)
        })
        .collect();
    index.record_move(history(1, rows.clone())).await.unwrap();
    for row in rows {
        assert_eq!(index.commits(&repo(1), &[row.id]).await.unwrap(), [row]);
    }

    let name = branch("x' OR '1'='1");
    let mut injected = bare(entry(1, 1, Some(commit_id(0))));
    injected.entry.branch = name.clone();
    index.record_move(injected).await.unwrap();
    assert_eq!(index.branch(&repo(1), &name).await.unwrap(), (Some(commit_id(0)), 1));
    assert_eq!(index.branches(&repo(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_the_database_alone_has_is_counted_down_to_the_last_branch() {
    let index = index().await;
    index.record_move(first_push()).await.unwrap();
    assert_eq!(index.unstored_rows().await.unwrap(), 0);
    let waiting = BranchRow { name: branch("waiting"), head: commit_id(2), sequence: 0, moved_at: at(1) };
    let rows = UnstoredRows { branches: vec![waiting], ..UnstoredRows::default() };
    index.add_unstored(&repo(1), rows).await.unwrap();
    assert_eq!(index.unstored_rows().await.unwrap(), 1, "a branch that stands nowhere in a log");
    let carried = MoveRows { commits: Vec::new(), ..bare(entry(1, 2, Some(commit_id(2)))) };
    index.record_move(carried).await.unwrap();
    assert_eq!(index.unstored_rows().await.unwrap(), 1, "whatever others do");
    let deleted = RepositoryRecord { version: 2, deleted: true, ..record(1, "owner", "repository-1") };
    index.put_repository(&deleted).await.unwrap();
    assert_eq!(index.unstored_rows().await.unwrap(), 0, "of a repository that nobody sees nothing is missed");
}
