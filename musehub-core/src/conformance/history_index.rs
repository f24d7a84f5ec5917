//! The contract of [`HistoryIndex`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::join_all;

use super::fixtures::{at, blob_id, branch, commit_id, create_repositories, repo, snapshot_id};
use super::history_rows::{blob, chain, commit, entry, first_move, ids_of, place, rows, snapshot_of, sorted};
use super::run_cases;
use crate::id::{BlobId, CommitId, SnapshotId};
use crate::name::{BranchName, RepoId};
use crate::port::{
    BlobRow, BranchRow, CommitRow, HistoryIndex, JobKind, JobQueue, MoveRows, NewJob, RepositoryIndex,
    SnapshotRow,
};

/// Runs every case, each against a backend fresh from `fresh`. It needs the job queue of the same backend, since a
/// move may enqueue work.
///
/// # Panics
/// Where the backend breaks the contract of [`HistoryIndex`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex + HistoryIndex + JobQueue,
{
    run_cases!(
        "history_index",
        fresh,
        [
            a_repository_begins_empty,
            rows_come_back,
            recording_again_changes_nothing,
            a_blob_whose_place_is_lost_lies_where_the_move_has_it,
            a_branch_never_moves_back,
            a_deleted_branch_keeps_its_number,
            branches_are_ordered_by_name,
            repositories_keep_apart,
            repositories_share_what_both_hold,
            a_window_sends_true_ancestors,
            a_merge_keeps_its_parents_in_order,
            thousands_of_commits_in_one_move,
            a_move_enqueues_its_work_once,
            moves_at_the_same_time_all_count,
            a_blob_names_those_who_hold_it,
        ]
    );
}

async fn record<B: HistoryIndex>(index: &B, rows: &MoveRows) {
    index.record_move(rows.clone()).await.expect("record_move");
}

async fn branch_of<B: HistoryIndex>(index: &B, repo: &RepoId, name: &str) -> (Option<CommitId>, u64) {
    index.branch(repo, &branch(name)).await.expect("branch")
}

async fn branches<B: HistoryIndex>(index: &B, repo: &RepoId) -> Vec<BranchRow> {
    index.branches(repo).await.expect("branches")
}

async fn count<B: HistoryIndex>(index: &B, repo: &RepoId) -> u64 {
    index.commit_count(repo).await.expect("commit_count")
}

async fn commits<B: HistoryIndex>(index: &B, repo: &RepoId, ids: &[CommitId]) -> Vec<CommitRow> {
    let mut rows = index.commits(repo, ids).await.expect("commits");
    rows.sort_by_key(|row| row.id);
    rows
}

async fn snapshots<B: HistoryIndex>(index: &B, repo: &RepoId, ids: &[SnapshotId]) -> Vec<SnapshotRow> {
    let mut rows = index.snapshots(repo, ids).await.expect("snapshots");
    rows.sort_by_key(|row| row.id);
    rows
}

async fn blobs<B: HistoryIndex>(index: &B, repo: &RepoId, ids: &[BlobId]) -> Vec<BlobRow> {
    let mut rows = index.blobs(repo, ids).await.expect("blobs");
    rows.sort_by_key(|row| row.id);
    rows
}

/// Asserts that a repository holds exactly the rows of these moves.
async fn assert_holds<B: HistoryIndex>(index: &B, repo: &RepoId, held: &[CommitRow]) {
    assert_eq!(count(index, repo).await, held.len() as u64, "how many commits the repository holds");
    assert_eq!(commits(index, repo, &ids_of(held)).await, sorted(held), "the rows of its commits");
    let ids: Vec<SnapshotId> = held.iter().map(|row| row.snapshot).collect();
    let mut expected: Vec<SnapshotRow> = held.iter().map(snapshot_of).collect();
    expected.sort_by_key(|row| row.id);
    assert_eq!(snapshots(index, repo, &ids).await, expected, "the rows of its snapshots");
}

/// Asks for nodes and checks that the answer is true: every commit asked for that is held, and beyond those only true
/// ancestors, within the window. Gives how many were sent along.
async fn check_nodes<B: HistoryIndex>(
    index: &B,
    repo: &RepoId,
    held: &[CommitRow],
    ids: &[CommitId],
    window: u32,
) -> usize {
    let held: HashMap<CommitId, &CommitRow> = held.iter().map(|row| (row.id, row)).collect();
    let asked: BTreeSet<CommitId> = ids.iter().copied().filter(|id| held.contains_key(id)).collect();
    let mut ancestors = BTreeSet::new();
    let mut open: Vec<CommitId> = asked.iter().copied().collect();
    while let Some(id) = open.pop() {
        if ancestors.insert(id) {
            open.extend(&held[&id].parents);
        }
    }
    let mut sent = BTreeSet::new();
    for node in index.commit_nodes(repo, ids, window).await.expect("commit_nodes") {
        assert!(ancestors.contains(&node.id), "a node is of a commit asked for or of an ancestor");
        assert!(sent.insert(node.id), "a node comes once");
        let row = held[&node.id];
        assert_eq!(
            (node.parents, node.generation),
            (row.parents.clone(), row.generation),
            "a node is as its commit"
        );
    }
    assert!(sent.is_superset(&asked), "every commit asked for that the repository holds has its node");
    let extra = sent.len() - asked.len();
    assert!(extra <= window as usize, "no more than the window is sent along");
    extra
}

async fn a_repository_begins_empty<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    for repo in [repo(1), repo(2)] {
        assert_eq!(branches(index, &repo).await, [], "no branches");
        assert_eq!(branch_of(index, &repo, "main").await, (None, 0), "an unknown branch has not moved");
        assert_eq!(count(index, &repo).await, 0, "no commits");
        assert_eq!(commits(index, &repo, &[commit_id("x")]).await, [], "no commits");
        assert_eq!(snapshots(index, &repo, &[snapshot_id("x")]).await, [], "no snapshots");
        assert_eq!(blobs(index, &repo, &[blob_id("x")]).await, [], "no blobs");
        check_nodes(index, &repo, &[], &[commit_id("x")], 10).await;
    }
}

async fn rows_come_back<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let repo = repo(1);
    let mut history = chain("c", 3);
    history[1].agent_id = "agent-7".to_owned();
    history[1].branch = "feat/Ünï x".to_owned();
    history[2].message = String::new();
    history[2].author = String::new();
    history[2].committed_at = "yesterday, about noon".to_owned();
    let written = [blob("a"), blob("b")];
    let moved = MoveRows { blobs: written.to_vec(), ..first_move(&repo, "main", &history) };
    record(index, &moved).await;

    let head = history[2].id;
    let expected = BranchRow { name: branch("main"), head, sequence: 1, moved_at: moved.entry.at };
    assert_eq!(branches(index, &repo).await, [expected], "the branch that moved");
    assert_eq!(branch_of(index, &repo, "main").await, (Some(head), 1), "its head and number");
    assert_holds(index, &repo, &history).await;
    let asked = [history[1].id, commit_id("unknown"), history[1].id];
    assert_eq!(
        commits(index, &repo, &asked).await,
        [history[1].clone()],
        "one row for a commit, none for unknown ones"
    );
    let mut expected = written.to_vec();
    expected.sort_by_key(|row| row.id);
    let asked = [blob_id("b"), blob_id("unknown"), blob_id("a")];
    assert_eq!(blobs(index, &repo, &asked).await, expected, "the rows of its blobs");
    assert_eq!(commits(index, &repo, &[]).await, [], "nothing asked, nothing answered");
}

async fn recording_again_changes_nothing<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 4));
    let first = MoveRows { blobs: vec![blob("a")], ..first_move(&repo, "main", &history[..2]) };
    let second = rows(entry(&repo, "main", 2, Some(history[1].id), Some(history[3].id)), &history[2..]);
    record(index, &first).await;
    record(index, &first).await;
    assert_eq!(branch_of(index, &repo, "main").await, (Some(history[1].id), 1), "recorded twice is once");
    assert_holds(index, &repo, &history[..2]).await;
    for moved in [&second, &first, &second, &first] {
        record(index, moved).await;
        assert_eq!(branch_of(index, &repo, "main").await, (Some(history[3].id), 2), "the last move stands");
        assert_eq!(branches(index, &repo).await.len(), 1, "one branch");
        assert_holds(index, &repo, &history).await;
        assert_eq!(blobs(index, &repo, &[blob_id("a")]).await, [blob("a")], "one row for a blob");
    }
}

async fn a_blob_whose_place_is_lost_lies_where_the_move_has_it<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 3));
    let old = [blob("a"), blob("b"), blob("c")];
    record(index, &MoveRows { blobs: old.to_vec(), ..first_move(&repo, "main", &history[..2]) }).await;
    let new = old.map(|row| BlobRow { place: place("written again"), ..row });
    let lost = vec![old[0].located(), new[1].located()];
    let next = rows(entry(&repo, "main", 2, Some(history[1].id), Some(history[2].id)), &history[2..]);
    let next = MoveRows { blobs: new.to_vec(), lost, ..next };
    for _ in 0..2 {
        record(index, &next).await;
        let held = blobs(index, &repo, &old.map(|row| row.id)).await;
        let mut expected = vec![new[0], old[1], old[2]];
        expected.sort_by_key(|row| row.id);
        assert_eq!(held, expected, "only the row that says a lost place says another one");
    }
}

async fn a_branch_never_moves_back<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let repo = repo(1);
    let (early, late) = (chain("early", 2), chain("late", 2));
    let third = rows(entry(&repo, "main", 3, Some(early[1].id), Some(late[1].id)), &late);
    let second = rows(entry(&repo, "main", 2, Some(early[0].id), Some(early[1].id)), &early);
    record(index, &third).await;
    record(index, &second).await;
    let expected =
        BranchRow { name: branch("main"), head: late[1].id, sequence: 3, moved_at: third.entry.at };
    assert_eq!(branches(index, &repo).await, [expected], "an earlier move leaves the head");
    assert_eq!(branch_of(index, &repo, "main").await, (Some(late[1].id), 3), "and the number");
    assert_holds(index, &repo, &[early, late].concat()).await;
}

async fn a_deleted_branch_keeps_its_number<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 2));
    let head = history[1].id;
    let created = first_move(&repo, "topic", &history);
    let deleted = rows(entry(&repo, "topic", 2, Some(head), None), &[]);
    let again = rows(entry(&repo, "topic", 3, None, Some(history[0].id)), &[]);
    for moved in [&created, &deleted, &created, &deleted] {
        record(index, moved).await;
    }
    assert_eq!(branches(index, &repo).await, [], "a deleted branch is none");
    assert_eq!(branch_of(index, &repo, "topic").await, (None, 2), "a deleted branch keeps its number");
    assert_holds(index, &repo, &history).await;
    record(index, &again).await;
    record(index, &deleted).await;
    assert_eq!(
        branch_of(index, &repo, "topic").await,
        (Some(history[0].id), 3),
        "a branch made anew counts on"
    );
    assert_eq!(branches(index, &repo).await.len(), 1, "a branch made anew is there");
}

async fn branches_are_ordered_by_name<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 1));
    let in_order = [
        "%2F", "1", "10", "2", "A", "Main", "a", "a b", "a-b", "a.b", "a/b", "a_b", "aa", "feat/x", "main",
        "u\u{308}", "Ünï", "ünï", "日本",
    ];
    let mut written: Vec<BranchName> = in_order.map(branch).to_vec();
    assert!(written.is_sorted(), "the fixture is in order");
    written.rotate_left(7);
    for name in written.iter().rev() {
        record(index, &first_move(&repo, name.as_str(), &history)).await;
    }
    let listed = branches(index, &repo).await;
    let names: Vec<&str> = listed.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, in_order, "branches are ordered by the bytes of their names");
    assert_eq!(branch_of(index, &repo, "MAIN").await, (None, 0), "names that differ by case are different");
}

async fn repositories_keep_apart<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let history = chain("private", 3);
    let moved = MoveRows { blobs: vec![blob("private")], ..first_move(&repo(1), "main", &history) };
    record(index, &moved).await;
    assert_eq!(branches(index, &repo(2)).await, [], "another repository's branches");
    assert_eq!(branch_of(index, &repo(2), "main").await, (None, 0), "another repository's branch");
    assert_holds(index, &repo(2), &[]).await;
    assert_eq!(commits(index, &repo(2), &ids_of(&history)).await, [], "another repository's commits");
    let ids: Vec<SnapshotId> = history.iter().map(|row| row.snapshot).collect();
    assert_eq!(snapshots(index, &repo(2), &ids).await, [], "another repository's snapshots");
    assert_eq!(blobs(index, &repo(2), &[blob_id("private")]).await, [], "another repository's blobs");
    assert_eq!(
        check_nodes(index, &repo(2), &[], &ids_of(&history), 100).await,
        0,
        "another repository's graph"
    );
}

/// Each keeps a record of its own: under `flat-v1` one commit id may have records that differ.
async fn repositories_share_what_both_hold<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let first = chain("shared", 3);
    let mut second = first[..2].to_vec();
    for row in &mut second {
        row.author = "somebody else".to_owned();
        row.agent_id = "another agent".to_owned();
        row.size = 17;
        row.place = Some(place("another pack"));
    }
    let shared = vec![blob("shared")];
    record(index, &MoveRows { blobs: shared.clone(), ..first_move(&repo(1), "main", &first) }).await;
    record(index, &MoveRows { blobs: shared, ..first_move(&repo(2), "main", &second) }).await;
    for (repo, held) in [(repo(1), &first), (repo(2), &second)] {
        assert_holds(index, &repo, held).await;
        assert_eq!(blobs(index, &repo, &[blob_id("shared")]).await, [blob("shared")], "both hold the blob");
        check_nodes(index, &repo, held, &ids_of(&first), 100).await;
    }
    assert_eq!(commits(index, &repo(2), &[first[2].id]).await, [], "what only one holds is not shared");
}

async fn a_window_sends_true_ancestors<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let repo = repo(1);
    let trunk = chain("trunk", 60);
    let mut topic = vec![commit("topic 0", &[&trunk[20]])];
    topic.push(commit("topic 1", &[&topic[0]]));
    let merge = commit("merge", &[&trunk[59], &topic[1]]);
    let apart = chain("apart", 5);
    let held = [trunk.clone(), topic.clone(), vec![merge.clone()], apart.clone()].concat();
    record(index, &first_move(&repo, "main", &[&held[..62], std::slice::from_ref(&merge)].concat())).await;
    record(index, &first_move(&repo, "apart", &apart)).await;
    let longer = commit("longer", &[&merge]);
    let elsewhere = [&held[..62], &[merge.clone(), longer.clone()]].concat();
    record(index, &first_move(&super::fixtures::repo(2), "main", &elsewhere)).await;

    let unknown = commit_id("unknown");
    let questions: [&[CommitId]; 7] = [
        &[],
        &[unknown],
        &[longer.id],
        &[merge.id],
        &[trunk[0].id],
        &[topic[1].id, unknown, trunk[40].id, topic[1].id, topic[0].id],
        &[apart[4].id, merge.id, apart[2].id],
    ];
    for ids in questions {
        for window in [0, 1, 7, 61, 1_000, u32::MAX] {
            check_nodes(index, &repo, &held, ids, window).await;
        }
    }
    let every = ids_of(&held);
    assert_eq!(check_nodes(index, &repo, &held, &every, 10).await, 0, "nothing is left to send along");
}

async fn a_merge_keeps_its_parents_in_order<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, ours, theirs) = (repo(1), chain("ours", 2), chain("theirs", 3));
    let merges = [
        commit("one way", &[&ours[1], &theirs[2]]),
        commit("the other way", &[&theirs[2], &ours[1]]),
        commit("uneven", &[&ours[0], &theirs[2]]),
        commit("many", &[&theirs[1], &ours[1], &theirs[2], &ours[0]]),
    ];
    for (n, merge) in merges.iter().enumerate() {
        let history = [&ours[..], &theirs, std::slice::from_ref(merge)].concat();
        record(index, &first_move(&repo, &format!("merge/{n}"), &history)).await;
    }
    let held = [&ours[..], &theirs, &merges].concat();
    assert_holds(index, &repo, &held).await;
    check_nodes(index, &repo, &held, &ids_of(&merges), 0).await;
    check_nodes(index, &repo, &held, &ids_of(&merges), 100).await;
}

async fn thousands_of_commits_in_one_move<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 4_000));
    let written: Vec<BlobRow> = (0..9_000).map(|n| blob(&n.to_string())).collect();
    record(index, &MoveRows { blobs: written.clone(), ..first_move(&repo, "main", &history) }).await;
    assert_holds(index, &repo, &history).await;
    let asked: Vec<BlobId> = (0..70_000).map(|n| blob_id(&n.to_string())).collect();
    let expected: BTreeMap<BlobId, BlobRow> = written.into_iter().map(|row| (row.id, row)).collect();
    let found = blobs(index, &repo, &asked).await;
    assert!(found == expected.into_values().collect::<Vec<_>>(), "every blob among very many asked for");
    let absent = (0..20_000).map(|n| commit_id(&format!("absent {n}")));
    let asked: Vec<CommitId> = absent.chain(ids_of(&history)).collect();
    assert!(
        commits(index, &repo, &asked).await == sorted(&history),
        "every commit among very many asked for"
    );
    check_nodes(index, &repo, &history, &asked, 0).await;
    check_nodes(index, &repo, &history, &ids_of(&history[3_999..]), 10_000).await;
}

async fn a_move_enqueues_its_work_once<B>(index: &B)
where
    B: RepositoryIndex + HistoryIndex + JobQueue,
{
    create_repositories(index, 1).await;
    let (repo, history) = (repo(1), chain("c", 2));
    let job = |payload: &str| NewJob::new(JobKind::new("scan"), repo.clone(), payload.to_owned());
    let first = MoveRows { jobs: vec![job("1"), job("2")], ..first_move(&repo, "main", &history[..1]) };
    let moved = entry(&repo, "main", 2, Some(history[0].id), Some(history[1].id));
    let second = MoveRows { jobs: vec![job("3")], ..rows(moved, &history[1..]) };
    let back = entry(&repo, "main", 3, Some(history[1].id), Some(history[0].id));
    let third = MoveRows { jobs: vec![job("4")], ..rows(back, &[]) };
    // The second comes late: its work counts all the same.
    for moved in [&first, &first, &third, &second, &first, &third, &second] {
        record(index, moved).await;
    }
    let mut claimed = BTreeSet::new();
    while let Some(job) = index.claim("worker", &["scan"], at(10), 1_000).await.expect("claim") {
        assert_eq!(job.attempts, 1, "a job of a move is claimed once");
        assert!(
            claimed.insert(job.work.payload),
            "work of a move is enqueued once, however often it is recorded"
        );
    }
    assert_eq!(claimed, ["1", "2", "3", "4"].map(str::to_owned).into(), "the work of every move is enqueued");
}

async fn moves_at_the_same_time_all_count<B: RepositoryIndex + HistoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let trunk = chain("trunk", 3);
    let tips: Vec<CommitRow> = (0..12).map(|n| commit(&format!("tip {n}"), &[&trunk[2]])).collect();
    let mut moves = Vec::new();
    for (n, tip) in tips.iter().enumerate() {
        let history = [&trunk[..], std::slice::from_ref(tip)].concat();
        for repo in [repo(1), repo(2), repo(1)] {
            moves.push(MoveRows {
                blobs: vec![blob("all")],
                ..first_move(&repo, &format!("topic/{n}"), &history)
            });
        }
    }
    for result in join_all(moves.iter().map(|moved| index.record_move(moved.clone()))).await {
        result.expect("moves are recorded at the same time, equal ones too");
    }
    let held = [&trunk[..], &tips].concat();
    for repo in [repo(1), repo(2)] {
        assert_holds(index, &repo, &held).await;
        assert_eq!(branches(index, &repo).await.len(), tips.len(), "every branch has moved");
    }
}

async fn a_blob_names_those_who_hold_it<B: HistoryIndex + RepositoryIndex>(index: &B) {
    create_repositories(index, 7).await;
    let blob = |seed: &str| BlobRow { id: blob_id(seed), size: 1, place: place(seed) };
    for (n, seeds) in [(1, &["a"][..]), (2, &["b"]), (3, &["a", "b"]), (5, &["a"]), (6, &["a"])] {
        let mut rows = first_move(&repo(n), "main", &[commit(&format!("of {n}"), &[])]);
        rows.blobs = seeds.iter().map(|seed| blob(seed)).collect();
        record(index, &rows).await;
    }
    let holders = async |seed: &str, after: Option<u64>, limit: u32| -> Vec<RepoId> {
        let after = after.map(repo);
        let found = index.holders(blob_id(seed), after.as_ref(), limit).await.expect("holders");
        found.into_iter().map(|record| record.repo_id).collect()
    };
    assert_eq!(holders("a", None, 9).await, [1, 3, 5, 6].map(repo));
    assert_eq!(holders("b", None, 9).await, [2, 3].map(repo));
    assert_eq!(holders("a", Some(3), 1).await, [5].map(repo));
    assert!(holders("a", Some(6), 9).await.is_empty() && holders("c", None, 9).await.is_empty());
}
