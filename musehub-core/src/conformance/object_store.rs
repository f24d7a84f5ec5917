//! The contract of [`ObjectStore`].

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};

use super::fixtures::{
    blob, bytes_of, empty_snapshot, flat_record, id_of, keys_of, noise, pack_id, put, read_one, typed_blob,
};
use super::run_cases;
use crate::canonical;
use crate::id::{HashAlgorithm, ObjectKey, ObjectKind};
use crate::port::{BackendError, Located, NewObject, ObjectStore, PackedObject, Place};

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`ObjectStore`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: ObjectStore,
{
    run_cases!(
        "object_store",
        fresh,
        [
            an_empty_store_is_empty,
            an_empty_put_writes_nothing,
            every_kind_comes_back,
            answers_keep_the_order_asked,
            what_is_absent_is_not_there,
            a_place_nobody_gave_out_is_an_error,
            another_object_at_a_place_is_damage_by_name,
            writing_again_is_harmless,
            an_object_twice_in_one_put_is_once,
            equal_bytes_under_two_keys_are_two_objects,
            variants_of_one_key_are_told_apart_by_place,
            a_thousand_objects_in_one_put,
            a_large_object_streams_as_it_reads,
            small_objects_stream_as_they_read,
            packs_list_what_receipts_promise,
            concurrent_puts_all_succeed,
        ]
    );
}

async fn an_empty_store_is_empty<B: ObjectStore>(store: &B) {
    assert_eq!(store.packs().await.expect("packs"), [], "a fresh store has no packs");
    assert_eq!(store.locate(&[]).await.expect("locate"), [], "nothing asked, nothing answered");
    assert!(store.read(&[]).await.expect("read").is_empty(), "nothing asked, nothing read");
}

async fn an_empty_put_writes_nothing<B: ObjectStore>(store: &B) {
    let receipt = store.put(Vec::new()).await.expect("an empty put succeeds");
    assert_eq!(receipt.pack, None, "an empty put has no pack");
    assert_eq!(receipt.objects, [], "an empty put has no objects");
    assert_eq!(store.packs().await.expect("packs"), [], "an empty put leaves no pack");
}

fn one_of_every_kind() -> Vec<NewObject> {
    vec![
        blob(b""),
        empty_snapshot(),
        blob(b"hello\n"),
        blob(b"\0\xff\0\xfe"),
        blob(b"blob 3\0abc"),
        typed_blob(HashAlgorithm::Sha256, b""),
        typed_blob(HashAlgorithm::Blake3, b""),
        typed_blob(HashAlgorithm::Blake3, b"hello\n"),
        flat_record(ObjectKind::Snapshot, "s", r#"{"manifest":{"a":"b"}}"#),
        flat_record(ObjectKind::Commit, "c", r#"{"message":"m"}"#),
        flat_record(ObjectKind::Commit, "d", "{}"),
        blob(&noise(70_000)),
    ]
}

async fn every_kind_comes_back<B: ObjectStore>(store: &B) {
    let objects = one_of_every_kind();
    let receipt = store.put(objects.clone()).await.expect("put");
    let pack = receipt.pack.expect("a put of new objects names its pack");
    for packed in &receipt.objects {
        assert_eq!(packed.place.pack, pack, "new objects lie in the pack of their put");
    }
    assert_eq!(store.packs().await.expect("packs"), [pack], "one put is one pack");
    let located = store.locate(&keys_of(&objects)).await.expect("locate");
    for (object, (packed, located)) in objects.iter().zip(receipt.objects.iter().zip(located)) {
        assert_eq!(located, Some(packed.place), "{} lies where the receipt says", object.key);
        assert_eq!(read_one(store, packed.located()).await, *bytes_of(object), "bytes of {}", object.key);
    }
}

async fn answers_keep_the_order_asked<B: ObjectStore>(store: &B) {
    let objects: Vec<NewObject> = (0..10).map(|n| blob(format!("object {n}").as_bytes())).collect();
    let held = put(store, &objects).await;
    let absent = id_of(b"never written").key();
    let asked = [objects[7].key, absent, objects[0].key, objects[7].key, absent, objects[9].key];
    let expected =
        [Some(7), None, Some(0), Some(7), None, Some(9)].map(|at: Option<usize>| at.map(|at| held[at].place));
    assert_eq!(store.locate(&asked).await.expect("locate"), expected, "locate answers in the order asked");
    let order = [9, 0, 4, 4, 8, 1, 9];
    let read = store.read(&order.map(|at| held[at])).await.expect("read");
    let expected: Vec<&Bytes> = order.iter().map(|at| bytes_of(&objects[*at])).collect();
    assert_eq!(
        read.iter().collect::<Vec<_>>(),
        expected,
        "read answers in the order asked, repeats included"
    );
}

async fn what_is_absent_is_not_there<B: ObjectStore>(store: &B) {
    let present = blob(b"present");
    let as_snapshot = ObjectKey { kind: ObjectKind::Snapshot, id: present.key.id };
    let asked = [present.key, as_snapshot, id_of(b"absent").key()];
    assert_eq!(store.locate(&asked).await.expect("locate"), [None; 3], "an empty store holds nothing");
    let held = put(store, &[present]).await;
    let expected = [Some(held[0].place), None, None];
    assert_eq!(store.locate(&asked).await.expect("locate"), expected, "the kind is part of an object's name");
    for (key, place) in asked.into_iter().zip(expected) {
        assert_eq!(store.exists(key).await.expect("exists"), place.is_some(), "whether {key} is there");
    }
}

async fn a_place_nobody_gave_out_is_an_error<B: ObjectStore>(store: &B) {
    let objects = [blob(&noise(500)), blob(&noise(900))];
    let held = put(store, &objects).await;
    let Located { key, place: Place { pack, offset, length } } = held[0];
    let elsewhere = pack_id("nowhere");
    let made_up = [
        Place { pack: elsewhere, offset, length },
        Place { pack, offset: offset + 1, length },
        Place { pack, offset, length: length - 1 },
        Place { pack, offset, length: length + 1 },
        Place { pack, offset: 1 << 40, length },
    ];
    for place in made_up {
        let nothing = Located { key, place };
        assert!(
            store.read(&[nothing]).await.is_err(),
            "reading {place}, where nothing was written, is an error"
        );
        assert!(store.read(&[held[1], nothing]).await.is_err(), "one bad place of several is an error");
        let streamed = match store.stream(nothing).await {
            Ok(pieces) => pieces.try_collect::<Vec<Bytes>>().await,
            Err(error) => Err(error),
        };
        assert!(streamed.is_err(), "streaming {place}, where nothing was written, is an error");
    }
    let asked = [held[1].place, made_up[0], held[0].place, made_up[4]];
    let present = store.present(&asked).await.expect("present");
    assert_eq!(present, [true, false, true, false], "what was written is present, and nothing elsewhere");
    assert!(store.pack_objects(elsewhere).await.is_err(), "listing a pack that is not there is an error");
}

/// More than any store reads whole where it is asked for a stream.
const LARGE: usize = 9 << 20;

async fn another_object_at_a_place_is_damage_by_name<B: ObjectStore>(store: &B) {
    let large = noise(LARGE);
    let objects = [blob(b"one"), flat_record(ObjectKind::Commit, "c", "{}"), blob(&large), blob(b"four")];
    let held = put(store, &objects).await;
    for (asked, there) in [(0, 3), (3, 0), (0, 1), (1, 0), (0, 2), (2, 0)] {
        let wrong = Located { key: held[asked].key, place: held[there].place };
        let streamed = match store.stream(wrong).await {
            Ok(pieces) => pieces.try_collect::<Vec<Bytes>>().await.map(|_| ()),
            Err(error) => Err(error),
        };
        for result in [store.read(&[wrong]).await.map(|_| ()), streamed] {
            match result {
                Err(BackendError::Damaged { what, .. }) => {
                    assert!(what.contains(&wrong.key.to_string()), "{what} names the object asked for");
                    assert!(what.contains(&wrong.place.pack.to_string()), "{what} names the pack");
                }
                other => panic!("{wrong:?} is damage, not {other:?}"),
            }
        }
        assert_eq!(read_one(store, held[there]).await, *bytes_of(&objects[there]), "what is there is read");
    }
}

async fn writing_again_is_harmless<B: ObjectStore>(store: &B) {
    let objects = one_of_every_kind();
    let first = put(store, &objects).await;
    let again = put(store, &objects).await;
    let mut mixed = vec![blob(b"new")];
    mixed.extend_from_slice(&objects[3..6]);
    let overlapping = put(store, &mixed).await;
    for (object, place) in objects.iter().zip(&first).chain(objects.iter().zip(&again)) {
        assert_eq!(read_one(store, *place).await, *bytes_of(object), "{} after it was put again", object.key);
    }
    for (object, place) in mixed.iter().zip(&overlapping) {
        assert_eq!(read_one(store, *place).await, *bytes_of(object), "{} of an overlapping put", object.key);
    }
    check_packs(store).await;
    for place in store.locate(&keys_of(&objects)).await.expect("locate") {
        assert!(place.is_some(), "an object put twice is still found");
    }
}

async fn an_object_twice_in_one_put_is_once<B: ObjectStore>(store: &B) {
    let objects = [blob(b"a"), blob(b"b"), blob(b"a")];
    let held = put(store, &objects).await;
    for (object, place) in objects.iter().zip(&held) {
        assert_eq!(read_one(store, *place).await, *bytes_of(object), "bytes of {}", object.key);
    }
    check_packs(store).await;
}

/// Also where each is the only object of its put, so that their packs hold equal canonical bytes.
async fn equal_bytes_under_two_keys_are_two_objects<B: ObjectStore>(store: &B) {
    let objects = [
        blob(b"same"),
        typed_blob(HashAlgorithm::Sha256, b"same"),
        typed_blob(HashAlgorithm::Blake3, b"same"),
    ];
    for object in &objects {
        put(store, std::slice::from_ref(object)).await;
    }
    let located = store.locate(&keys_of(&objects)).await.expect("locate");
    let mut listed = check_packs(store).await;
    for (object, place) in objects.iter().zip(located) {
        let place =
            place.unwrap_or_else(|| panic!("{} is found, though its bytes have other names", object.key));
        let located = Located { key: object.key, place };
        assert_eq!(read_one(store, located).await, *bytes_of(object), "bytes of {}", object.key);
        assert!(listed.remove(&object.key).is_some(), "{} is listed in a pack", object.key);
    }
}

async fn variants_of_one_key_are_told_apart_by_place<B: ObjectStore>(store: &B) {
    for kind in [ObjectKind::Commit, ObjectKind::Snapshot] {
        let variants = [r#"{"agent":"a"}"#, r#"{"agent":"b"}"#, r#"{}"#]
            .map(|payload| flat_record(kind, "one id", payload));
        let mut places = Vec::new();
        for variant in &variants {
            let companion = blob(bytes_of(variant));
            places.push(put(store, &[variant.clone(), companion]).await[0]);
        }
        places.push(put(store, &variants[..1]).await[0]);
        for (variant, place) in variants.iter().chain(&variants[..1]).zip(&places) {
            assert_eq!(read_one(store, *place).await, *bytes_of(variant), "each place keeps its own variant");
        }
        let located = store.locate(&[variants[0].key]).await.expect("locate");
        let place = located[0].expect("a key with variants is found");
        let read = read_one(store, Located { key: variants[0].key, place }).await;
        assert!(
            variants.iter().any(|variant| *bytes_of(variant) == read),
            "locate gives one of the variants"
        );
    }
    check_packs(store).await;
}

async fn a_thousand_objects_in_one_put<B: ObjectStore>(store: &B) {
    let payload = |n: usize| noise(n * 7 % 500).into_iter().chain(n.to_le_bytes()).collect::<Vec<u8>>();
    let objects: Vec<NewObject> = (0..1_000).map(|n| blob(&payload(n))).collect();
    let held = put(store, &objects).await;
    let read = store.read(&held).await.expect("read");
    assert_eq!(
        read.iter().collect::<Vec<_>>(),
        objects.iter().map(bytes_of).collect::<Vec<_>>(),
        "all bytes"
    );
    let mut backwards = keys_of(&objects);
    backwards.reverse();
    let located = store.locate(&backwards).await.expect("locate");
    let expected: Vec<Option<Place>> = held.iter().rev().map(|object| Some(object.place)).collect();
    assert_eq!(located, expected, "a thousand objects are found, in the order asked");
    assert_eq!(check_packs(store).await.len(), 1_000, "the pack lists each of them");
}

async fn a_large_object_streams_as_it_reads<B: ObjectStore>(store: &B) {
    let objects = [blob(b"before"), blob(&noise(LARGE)), blob(b"after")];
    let large = put(store, &objects).await[1];
    let streamed = streamed(store, large).await;
    assert!(streamed == *bytes_of(&objects[1]), "the pieces of a large object are its bytes");
    assert!(read_one(store, large).await == *bytes_of(&objects[1]), "a large object reads whole");
}

async fn small_objects_stream_as_they_read<B: ObjectStore>(store: &B) {
    let objects = one_of_every_kind();
    let held = put(store, &objects).await;
    for (object, located) in objects.iter().zip(held) {
        assert_eq!(streamed(store, located).await, *bytes_of(object), "the pieces of {}", object.key);
    }
}

async fn packs_list_what_receipts_promise<B: ObjectStore>(store: &B) {
    let mut promised: Vec<PackedObject> = Vec::new();
    let mut packs = BTreeSet::new();
    for n in 0..40 {
        let objects = [
            blob(format!("{n}").as_bytes()),
            flat_record(ObjectKind::Commit, &format!("{n}"), "{}"),
            blob(b"all"),
        ];
        let receipt = store.put(objects.to_vec()).await.expect("put");
        packs.extend(receipt.pack);
        promised.extend(receipt.objects);
    }
    let listed = store.packs().await.expect("packs");
    assert_eq!(listed.len(), packs.len(), "each pack is listed once");
    assert_eq!(
        listed.iter().copied().collect::<BTreeSet<_>>(),
        packs,
        "packs lists those that receipts name"
    );
    for object in promised {
        let held = store.pack_objects(object.place.pack).await.expect("pack_objects");
        assert!(held.contains(&object), "the pack of {} lists it as its receipt does", object.key);
    }
    check_packs(store).await;
}

async fn concurrent_puts_all_succeed<B: ObjectStore>(store: &B) {
    let sets: Vec<Vec<NewObject>> = (0..16)
        .map(|n| {
            vec![blob(b"in all"), blob(format!("in {}", n / 4).as_bytes()), blob(format!("{n}").as_bytes())]
        })
        .collect();
    let receipts = join_all(sets.iter().map(|objects| store.put(objects.clone()))).await;
    for (objects, receipt) in sets.iter().zip(receipts) {
        let receipt = receipt.expect("puts at the same time all succeed");
        for (object, packed) in objects.iter().zip(&receipt.objects) {
            assert_eq!(packed.key, object.key, "the receipt is that of this put");
            assert_eq!(read_one(store, packed.located()).await, *bytes_of(object), "bytes of {}", object.key);
        }
    }
    check_packs(store).await;
}

async fn streamed<B: ObjectStore>(store: &B, object: Located) -> Bytes {
    let pieces = store.stream(object).await.expect("stream begins");
    let pieces: Vec<Result<Bytes, BackendError>> = pieces.collect().await;
    let pieces: Vec<Bytes> = pieces.into_iter().map(|piece| piece.expect("every piece comes")).collect();
    pieces.concat().into()
}

/// Checks the listing of every pack against what its places hold; gives what is listed.
pub(super) async fn check_packs<B: ObjectStore>(store: &B) -> HashMap<ObjectKey, Place> {
    let mut listed = HashMap::new();
    let packs = store.packs().await.expect("packs");
    assert_eq!(packs.iter().collect::<BTreeSet<_>>().len(), packs.len(), "packs lists each pack once");
    for pack in packs {
        let mut end = 0;
        for object in store.pack_objects(pack).await.expect("pack_objects") {
            let Place { offset, length, .. } = object.place;
            assert_eq!(object.place.pack, pack, "a pack lists its own places");
            assert!(offset >= end, "a pack lists its objects in the order of their records");
            end = offset + length;
            let bytes = read_one(store, object.located()).await;
            let payload =
                canonical::payload_of(object.key.kind, &bytes).expect("canonical bytes of the key's kind");
            assert_eq!(payload.len() as u64, object.size, "a pack lists the size of the payload");
            listed.insert(object.key, object.place);
        }
    }
    listed
}
