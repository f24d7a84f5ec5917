//! Packs of the wire that another program wrote: what they hold, and what the hub writes.

use std::collections::BTreeMap;

use bytes::Bytes;
use musehub_core::BlobId;
use musehub_core::mpack::{Contents, Item, Limits, MpackId, Reader, SnapshotDelta, object_entry};
use musehub_core::object::SnapshotRecord;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Vector {
    name: String,
    bytes: String,
    mpack_key: MpackId,
    commits: Vec<Map<String, Value>>,
    full: Vec<Map<String, Value>>,
    deltas: Vec<Map<String, Value>>,
    tags: Vec<Map<String, Value>>,
    objects: BTreeMap<BlobId, String>,
    #[serde(default)]
    canonical: bool,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../vectors/mpack.json")).unwrap()
}

#[derive(Default)]
struct Held {
    commits: Vec<Map<String, Value>>,
    full: Vec<SnapshotRecord>,
    deltas: Vec<SnapshotDelta>,
    tags: Vec<Map<String, Value>>,
    /// In the order they came.
    objects: Vec<(BlobId, Bytes)>,
}

fn read(bytes: &[u8], piece: usize) -> (Held, MpackId) {
    let mut reader = Reader::new(Limits::default());
    let mut held = Held::default();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Blob { id, content } => held.objects.push((id, content)),
                Item::Commit(record) => held.commits.push(record),
                Item::Snapshot(record) => held.full.push(record),
                Item::Delta(delta) => held.deltas.push(delta),
                Item::Tag(record) => held.tags.push(record),
                Item::LargeBlob { .. } | Item::Piece(_) => panic!("no object of the vectors is large"),
            }
        }
    }
    let (id, counts) = reader.finish().unwrap();
    assert_eq!(counts.blobs as usize, held.objects.len());
    assert_eq!(counts.snapshots as usize, held.full.len() + held.deltas.len());
    (held, id)
}

fn manifest_of(record: &SnapshotRecord) -> Value {
    let entries = record.manifest.iter().map(|(path, blob)| (path.to_string(), json!(blob)));
    Value::Object(entries.collect())
}

#[test]
fn packs_of_another_program_are_read_as_what_they_hold() {
    let vectors = vectors();
    assert!(vectors.len() > 10);
    for vector in &vectors {
        let bytes = hex::decode(&vector.bytes).unwrap();
        for piece in [1, 13, bytes.len()] {
            let (held, id) = read(&bytes, piece);
            assert_eq!(id, vector.mpack_key, "{}", vector.name);
            assert_eq!(held.commits, vector.commits, "{}", vector.name);
            assert_eq!(held.tags, vector.tags, "{}", vector.name);
            let objects = held.objects.iter().map(|(id, content)| (*id, hex::encode(content)));
            assert_eq!(objects.collect::<BTreeMap<_, _>>(), vector.objects, "{}", vector.name);
            assert_eq!(held.full.len(), vector.full.len(), "{}", vector.name);
            for (record, expected) in held.full.iter().zip(&vector.full) {
                assert_eq!(json!(record.id), expected["snapshot_id"]);
                assert_eq!(manifest_of(record), expected["manifest"]);
                assert_eq!(json!(record.directories), expected["directories"]);
                assert_eq!(record.extra["created_at"], expected["created_at"]);
            }
            assert_eq!(held.deltas.len(), vector.deltas.len(), "{}", vector.name);
            for (delta, expected) in held.deltas.iter().zip(&vector.deltas) {
                assert_eq!(json!(delta.base), expected["parent_snapshot_id"]);
                let base = held.full.iter().find(|record| record.id == Some(delta.base)).unwrap();
                let rebuilt = delta.apply(base).unwrap();
                assert_eq!(manifest_of(&rebuilt), expected["rebuilt"], "{}", vector.name);
            }
        }
    }
}

#[test]
fn the_hub_writes_the_bytes_that_another_program_computes() {
    let vector = vectors().into_iter().find(|vector| vector.canonical).unwrap();
    let bytes = hex::decode(&vector.bytes).unwrap();
    let (held, _) = read(&bytes, bytes.len());
    let mut contents = Contents {
        blobs: held.objects.len() as u64,
        blob_bytes: held.objects.iter().map(|(_, content)| content.len() as u64).sum(),
        ..Contents::default()
    };
    held.commits.iter().for_each(|record| contents.commits.add(record));
    held.full.iter().for_each(|record| contents.snapshots.add_snapshot(record));
    held.deltas.iter().for_each(|delta| contents.snapshots.add_delta(delta));
    held.tags.iter().for_each(|record| contents.tags.add(record));
    let (mut written, mut writer) = contents.begin();
    for (id, content) in &held.objects {
        let entry = object_entry(*id, content.len() as u64);
        writer.hash(&entry);
        writer.hash(content);
        written.extend_from_slice(&entry);
        written.extend_from_slice(content);
    }
    let (end, id) = writer.finish();
    written.extend_from_slice(&end);
    assert_eq!(id, vector.mpack_key);
    assert_eq!(hex::encode(written), vector.bytes);
}
