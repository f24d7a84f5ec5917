//! Writes what a pack holds in both of its forms.

use musehub_core::mpack::{Contents, MpackId, object_entry};
use serde_json::{Map, Value, json};

use crate::bundle::snapshot_record;
use crate::pack::Held;

/// The container, by the hub's own writer.
pub(crate) fn container(held: &Held) -> (Vec<u8>, MpackId) {
    let mut contents = Contents {
        blobs: held.blobs.len() as u64,
        blob_bytes: held.blobs.iter().map(|(_, content)| content.len() as u64).sum(),
        ..Contents::default()
    };
    held.commits.iter().for_each(|record| contents.commits.add(record));
    held.snapshots.iter().for_each(|kept| contents.snapshots.add_snapshot(&kept.record()));
    held.deltas.iter().for_each(|delta| contents.snapshots.add_delta(delta));
    held.tags.iter().for_each(|record| contents.tags.add(record));
    let (mut bytes, mut writer) = contents.begin();
    for (id, content) in &held.blobs {
        for part in [&object_entry(*id, content.len() as u64), content] {
            writer.hash(part);
            bytes.extend_from_slice(part);
        }
    }
    let (end, id) = writer.finish();
    bytes.extend_from_slice(&end);
    (bytes, id)
}

/// The map that came before the container, its contents compressed or not.
pub(crate) fn earlier_form(held: &Held, compressed: bool) -> Vec<u8> {
    let records =
        |records: &[Map<String, Value>]| records.iter().cloned().map(Value::Object).collect::<Vec<_>>();
    let mut snapshots: Vec<Value> =
        held.snapshots.iter().map(|kept| snapshot_record(&kept.record())).collect();
    snapshots.extend(held.deltas.iter().map(|delta| {
        let mut fields = delta.extra.clone();
        let upsert = delta.upsert.iter().map(|(path, blob)| (path.to_string(), json!(blob)));
        fields.insert("snapshot_id".to_owned(), json!(delta.id));
        fields.insert("parent_snapshot_id".to_owned(), json!(delta.base));
        fields.insert("delta_add".to_owned(), Value::Object(upsert.collect()));
        fields.insert("delta_remove".to_owned(), json!(delta.remove));
        fields.insert("directories".to_owned(), json!(delta.directories));
        fields.insert("executables".to_owned(), json!(delta.executables));
        Value::Object(fields)
    }));
    let mut bytes = vec![0x84];
    let mut list = |key: &str, items: &[Value]| {
        rmp_serde::encode::write(&mut bytes, key).unwrap();
        rmp_serde::encode::write_named(&mut bytes, items).unwrap();
    };
    list("commits", &records(&held.commits));
    list("snapshots", &snapshots);
    list("tags", &records(&held.tags));
    rmp_serde::encode::write(&mut bytes, "blobs").unwrap();
    let objects = held.blobs.iter().map(|(id, content)| {
        let content = if compressed { frame(content) } else { content.clone() };
        let mut fields = vec![
            ("object_id".into(), id.to_string().into()),
            ("content".into(), rmpv::Value::Binary(content)),
        ];
        if compressed {
            fields.push(("encoding".into(), "zstd".into()));
        }
        rmpv::Value::Map(fields)
    });
    rmpv::encode::write_value(&mut bytes, &rmpv::Value::Array(objects.collect())).unwrap();
    bytes
}

/// A frame of zstd.
fn frame(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 1).unwrap()
}
