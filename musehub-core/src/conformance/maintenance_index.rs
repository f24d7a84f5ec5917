//! The contract of [`MaintenanceIndex`].

use super::fixtures::{at, create_repositories, repo};
use super::history_rows::{blob, chain, first_move, place};
use super::run_cases;
use crate::id::{BlobId, ObjectKey};
use crate::name::RepoId;
use crate::port::{
    BlobRow, HistoryIndex, JobKind, JobQueue, MaintenanceIndex, MoveRows, NewJob, Place, Relocation,
    RepositoryIndex,
};

/// Runs every case, each against a backend fresh from `fresh`. It needs the ports whose rows the upkeep changes.
///
/// # Panics
/// Where the backend breaks the contract of [`MaintenanceIndex`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex + JobQueue,
{
    run_cases!(
        "maintenance_index",
        fresh,
        [
            nothing_to_do_is_done,
            rows_of_every_kind_and_repository_are_relocated,
            rows_that_lie_elsewhere_stay,
            blobs_that_a_repository_holds_are_not_forgotten,
            blobs_that_nobody_holds_are_forgotten_by_their_place,
            restored_blobs_leave_rows_that_are_there,
            a_forgotten_repository_leaves_nothing_and_others_stay,
        ]
    );
}

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Two repositories that hold the same history and blobs.
async fn two_repositories<B: RepositoryIndex + HistoryIndex>(index: &B) -> [MoveRows; 2] {
    create_repositories(index, 2).await;
    let commits = chain("shared", 3);
    let both = [1, 2].map(|n| {
        let mut rows = first_move(&repo(n), "main", &commits);
        rows.blobs = NAMES.map(blob).to_vec();
        rows
    });
    for rows in &both {
        index.record_move(rows.clone()).await.expect("record_move");
    }
    both
}

fn lies(place: Option<Place>) -> Place {
    place.expect("the rows of a move have places")
}

fn keys(rows: &MoveRows) -> Vec<(ObjectKey, Place)> {
    let commits = rows.commits.iter().map(|row| (row.id.key(), lies(row.place)));
    let snapshots = rows.snapshots.iter().map(|row| (row.id.key(), lies(row.place)));
    commits.chain(snapshots).chain(rows.blobs.iter().map(|row| (row.id.key(), row.place))).collect()
}

async fn places<B: HistoryIndex>(index: &B, repo: &RepoId, rows: &MoveRows) -> Vec<(ObjectKey, Place)> {
    let commits: Vec<_> = rows.commits.iter().map(|row| row.id).collect();
    let snapshots: Vec<_> = rows.snapshots.iter().map(|row| row.id).collect();
    let blobs: Vec<_> = rows.blobs.iter().map(|row| row.id).collect();
    let commits = index.commits(repo, &commits).await.expect("commits");
    let snapshots = index.snapshots(repo, &snapshots).await.expect("snapshots");
    let blobs = index.blobs(repo, &blobs).await.expect("blobs");
    let mut found: Vec<(ObjectKey, Place)> =
        commits.iter().map(|row| (row.id.key(), lies(row.place))).collect();
    found.extend(snapshots.iter().map(|row| (row.id.key(), lies(row.place))));
    found.extend(blobs.iter().map(|row| (row.id.key(), row.place)));
    found.sort_unstable();
    found
}

fn sorted(mut rows: Vec<(ObjectKey, Place)>) -> Vec<(ObjectKey, Place)> {
    rows.sort_unstable();
    rows
}

async fn nothing_to_do_is_done<B: MaintenanceIndex>(index: &B) {
    assert_eq!(index.relocate(&[]).await.expect("relocate"), 0, "nothing moves");
    assert_eq!(index.forget_blobs(&[]).await.expect("forget_blobs"), 0, "nothing goes");
    index.restore_blobs(&[]).await.expect("restore_blobs");
    index.forget_repository(&repo(7)).await.expect("an unknown repository is forgotten already");
}

async fn rows_of_every_kind_and_repository_are_relocated<B>(index: &B)
where
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex,
{
    let [first, second] = two_repositories(index).await;
    let moved = |(n, (key, from)): (usize, (ObjectKey, Place))| {
        let to = Place { pack: place("elsewhere").pack, offset: n as u64, length: 7 };
        Relocation { key, from, to }
    };
    let moves: Vec<Relocation> = keys(&first).into_iter().enumerate().map(moved).collect();
    assert!(index.relocate(&moves).await.expect("relocate") > 0, "rows moved");
    let expected = sorted(moves.iter().map(|moved| (moved.key, moved.to)).collect());
    for rows in [&first, &second] {
        assert_eq!(
            places(index, &rows.entry.repo_id, rows).await,
            expected,
            "every row lies where it was put"
        );
    }
    assert_eq!(index.relocate(&moves).await.expect("relocate"), 0, "again, there is nothing to move");
    index.record_move(first.clone()).await.expect("record_move");
    assert_eq!(
        places(index, &repo(1), &first).await,
        expected,
        "a move that is recorded again moves nothing back"
    );
}

async fn rows_that_lie_elsewhere_stay<B: MaintenanceIndex + RepositoryIndex + HistoryIndex>(index: &B) {
    let [first, _] = two_repositories(index).await;
    let elsewhere = |(key, from): (ObjectKey, Place)| {
        let other = Place { offset: from.offset + 1, ..from };
        Relocation { key, from: other, to: place("never") }
    };
    let moves: Vec<Relocation> = keys(&first).into_iter().map(elsewhere).collect();
    assert_eq!(index.relocate(&moves).await.expect("relocate"), 0, "no row lies there");
    assert_eq!(places(index, &repo(1), &first).await, sorted(keys(&first)), "every row stays");
}

async fn blobs_that_a_repository_holds_are_not_forgotten<B>(index: &B)
where
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex,
{
    let [first, _] = two_repositories(index).await;
    let gone: Vec<(BlobId, Place)> = first.blobs.iter().map(|row| (row.id, row.place)).collect();
    assert_eq!(index.forget_blobs(&gone).await.expect("forget_blobs"), 0, "two hold them");
    index.forget_repository(&repo(1)).await.expect("forget_repository");
    assert_eq!(index.forget_blobs(&gone).await.expect("forget_blobs"), 0, "one holds them still");
    let ids: Vec<BlobId> = first.blobs.iter().map(|row| row.id).collect();
    let mut left = index.blobs(&repo(2), &ids).await.expect("blobs");
    left.sort_unstable_by_key(|row| row.id);
    let mut expected = first.blobs.clone();
    expected.sort_unstable_by_key(|row| row.id);
    assert_eq!(left, expected, "every row stays");
}

async fn blobs_that_nobody_holds_are_forgotten_by_their_place<B>(index: &B)
where
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex,
{
    let [first, _] = two_repositories(index).await;
    for n in [1, 2] {
        index.forget_repository(&repo(n)).await.expect("forget_repository");
    }
    let gone: Vec<(BlobId, Place)> = first.blobs.iter().map(|row| (row.id, row.place)).collect();
    index.forget_blobs(&gone).await.expect("forget_blobs");
    assert_eq!(
        index.forget_blobs(&gone).await.expect("forget_blobs"),
        0,
        "again, there is nothing to forget"
    );
    create_repositories(index, 3).await;
    let mut elsewhere =
        MoveRows { blobs: first.blobs.clone(), ..first_move(&repo(3), "main", &chain("other", 1)) };
    for row in &mut elsewhere.blobs {
        row.place = place("elsewhere");
    }
    index.record_move(elsewhere.clone()).await.expect("record_move");
    let ids: Vec<BlobId> = elsewhere.blobs.iter().map(|row| row.id).collect();
    let rows = index.blobs(&repo(3), &ids).await.expect("blobs");
    assert!(rows.iter().all(|row| row.place == place("elsewhere")), "their next place counts: {rows:?}");
    assert_eq!(rows.len(), ids.len(), "of each one");
}

async fn restored_blobs_leave_rows_that_are_there<B>(index: &B)
where
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex,
{
    let [first, _] = two_repositories(index).await;
    let elsewhere = first.blobs.iter().map(|row| BlobRow { place: place("elsewhere"), ..*row });
    index.restore_blobs(&elsewhere.collect::<Vec<_>>()).await.expect("restore_blobs");
    assert_eq!(places(index, &repo(1), &first).await, sorted(keys(&first)), "every row stays");
}

async fn a_forgotten_repository_leaves_nothing_and_others_stay<B>(index: &B)
where
    B: MaintenanceIndex + RepositoryIndex + HistoryIndex + JobQueue,
{
    let [first, second] = two_repositories(index).await;
    let work = |n| NewJob::new(JobKind::new("kind"), repo(n), String::new());
    for n in [1, 2] {
        index.enqueue(&work(n), at(1)).await.expect("enqueue");
    }
    index.forget_repository(&repo(1)).await.expect("forget_repository");
    index.forget_repository(&repo(1)).await.expect("twice is once");
    assert_eq!(index.repository_by_id(&repo(1)).await.expect("repository_by_id"), None, "it is gone");
    assert_eq!(index.branches(&repo(1)).await.expect("branches"), [], "with its branches");
    assert_eq!(places(index, &repo(1), &first).await, [], "and all that it held");
    let job = index.latest(&repo(1), "kind").await.expect("latest");
    assert_eq!(job, None, "and its work");
    assert_eq!(places(index, &repo(2), &second).await, sorted(keys(&second)), "the other one stays");
    assert!(index.latest(&repo(2), "kind").await.expect("latest").is_some(), "with its work");
}
