//! The log after old entries were folded: whole for every reader, and as strict for every writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use musehub_core::port::{BackendError, PackId, RefLogEntry, RefStore, Timestamp};
use musehub_store::{Backend, RefLog};

use crate::faulty_store::{Fault, Faulty};
use crate::index_fixtures::{branch, commit_id, handle, repo};
use crate::pack_fixtures::files;

/// Later than any clock: 9999-12-31.
const FAR_FUTURE: Timestamp = Timestamp::from_millis(253_402_214_400_000);

fn entry(name: &str, sequence: u64) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo(1),
        branch: branch(name),
        sequence,
        old: (sequence > 1).then(|| commit_id(sequence - 1)),
        new: Some(commit_id(sequence)),
        forced: false,
        pusher: handle("pusher"),
        at: Timestamp::from_millis(1),
        packs: Vec::new(),
        borrowed: Vec::new(),
    }
}

async fn append(log: &RefLog, name: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        log.append(&entry(name, number)).await.unwrap();
    }
}

/// A move of the same number by somebody else.
fn rival(name: &str, sequence: u64) -> RefLogEntry {
    RefLogEntry { at: Timestamp::from_millis(2), ..entry(name, sequence) }
}

fn is_conflict(result: &Result<(), BackendError>) -> bool {
    matches!(result, Err(BackendError::Conflict { .. }))
}

const NAMES: [&str; 4] = ["main", "feat/x", "Upper.Case", "log"];

/// Every history from every number, and the heads, are what was appended.
async fn expect(log: &RefLog, model: &BTreeMap<&str, u64>) {
    for (name, last) in model {
        for after in 0..=*last {
            let history = log.history(&repo(1), &branch(name), after).await.unwrap();
            let numbers: Vec<u64> = history.iter().map(|entry| entry.sequence).collect();
            assert_eq!(numbers, (after + 1..=*last).collect::<Vec<_>>(), "{name} after {after}");
            assert!(history.iter().all(|found| *found == entry(name, found.sequence)));
        }
    }
    let mut heads = log.heads(&repo(1)).await.unwrap();
    heads.sort_by(|a, b| a.branch.as_str().cmp(b.branch.as_str()));
    let expected: Vec<RefLogEntry> = model.iter().map(|(name, last)| entry(name, *last)).collect();
    assert_eq!(heads, expected);
}

/// A push may borrow from many packs, so moves are not counted alone.
#[tokio::test]
async fn moves_that_are_long_are_folded_into_several_segments() {
    let store = Faulty::sound();
    let log = RefLog::new(Backend::over(Arc::new(store.clone())));
    let long = |number: u64| {
        let name = |n: u64| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&n.to_le_bytes());
            name[8..16].copy_from_slice(&number.to_le_bytes());
            PackId::new(*blake3::hash(&name).as_bytes())
        };
        RefLogEntry { borrowed: (0..100_000).map(name).collect(), ..entry("main", number) }
    };
    for number in 1..=7 {
        log.append(&long(number)).await.unwrap();
    }
    let done = log.compact(FAR_FUTURE, 1).await.unwrap();
    assert_eq!((done.folded, done.removed), (7, 7));
    let segments = store.contents().await.into_iter().filter(|(key, _)| key.ends_with(".seg")).count();
    assert_eq!(segments, 3);
    let history = log.history(&repo(1), &branch("main"), 0).await.unwrap();
    assert!(history == (1..=7).map(long).collect::<Vec<_>>());
}

#[tokio::test]
async fn folding_changes_nothing_that_is_read_and_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let log = RefLog::new(Backend::local(directory.path()).unwrap());
    let mut model: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 1..=3_u64 {
        for name in NAMES.iter().take(1 + round as usize) {
            let last = model.get(name).copied().unwrap_or(0);
            append(&log, name, last + 1..=last + round).await;
            model.insert(name, last + round);
        }
        expect(&log, &model).await;
        let done = log.compact(FAR_FUTURE, 1).await.unwrap();
        assert_eq!(done.folded, done.removed);
        assert_eq!(done.folded, (1 + round) * round, "round {round}");
        expect(&log, &model).await;
        expect(&RefLog::new(Backend::local(directory.path()).unwrap()), &model).await;
        let left: Vec<String> = files(directory.path());
        assert_eq!(left.len(), round as usize, "segments are all that is left: {left:?}");
    }
    assert_eq!(log.compact(FAR_FUTURE, 1).await.unwrap().folded, 0);
    append(&log, "main", 7..=7).await;
    assert_eq!(log.compact(FAR_FUTURE, 2).await.unwrap().folded, 0, "too few to be worth it");
    assert_eq!(log.compact(Timestamp::from_millis(0), 1).await.unwrap().folded, 0, "too young");
}

#[tokio::test]
async fn ten_thousand_branches_cost_three_requests_and_one_for_each_that_moved_since() {
    const BRANCHES: usize = 10_000;
    let faulty = Faulty::sound();
    let log = RefLog::new(Backend::over(Arc::new(faulty.clone())));
    for number in 0..BRANCHES {
        append(&log, &format!("branch-{number}"), 1..=1).await;
    }
    log.compact(FAR_FUTURE, 1).await.unwrap();
    for moved in 0..3 {
        let before = faulty.calls();
        let heads = log.heads(&repo(1)).await.unwrap();
        assert_eq!(heads.len(), BRANCHES);
        assert_eq!(heads.iter().filter(|head| head.sequence == 2).count(), moved);
        assert_eq!(faulty.calls() - before, 3 + moved as u64, "{moved} moved");
        append(&log, &format!("branch-{moved}"), 2..=2).await;
    }
}

#[tokio::test]
async fn a_number_that_was_folded_is_taken() {
    let faulty = Faulty::sound();
    let log = RefLog::new(Backend::over(Arc::new(faulty.clone())));
    append(&log, "main", 1..=3).await;
    append(&log, "dev", 1..=1).await;
    log.compact(FAR_FUTURE, 1).await.unwrap();
    // Writers that know the log as it was, in this process and in another.
    for log in [&log, &RefLog::new(Backend::over(Arc::new(faulty.clone())))] {
        for number in 1..=3 {
            assert!(is_conflict(&log.append(&rival("main", number)).await), "{number}");
        }
        assert!(is_conflict(&log.append(&rival("dev", 1)).await));
    }
    append(&log, "main", 4..=4).await;
    append(&log, "new", 1..=1).await;
    expect(&log, &BTreeMap::from([("dev", 1), ("main", 4), ("new", 1)])).await;
}

#[tokio::test]
async fn an_entry_below_what_is_folded_is_nobody_s() {
    let faulty = Faulty::sound();
    let log = RefLog::new(Backend::over(Arc::new(faulty.clone())));
    append(&log, "main", 1..=3).await;
    log.compact(FAR_FUTURE, 1).await.unwrap();
    // A writer that died between creating its entry and looking whether it may.
    let dying = RefLog::new(Backend::over(Arc::new(faulty.failing(Fault::Before, 1))));
    let mut lie = entry("main", 2);
    lie.new = Some(commit_id(99));
    assert!(dying.append(&lie).await.is_err());
    let model = BTreeMap::from([("main", 3)]);
    expect(&log, &model).await;
    assert_eq!(log.compact(FAR_FUTURE, 1).await.unwrap().removed, 1, "it is swept away");
    expect(&log, &model).await;
}

#[tokio::test]
async fn a_compaction_that_dies_anywhere_leaves_a_whole_log() {
    for fault in [Fault::Before, Fault::After, Fault::Torn] {
        for at in 0.. {
            let faulty = Faulty::sound();
            let log = RefLog::new(Backend::over(Arc::new(faulty.clone())));
            append(&log, "main", 1..=3).await;
            log.compact(FAR_FUTURE, 1).await.unwrap();
            append(&log, "main", 4..=6).await;
            append(&log, "dev", 1..=2).await;
            let failing = faulty.failing(fault, at);
            let died = RefLog::new(Backend::over(Arc::new(failing.clone()))).compact(FAR_FUTURE, 1).await;
            if failing.struck().is_none() {
                assert!(at > 8, "{at} calls");
                break;
            }
            assert!(died.is_err(), "call {at} {fault:?}");
            let model = BTreeMap::from([("dev", 2), ("main", 6)]);
            let log = RefLog::new(Backend::over(Arc::new(faulty.recovered())));
            expect(&log, &model).await;
            for number in 1..=6 {
                assert!(is_conflict(&log.append(&rival("main", number)).await), "call {at} {fault:?}");
            }
            log.compact(FAR_FUTURE, 1).await.unwrap();
            expect(&log, &model).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_readers_and_compactions_at_once_see_one_whole_log() {
    let directory = tempfile::tempdir().unwrap();
    let open = || RefLog::new(Backend::local(directory.path()).unwrap());
    const MOVES: u64 = 120;
    let appended = Arc::new(AtomicU64::new(0));
    // Four writers race for every number of one branch.
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (log, appended) = (open(), appended.clone());
            tokio::spawn(async move {
                let mut won = 0;
                for number in 1..=MOVES {
                    let own = RefLogEntry { at: Timestamp::from_millis(writer), ..entry("main", number) };
                    match log.append(&own).await {
                        Ok(()) => won += 1,
                        Err(BackendError::Conflict { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                    appended.fetch_max(number, Ordering::SeqCst);
                }
                won
            })
        })
        .collect();
    let compacting: Vec<_> = (0..2)
        .map(|_| {
            let (log, appended) = (open(), appended.clone());
            tokio::spawn(async move {
                while appended.load(Ordering::SeqCst) < MOVES {
                    log.compact(FAR_FUTURE, 3).await.unwrap();
                }
            })
        })
        .collect();
    let log = open();
    while appended.load(Ordering::SeqCst) < MOVES {
        let least = appended.load(Ordering::SeqCst);
        let history = log.history(&repo(1), &branch("main"), 0).await.unwrap();
        assert!(history.len() as u64 >= least, "{} of {least}", history.len());
        assert!(history.iter().map(|entry| entry.sequence).eq(1..=history.len() as u64));
        let heads = log.heads(&repo(1)).await.unwrap();
        assert!(heads.first().map_or(0, |head| head.sequence) >= least);
    }
    let mut won = 0;
    for writer in writers {
        won += writer.await.unwrap();
    }
    for compaction in compacting {
        compaction.await.unwrap();
    }
    assert_eq!(won, MOVES, "every number was won once");
    let history = log.history(&repo(1), &branch("main"), 0).await.unwrap();
    assert!(history.iter().map(|entry| entry.sequence).eq(1..=MOVES));
}
