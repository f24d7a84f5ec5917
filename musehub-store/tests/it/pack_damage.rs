//! Damaged files are named and never read as if they were whole.

use bytes::Bytes;
use futures::StreamExt;
use musehub_core::port::{
    BackendError, Located, NewObject, ObjectStore, PackAudit, PackFaultKind, PackId, PackedObject,
};
use musehub_core::{ObjectKey, ObjectKind};
use musehub_store::{Backend, PackedStore};

use crate::pack_fixtures::{
    Disk, PACK_HEADER, blob, bytes_of, damage, noise, open, put, record, stage, staged,
};

/// What a stream gave before it ended, and how it ended.
async fn streamed(store: &PackedStore, object: Located) -> (Vec<u8>, Result<(), BackendError>) {
    let mut given = Vec::new();
    let mut pieces = match store.stream(object).await {
        Ok(pieces) => pieces,
        Err(error) => return (given, Err(error)),
    };
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(bytes) => given.extend_from_slice(&bytes),
            Err(error) => return (given, Err(error)),
        }
    }
    (given, Ok(()))
}

fn assert_names(what: &str, object: &PackedObject) {
    assert!(what.contains(&object.key.to_string()), "{what} names {}", object.key);
    assert!(what.contains(&object.place.pack.to_string()), "{what} names its pack");
}

/// Every way of reading a damaged object says so, naming it, and a stream ends before the object is whole.
async fn assert_damaged(store: &PackedStore, object: &PackedObject) {
    assert_names(&damage(store.read(&[object.located()]).await), object);
    let (given, end) = streamed(store, object.located()).await;
    assert_names(&damage(end), object);
    assert!((given.len() as u64) < object.size + 5, "a stream keeps its end back");
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_a_record_is_found_and_the_object_named() {
    let disk = Disk::new().await;
    let objects =
        [blob(b"before"), record(ObjectKind::Commit, br#"{"message":"m"}"#), blob(&noise(1, 300)), blob(b"")];
    let packed = put(&disk.store, &objects).await;
    let path = disk.path(packed.pack.unwrap(), "pack");
    let whole = std::fs::read(&path).unwrap();
    for (at, (object, new)) in packed.objects.iter().zip(&objects).enumerate() {
        let start = object.place.offset as usize;
        for byte in start..start + object.place.length as usize {
            let mut bytes = whole.clone();
            bytes[byte] ^= 0x41;
            std::fs::write(&path, &bytes).unwrap();
            assert_damaged(&disk.store, object).await;
            let neighbour = packed.objects[(at + 1) % objects.len()].located();
            let read = disk.store.read(&[neighbour]).await.unwrap();
            assert_eq!(read, [bytes_of(&objects[(at + 1) % objects.len()])], "others stay");
            let all: Vec<Located> = packed.objects.iter().map(PackedObject::located).collect();
            assert_names(&damage(disk.store.read(&all).await), object);
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(disk.store.read(&[object.located()]).await.unwrap(), [bytes_of(new)]);
    }
}

#[tokio::test]
async fn a_stream_of_a_large_damaged_object_never_gives_all_of_it() {
    let disk = Disk::new().await;
    // What has up to 8 MiB is read whole, and proven before any of it is given.
    let payload = noise(3, 9 << 20);
    let packed = put(&disk.store, &[blob(&payload), blob(b"after")]).await;
    let object = packed.objects[0];
    let path = disk.path(packed.pack.unwrap(), "pack");
    let whole = std::fs::read(&path).unwrap();
    for at in [0, 60, 1 << 20, 5 << 20, payload.len(), object.place.length as usize - 1] {
        let mut bytes = whole.clone();
        bytes[PACK_HEADER + at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_damaged(&disk.store, &object).await;
        let (given, _) = streamed(&disk.store, object.located()).await;
        assert_eq!(given.is_empty(), at < 60, "what was read before the damage was met is given: byte {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    let pieces: Vec<_> = disk.store.stream(object.located()).await.unwrap().collect().await;
    assert!(pieces.len() > 1, "it comes in pieces");
}

#[tokio::test]
async fn a_truncated_pack_is_damaged_where_it_ends_and_reads_before_that() {
    let disk = Disk::new().await;
    let objects: Vec<NewObject> = (0..3).map(|n| blob(&noise(n, 400))).collect();
    let packed = put(&disk.store, &objects).await;
    let path = disk.path(packed.pack.unwrap(), "pack");
    let whole = std::fs::read(&path).unwrap();
    let all: Vec<Located> = packed.objects.iter().map(PackedObject::located).collect();
    let middle = packed.objects[1];
    for length in middle.place.offset..middle.place.offset + middle.place.length {
        std::fs::write(&path, &whole[..length as usize]).unwrap();
        assert_eq!(disk.store.read(&all[..1]).await.unwrap(), [bytes_of(&objects[0])]);
        assert_names(&damage(disk.store.read(&all).await), &middle);
        for object in &packed.objects[1..] {
            assert_damaged(&disk.store, object).await;
        }
    }
    std::fs::write(&path, b"").unwrap();
    assert_damaged(&disk.store, &packed.objects[0]).await;
}

#[tokio::test]
async fn a_missing_pack_is_missing_by_name() {
    let disk = Disk::new().await;
    let packed = put(&disk.store, &[blob(b"gone")]).await;
    let pack = packed.pack.unwrap();
    std::fs::remove_file(disk.path(pack, "pack")).unwrap();
    let gone = packed.objects[0].located();
    for result in [disk.store.read(&[gone]).await.map(|_| ()), streamed(&disk.store, gone).await.1] {
        match result {
            Err(BackendError::Missing { what }) => assert!(what.contains(&pack.to_string()), "{what}"),
            other => panic!("expected a missing pack, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_pack_without_its_index_is_no_pack() {
    let disk = Disk::new().await;
    let (kept, lost) = (blob(b"kept"), blob(b"lost"));
    let kept_pack = put(&disk.store, std::slice::from_ref(&kept)).await.pack.unwrap();
    let packed = put(&disk.store, std::slice::from_ref(&lost)).await;
    let lost_pack = packed.pack.unwrap();
    std::fs::remove_file(disk.path(lost_pack, "idx")).unwrap();
    let again = disk.reopened().await;
    assert_eq!(again.packs().await.unwrap(), [kept_pack]);
    assert_eq!(again.locate(&[lost.key]).await.unwrap(), [None]);
    let listed = again.pack_objects(lost_pack).await;
    assert!(matches!(listed, Err(BackendError::Missing { .. })), "{listed:?}");
    let read = again.read(&[packed.objects[0].located()]).await.unwrap();
    assert_eq!(read, [bytes_of(&lost)], "who knows the place still reads it");
    put(&again, std::slice::from_ref(&lost)).await;
    assert_eq!(again.packs().await.unwrap().len(), 2, "the next put heals it");
}

/// An index file with a right checksum, whatever it says, of blobs of three bytes.
fn index_of(pack: PackId, length: u64, entries: &[(ObjectKey, u64, u64)]) -> Vec<u8> {
    index_of_sizes(pack, length, entries, &vec![3; entries.len()])
}

fn index_of_sizes(pack: PackId, length: u64, entries: &[(ObjectKey, u64, u64)], sizes: &[u64]) -> Vec<u8> {
    let mut bytes = b"MHIX\x01\0\0\0".to_vec();
    bytes.extend_from_slice(pack.as_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for ((key, offset, stored), size) in entries.iter().zip(sizes) {
        bytes.extend_from_slice(&[1, 0, 1, 0]);
        bytes.extend_from_slice(key.id.digest());
        for number in [*offset, *stored, *size] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

#[tokio::test]
async fn an_index_that_lies_is_refused_by_name() {
    let disk = Disk::new().await;
    let packed = put(&disk.store, &[blob(b"one"), blob(b"two")]).await;
    let pack = packed.pack.unwrap();
    let path = disk.path(pack, "idx");
    let truth = std::fs::read(&path).unwrap();
    let file_length = std::fs::metadata(disk.path(pack, "pack")).unwrap().len();
    let entries: Vec<_> =
        packed.objects.iter().map(|object| (object.key, object.place.offset, object.place.length)).collect();
    assert_eq!(index_of(pack, file_length, &entries), truth, "the test writes indexes as the store does");

    let [first, second] = [entries[0], entries[1]];
    let shifted = [(first.0, first.1 + 1, first.2), (second.0, second.1 + 1, second.2)];
    let overlapping = [first, (second.0, first.1, second.2)];
    let longer = [first, (second.0, second.1, second.2 + 1)];
    let mut flipped = truth.clone();
    flipped[70] ^= 1;
    let lies = [
        index_of(PackId::new([7; 32]), file_length, &entries),
        index_of(pack, file_length, &shifted),
        index_of(pack, file_length, &overlapping),
        index_of(pack, file_length, &longer),
        index_of(pack, file_length, &entries[..1]),
        index_of(pack, file_length + 1, &entries),
        truth[..truth.len() - 1].to_vec(),
        flipped,
        Vec::new(),
    ];
    for (n, lie) in lies.iter().enumerate() {
        std::fs::write(&path, lie).unwrap();
        let what = damage(disk.store.pack_objects(pack).await);
        assert!(what.contains(&pack.to_string()), "lie {n}: {what}");
        let scanned = PackedStore::scan(Backend::local(disk.directory.path()).unwrap()).await;
        assert!(damage(scanned).contains(&pack.to_string()), "lie {n} is found at start");
        let read = disk.store.read(&[packed.objects[0].located()]).await.unwrap();
        assert_eq!(read, [bytes_of(&blob(b"one"))], "reading does not need the index");
    }
    std::fs::write(&path, truth).unwrap();
    assert_eq!(open(disk.directory.path()).await.pack_objects(pack).await.unwrap(), packed.objects);
}

/// A pack that was written wrongly has the name of its wrong bytes: its header and footer are looked at all the same.
#[tokio::test]
async fn a_pack_whose_header_or_footer_lies_under_a_right_name_is_damaged() {
    let disk = Disk::new().await;
    let packed = put(&disk.store, &[blob(b"one"), blob(&noise(5, 3 << 20))]).await;
    let first = packed.pack.unwrap();
    let truth = std::fs::read(disk.path(first, "pack")).unwrap();
    let entries: Vec<_> =
        packed.objects.iter().map(|object| (object.key, object.place.offset, object.place.length)).collect();
    let sizes: Vec<u64> = packed.objects.iter().map(|object| object.size).collect();
    assert_eq!(disk.store.audit(first, true).await.unwrap().faults, []);
    let footer = truth.len() - 40;
    for (at, reason) in [(0, "begin"), (5, "does not know"), (footer, "lengths"), (footer + 8, "checksum")] {
        let mut bytes = truth.clone();
        bytes[at] ^= 2;
        if at < footer {
            let checksum = *blake3::hash(&bytes[..footer]).as_bytes();
            bytes[footer + 8..].copy_from_slice(&checksum);
        }
        let pack = PackId::new(*blake3::hash(&bytes).as_bytes());
        for (extension, content) in
            [("pack", bytes), ("idx", index_of_sizes(pack, truth.len() as u64, &entries, &sizes))]
        {
            let path = disk.path(pack, extension);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let faults = disk.store.audit(pack, true).await.unwrap().faults;
        assert_eq!(faults.len(), 1, "{at}: {faults:?}");
        assert_eq!(faults[0].kind, PackFaultKind::DamagedPack, "{at}");
        assert!(faults[0].reason.contains(reason), "{at}: {faults:?}");
    }
}

#[tokio::test]
async fn a_staged_blob_that_was_damaged_reaches_no_pack() {
    for length in [100, 2 << 20] {
        for at in [0, 10, 55, length / 2, length] {
            let disk = Disk::new().await;
            let upload = stage(&disk.store, &noise(9, length), &[4_000]).await;
            assert!(upload.length as usize > at, "{} bytes", upload.length);
            let file = disk.files().into_iter().find(|file| file.ends_with(".pack")).unwrap();
            let path = disk.directory.path().join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[upload.offset as usize + at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            expect_discarded(disk.store.put(vec![staged(&upload)]).await);
            assert!(disk.files().is_empty(), "{:?}", disk.files());
        }
        let disk = Disk::new().await;
        let upload = stage(&disk.store, &noise(9, length), &[4_000]).await;
        let file = disk.files().into_iter().find(|file| file.ends_with(".pack")).unwrap();
        let path = disk.directory.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(disk.store.put(vec![staged(&upload)]).await.is_err());
        let disk = Disk::new().await;
        let upload = stage(&disk.store, &noise(9, length), &[4_000]).await;
        disk.store.put(vec![staged(&upload)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_handle_of_another_staged_blob_writes_nothing() {
    for length in [100, 2 << 20] {
        let disk = Disk::new().await;
        let upload = stage(&disk.store, &noise(1, length), &[9_000]).await;
        let mut lie = upload.clone();
        lie.id = musehub_core::scheme::flat_v1::blob_id(b"another");
        expect_discarded(disk.store.put(vec![staged(&lie)]).await);
        assert_eq!(disk.store.packs().await.unwrap(), []);
        assert!(disk.files().is_empty(), "{:?}", disk.files());
    }
}

/// Whoever pushes is asked for it again.
fn expect_discarded<T: std::fmt::Debug>(result: Result<T, BackendError>) {
    assert!(
        matches!(&result, Err(BackendError::Missing { what }) if what.contains("in staging, which is damaged")),
        "{result:?}"
    );
}

#[tokio::test]
async fn bytes_that_are_not_of_their_kind_are_not_written() {
    let disk = Disk::new().await;
    let mut lie = blob(b"x");
    lie.key.kind = ObjectKind::Commit;
    damage(disk.store.put(vec![lie]).await);
    let mut short = blob(b"x");
    short.body = musehub_core::port::ObjectBody::Canonical(Bytes::from_static(b"blob 2\0x"));
    damage(disk.store.put(vec![blob(b"whole"), short]).await);
    assert!(disk.files().is_empty(), "{:?}", disk.files());
}
