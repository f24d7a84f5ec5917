//! The contract of [`MpackStore`].

use bytes::Bytes;
use futures::TryStreamExt;

use super::fixtures::{at, repo};
use super::run_cases;
use crate::id::{BlobId, HashAlgorithm};
use crate::mpack::MpackId;
use crate::port::{BackendError, MpackArea, MpackFile, MpackStore, Timestamp};

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`MpackStore`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: MpackStore,
{
    run_cases!(
        "mpack_store",
        fresh,
        [
            what_is_written_is_read_in_ranges,
            nothing_is_there_before_it_is_finished,
            writing_again_replaces,
            areas_and_repositories_are_apart,
            removing_is_idempotent,
            old_packs_are_listed_by_area,
            files_of_a_repository_are_listed_by_area,
            the_secret_stays_the_same,
        ]
    );
}

fn file(n: u64) -> MpackFile {
    MpackFile::incoming(&repo(1), MpackId::of(&n.to_be_bytes()))
}

async fn write<B: MpackStore>(store: &B, file: &MpackFile, pieces: &[&[u8]]) {
    let mut writer = store.begin(file).await.expect("begin");
    for piece in pieces {
        writer.write(Bytes::copy_from_slice(piece)).await.expect("write");
    }
    writer.finish().await.expect("finish");
}

async fn read<B: MpackStore>(store: &B, file: &MpackFile, range: std::ops::Range<u64>) -> Vec<u8> {
    let pieces = store.read(file, range).await.expect("read");
    let pieces: Vec<Bytes> = pieces.try_collect().await.expect("every piece");
    pieces.concat()
}

async fn what_is_written_is_read_in_ranges<B: MpackStore>(store: &B) {
    let large: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    write(store, &file(1), &[&large[..100_000], &[], &large[100_000..]]).await;
    assert_eq!(store.size(&file(1)).await.expect("size"), Some(300_000));
    for range in [0..300_000, 0..1, 299_999..300_000, 65_535..65_537, 0..0, 99_990..200_010] {
        let expected = &large[range.start as usize..range.end as usize];
        assert_eq!(read(store, &file(1), range.clone()).await, expected, "{range:?}");
    }
    write(store, &file(2), &[]).await;
    assert_eq!(store.size(&file(2)).await.expect("size"), Some(0));
}

async fn nothing_is_there_before_it_is_finished<B: MpackStore>(store: &B) {
    let mut writer = store.begin(&file(1)).await.expect("begin");
    writer.write(Bytes::from_static(b"half")).await.expect("write");
    assert_eq!(store.size(&file(1)).await.expect("size"), None);
    drop(writer);
    assert_eq!(store.size(&file(1)).await.expect("size"), None);
    let absent = store.read(&file(1), 0..1).await.err().expect("nothing is there");
    assert!(matches!(absent, BackendError::Missing { .. }), "{absent:?}");
}

async fn writing_again_replaces<B: MpackStore>(store: &B) {
    write(store, &file(1), &[b"first, and longer"]).await;
    write(store, &file(1), &[b"second"]).await;
    assert_eq!(store.size(&file(1)).await.expect("size"), Some(6));
    assert_eq!(read(store, &file(1), 0..6).await, b"second");
}

async fn areas_and_repositories_are_apart<B: MpackStore>(store: &B) {
    let id = MpackId::of(b"x");
    let files = [
        MpackFile::incoming(&repo(1), id),
        MpackFile::incoming(&repo(2), id),
        MpackFile::from_stored(MpackArea::Built, &repo(1), &id.to_hex()).expect("digits are a name"),
    ];
    write(store, &files[0], &[b"x"]).await;
    assert_eq!(store.size(&files[1]).await.expect("size"), None);
    assert_eq!(store.size(&files[2]).await.expect("size"), None);
}

async fn removing_is_idempotent<B: MpackStore>(store: &B) {
    write(store, &file(1), &[b"x"]).await;
    for _ in 0..2 {
        store.remove(&file(1)).await.expect("remove");
        assert_eq!(store.size(&file(1)).await.expect("size"), None);
    }
}

async fn old_packs_are_listed_by_area<B: MpackStore>(store: &B) {
    let built = MpackFile::new_built(&repo(2));
    write(store, &file(1), &[b"abc"]).await;
    write(store, &built, &[b"defg"]).await;
    let later = at(1_000_000_000_000);
    let incoming = store.written_before(MpackArea::Incoming, later).await.expect("list");
    assert_eq!(incoming, [(file(1), 3)]);
    assert_eq!(store.written_before(MpackArea::Built, later).await.expect("list"), [(built, 4)]);
    let epoch = Timestamp::from_millis(0);
    assert_eq!(store.written_before(MpackArea::Incoming, epoch).await.expect("list"), []);
}

async fn files_of_a_repository_are_listed_by_area<B: MpackStore>(store: &B) {
    let blob = |n: u8| BlobId::new(HashAlgorithm::Sha256, [n; 32]);
    let [one, two] = [1, 2].map(|n| MpackFile::of_object(&repo(1), blob(n)));
    write(store, &two, &[b"22"]).await;
    write(store, &one, &[b"1"]).await;
    write(store, &MpackFile::of_object(&repo(2), blob(1)), &[b"another's"]).await;
    write(store, &file(1), &[b"a pack"]).await;
    let files = store.files_of(MpackArea::Object, &repo(1)).await.expect("list");
    assert_eq!(files, [(one, 1), (two, 2)]);
    let named: Vec<_> = files.iter().map(|(file, _)| file.object()).collect();
    assert_eq!(named, [Some(blob(1)), Some(blob(2))]);
    assert_eq!(file(1).object(), None);
    assert_eq!(store.files_of(MpackArea::Built, &repo(1)).await.expect("list"), []);
}

async fn the_secret_stays_the_same<B: MpackStore>(store: &B) {
    let secret = store.secret().await.expect("secret");
    assert_ne!(secret, [0; 32]);
    assert_eq!(store.secret().await.expect("secret"), secret);
}
