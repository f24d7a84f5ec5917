//! What pushes and uploads have in common, whichever format they come in: how they are compared, checked, and written again.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use musehub_core::hub::{InlineBlob, Push};
use musehub_core::object::SnapshotRecord;
use musehub_core::{BlobId, HashAlgorithm, ObjectKind, canonical};
use musehub_server::decoders::{Body, Bounds, Decoders, Upload};
use musehub_server::http::ApiError;
use serde_json::{Map, Value, json};

use crate::records;

/// So little that the limits are met.
pub(crate) const TIGHT: Bounds = Bounds { object: 512, kept: 4 << 10 };

pub(crate) static TIGHT_DECODERS: LazyLock<Decoders> = LazyLock::new(|| Decoders::new(TIGHT).unwrap());

/// So much that the limits are not met.
pub(crate) static DECODERS: LazyLock<Decoders> =
    LazyLock::new(|| Decoders::new(Bounds { object: 16 << 20, kept: 64 << 20 }).unwrap());

/// Records that are nested deeper are written in no other format: each has a limit of its own, which counts another way.
const COMPARED_DEPTH: usize = 100;

/// A push as values that can be compared.
#[derive(PartialEq, Debug)]
pub(crate) struct Plain {
    branch: String,
    force: bool,
    commits: Vec<Map<String, Value>>,
    snapshots: Vec<Value>,
    blobs: Vec<(BlobId, Vec<u8>)>,
}

pub(crate) fn plain(push: &Push) -> Plain {
    Plain {
        branch: push.branch.to_string(),
        force: push.force,
        commits: push.commits.clone(),
        snapshots: push.snapshots.iter().map(snapshot_record).collect(),
        blobs: plain_blobs(&push.blobs),
    }
}

pub(crate) fn plain_upload(upload: &Upload) -> (Vec<BlobId>, Vec<(BlobId, Vec<u8>)>) {
    (upload.ids.clone(), plain_blobs(&upload.staged))
}

fn plain_blobs(blobs: &[InlineBlob]) -> Vec<(BlobId, Vec<u8>)> {
    blobs.iter().map(|blob| (blob.id, blob.content.to_vec())).collect()
}

/// A snapshot's record as a client writes it.
pub(crate) fn snapshot_record(snapshot: &SnapshotRecord) -> Value {
    let mut fields = snapshot.extra.clone();
    let manifest = snapshot.manifest.iter().map(|(path, blob)| (path.to_string(), json!(blob)));
    fields.insert("manifest".to_owned(), Value::Object(manifest.collect()));
    fields.insert("directories".to_owned(), json!(snapshot.directories));
    fields.insert("executables".to_owned(), json!(snapshot.executables));
    if let Some(id) = snapshot.id {
        fields.insert("snapshot_id".to_owned(), json!(id));
    }
    Value::Object(fields)
}

/// What came of a body, so that it can be compared: what it says, or the status and the word that its sender gets.
pub(crate) fn outcome<T, P>(
    decoded: &Result<T, ApiError>,
    plain: impl FnOnce(&T) -> P,
) -> Result<P, (u16, &'static str)> {
    match decoded {
        Ok(value) => Ok(plain(value)),
        Err(error) => {
            let status = error.status.as_u16();
            assert!(
                matches!(status, 400 | 413 | 422),
                "{status}: nothing that is sent is a failure of the hub"
            );
            assert!(!error.detail.is_empty() && error.cause.is_none());
            Err((status, error.code))
        }
    }
}

/// Checks what was decoded, and that it reads as the same in every other way in which it can be sent.
pub(crate) fn push(push: &Push) {
    push.commits.iter().for_each(|record| records::commit(push.scheme, record));
    push.snapshots.iter().for_each(|record| records::snapshot(push.scheme, record));
    let extras = push.snapshots.iter().map(|snapshot| &snapshot.extra);
    let depth = push.commits.iter().chain(extras).map(|map| depth_of(map.values())).max();
    if depth.unwrap_or(0) > COMPARED_DEPTH {
        return;
    }
    let expected = plain(push);
    let body = msgpack_push(push);
    let read = DECODERS.mwp_push_msgpack(Body::new(&body, body.len()));
    assert_eq!(outcome(&read, plain).as_ref(), Ok(&expected));
    let json = json_push(push).to_string();
    let read = DECODERS.mwp_push_json(Body::new(json.as_bytes(), json.len()));
    assert_eq!(outcome(&read, plain).as_ref(), Ok(&expected));
    // This generation proves at once what the other one leaves to the push.
    let read = DECODERS.json_push(Body::new(json.as_bytes(), json.len()));
    match outcome(&read, plain) {
        Ok(read) => assert_eq!(read, expected),
        Err(error) => {
            assert_eq!(error.0, 422, "{json}");
            assert!(!push.blobs.iter().all(is_proven), "{json}");
        }
    }
}

fn depth_of<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let depth = |value: &Value| match value {
        Value::Array(items) => 1 + depth_of(items.iter()),
        Value::Object(fields) => 1 + depth_of(fields.values()),
        _ => 1,
    };
    values.map(depth).max().unwrap_or(0)
}

/// Whether a blob has the id that it claims, and may be taken under it.
fn is_proven(blob: &InlineBlob) -> bool {
    let id = BlobId::new(HashAlgorithm::Sha256, crate::sha256(&[&blob.content]));
    id == blob.id && canonical::payload_of(ObjectKind::Blob, &blob.content).is_err()
}

/// Checks what was staged of a body of `length` bytes, and that it comes to the same in every other way in which it can be sent.
pub(crate) fn upload(upload: &Upload, length: usize) {
    let staged: Vec<BlobId> = upload.staged.iter().map(|blob| blob.id).collect();
    assert_eq!(staged, upload.ids, "everything that is named was staged");
    assert!(upload.staged.iter().all(is_proven));
    assert!(upload.staged.iter().map(|blob| blob.content.len()).sum::<usize>() <= length);
    let expected = plain_upload(upload);
    let body = encode(&map([("objects", msgpack_objects(&upload.staged))]));
    let read = DECODERS.mwp_upload_msgpack(Body::new(&body, body.len()));
    assert_eq!(outcome(&read, plain_upload).as_ref(), Ok(&expected));
    let json = json!({"objects": json_objects(&upload.staged)}).to_string();
    let read = DECODERS.mwp_upload_json(json.as_bytes());
    assert_eq!(outcome(&read, plain_upload).as_ref(), Ok(&expected));
    let read = DECODERS.json_upload(Body::new(json.as_bytes(), json.len()));
    assert_eq!(outcome(&read, plain_upload).as_ref(), Ok(&expected));
}

fn json_push(push: &Push) -> Value {
    let bundle = json!({
        "commits": push.commits,
        "snapshots": push.snapshots.iter().map(snapshot_record).collect::<Vec<_>>(),
        "objects": json_objects(&push.blobs),
    });
    json!({"bundle": bundle, "branch": push.branch, "force": push.force})
}

/// Every second content has no padding, as clients write it either way.
fn json_objects(blobs: &[InlineBlob]) -> Vec<Value> {
    let text = |at: usize, content: &[u8]| {
        if at.is_multiple_of(2) { STANDARD.encode(content) } else { STANDARD_NO_PAD.encode(content) }
    };
    let object = |(at, blob): (usize, &InlineBlob)| json!({"object_id": blob.id, "content_b64": text(at, &blob.content)});
    blobs.iter().enumerate().map(object).collect()
}

fn msgpack_push(push: &Push) -> Vec<u8> {
    let commits = push.commits.iter().map(|record| from_json(&Value::Object(record.clone())));
    let snapshots = push.snapshots.iter().map(|snapshot| from_json(&snapshot_record(snapshot)));
    let bundle = map([
        ("objects", msgpack_objects(&push.blobs)),
        ("snapshots", rmpv::Value::Array(snapshots.collect())),
        ("commits", rmpv::Value::Array(commits.collect())),
    ]);
    encode(&map([("force", push.force.into()), ("branch", push.branch.as_str().into()), ("bundle", bundle)]))
}

fn msgpack_objects(blobs: &[InlineBlob]) -> rmpv::Value {
    let object = |blob: &InlineBlob| {
        let content = rmpv::Value::Binary(blob.content.to_vec());
        map([("object_id", blob.id.to_hex().into()), ("content", content)])
    };
    rmpv::Value::Array(blobs.iter().map(object).collect())
}

fn map<const N: usize>(fields: [(&str, rmpv::Value); N]) -> rmpv::Value {
    rmpv::Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn from_json(value: &Value) -> rmpv::Value {
    let bytes = rmp_serde::to_vec_named(value).unwrap();
    rmpv::decode::read_value(&mut &bytes[..]).unwrap()
}

fn encode(value: &rmpv::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}
