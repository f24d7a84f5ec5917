use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::hash::digest;
use crate::id::{BlobId, CommitId, HashAlgorithm, SnapshotId};
use crate::object::{Manifest, SnapshotRecord};
use crate::path::RepoPath;

fn blob(n: u64) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, digest(HashAlgorithm::Sha256, &[&n.to_be_bytes()]))
}

fn snapshot_id(n: u64) -> SnapshotId {
    blob(n ^ 0xff00_0000).object_id().into()
}

fn manifest(entries: &[(&str, u64)]) -> Manifest {
    let entries = entries.iter().map(|(path, n)| (RepoPath::parse(path).unwrap(), blob(*n)));
    Manifest::new(entries.collect()).unwrap()
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// What a pack is made of.
#[derive(Clone, Debug, Default)]
struct Parts {
    commits: Vec<Map<String, Value>>,
    snapshots: Vec<SnapshotRecord>,
    deltas: Vec<SnapshotDelta>,
    tags: Vec<Map<String, Value>>,
    blobs: Vec<(BlobId, Vec<u8>)>,
}

fn write(parts: &Parts) -> (Vec<u8>, MpackId) {
    let mut contents = Contents {
        blobs: parts.blobs.len() as u64,
        blob_bytes: parts.blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        ..Contents::default()
    };
    parts.commits.iter().for_each(|record| contents.commits.add(record));
    parts.snapshots.iter().for_each(|record| contents.snapshots.add_snapshot(record));
    parts.deltas.iter().for_each(|delta| contents.snapshots.add_delta(delta));
    parts.tags.iter().for_each(|record| contents.tags.add(record));
    let (mut out, mut writer) = contents.begin();
    for (id, bytes) in &parts.blobs {
        for piece in [&object_entry(*id, bytes.len() as u64), bytes] {
            writer.hash(piece);
            out.extend_from_slice(piece);
        }
    }
    let (end, id) = writer.finish();
    out.extend_from_slice(&end);
    (out, id)
}

fn read(bytes: &[u8], piece: usize, limits: Limits) -> Result<(Parts, MpackId, Counts), MpackError> {
    let mut reader = Reader::new(limits);
    let mut parts = Parts::default();
    let mut large: Option<u64> = None;
    let mut pieces = bytes.chunks(piece.max(1));
    loop {
        let item = match reader.next()? {
            Some(item) => item,
            None => match pieces.next() {
                Some(piece) => {
                    reader.push(piece);
                    continue;
                }
                None => break,
            },
        };
        match item {
            Item::Blob { id, content } => parts.blobs.push((id, content.to_vec())),
            Item::LargeBlob { id, size } => {
                assert_eq!(large.unwrap_or(0), 0, "a large object began within another");
                large = Some(size);
                parts.blobs.push((id, Vec::new()));
            }
            Item::Piece(piece) => {
                assert!(!piece.is_empty());
                large = large.map(|left| left - piece.len() as u64);
                parts.blobs.last_mut().unwrap().1.extend_from_slice(&piece);
            }
            Item::Commit(record) => parts.commits.push(record),
            Item::Snapshot(record) => parts.snapshots.push(record),
            Item::Delta(delta) => parts.deltas.push(delta),
            Item::Tag(record) => parts.tags.push(record),
        }
    }
    let (id, counts) = reader.finish()?;
    Ok((parts, id, counts))
}

fn sample() -> Parts {
    let directories = vec![RepoPath::parse("empty").unwrap()];
    let base = SnapshotRecord {
        id: Some(snapshot_id(1)),
        manifest: manifest(&[("a", 1), ("b/c", 2)]),
        directories: directories.clone(),
        extra: fields(json!({"created_at": "2026-05-20T16:00:00+00:00", "schema_version": 1})),
        ..SnapshotRecord::default()
    };
    let next = SnapshotRecord {
        id: Some(snapshot_id(2)),
        manifest: manifest(&[("a", 3), ("d", 2)]),
        directories,
        ..SnapshotRecord::default()
    };
    Parts {
        deltas: vec![SnapshotDelta::between(&base, snapshot_id(1), &next, snapshot_id(2))],
        snapshots: vec![base],
        commits: vec![fields(
            json!({"commit_id": "x", "message": "Añadir 🎵", "deep": [{"n": 1.5, "none": null}]}),
        )],
        tags: vec![fields(json!({"tag": "v1.0"}))],
        blobs: vec![
            (blob(1), b"hello\n".to_vec()),
            (blob(2), Vec::new()),
            (blob(3), (0..(1_u32 << 20) + 7).map(|n| (n % 253) as u8).collect()),
        ],
    }
}

fn assert_same(read: &Parts, written: &Parts) {
    assert_eq!(read.commits, written.commits);
    assert_eq!(read.deltas, written.deltas);
    assert_eq!(read.tags, written.tags);
    assert_eq!(read.blobs, written.blobs);
    let plain = |record: &SnapshotRecord| {
        (record.id, record.manifest.clone(), record.directories.clone(), record.extra.clone())
    };
    assert!(read.snapshots.iter().map(plain).eq(written.snapshots.iter().map(plain)));
}

#[test]
fn what_is_written_is_read_in_pieces_of_any_size() {
    let parts = sample();
    let (bytes, id) = write(&parts);
    assert_eq!(id, MpackId::of(&bytes));
    for piece in [1, 2, 7, 63, 1000, bytes.len()] {
        // Byte by byte, the large object alone would take a while.
        let few = if piece < 60 {
            Parts { blobs: parts.blobs[..2].to_vec(), ..parts.clone() }
        } else {
            parts.clone()
        };
        let (bytes, id) = write(&few);
        let (back, read_id, counts) = read(&bytes, piece, Limits::default()).unwrap();
        assert_same(&back, &few);
        assert_eq!(read_id, id);
        let expected = Counts { blobs: few.blobs.len() as u64, commits: 1, snapshots: 2, tags: 1 };
        assert_eq!(counts, expected);
    }
}

#[test]
fn an_empty_container_is_38_bytes() {
    let (bytes, id) = write(&Parts::default());
    assert_eq!(bytes.len(), 38);
    let (_, read_id, counts) = read(&bytes, 5, Limits::default()).unwrap();
    assert_eq!((read_id, counts), (id, Counts::default()));
}

#[test]
fn every_flipped_bit_and_every_early_end_is_noticed() {
    let parts = Parts { blobs: sample().blobs[..2].to_vec(), ..sample() };
    let (bytes, _) = write(&parts);
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            assert!(read(&damaged, 64, Limits::default()).is_err(), "bit {bit} of byte {at}");
        }
        assert!(read(&bytes[..at], 64, Limits::default()).is_err(), "an end after {at} bytes");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(read(&longer, 64, Limits::default()), Err(MpackError::Layout(_))));
}

#[test]
fn lengths_are_not_believed() {
    let parts = Parts { blobs: sample().blobs[..2].to_vec(), ..sample() };
    let (bytes, _) = write(&parts);
    // Whatever number a pack claims somewhere, memory stays that of what was sent.
    for at in 0..bytes.len() - 8 {
        for number in [u64::MAX, u64::MAX >> 1, 1 << 40, 0xffff_ffff] {
            let mut hostile = bytes.clone();
            hostile[at..at + 8].copy_from_slice(&number.to_le_bytes());
            if hostile == bytes {
                continue;
            }
            assert!(read(&hostile, 4096, Limits::default()).is_err(), "{number:x} at {at}");
        }
    }
}

#[test]
fn limits_are_kept() {
    let (bytes, _) = write(&sample());
    let too_large = |limits| matches!(read(&bytes, 4096, limits), Err(MpackError::TooLarge { .. }));
    assert!(too_large(Limits { object: 1 << 20, ..Limits::default() }));
    assert!(too_large(Limits { record: 40, ..Limits::default() }));
    assert!(too_large(Limits { total: 200, ..Limits::default() }));
    assert!(!too_large(Limits { object: (1 << 20) + 7, ..Limits::default() }));
}

fn packed(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

/// A map in the earlier form whose objects are given as msgpack.
fn map_form(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![0x82];
    out.extend(packed(&json!("summary")));
    out.extend(packed(&json!({"anything": [1, 2, 3]})));
    out.extend(packed(&json!("blobs")));
    out.push(0x90 + objects.len() as u8);
    objects.iter().for_each(|object| out.extend_from_slice(object));
    out
}

fn object_map(id: BlobId, content: &[u8], encoding: Option<&str>) -> Vec<u8> {
    let mut out = vec![if encoding.is_some() { 0x83 } else { 0x82 }];
    out.extend(packed(&json!("object_id")));
    out.extend(packed(&json!(id.to_string())));
    out.extend(packed(&json!("content")));
    out.push(0xc6);
    out.extend_from_slice(&(content.len() as u32).to_be_bytes());
    out.extend_from_slice(content);
    if let Some(encoding) = encoding {
        out.extend(packed(&json!("encoding")));
        out.extend(packed(&json!(encoding)));
    }
    out
}

#[test]
fn objects_of_the_earlier_form_come_raw_or_compressed() {
    let text = "the same again and again, ".repeat(100).into_bytes();
    let frame = zstd::bulk::compress(&text, 3).unwrap();
    assert!(frame.len() * 4 < text.len());
    let objects = [object_map(blob(1), b"raw", None), object_map(blob(2), &frame, Some("zstd"))];
    let bytes = map_form(&objects);
    for piece in [1, 3, 100, bytes.len()] {
        let (parts, id, counts) = read(&bytes, piece, Limits::default()).unwrap();
        assert_eq!(parts.blobs, [(blob(1), b"raw".to_vec()), (blob(2), text.clone())]);
        assert_eq!(id, MpackId::of(&bytes));
        assert_eq!(counts.blobs, 2);
    }
    for bad in [object_map(blob(2), &frame, Some("gzip")), object_map(blob(2), &frame[..20], Some("zstd"))] {
        let refused = read(&map_form(&[bad]), 4096, Limits::default());
        assert!(matches!(refused, Err(MpackError::Compression { .. })));
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    assert!(bomb.len() < 8 << 10);
    assert_eq!(expand(&bomb, 1 << 20), None);
    // Even where the object alone would be allowed, nothing honest shrinks that much.
    assert_eq!(expand(&bomb, 256 << 20), None);
    let refused = read(&map_form(&[object_map(blob(1), &bomb, Some("zstd"))]), 4096, Limits::default());
    assert!(matches!(refused, Err(MpackError::Compression { .. })));
    // Many that are small each.
    let noise: Vec<u8> =
        (0..32_u64).flat_map(|n| digest(HashAlgorithm::Sha256, &[&n.to_be_bytes()])).collect();
    let small = zstd::bulk::compress(&noise.repeat(1 << 10), 3).unwrap();
    let many: Vec<_> = (0..15).map(|n| object_map(blob(n), &small, Some("zstd"))).collect();
    let limits = Limits { total: 4 << 20, ..Limits::default() };
    assert!(matches!(read(&map_form(&many), 4096, limits), Err(MpackError::TooLarge { .. })));
}

#[test]
fn what_is_no_pack_is_refused() {
    let deep: Vec<u8> = [&packed(&json!({"k": 1}))[..2], b"k", &[0x91; 100_000]].concat();
    let cases: [&[u8]; 12] = [
        b"",
        b"M",
        b"MUSI\x01\x00",
        b"MUSE\x02\x00",
        b"<html>",
        b"PK\x03\x04",
        &[0xc1],
        &[0x81, 0xc1],
        &[0x90],
        &[0x81, 0xa7, b'o', b'b', b'j', b'e', b'c', b't', b's', 0x01],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &deep,
    ];
    for bytes in cases {
        for piece in [1, 100, 1 << 20] {
            assert!(read(bytes, piece, Limits::default()).is_err(), "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }
}

#[test]
fn deltas_rebuild_what_they_were_made_from() {
    let record = |n, entries: &[(&str, u64)], directories: &[&str]| SnapshotRecord {
        id: Some(snapshot_id(n)),
        manifest: manifest(entries),
        directories: directories.iter().map(|path| RepoPath::parse(path).unwrap()).collect(),
        ..SnapshotRecord::default()
    };
    let states = [
        record(1, &[], &[]),
        record(2, &[("a", 1), ("b/c", 2), ("z", 3)], &["d"]),
        record(3, &[("a", 1), ("b/c", 4), ("z", 3)], &["d"]),
        record(4, &[("b", 4), ("z/y", 3)], &[]),
    ];
    for base in &states {
        for to in &states {
            let delta = SnapshotDelta::between(base, base.id.unwrap(), to, to.id.unwrap());
            let rebuilt = delta.apply(base).unwrap();
            assert_eq!(
                (rebuilt.id, &rebuilt.manifest, &rebuilt.directories),
                (to.id, &to.manifest, &to.directories)
            );
        }
    }
    let mut broken = SnapshotDelta::between(&states[1], snapshot_id(2), &states[2], snapshot_id(3));
    broken.upsert.push((RepoPath::parse("a/below").unwrap(), blob(9)));
    assert!(broken.apply(&states[1]).is_err(), "a file cannot be a directory too");
}

#[test]
fn ids_of_commits_get_the_form_of_their_readers() {
    let hex = blob(1).to_hex();
    let stored =
        json!({"commit_id": hex, "parent_commit_id": hex, "parent2_commit_id": null, "message": hex});
    let mut record = fields(stored.clone());
    writer::rewrite_for_tests(&mut record);
    assert_eq!(record["commit_id"], json!(format!("sha256:{hex}")));
    assert_eq!(record["parent_commit_id"], json!(format!("sha256:{hex}")));
    assert_eq!(record["parent2_commit_id"], Value::Null);
    assert_eq!(record["message"], json!(hex), "texts are not touched");
    super::writer::commit_ids_for(crate::scheme::IdScheme::FlatV1, &mut record);
    assert_eq!(record, fields(stored));
}

#[test]
fn the_id_of_a_pack_reads_with_and_without_its_prefix() {
    let id = MpackId::of(b"");
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(id.to_string(), format!("sha256:{hex}"));
    assert_eq!(MpackId::parse(hex), Ok(id));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert!(MpackId::parse(&format!("blake3:{hex}")).is_err());
    assert!(MpackId::parse(&hex[1..]).is_err());
    let _: CommitId = blob(1).object_id().into();
}

fn any_record() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[a-z_]{1,12}", value, 0..6).prop_map(|map| map.into_iter().collect())
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let blobs = vec((any::<u64>(), vec(any::<u8>(), 0..300)), 0..12);
    let entries = proptest::collection::btree_map("[a-z]{1,6}(/[a-z]{1,3})?x", any::<u64>(), 0..8);
    let snapshots = vec((any::<u64>(), entries), 0..4);
    (vec(any_record(), 0..5), snapshots, vec(any_record(), 0..3), blobs).prop_map(
        |(commits, snapshots, tags, blobs)| {
            let snapshot = |(n, entries): (u64, std::collections::BTreeMap<String, u64>)| {
                let entries = entries.iter().map(|(path, n)| (RepoPath::parse(path).unwrap(), blob(*n)));
                let manifest = Manifest::new(entries.collect()).ok()?;
                Some(SnapshotRecord { id: Some(snapshot_id(n)), manifest, ..SnapshotRecord::default() })
            };
            Parts {
                commits,
                snapshots: snapshots.into_iter().filter_map(snapshot).collect(),
                deltas: Vec::new(),
                tags,
                blobs: blobs.into_iter().map(|(n, bytes)| (blob(n), bytes)).collect(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pack_comes_back(parts in any_parts(), piece in 1_usize..500) {
        let (bytes, id) = write(&parts);
        prop_assert_eq!(id, MpackId::of(&bytes));
        let (back, read_id, _) = read(&bytes, piece, Limits::default()).unwrap();
        prop_assert_eq!(read_id, id);
        assert_same(&back, &parts);
    }

    #[test]
    fn no_bytes_make_it_panic(noise in vec(any::<u8>(), 0..400), at in 0_usize..400, piece in 1_usize..64) {
        let _ = read(&noise, piece, Limits::default());
        // Behind a beginning that is right, too.
        let (mut bytes, _) = write(&Parts { blobs: sample().blobs[..2].to_vec(), ..sample() });
        let at = at.min(bytes.len());
        let end = (at + noise.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&noise[..end - at]);
        let _ = read(&bytes, piece, Limits::default());
        let mut map = map_form(&[object_map(blob(1), b"raw", None)]);
        let at = at.min(map.len());
        let end = (at + noise.len()).min(map.len());
        map[at..end].copy_from_slice(&noise[..end - at]);
        let _ = read(&map, piece, Limits::default());
    }

    #[test]
    fn a_value_of_msgpack_ends_where_it_ends(record in any_record(), piece in 1_usize..40) {
        let bytes = packed(&Value::Object(record));
        let mut scanner = scan::Scanner::default();
        let mut end = None;
        for until in (0..=bytes.len()).step_by(piece).chain([bytes.len()]) {
            prop_assert_eq!(end, None);
            end = scanner.scan(&bytes[..until], u64::MAX, "").unwrap();
            if end.is_some() {
                break;
            }
        }
        prop_assert_eq!(end, Some(bytes.len() as u64));
    }
}
