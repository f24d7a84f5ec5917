//! The contract of [`UnstoredIndex`], together with the reads that answer its rows.

use super::fixtures::{at, branch, create_repositories, repo};
use super::history_rows::{chain, entry, first_move, rows, snapshot_of, sorted};
use super::run_cases;
use crate::id::{CommitId, ObjectId, ObjectKind, SnapshotId};
use crate::port::{
    BranchRow, CommitRow, HistoryIndex, IndexPages, MoveRows, RepositoryIndex, SnapshotRow, Unstored,
    UnstoredIndex, UnstoredRows,
};

/// Runs every case, each against a backend fresh from `fresh`. It needs the ports that read what is added.
///
/// # Panics
/// Where the backend breaks the contract of [`UnstoredIndex`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: UnstoredIndex + RepositoryIndex + HistoryIndex + IndexPages,
{
    run_cases!(
        "unstored_index",
        fresh,
        [
            a_repository_without_such_rows_has_none,
            rows_without_objects_are_read_as_others,
            adding_again_changes_nothing,
            a_move_gives_places_and_takes_records_away,
            a_stored_row_stays_stored,
            what_waits_is_taken_back_and_what_is_stored_stays,
        ]
    );
}

fn waiting(commit: &CommitRow) -> CommitRow {
    CommitRow { place: None, ..commit.clone() }
}

/// The json of a record; texts of every kind are kept.
fn json(id: impl std::fmt::Display) -> String {
    format!("{{\"of\":\"{id}\",\"text\":\"\\u0000 \u{1f980} \u{fdd0} \\\\ '\"}}")
}

fn unstored(commits: &[CommitRow]) -> UnstoredRows {
    let snapshot = |commit: &CommitRow| SnapshotRow { place: None, ..snapshot_of(commit) };
    UnstoredRows {
        snapshots: commits.iter().map(|row| (snapshot(row), json(row.snapshot))).collect(),
        commits: commits.iter().map(|row| (waiting(row), json(row.id))).collect(),
        branches: commits.last().into_iter().map(|head| head_of("main", head)).collect(),
    }
}

fn head_of(name: &str, head: &CommitRow) -> BranchRow {
    BranchRow { name: branch(name), head: head.id, sequence: 0, moved_at: at(5) }
}

async fn a_repository_without_such_rows_has_none<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex,
{
    create_repositories(index, 1).await;
    index.record_move(first_move(&repo(1), "main", &chain("stored", 3))).await.expect("record_move");
    assert_eq!(index.unstored(&repo(1)).await.expect("unstored"), Unstored::default());
    assert_eq!(index.unstored_commits(&repo(1)).await.expect("unstored_commits"), []);
    assert_eq!(index.unstored_snapshots(&repo(1), None, 9).await.expect("unstored_snapshots"), []);
    index.add_unstored(&repo(1), UnstoredRows::default()).await.expect("nothing is added");
}

async fn records<B: UnstoredIndex>(index: &B, kind: ObjectKind, ids: &[ObjectId]) -> Vec<(ObjectId, String)> {
    let read = index.unstored_records(&repo(1), kind, ids).await.expect("unstored_records");
    assert!(read.iter().all(|record| record.key.kind == kind), "records are of the kind asked");
    let mut read: Vec<_> = read.into_iter().map(|record| (record.key.id, record.json)).collect();
    read.sort_unstable();
    read
}

async fn rows_without_objects_are_read_as_others<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex + IndexPages,
{
    create_repositories(index, 2).await;
    let commits = chain("rows", 5);
    index.add_unstored(&repo(1), unstored(&commits)).await.expect("add_unstored");
    let ids: Vec<CommitId> = commits.iter().map(|row| row.id).collect();
    let expected: Vec<CommitRow> = commits.iter().map(waiting).collect();
    let read = index.commits(&repo(1), &ids).await.expect("commits");
    assert_eq!(sorted(&read), sorted(&expected), "commits are there, without a place");
    let nodes = index.commit_nodes(&repo(1), &ids[4..], 100).await.expect("commit_nodes");
    assert!(nodes.iter().any(|node| node.id == ids[4]), "the graph has them");
    let paged = index.commit_page(&repo(1), None, 100).await.expect("commit_page");
    assert_eq!(sorted(&paged), sorted(&expected), "so have pages");
    let snapshots: Vec<SnapshotId> = commits.iter().map(|row| row.snapshot).collect();
    let read = index.snapshots(&repo(1), &snapshots).await.expect("snapshots");
    assert!(
        read.len() == 5 && read.iter().all(|row| row.place.is_none()),
        "snapshots are there, without a place"
    );
    let heads = index.branches(&repo(1)).await.expect("branches");
    assert_eq!(heads, [head_of("main", &commits[4])], "the branch stands there, without a move");
    assert_eq!(index.branch(&repo(1), &branch("main")).await.expect("branch"), (Some(ids[4]), 0));

    assert_eq!(
        index.unstored(&repo(1)).await.expect("unstored"),
        Unstored { commits: 5, snapshots: 5, branches: 1 }
    );
    assert_eq!(
        index.unstored(&repo(2)).await.expect("unstored"),
        Unstored::default(),
        "of this repository alone"
    );
    let listed = index.unstored_commits(&repo(1)).await.expect("unstored_commits");
    let expected: Vec<(u64, CommitId)> = commits.iter().map(|row| (row.generation, row.id)).collect();
    assert_eq!(listed, expected, "parents come first");
    let mut listed = Vec::new();
    loop {
        let page = index.unstored_snapshots(&repo(1), listed.last().copied(), 2).await;
        let page = page.expect("unstored_snapshots");
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    let mut expected = snapshots.clone();
    expected.sort_unstable();
    assert_eq!(listed, expected, "every snapshot once, by id");

    let asked: Vec<ObjectId> = ids.iter().map(|id| id.object_id()).collect();
    let mut expected: Vec<(ObjectId, String)> = asked.iter().map(|id| (*id, json(id))).collect();
    expected.sort_unstable();
    assert_eq!(records(index, ObjectKind::Commit, &asked).await, expected, "records are as they were");
    assert_eq!(records(index, ObjectKind::Snapshot, &asked).await, [], "a snapshot is no commit");
    assert_eq!(records(index, ObjectKind::Snapshot, &[snapshots[1].object_id()]).await.len(), 1);
}

async fn adding_again_changes_nothing<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex,
{
    create_repositories(index, 1).await;
    let commits = chain("rows", 2);
    index.add_unstored(&repo(1), unstored(&commits)).await.expect("add_unstored");
    let mut other = unstored(&commits);
    for (_, json) in other.commits.iter_mut().map(|(row, json)| (row, json)) {
        *json = "{}".to_owned();
    }
    other.branches = vec![head_of("main", &commits[0])];
    index.add_unstored(&repo(1), other).await.expect("add_unstored");
    let id = commits[0].id.object_id();
    assert_eq!(records(index, ObjectKind::Commit, &[id]).await, [(id, json(id))], "the first record stays");
    let heads = index.branches(&repo(1)).await.expect("branches");
    assert_eq!(heads, [head_of("main", &commits[1])], "and the first head");
}

async fn a_move_gives_places_and_takes_records_away<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex,
{
    create_repositories(index, 1).await;
    let commits = chain("rows", 4);
    index.add_unstored(&repo(1), unstored(&commits)).await.expect("add_unstored");
    let brought = rows(entry(&repo(1), "carrier", 1, None, None), &commits[..3]);
    for _ in 0..2 {
        index.record_move(brought.clone()).await.expect("record_move");
    }
    let ids: Vec<CommitId> = commits.iter().map(|row| row.id).collect();
    let read = index.commits(&repo(1), &ids[..3]).await.expect("commits");
    assert_eq!(sorted(&read), sorted(&commits[..3]), "rows have the places of the move");
    assert_eq!(
        index.unstored(&repo(1)).await.expect("unstored"),
        Unstored { commits: 1, snapshots: 1, branches: 1 },
        "a branch without a move counts, one that never had a head does not"
    );
    let asked: Vec<ObjectId> = ids.iter().map(|id| id.object_id()).collect();
    assert_eq!(
        records(index, ObjectKind::Commit, &asked).await.len(),
        1,
        "records of what is stored are gone"
    );
    assert_eq!(index.unstored_commits(&repo(1)).await.expect("unstored_commits"), [(4, ids[3])]);
    let all = rows(entry(&repo(1), "carrier", 2, None, None), &commits[3..]);
    index.record_move(all).await.expect("record_move");
    assert_eq!(
        index.unstored(&repo(1)).await.expect("unstored"),
        Unstored { branches: 1, ..Unstored::default() },
        "a branch waits though all that it stands on is stored"
    );
    let rest = rows(entry(&repo(1), "main", 1, None, Some(ids[3])), &commits[3..]);
    index.record_move(rest).await.expect("the first move of a branch that came as a row");
    assert_eq!(index.unstored(&repo(1)).await.expect("unstored"), Unstored::default());
    let heads = index.branches(&repo(1)).await.expect("branches");
    assert_eq!((heads.len(), heads[0].head, heads[0].sequence), (1, ids[3], 1), "it counts its moves now");
}

async fn a_stored_row_stays_stored<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex,
{
    create_repositories(index, 1).await;
    let commits = chain("rows", 3);
    let moved: MoveRows = first_move(&repo(1), "main", &commits);
    index.record_move(moved).await.expect("record_move");
    index.add_unstored(&repo(1), unstored(&commits)).await.expect("add_unstored");
    let ids: Vec<CommitId> = commits.iter().map(|row| row.id).collect();
    let read = index.commits(&repo(1), &ids).await.expect("commits");
    assert_eq!(sorted(&read), sorted(&commits), "what has a place keeps it");
    assert_eq!(index.unstored(&repo(1)).await.expect("unstored"), Unstored::default());
    let heads = index.branches(&repo(1)).await.expect("branches");
    assert_eq!(heads[0].sequence, 1, "and a branch its moves");
}

async fn what_waits_is_taken_back_and_what_is_stored_stays<B>(index: &B)
where
    B: UnstoredIndex + RepositoryIndex + HistoryIndex + IndexPages,
{
    create_repositories(index, 2).await;
    let commits = chain("rows", 4);
    for n in [1, 2] {
        index.add_unstored(&repo(n), unstored(&commits)).await.expect("add_unstored");
    }
    let brought = rows(entry(&repo(1), "carrier", 1, None, None), &commits[..2]);
    index.record_move(brought).await.expect("record_move");
    for _ in 0..2 {
        index.forget_unstored(&repo(1)).await.expect("forget_unstored");
    }
    assert_eq!(index.unstored(&repo(1)).await.expect("unstored"), Unstored::default(), "nothing waits");
    let left = index.commit_page(&repo(1), None, 9).await.expect("commit_page");
    assert_eq!(sorted(&left), sorted(&commits[..2]), "what is stored stays");
    let ids: Vec<CommitId> = commits.iter().map(|row| row.id).collect();
    let nodes = index.commit_nodes(&repo(1), &ids, 0).await.expect("commit_nodes");
    assert_eq!(nodes.len(), 2, "the graph has it, and no more");
    assert_eq!(index.branches(&repo(1)).await.expect("branches"), [], "a branch without a move goes");
    let others = Unstored { commits: 4, snapshots: 4, branches: 1 };
    assert_eq!(index.unstored(&repo(2)).await.expect("unstored"), others, "of this repository alone");
    index.add_unstored(&repo(1), unstored(&commits)).await.expect("they may come again");
    let again = Unstored { commits: 2, snapshots: 2, branches: 1 };
    assert_eq!(index.unstored(&repo(1)).await.expect("unstored"), again);
}
