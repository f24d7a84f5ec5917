//! The contract of [`Staging`] and [`StageWriter`], and of staged bodies in [`ObjectStore::put`].

use bytes::Bytes;

use super::fixtures::{blob, blob_id, bytes_of, flat_record, id_of, noise, read_one, repo};
use super::object_store::check_packs;
use super::run_cases;
use crate::canonical;
use crate::id::{BlobId, ObjectKind};
use crate::name::RepoId;
use crate::port::{
    BackendError, NewObject, ObjectBody, ObjectStore, StageWriter, Staged, Staging, Timestamp,
};

/// Later than any clock: 9999-12-31.
const FAR_FUTURE: Timestamp = Timestamp::from_millis(253_402_214_400_000);

/// Earlier than any upload: the epoch.
const LONG_AGO: Timestamp = Timestamp::from_millis(0);

/// Runs every case, each against a backend fresh from `fresh`: one object store and its own staging area.
///
/// # Panics
/// Where the backend breaks the contract of [`Staging`] or does not put what it staged.
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: ObjectStore + Staging,
{
    run_cases!(
        "staging",
        fresh,
        [
            nothing_is_staged_at_first,
            an_upload_shows_when_it_is_finished,
            a_dropped_writer_leaves_nothing,
            an_upload_without_blobs_leaves_nothing,
            payloads_come_in_any_pieces,
            other_repositories_see_nothing,
            uploads_at_the_same_time_keep_apart,
            a_blob_of_two_uploads_outlives_one,
            discarding_is_of_one_repository_and_harmless_again,
            uploads_expire_by_time,
            a_broken_protocol_is_an_error,
            staged_blobs_go_into_a_put,
            a_put_of_what_is_not_staged_writes_nothing,
        ]
    );
}

async fn stage<B: Staging>(staging: &B, repo: &RepoId, payloads: &[&[u8]]) {
    let mut writer = staging.begin(repo).await.expect("begin");
    for payload in payloads {
        write_blob(writer.as_mut(), payload).await;
    }
    writer.finish().await.expect("finish");
}

async fn write_blob(writer: &mut dyn StageWriter, payload: &[u8]) {
    writer.begin_blob(id_of(payload), payload.len() as u64).await.expect("begin_blob");
    writer.write(Bytes::copy_from_slice(payload)).await.expect("write");
}

async fn find_one<B: Staging>(staging: &B, repo: &RepoId, id: BlobId) -> Option<Staged> {
    let mut found = staging.find(repo, &[id]).await.expect("find");
    assert_eq!(found.len(), 1, "find gives one answer for each id");
    found.remove(0)
}

fn staged_object(staged: &Staged) -> NewObject {
    NewObject { key: staged.id.key(), body: ObjectBody::Staged(staged.clone()) }
}

/// Puts what is staged under `id` and checks that it comes back.
async fn put_staged<B: ObjectStore + Staging>(store: &B, repo: &RepoId, payload: &[u8]) {
    let staged = find_one(store, repo, id_of(payload)).await.expect("the blob is staged");
    let receipt = store.put(vec![staged_object(&staged)]).await.expect("put takes a staged blob");
    let expected = canonical::encode(ObjectKind::Blob, payload);
    assert!(
        read_one(store, receipt.objects[0].located()).await == expected,
        "a staged blob rests as canonical bytes"
    );
}

async fn nothing_is_staged_at_first<B: ObjectStore + Staging>(store: &B) {
    assert_eq!(store.find(&repo(1), &[]).await.expect("find"), [], "nothing asked, nothing answered");
    let ids = [blob_id("a"), blob_id("b")];
    assert_eq!(store.find(&repo(1), &ids).await.expect("find"), [None, None], "nothing is staged at first");
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 0, "there is nothing to expire");
    store.discard(&repo(1), &[]).await.expect("discarding nothing succeeds");
}

async fn an_upload_shows_when_it_is_finished<B: ObjectStore + Staging>(store: &B) {
    let (repo, payloads) = (repo(1), [&b"one"[..], b"", b"three"]);
    let mut writer = store.begin(&repo).await.expect("begin");
    let ids = [id_of(b"three"), id_of(b"absent"), id_of(b"one"), id_of(b""), id_of(b"three")];
    for payload in payloads {
        write_blob(writer.as_mut(), payload).await;
        assert!(
            store.find(&repo, &ids).await.expect("find").iter().all(Option::is_none),
            "nothing shows early"
        );
    }
    let name = writer.finish().await.expect("finish");
    let found = store.find(&repo, &ids).await.expect("find");
    let uploads: Vec<&String> = found.iter().flatten().map(|staged| &staged.upload).collect();
    assert!(uploads.iter().all(|upload| Some(*upload) == name.as_ref()), "finishing gives the upload's name");
    let expected = [Some(5), None, Some(3), Some(0), Some(5)];
    let sizes: Vec<Option<u64>> =
        found.iter().map(|staged| staged.as_ref().map(|staged| staged.size)).collect();
    assert_eq!(sizes, expected, "find answers in the order asked, with the sizes of the payloads");
    for (id, staged) in ids.iter().zip(found) {
        assert!(staged.is_none_or(|staged| staged.id == *id), "a handle names the blob asked for");
    }
    let located = store.locate(&ids.map(|id| id.key())).await.expect("locate");
    assert_eq!(located, [None; 5], "what is only staged is no object yet");
    assert_eq!(store.packs().await.expect("packs"), [], "an upload is no pack");
}

async fn a_dropped_writer_leaves_nothing<B: ObjectStore + Staging>(store: &B) {
    let mut writer = store.begin(&repo(1)).await.expect("begin");
    write_blob(writer.as_mut(), b"whole").await;
    writer.begin_blob(id_of(b"half"), 4).await.expect("begin_blob");
    writer.write(Bytes::from_static(b"ha")).await.expect("write");
    drop(writer);
    assert_eq!(find_one(store, &repo(1), id_of(b"whole")).await, None, "a dropped upload shows nothing");
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 0, "a dropped upload is none");
}

async fn an_upload_without_blobs_leaves_nothing<B: ObjectStore + Staging>(store: &B) {
    let empty = store.begin(&repo(1)).await.expect("begin").finish().await.expect("an empty upload finishes");
    assert_eq!(empty, None, "an upload without blobs has no name");
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 0, "an empty upload leaves nothing");
}

async fn payloads_come_in_any_pieces<B: ObjectStore + Staging>(store: &B) {
    let (repo, payload) = (repo(1), noise(2 * 1024 * 1024 + 17));
    for piece_bytes in [1_000_003, 65_536, 100_000] {
        let mut writer = store.begin(&repo).await.expect("begin");
        write_blob(writer.as_mut(), b"first").await;
        writer.begin_blob(id_of(&payload), payload.len() as u64).await.expect("begin_blob");
        for piece in payload.chunks(piece_bytes) {
            writer.write(Bytes::new()).await.expect("an empty piece is harmless");
            writer.write(Bytes::copy_from_slice(piece)).await.expect("write");
        }
        writer.begin_blob(id_of(b""), 0).await.expect("an empty blob needs no piece");
        write_blob(writer.as_mut(), b"last").await;
        writer.finish().await.expect("finish");
        for expected in [&b"first"[..], &payload, b"", b"last"] {
            put_staged(store, &repo, expected).await;
        }
        assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 1, "that was one upload");
    }
}

async fn other_repositories_see_nothing<B: ObjectStore + Staging>(store: &B) {
    stage(store, &repo(1), &[b"private"]).await;
    assert_eq!(
        find_one(store, &repo(2), id_of(b"private")).await,
        None,
        "staged blobs are of one repository"
    );
    stage(store, &repo(2), &[b"private"]).await;
    let of = |staged: Option<Staged>| staged.expect("both staged it").upload;
    let first = of(find_one(store, &repo(1), id_of(b"private")).await);
    let second = of(find_one(store, &repo(2), id_of(b"private")).await);
    store.discard(&repo(1), &[first]).await.expect("discard");
    assert_eq!(find_one(store, &repo(1), id_of(b"private")).await, None, "the one upload is gone");
    assert_eq!(
        find_one(store, &repo(2), id_of(b"private")).await.map(|staged| staged.upload),
        Some(second),
        "an equal blob of another repository stays"
    );
}

async fn uploads_at_the_same_time_keep_apart<B: ObjectStore + Staging>(store: &B) {
    let (repo, payloads) = (repo(1), [noise(40_000), noise(30_000)]);
    let mut writers = [store.begin(&repo).await.expect("begin"), store.begin(&repo).await.expect("begin")];
    for (writer, payload) in writers.iter_mut().zip(&payloads) {
        writer.begin_blob(id_of(payload), payload.len() as u64).await.expect("begin_blob");
    }
    for piece in 0..4 {
        for (writer, payload) in writers.iter_mut().zip(&payloads) {
            let piece = payload.chunks(10_000).nth(piece).unwrap_or_default();
            writer.write(Bytes::copy_from_slice(piece)).await.expect("write");
        }
    }
    let [first, second] = writers;
    second.finish().await.expect("finish");
    assert_eq!(find_one(store, &repo, id_of(&payloads[0])).await, None, "the other upload is not finished");
    put_staged(store, &repo, &payloads[1]).await;
    first.finish().await.expect("finish");
    put_staged(store, &repo, &payloads[0]).await;
}

async fn a_blob_of_two_uploads_outlives_one<B: ObjectStore + Staging>(store: &B) {
    let repo = repo(1);
    stage(store, &repo, &[b"both", b"x"]).await;
    stage(store, &repo, &[b"y", b"both"]).await;
    for _ in 0..2 {
        put_staged(store, &repo, b"both").await;
        let staged = find_one(store, &repo, id_of(b"both")).await.expect("one upload still holds it");
        store.discard(&repo, &[staged.upload]).await.expect("discard");
    }
    assert_eq!(find_one(store, &repo, id_of(b"both")).await, None, "no upload holds it any more");
}

async fn discarding_is_of_one_repository_and_harmless_again<B: ObjectStore + Staging>(store: &B) {
    stage(store, &repo(1), &[b"kept"]).await;
    stage(store, &repo(1), &[b"gone"]).await;
    let gone = find_one(store, &repo(1), id_of(b"gone")).await.expect("it is staged").upload;
    store.discard(&repo(2), std::slice::from_ref(&gone)).await.expect("discard");
    assert!(find_one(store, &repo(1), id_of(b"gone")).await.is_some(), "another repository's upload stays");
    for _ in 0..2 {
        store.discard(&repo(1), std::slice::from_ref(&gone)).await.expect("discarding again is harmless");
        assert_eq!(find_one(store, &repo(1), id_of(b"gone")).await, None, "a discarded upload is gone");
    }
    put_staged(store, &repo(1), b"kept").await;
}

async fn uploads_expire_by_time<B: ObjectStore + Staging>(store: &B) {
    for n in 1..=3 {
        stage(store, &repo(n), &[b"old"]).await;
    }
    assert_eq!(store.expire(LONG_AGO).await.expect("expire"), 0, "no upload is that old");
    assert!(find_one(store, &repo(3), id_of(b"old")).await.is_some(), "an upload stays until its time");
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 3, "every upload is older than that");
    for n in 1..=3 {
        assert_eq!(find_one(store, &repo(n), id_of(b"old")).await, None, "an expired upload is gone");
    }
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 0, "nothing expires twice");
}

/// One step of an upload.
enum Act {
    Begin(&'static [u8], u64),
    Write(&'static [u8]),
}

async fn upload<B: Staging>(staging: &B, acts: &[Act]) -> Result<(), BackendError> {
    let mut writer = staging.begin(&repo(1)).await?;
    for act in acts {
        match act {
            Act::Begin(payload, size) => writer.begin_blob(id_of(payload), *size).await?,
            Act::Write(piece) => writer.write(Bytes::from_static(piece)).await?,
        }
    }
    writer.finish().await.map(drop)
}

async fn a_broken_protocol_is_an_error<B: ObjectStore + Staging>(store: &B) {
    use Act::{Begin, Write};
    let broken: [(&str, &[Act]); 5] = [
        ("a piece before any blob", &[Write(b"abc")]),
        ("a blob cut short by the end", &[Begin(b"abc", 3), Write(b"ab")]),
        ("a blob cut short by the next", &[Begin(b"abc", 3), Write(b"ab"), Begin(b"x", 1), Write(b"x")]),
        ("more bytes than announced", &[Begin(b"abc", 3), Write(b"ab"), Write(b"cd")]),
        ("bytes after the blob's last", &[Begin(b"abc", 3), Write(b"abc"), Write(b"d")]),
    ];
    for (what, acts) in broken {
        assert!(upload(store, acts).await.is_err(), "{what} is an error");
        assert_eq!(find_one(store, &repo(1), id_of(b"abc")).await, None, "{what} leaves nothing");
    }
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 0, "broken uploads are none");
}

async fn staged_blobs_go_into_a_put<B: ObjectStore + Staging>(store: &B) {
    let (repo, large) = (repo(1), noise(300_000));
    stage(store, &repo, &[b"one", b"", &large]).await;
    stage(store, &repo, &[b"two"]).await;
    let payloads = [&large[..], b"two", b"", b"one"];
    let found = store.find(&repo, &payloads.map(id_of)).await.expect("find");
    let mut objects = vec![flat_record(ObjectKind::Commit, "c", "{}"), blob(b"in memory")];
    let mut expected: Vec<Bytes> = objects.iter().map(|object| bytes_of(object).clone()).collect();
    for (staged, payload) in found.iter().zip(payloads) {
        objects.push(staged_object(staged.as_ref().expect("it is staged")));
        expected.push(canonical::encode(ObjectKind::Blob, payload).into());
    }
    objects.push(blob(b"the last"));
    expected.push(canonical::encode(ObjectKind::Blob, b"the last").into());

    let receipt = store.put(objects.clone()).await.expect("put takes staged and other bodies together");
    assert_eq!(receipt.objects.len(), objects.len(), "the receipt names every object");
    assert_eq!(store.packs().await.expect("packs").len(), 1, "staged or not, one put is one pack");
    assert!(find_one(store, &repo, id_of(b"two")).await.is_some(), "a put leaves the upload to be discarded");
    assert_eq!(store.expire(FAR_FUTURE).await.expect("expire"), 2, "both uploads go");
    for ((object, packed), bytes) in objects.iter().zip(&receipt.objects).zip(&expected) {
        assert_eq!(packed.key, object.key, "the receipt is in the order given");
        assert!(read_one(store, packed.located()).await == *bytes, "{} outlives its upload", object.key);
    }
    check_packs(store).await;
}

async fn a_put_of_what_is_not_staged_writes_nothing<B: ObjectStore + Staging>(store: &B) {
    stage(store, &repo(1), &[b"gone"]).await;
    let gone = find_one(store, &repo(1), id_of(b"gone")).await.expect("it is staged");
    store.discard(&repo(1), std::slice::from_ref(&gone.upload)).await.expect("discard");
    for objects in [vec![staged_object(&gone)], vec![blob(b"whole"), staged_object(&gone), blob(b"after")]] {
        assert!(store.put(objects).await.is_err(), "a put of a discarded upload is an error");
        let keys = [id_of(b"whole").key(), gone.id.key(), id_of(b"after").key()];
        assert_eq!(store.locate(&keys).await.expect("locate"), [None; 3], "a failed put shows nothing");
        assert_eq!(store.packs().await.expect("packs"), [], "a failed put leaves no pack");
    }
}
