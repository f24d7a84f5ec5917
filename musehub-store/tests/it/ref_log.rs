//! The ref log on disk: races between handles, and files that are not as they were written.

use std::path::Path;

use musehub_core::CommitId;
use musehub_core::port::{BackendError, PackId, RefLogEntry, RefStore, RepositoryRecord, Timestamp};
use musehub_store::{Backend, RefLog};

use crate::index_fixtures::{branch, commit_id, handle, record, repo};
use crate::pack_fixtures::files;

fn log(directory: &Path) -> RefLog {
    RefLog::new(Backend::local(directory).unwrap())
}

fn entry(name: &str, sequence: u64, old: Option<CommitId>, new: CommitId) -> RefLogEntry {
    RefLogEntry {
        repo_id: repo(1),
        branch: branch(name),
        sequence,
        old,
        new: Some(new),
        forced: false,
        pusher: handle("pusher"),
        at: Timestamp::from_millis(1),
        packs: Vec::new(),
        borrowed: Vec::new(),
    }
}

/// Runs every future on a thread of its own; which of them succeeded. All others met a conflict.
async fn winners(racers: Vec<tokio::task::JoinHandle<Result<(), BackendError>>>) -> Vec<usize> {
    let mut winners = Vec::new();
    for (n, racer) in racers.into_iter().enumerate() {
        match racer.await.unwrap() {
            Ok(()) => winners.push(n),
            Err(BackendError::Conflict { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_appends_from_several_handles_exactly_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = None;
    for sequence in 1..=40 {
        let entries: Vec<RefLogEntry> =
            (0..6).map(|n| entry("main", sequence, old, commit_id(sequence * 100 + n))).collect();
        let racers = entries.iter().cloned().map(|entry| {
            let log = log(directory.path());
            tokio::spawn(async move { log.append(&entry).await })
        });
        let winners = winners(racers.collect()).await;
        assert_eq!(winners.len(), 1, "move {sequence}");
        let heads = log(directory.path()).heads(&repo(1)).await.unwrap();
        assert_eq!(heads, [entries[winners[0]].clone()], "what rests is the winner's");
        old = heads[0].new;
    }
    assert_eq!(files(directory.path()).len(), 40, "the losers left no file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_claims_of_one_name_exactly_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let claims: Vec<RepositoryRecord> = (0..8).map(|n| record(n, "alice", "demo")).collect();
    let racers = claims.iter().cloned().map(|claim| {
        let log = log(directory.path());
        tokio::spawn(async move { log.put_repository(&claim).await })
    });
    let winners = winners(racers.collect()).await;
    assert_eq!(winners.len(), 1);
    let found = log(directory.path()).repositories().await.unwrap();
    assert_eq!(found, [claims[winners[0]].clone()]);
}

#[tokio::test]
async fn entries_outlive_the_handle_that_wrote_them() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (commit_id(1), commit_id(2));
    let moves = [entry("main", 1, None, first), entry("main", 2, Some(first), second)];
    for entry in &moves {
        log(directory.path()).append(entry).await.unwrap();
    }
    let read = log(directory.path()).history(&repo(1), &branch("main"), 0).await;
    assert_eq!(read.unwrap(), moves);
}

#[tokio::test]
async fn an_entry_that_is_torn_or_of_another_format_is_damaged_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    log.append(&entry("main", 1, None, commit_id(1))).await.unwrap();
    let name = files(directory.path()).remove(0);
    let path = directory.path().join(&name);
    let whole = std::fs::read_to_string(&path).unwrap();
    let newer = whole.replace("\"format\":2", "\"format\":3");
    assert_ne!(newer, whole);
    for bad in [&whole[..whole.len() / 2], "", "{}", "[]", &newer] {
        std::fs::write(&path, bad).unwrap();
        let results = [
            log.heads(&repo(1)).await.map(|_| ()),
            log.history(&repo(1), &branch("main"), 0).await.map(|_| ()),
        ];
        for result in results {
            match result {
                Err(BackendError::Damaged { what, .. }) => assert_eq!(what, name),
                other => panic!("{bad:?} gives {other:?}"),
            }
        }
    }
}

/// What an older hub wrote, and what this one writes.
#[tokio::test]
async fn entries_of_either_format_are_read_as_they_were_written() {
    let packs = |digit: &str| vec![PackId::parse(&digit.repeat(64)).unwrap()];
    let expected = RefLogEntry {
        at: Timestamp::from_millis(1_774_008_000_000),
        packs: packs("a"),
        borrowed: packs("b"),
        ..entry("main", 1, None, format!("sha256:{}", "1".repeat(64)).parse().unwrap())
    };
    for bytes in [
        include_bytes!("../fixtures/log-entry-1.json").as_slice(),
        include_bytes!("../fixtures/log-entry-2.json").as_slice(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(format!("refs/{}/main/000000000001.json", repo(1)));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let read = log(directory.path()).history(&repo(1), &branch("main"), 0).await.unwrap();
        assert_eq!(read, std::slice::from_ref(&expected));
    }
}

#[tokio::test]
async fn any_flipped_bit_of_an_entry_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    log.append(&entry("main", 1, None, commit_id(1))).await.unwrap();
    let name = files(directory.path()).remove(0);
    let path = directory.path().join(&name);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [1, 2, 16] {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            std::fs::write(&path, damaged).unwrap();
            let read = log.history(&repo(1), &branch("main"), 0).await;
            assert!(matches!(read, Err(BackendError::Damaged { .. })), "byte {at}: {read:?}");
        }
    }
}

#[tokio::test]
async fn a_move_that_is_lost_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    let mut old = None;
    for sequence in 1..=4 {
        let new = commit_id(sequence);
        log.append(&entry("main", sequence, old, new)).await.unwrap();
        old = Some(new);
    }
    std::fs::remove_file(directory.path().join(&files(directory.path())[1])).unwrap();
    let main = branch("main");
    for after in [0, 1] {
        let read = log.history(&repo(1), &main, after).await;
        assert!(matches!(read, Err(BackendError::Missing { .. })), "{read:?}");
    }
    assert_eq!(log.history(&repo(1), &main, 2).await.unwrap().len(), 2);
    assert_eq!(log.heads(&repo(1)).await.unwrap()[0].sequence, 4);
}

#[tokio::test]
async fn of_a_damaged_log_everything_is_read_that_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    for name in ["main", "dev", "gone"] {
        let mut old = None;
        for sequence in 1..=4 {
            let new = commit_id(sequence);
            log.append(&entry(name, sequence, old, new)).await.unwrap();
            old = Some(new);
        }
    }
    let at =
        |name: &str, number: u64| directory.path().join(format!("refs/{}/{name}/{number:012}.json", repo(1)));
    std::fs::write(at("main", 3), "half").unwrap();
    std::fs::remove_file(at("gone", 2)).unwrap();
    let names = |items: &[RefLogEntry]| -> Vec<String> {
        let mut names: Vec<String> =
            items.iter().map(|entry| format!("{} {}", entry.branch, entry.sequence)).collect();
        names.sort();
        names
    };
    let read = log.readable_moves(&repo(1)).await.unwrap();
    assert_eq!(
        names(&read.items),
        ["dev 1", "dev 2", "dev 3", "dev 4", "gone 1", "main 1", "main 2"],
        "up to the damaged entry, and up to the lost one"
    );
    let mut damage: Vec<String> = read.damage.iter().map(ToString::to_string).collect();
    damage.sort();
    assert!(damage.len() == 2 && damage[0].contains("/gone/000000000002.json is not there"), "{damage:?}");
    assert!(damage[1].contains("/main/000000000003.json is damaged"), "{damage:?}");

    // Folded, then the segment is damaged: what is not folded is left.
    std::fs::remove_dir_all(directory.path().join(format!("refs/{}/gone", repo(1)))).unwrap();
    std::fs::remove_dir_all(directory.path().join(format!("refs/{}/main", repo(1)))).unwrap();
    assert_eq!(log.compact(Timestamp::from_millis(i64::MAX), 1).await.unwrap().folded, 4);
    log.append(&entry("dev", 5, Some(commit_id(4)), commit_id(5))).await.unwrap();
    let whole = log.readable_moves(&repo(1)).await.unwrap();
    assert_eq!((names(&whole.items).len(), whole.damage.len()), (5, 0));
    let segment = directory.path().join(format!("refs/{}/=log/000000000001.seg", repo(1)));
    std::fs::write(segment, "no segment").unwrap();
    let left = RefLog::new(Backend::local(directory.path()).unwrap()).readable_moves(&repo(1)).await.unwrap();
    assert_eq!((names(&left.items), left.damage.len()), (vec!["dev 5".to_owned()], 1));
}

#[tokio::test]
async fn a_damaged_record_hides_no_other_and_gives_way_to_no_older_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path());
    let [first, second] = ["one", "two"].map(|slug| record(u64::from(slug == "two") + 1, "alice", slug));
    log.put_repository(&first).await.unwrap();
    log.put_repository(&second).await.unwrap();
    log.put_repository(&RepositoryRecord { version: 2, ..first }).await.unwrap();
    std::fs::write(directory.path().join("repositories/alice/one/000000000002.json"), "{}").unwrap();
    assert!(log.repositories().await.is_err());
    let read = log.readable_repositories().await.unwrap();
    assert_eq!(read.items, [second]);
    assert!(matches!(&read.damage[..], [BackendError::Damaged { .. }]), "{read:?}");
}
