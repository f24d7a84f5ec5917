//! What a put writes, and what comes back of it.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use musehub_core::port::{Located, NewObject, ObjectStore, PackId, PutReceipt};
use musehub_core::{ObjectKey, ObjectKind, canonical};
use musehub_store::{Backend, PackedStore};

use crate::faulty_store::{Fault, Faulty};
use crate::hub_world::{Made, World, commit, text};
use crate::pack_fixtures::{
    Dice, Disk, PACK_FOOTER, PACK_HEADER, blob, bytes_of, noise, places, put, record, stage, staged,
};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn one_put_is_one_pack_file_and_one_index_file() {
    let disk = Disk::new().await;
    let many: Vec<NewObject> = (0..500_u32).map(|n| blob(&n.to_le_bytes())).collect();
    for (puts, objects) in [&many[..1], &many[1..400], &many[400..]].into_iter().enumerate() {
        let pack = put(&disk.store, objects).await.pack.unwrap();
        assert!(disk.path(pack, "pack").is_file() && disk.path(pack, "idx").is_file());
        assert_eq!(disk.files().len(), 2 * (puts + 1), "{:?}", disk.files());
    }
    put(&disk.store, &many[1..400]).await;
    assert_eq!(disk.files().len(), 6, "the same put again is the same two files");
    assert_eq!(disk.store.put(Vec::new()).await.unwrap().pack, None);
    assert_eq!(disk.files().len(), 6, "an empty put writes nothing");
}

#[tokio::test]
async fn a_push_writes_the_store_three_times_however_many_objects_it_has() {
    let world = World::new().await;
    world.create("tunes").await;
    let mut history: Vec<Made> = Vec::new();
    for (files, commits) in [(1, 1), (300, 1), (3, 40)] {
        let mut made: Vec<Made> = Vec::new();
        for n in 0..commits {
            let name = |file: usize| format!("{files} {n} {file}");
            let files: Vec<_> = (0..files).map(|file| (name(file), text(&name(file)))).collect();
            made.push(commit(&format!("{n}"), made.last().or(history.last()), &files));
        }
        world.faulty.steps();
        world.push("tunes", "main", &made).await;
        // Looking for the repository is the test's own.
        let mut steps = world.faulty.steps().split_off(2);
        // The first push fixes the scheme and the default branch.
        let first =
            steps.iter().position(|step| step == "put repositories/*.json").map(|at| steps.remove(at));
        assert_eq!(first.is_some(), history.is_empty());
        let expected = [
            "list staging/",
            "put packs/*.pack",
            "put packs/*.idx",
            "head packs/*.fwd",
            "head packs/*.condemned",
            "put refs/*.json",
            "list refs/",
        ];
        assert_eq!(steps, expected, "{} commits before", history.len());
        history.extend(made);
    }
    world.expect("tunes", "main", &history, "in the end").await;
}

#[tokio::test]
async fn what_was_read_lately_is_read_again_without_a_request() {
    let faulty = Faulty::sound();
    let store = PackedStore::scan(Backend::over(Arc::new(faulty.clone()))).await.unwrap().with_cache(1 << 20);
    let objects = [record(ObjectKind::Commit, b"{}"), record(ObjectKind::Snapshot, b"{}"), blob(b"content")];
    let held = places(&put(&store, &objects).await);
    let first = store.read(&held[..2]).await.unwrap();
    faulty.steps();
    assert_eq!(store.read(&held[..2]).await.unwrap(), first);
    assert_eq!(store.read(&held[..1]).await.unwrap(), first[..1]);
    assert_eq!(faulty.steps(), [""; 0], "commits and snapshots are in memory");
    for _ in 0..2 {
        store.read(&held).await.unwrap();
        assert_eq!(faulty.steps(), ["get packs/*.pack"], "blobs are not");
    }
}

#[tokio::test]
async fn a_pack_in_parts_that_fails_anywhere_is_no_pack() {
    let large = noise(1, 33 << 20);
    let objects = [blob(&large), blob(b"beside")];
    for fault in [Fault::Before, Fault::After] {
        let mut steps = Vec::new();
        loop {
            let sound = Faulty::sound();
            let faulty = sound.failing(fault, steps.len() as u64 + 1);
            let failing = PackedStore::scan(Backend::over(Arc::new(faulty.clone()))).await.unwrap();
            let outcome = failing.put(objects.to_vec()).await;
            let Some(step) = faulty.struck() else {
                assert_eq!(outcome.unwrap().objects.len(), 2);
                break;
            };
            assert!(outcome.is_err(), "{fault:?} at {step}");
            let next = PackedStore::scan(Backend::over(Arc::new(sound.clone()))).await.unwrap();
            let packs = next.packs().await.unwrap();
            let listed = step.starts_with("head ") || (step == "put packs/*.idx" && fault == Fault::After);
            assert_eq!(packs.len(), usize::from(listed), "{fault:?} at {step}");
            let receipt = put(&next, &objects).await;
            let read = next.read(&places(&receipt)).await.unwrap();
            assert!(read.iter().zip(&objects).all(|(read, object)| read == bytes_of(object)), "{step}");
            steps.push(step);
        }
        assert_eq!(steps[0], "put parts packs/*.pack");
        assert!(steps.iter().filter(|step| *step == "put a part of packs/*.pack").count() >= 4, "{steps:?}");
        assert!(steps.contains(&"complete packs/*.pack".to_owned()), "{steps:?}");
    }
}

/// Checks a pack file against its name, its footer and the receipt.
fn check_file(bytes: &[u8], receipt: &PutReceipt) {
    let pack = receipt.pack.unwrap();
    assert_eq!(*pack.as_bytes(), *blake3::hash(bytes).as_bytes(), "named by its hash");
    let (body, footer) = bytes.split_at(bytes.len() - PACK_FOOTER);
    let count = receipt.objects.len() as u64;
    assert_eq!(footer[..8], count.to_le_bytes(), "the footer counts the records");
    assert_eq!(footer[8..], *blake3::hash(body).as_bytes(), "and has the hash of what is before it");
    let mut next = PACK_HEADER as u64;
    for object in &receipt.objects {
        assert_eq!(object.place.offset, next, "records follow one another");
        next += object.place.length;
    }
    assert_eq!(next, body.len() as u64);
}

#[tokio::test]
async fn a_pack_is_named_by_the_hash_of_its_file() {
    let disk = Disk::new().await;
    for objects in [
        vec![blob(b"")],
        (0..100).map(|n| blob(&noise(n, n as usize * 37))).collect(),
        vec![record(ObjectKind::Commit, b"{}"), record(ObjectKind::Snapshot, b"{}")],
    ] {
        let receipt = put(&disk.store, &objects).await;
        let file = std::fs::read(disk.path(receipt.pack.unwrap(), "pack")).unwrap();
        check_file(&file, &receipt);
    }
}

#[tokio::test]
async fn a_staged_put_gives_the_pack_that_a_put_from_memory_gives() {
    let disk = Disk::new().await;
    let payloads: Vec<Vec<u8>> = [0, 1, 5_000, MIB, 2 * MIB + 3, 700]
        .into_iter()
        .zip(0..)
        .map(|(length, seed)| noise(seed, length))
        .collect();
    let (mut from_staging, mut from_memory) = (Vec::new(), Vec::new());
    for payload in &payloads {
        from_staging.push(staged(&stage(&disk.store, payload, &[70_001]).await));
        from_memory.push(blob(payload));
    }
    let first = put(&disk.store, &from_staging).await;
    let second = put(&disk.store, &from_memory).await;
    assert_eq!((first.pack, first.objects), (second.pack, second.objects));
}

#[tokio::test]
async fn a_pack_too_large_for_one_request_is_no_different() {
    let disk = Disk::new().await;
    let payload = noise(7, 40 * MIB);
    let odd = [1, MIB + 13, 8_191, 3 * MIB - 1, 17];
    let large = stage(&disk.store, &payload, &odd).await;
    let small = stage(&disk.store, b"beside it", &[2]).await;
    assert_eq!(large.size, payload.len() as u64);
    let commit = record(ObjectKind::Commit, br#"{"message":"large"}"#);
    let objects = [commit.clone(), staged(&small), staged(&large), blob(b"the last")];

    let receipt = put(&disk.store, &objects).await;
    assert_eq!(disk.store.packs().await.unwrap(), [receipt.pack.unwrap()]);
    let file = std::fs::read(disk.path(receipt.pack.unwrap(), "pack")).unwrap();
    check_file(&file, &receipt);
    let in_memory = [commit, blob(b"beside it"), blob(&payload), blob(b"the last")];
    assert_eq!(put(&disk.store, &in_memory).await.pack, receipt.pack);

    let read = disk.store.read(&places(&receipt)).await.unwrap();
    assert!(read.iter().eq(in_memory.iter().map(bytes_of)), "it reads as it was");
    let pieces = disk.store.stream(receipt.objects[2].located()).await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    assert!(pieces.len() > 1, "a large object comes in pieces");
    assert!(pieces.concat() == *bytes_of(&in_memory[2]), "and streams as it was");
}

#[tokio::test]
async fn many_staged_blobs_that_are_large_together_become_one_pack() {
    let disk = Disk::new().await;
    let payloads: Vec<Vec<u8>> = (0..60).map(|n| noise(n, 900_000)).collect();
    let mut objects = Vec::new();
    for payload in &payloads {
        objects.push(staged(&stage(&disk.store, payload, &[400_000]).await));
    }
    let receipt = put(&disk.store, &objects).await;
    check_file(&std::fs::read(disk.path(receipt.pack.unwrap(), "pack")).unwrap(), &receipt);
    for (payload, place) in payloads.iter().zip(places(&receipt)) {
        let read = disk.store.read(&[place]).await.unwrap();
        assert!(read[0] == canonical::encode(ObjectKind::Blob, payload));
    }
}

#[tokio::test]
async fn many_reads_at_once_equal_single_reads_in_any_order() {
    let store = PackedStore::scan(Backend::memory()).await.unwrap();
    let mut dice = Dice::new(1);
    let objects: Vec<NewObject> = (0..5_000).map(|n| blob(&noise(n, dice.below(2_000)))).collect();
    let mut asked: Vec<(Located, &NewObject)> = Vec::new();
    for part in objects.chunks(1_700) {
        asked.extend(places(&put(&store, part).await).into_iter().zip(part));
    }
    for _ in 0..3 {
        let order: Vec<Located> = asked.iter().map(|(place, _)| *place).collect();
        let together = store.read(&order).await.unwrap();
        assert!(together.iter().eq(asked.iter().map(|(_, object)| bytes_of(object))));
        dice.shuffle(&mut asked);
    }
    for (place, object) in asked.iter().take(500) {
        assert_eq!(store.read(&[*place]).await.unwrap(), [bytes_of(object)]);
    }
    // Far apart in one pack, so that they are not read with one request; some twice.
    let mut sparse: Vec<_> = asked.iter().step_by(97).chain(asked.iter().step_by(41)).collect();
    sparse.reverse();
    let order: Vec<Located> = sparse.iter().map(|(place, _)| *place).collect();
    let read = store.read(&order).await.unwrap();
    assert!(read.iter().eq(sparse.iter().map(|(_, object)| bytes_of(object))));
}

/// A set of objects of every kind, with repeats, some of it put before.
#[tokio::test]
async fn neighbours_are_read_with_one_request() {
    let faulty = Faulty::sound();
    let store = PackedStore::scan(Backend::over(Arc::new(faulty.clone()))).await.unwrap();
    let mut objects: Vec<NewObject> = (0..300).map(|n| blob(&noise(n, 500))).collect();
    // Nobody asks for it, and it lies between the others.
    objects.insert(150, blob(&noise(1_000, MIB)));
    let receipt = put(&store, &objects).await;
    let mut asked: Vec<Located> = places(&receipt);
    asked.remove(150);
    let requests = async |asked: &[Located]| {
        let before = faulty.calls();
        assert_eq!(store.read(asked).await.unwrap().len(), asked.len());
        faulty.calls() - before
    };
    asked.reverse();
    assert_eq!(requests(&asked).await, 2, "on either side of the large one");
    assert_eq!(requests(&asked[..100]).await, 1);
    assert_eq!(requests(&[asked[0], asked[299]]).await, 2);
}

fn random_objects(dice: &mut Dice) -> Vec<NewObject> {
    let random = |dice: &mut Dice| {
        let seed = dice.below(40) as u64;
        let length = [0, 1, 31, 32, 100, 5_000, 70_000][dice.below(7)];
        let payload = noise(seed, length);
        match dice.below(4) {
            0 => record(ObjectKind::Commit, &payload),
            1 => record(ObjectKind::Snapshot, &payload),
            _ => blob(&payload),
        }
    };
    (0..1 + dice.below(30)).map(|_| random(dice)).collect()
}

#[tokio::test]
async fn whatever_is_put_comes_back_from_this_store_and_from_the_next() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed * 1_000_000);
        let backend = Backend::memory();
        let store = PackedStore::scan(backend.clone()).await.unwrap();
        let mut expected: Vec<(ObjectKey, Located, Bytes)> = Vec::new();
        for _ in 0..1 + dice.below(5) {
            let objects = random_objects(&mut dice);
            let receipt = put(&store, &objects).await;
            for (object, packed) in objects.iter().zip(&receipt.objects) {
                assert_eq!(object.key, packed.key);
                expected.push((object.key, packed.located(), bytes_of(object).clone()));
            }
        }
        dice.shuffle(&mut expected);
        let order: Vec<Located> = expected.iter().map(|(_, place, _)| *place).collect();
        let keys: Vec<ObjectKey> = expected.iter().map(|(key, ..)| *key).collect();
        let again = PackedStore::scan(backend).await.unwrap();
        for store in [&store, &again] {
            let read = store.read(&order).await.unwrap();
            assert!(read.iter().eq(expected.iter().map(|(_, _, bytes)| bytes)), "seed {seed}");
            let located = store.locate(&keys).await.unwrap();
            let at = |(key, place): (&ObjectKey, _)| Located { key: *key, place: Option::unwrap(place) };
            let located: Vec<Located> = keys.iter().zip(located).map(at).collect();
            let read = store.read(&located).await.unwrap();
            assert!(read.iter().eq(expected.iter().map(|(_, _, bytes)| bytes)), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn two_stores_over_one_directory_read_each_other_s_packs() {
    let disk = Disk::new().await;
    let other = disk.reopened().await;
    let (ours, theirs) = (blob(b"ours"), blob(b"theirs"));
    let our_place = places(&put(&disk.store, std::slice::from_ref(&ours)).await)[0];
    let their_place = places(&put(&other, std::slice::from_ref(&theirs)).await)[0];
    assert_eq!(other.read(&[our_place]).await.unwrap(), [bytes_of(&ours)]);
    assert_eq!(disk.store.read(&[their_place]).await.unwrap(), [bytes_of(&theirs)]);
    let mut packs: Vec<PackId> = vec![our_place.place.pack, their_place.place.pack];
    packs.sort_unstable();
    for store in [&disk.store, &other] {
        assert_eq!(store.packs().await.unwrap(), packs);
        assert_eq!(store.pack_objects(our_place.place.pack).await.unwrap()[0].key, ours.key);
    }
    let third = disk.reopened().await;
    let located = third.locate(&[ours.key, theirs.key]).await.unwrap();
    assert_eq!(located, [Some(our_place.place), Some(their_place.place)]);
}
