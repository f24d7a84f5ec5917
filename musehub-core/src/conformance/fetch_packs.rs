//! The contract of [`FetchPacks`].

use super::fixtures::{at, commit_id, create_repositories, repo};
use super::run_cases;
use crate::mpack::MpackId;
use crate::port::{FetchKey, FetchPack, FetchPacks, MpackArea, MpackFile, RepositoryIndex};

/// Runs every case, each against a backend fresh from `fresh`. It needs the port whose repositories the packs are of.
///
/// # Panics
/// Where the backend breaks the contract of [`FetchPacks`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: FetchPacks + RepositoryIndex,
{
    run_cases!(
        "fetch_packs",
        fresh,
        [
            a_pack_is_found_by_its_fetch_and_by_its_id,
            recording_again_replaces_and_names_the_old_file,
            expired_packs_come_oldest_first,
            files_are_recorded_by_repository,
            packs_end_early_but_for_those_kept,
        ]
    );
}

fn pack(n: u64, name: &str, expires: i64) -> FetchPack {
    FetchPack {
        key: FetchKey::of(&repo(n), &[commit_id(name)], &[]),
        id: MpackId::of(name.as_bytes()),
        file: MpackFile::from_stored(MpackArea::Built, &repo(n), &format!("file-{name}")).expect("a name"),
        size: 1 << 40,
        commits: 1,
        snapshots: 2,
        blobs: 3,
        created_at: at(0),
        expires_at: at(expires),
    }
}

async fn record<B: FetchPacks>(index: &B, pack: &FetchPack) -> Option<MpackFile> {
    index.record_fetch_pack(pack).await.expect("record")
}

async fn a_pack_is_found_by_its_fetch_and_by_its_id<B: FetchPacks + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let one = pack(1, "a", 10);
    assert_eq!(index.fetch_pack(&one.key).await.expect("find"), None);
    assert_eq!(record(index, &one).await, None);
    let (orders, had) = ([commit_id("x"), commit_id("y")], [commit_id("y"), commit_id("x"), commit_id("x")]);
    assert_eq!(FetchKey::of(&repo(1), &orders, &[]), FetchKey::of(&repo(1), &had, &[]));
    assert_ne!(FetchKey::of(&repo(1), &orders, &[]), FetchKey::of(&repo(1), &[], &orders));
    assert_eq!(index.fetch_pack(&one.key).await.expect("find"), Some(one.clone()));
    // Of two with one id, the one that lives longer.
    let longer = FetchPack { key: pack(1, "b", 0).key, expires_at: at(11), ..one.clone() };
    record(index, &longer).await;
    assert_eq!(index.fetch_pack_by_id(&repo(1), one.id).await.expect("find"), Some(longer));
    assert_eq!(index.fetch_pack_by_id(&repo(2), one.id).await.expect("find"), None);
}

async fn recording_again_replaces_and_names_the_old_file<B: FetchPacks + RepositoryIndex>(index: &B) {
    create_repositories(index, 1).await;
    let first = pack(1, "a", 10);
    record(index, &first).await;
    assert_eq!(
        record(index, &FetchPack { expires_at: at(20), ..first.clone() }).await,
        None,
        "the same file"
    );
    let second = FetchPack { file: pack(1, "z", 0).file, size: 5, ..first.clone() };
    assert_eq!(record(index, &second).await, Some(first.file));
    assert_eq!(index.fetch_pack(&second.key).await.expect("find"), Some(second));
}

async fn expired_packs_come_oldest_first<B: FetchPacks + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let packs = [pack(1, "a", 30), pack(2, "b", 10), pack(1, "c", 20)];
    for pack in &packs {
        record(index, pack).await;
    }
    let expired = |before, limit| async move {
        let expired = index.expired_fetch_packs(at(before), limit).await.expect("expired");
        expired.into_iter().map(|pack| pack.expires_at).collect::<Vec<_>>()
    };
    assert_eq!(expired(10, 9).await, []);
    assert_eq!(expired(31, 2).await, [at(10), at(20)]);
    let keys = [packs[1].key.clone(), pack(1, "never", 0).key];
    let [ends] = expired(31, 1).await[..] else { panic!("one was asked for") };
    index.forget_fetch_packs(&keys, ends).await.expect("forget");
    assert_eq!(expired(31, 9).await.len(), 3, "it had not expired by then, as it was recorded again");
    index.forget_fetch_packs(&keys, at(31)).await.expect("forget");
    assert_eq!(expired(31, 9).await, [at(20), at(30)]);
    index.forget_fetch_packs(&[], at(31)).await.expect("forget nothing");
}

async fn files_are_recorded_by_repository<B: FetchPacks + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    record(index, &pack(1, "a", 10)).await;
    let same_name = pack(2, "a", 0).file;
    let files = [pack(1, "a", 0).file, same_name, pack(1, "b", 0).file];
    assert_eq!(index.recorded_files(&files).await.expect("files"), files[..1]);
    assert_eq!(index.recorded_files(&[]).await.expect("files"), []);
}

async fn packs_end_early_but_for_those_kept<B: FetchPacks + RepositoryIndex>(index: &B) {
    create_repositories(index, 2).await;
    let packs = [pack(1, "a", 30), pack(1, "b", 10), pack(1, "c", 30), pack(2, "d", 30)];
    for pack in &packs {
        record(index, pack).await;
    }
    index.end_fetch_packs(&repo(1), &[packs[2].key.clone()], at(20)).await.expect("end");
    for (pack, expected) in packs.iter().zip([20, 10, 30, 30]) {
        let found = index.fetch_pack(&pack.key).await.expect("find").expect("it is there");
        assert_eq!(found, FetchPack { expires_at: at(expected), ..pack.clone() });
    }
}
