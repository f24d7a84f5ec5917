//! The contract of [`RefStore`].

mod records;

use std::collections::BTreeMap;

use futures::future::join_all;

use super::fixtures::{at, branch, commit_id, handle, pack_id, record, repo, slug};
use super::run_cases;
use crate::id::CommitId;
use crate::name::{BranchName, RepoId};
use crate::port::{BackendError, RefLogEntry, RefStore};

/// How many callers race for one thing.
const RACERS: usize = 24;

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`RefStore`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RefStore,
{
    run_cases!(
        "ref_store",
        fresh,
        [
            a_fresh_store_is_empty,
            records::a_record_comes_back,
            records::names_compare_without_case,
            records::names_do_not_run_together,
            records::versions_follow_one_another,
            records::a_deleted_repository_can_be_restored,
            records::one_of_many_gets_a_name,
            records::one_of_many_creates_a_version,
            an_entry_comes_back,
            a_number_is_created_once,
            one_of_many_creates_a_number,
            history_is_in_order_and_starts_after,
            a_deleted_branch_keeps_its_number,
            branches_of_any_name_keep_apart,
            a_hundred_branches,
            repositories_keep_apart,
        ]
    );
}

async fn create<B: RefStore>(refs: &B, n: u64) -> RepoId {
    let record = record(n, "owner", &format!("repository-{n}"));
    refs.put_repository(&record).await.expect("put_repository takes a new name");
    record.repo_id
}

fn entry(
    repo: &RepoId,
    name: &BranchName,
    sequence: u64,
    old: Option<CommitId>,
    new: Option<CommitId>,
) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo.clone(),
        branch: name.clone(),
        sequence,
        old,
        new,
        forced: sequence.is_multiple_of(2),
        pusher: handle("pusher"),
        at: at(i64::try_from(sequence).expect("a small number")),
        packs: (1..sequence.min(4)).map(|n| pack_id(&format!("{sequence}/{n}"))).collect(),
        borrowed: (2..sequence.min(4)).map(|n| pack_id(&format!("borrowed {n}"))).collect(),
    }
}

fn head(name: &BranchName, sequence: u64) -> CommitId {
    commit_id(&format!("{name} {sequence}"))
}

/// The entry that moves a branch of a straight history on.
fn next(repo: &RepoId, name: &BranchName, sequence: u64) -> RefLogEntry {
    let old = (sequence > 1).then(|| head(name, sequence - 1));
    entry(repo, name, sequence, old, Some(head(name, sequence)))
}

async fn append<B: RefStore>(refs: &B, entry: &RefLogEntry) {
    refs.append(entry).await.expect("append takes the next number");
}

async fn history<B: RefStore>(refs: &B, repo: &RepoId, name: &BranchName, after: u64) -> Vec<RefLogEntry> {
    refs.history(repo, name, after).await.expect("history")
}

/// The heads of a repository by branch; each branch once.
async fn heads<B: RefStore>(refs: &B, repo: &RepoId) -> BTreeMap<BranchName, RefLogEntry> {
    let mut heads = BTreeMap::new();
    for entry in refs.heads(repo).await.expect("heads") {
        assert_eq!(entry.repo_id, *repo, "heads gives entries of the repository asked for");
        assert!(heads.insert(entry.branch.clone(), entry).is_none(), "heads gives each branch once");
    }
    heads
}

fn is_conflict<T>(result: &Result<T, BackendError>) -> bool {
    matches!(result, Err(BackendError::Conflict { .. }))
}

/// Of several results, asserts that one is a success and all others conflicts; gives which one.
fn assert_one_won(results: &[Result<(), BackendError>]) -> usize {
    let winners: Vec<usize> = (0..results.len()).filter(|at| results[*at].is_ok()).collect();
    assert_eq!(winners.len(), 1, "exactly one of several callers succeeds: {results:?}");
    let conflicts = results.iter().filter(|result| is_conflict(result)).count();
    assert_eq!(conflicts, results.len() - 1, "all others get a conflict: {results:?}");
    winners[0]
}

async fn a_fresh_store_is_empty<B: RefStore>(refs: &B) {
    assert_eq!(refs.repositories().await.expect("repositories"), [], "no repositories at first");
    assert_eq!(refs.moved_repositories().await.expect("moved_repositories"), [], "no moves at first");
    let found = refs.repository(&handle("owner"), &slug("repository-1")).await.expect("repository");
    assert_eq!(found, None, "an unknown name is none");
    let main = branch("main");
    assert!(heads(refs, &repo(1)).await.is_empty(), "no heads at first");
    assert_eq!(history(refs, &repo(1), &main, 0).await, [], "no history at first");
    let created = create(refs, 1).await;
    assert!(heads(refs, &created).await.is_empty(), "a new repository has no heads");
    assert_eq!(history(refs, &created, &main, 0).await, [], "a new repository has no history");
}

async fn an_entry_comes_back<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let main = branch("main");
    let created = RefLogEntry { packs: Vec::new(), borrowed: Vec::new(), ..next(&repo, &main, 1) };
    let forced = RefLogEntry {
        forced: true,
        packs: (0..50).map(|n| pack_id(&n.to_string())).collect(),
        borrowed: (50..200).map(|n| pack_id(&n.to_string())).collect(),
        pusher: handle("Some.Bot-1_x"),
        at: at(-1_800_000_000_000),
        ..entry(&repo, &main, 2, created.new, Some(commit_id("elsewhere")))
    };
    for entry in [&created, &forced] {
        append(refs, entry).await;
        assert_eq!(heads(refs, &repo).await.get(&main), Some(entry), "a head comes back as it was written");
    }
    assert_eq!(
        history(refs, &repo, &main, 0).await,
        [created, forced],
        "entries come back as they were written"
    );
}

async fn a_number_is_created_once<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let main = branch("main");
    let entries: Vec<RefLogEntry> = (1..=3).map(|sequence| next(&repo, &main, sequence)).collect();
    for entry in &entries {
        append(refs, entry).await;
        assert!(
            is_conflict(&refs.append(entry).await),
            "an equal entry of a number that exists is a conflict"
        );
    }
    for sequence in 1..=3 {
        let other = RefLogEntry { new: Some(commit_id("other")), ..next(&repo, &main, sequence) };
        assert!(is_conflict(&refs.append(&other).await), "number {sequence} exists");
    }
    assert_eq!(history(refs, &repo, &main, 0).await, entries, "entries never change");
}

async fn one_of_many_creates_a_number<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let main = branch("main");
    let mut old = None;
    for sequence in 1..=3 {
        let racer =
            |n: usize| entry(&repo, &main, sequence, old, Some(commit_id(&format!("{sequence} by {n}"))));
        let entries: Vec<RefLogEntry> = (0..RACERS).map(racer).collect();
        let results = join_all(entries.iter().map(|entry| refs.append(entry))).await;
        let winner = &entries[assert_one_won(&results)];
        assert_eq!(heads(refs, &repo).await.get(&main), Some(winner), "the winner's head stands");
        assert_eq!(
            history(refs, &repo, &main, sequence - 1).await,
            std::slice::from_ref(winner),
            "the losers left nothing"
        );
        old = winner.new;
    }
}

async fn history_is_in_order_and_starts_after<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let main = branch("main");
    let entries: Vec<RefLogEntry> = (1..=120).map(|sequence| next(&repo, &main, sequence)).collect();
    for entry in &entries {
        append(refs, entry).await;
    }
    for after in [0, 1, 8, 9, 10, 99, 100, 119, 120, 121, 1_000_000] {
        let expected = entries.get(usize::try_from(after).expect("small")..).unwrap_or_default();
        assert_eq!(history(refs, &repo, &main, after).await, expected, "history after {after}, oldest first");
    }
    assert_eq!(history(refs, &repo, &branch("other"), 0).await, [], "an unknown branch has no history");
    assert_eq!(heads(refs, &repo).await.get(&main), entries.last(), "the head is the last move");
}

async fn a_deleted_branch_keeps_its_number<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let name = branch("short-lived");
    let [first, second] = [1, 3].map(|sequence| head(&name, sequence));
    let entries = [
        entry(&repo, &name, 1, None, Some(first)),
        entry(&repo, &name, 2, Some(first), None),
        entry(&repo, &name, 3, None, Some(second)),
        entry(&repo, &name, 4, Some(second), None),
    ];
    for entry in &entries {
        append(refs, entry).await;
        assert_eq!(heads(refs, &repo).await.get(&name), Some(entry), "the last move, a deletion too");
    }
    assert!(is_conflict(&refs.append(&next(&repo, &name, 1)).await), "a deleted branch does not begin again");
    assert_eq!(history(refs, &repo, &name, 0).await, entries, "deletions are history too");
}

/// Branch names that a store might mix up, refuse or fail to find again.
fn tricky_names() -> Vec<BranchName> {
    let longest = "b".repeat(255);
    let wide = "ü".repeat(127);
    let percent = "%".repeat(255);
    let deep = ["d"; 128].join("/");
    let texts = [
        "main",
        "Main",
        "MAIN",
        "a",
        "A",
        "a/b",
        "a/b/c",
        "a-b",
        "a.b",
        "a_b",
        "a b",
        "a%2Fb",
        "a%2fb",
        "%2F",
        "%2f",
        "%",
        "%25",
        "%252F",
        "feat/x",
        "feat%2Fx",
        "feat/X",
        "1",
        "01",
        "0",
        "00000000000000000001",
        "1/1",
        "heads/main",
        "Ünï",
        "ünï",
        "u\u{308}",
        "ü",
        "日本語/枝",
        "\u{1f980}",
        "a?b",
        "a#b",
        "a*b",
        "ab:c",
        "a+b",
        "a&b=c",
        "a\"b",
        "a'b",
        "~",
        "@",
        "@{0}",
        "<a>|b",
        "con",
        "nul",
        "a.json",
        "log",
        "a.lock.b",
        "lock",
        "index",
        "_",
        "$HOME",
        "{}",
        "a,b;c",
        &longest,
        &longest[1..],
        &wide,
        &percent,
        &deep,
    ];
    texts.into_iter().map(branch).collect()
}

async fn branches_of_any_name_keep_apart<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let names = tricky_names();
    for (n, name) in names.iter().enumerate() {
        for sequence in 1..=(1 + n as u64 % 3) {
            append(refs, &next(&repo, name, sequence)).await;
        }
    }
    let heads = heads(refs, &repo).await;
    assert_eq!(heads.len(), names.len(), "every branch has a head of its own");
    for (n, name) in names.iter().enumerate() {
        let expected: Vec<RefLogEntry> =
            (1..=(1 + n as u64 % 3)).map(|sequence| next(&repo, name, sequence)).collect();
        assert_eq!(heads.get(name), expected.last(), "the head of '{name}'");
        assert_eq!(history(refs, &repo, name, 0).await, expected, "the history of '{name}'");
    }
}

async fn a_hundred_branches<B: RefStore>(refs: &B) {
    let repo = create(refs, 1).await;
    let names: Vec<BranchName> = (0..100).map(|n| branch(&format!("topic/{n}"))).collect();
    let entries: Vec<RefLogEntry> = names.iter().map(|name| next(&repo, name, 1)).collect();
    for result in join_all(entries.iter().map(|entry| refs.append(entry))).await {
        result.expect("branches move at the same time");
    }
    let expected: BTreeMap<BranchName, RefLogEntry> = names.into_iter().zip(entries).collect();
    assert_eq!(heads(refs, &repo).await, expected, "a hundred heads");
}

async fn repositories_keep_apart<B: RefStore>(refs: &B) {
    let (first, second) = (create(refs, 1).await, create(refs, 2).await);
    let main = branch("main");
    append(refs, &next(&first, &main, 1)).await;
    assert!(heads(refs, &second).await.is_empty(), "another repository has no heads yet");
    assert_eq!(history(refs, &second, &main, 0).await, [], "another repository has no history yet");
    append(refs, &next(&second, &main, 1)).await;
    append(refs, &next(&second, &main, 2)).await;
    assert_eq!(heads(refs, &first).await.get(&main), Some(&next(&first, &main, 1)), "each has its own head");
    let _without_moves = create(refs, 3).await;
    let mut moved = refs.moved_repositories().await.expect("moved_repositories");
    moved.sort_unstable();
    assert_eq!(moved, [first.clone(), second.clone()], "those that have moves, each once");
    assert_eq!(
        heads(refs, &second).await.get(&main),
        Some(&next(&second, &main, 2)),
        "each has its own head"
    );
    assert_eq!(history(refs, &first, &main, 0).await, [next(&first, &main, 1)], "each has its own history");
}
