//! Golden vectors: ids and canonical texts that were computed by other programs.

#![allow(clippy::unwrap_used, reason = "a vector that does not read is a failed test")]

use std::collections::BTreeMap;

use musehub_core::canonical::json;
use musehub_core::hash::digest;
use musehub_core::id::{BlobId, CommitId, HashAlgorithm, ObjectId, ObjectKind, SnapshotId};
use musehub_core::scheme::typed_v1::{CommitFields, CommitForm, SnapshotFields, SnapshotForm};
use musehub_core::scheme::{BlobHasher, FormulaError, IdScheme, flat_v1, typed_v1, typed_v2};
use serde::Deserialize;
use serde_json::Value;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const TIME: &str = "2026-03-20T12:00:00+00:00";

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest(HashAlgorithm::Sha256, parts)
}

fn snapshot<const N: usize>(entries: [(&str, &str); N]) -> SnapshotId {
    let entries = entries.map(|(path, id)| (path, BlobId::parse(id).unwrap()));
    flat_v1::snapshot_id(entries.iter().map(|(path, id)| (*path, id))).unwrap()
}

fn snapshot_3() -> SnapshotId {
    snapshot([("a/é.txt", EMPTY), ("b.txt", HELLO)])
}

fn commit(parents: &[CommitId], snapshot: &SnapshotId, message: &str, time: &str) -> CommitId {
    flat_v1::commit_id(parents, snapshot, message, time).unwrap()
}

fn commit_4() -> CommitId {
    commit(&[], &snapshot_3(), "first", TIME)
}

#[test]
fn flat_v1_blobs_and_snapshots_have_the_ids_of_the_client() {
    assert_eq!(flat_v1::blob_id(b"").to_hex(), EMPTY);
    assert_eq!(flat_v1::blob_id(b"hello\n").to_hex(), HELLO);
    assert_eq!(snapshot([]).to_hex(), EMPTY);
    for (id, expected) in [
        (snapshot_3(), "9f99c35ae5511096ffaacf8d194ba223cac0fff853f1868c6f7c8f32905bc7b1"),
        (
            snapshot([("hello.txt", HELLO)]),
            "e75a3b4c08635dec0bf722c75a9cbbaf9ad8a9df8b6aeef1a29d2a37e5e620ad",
        ),
        (
            snapshot(
                ["Z", "a", "a-b", "a.b", "a/b", "é", "中", "\u{fb01}", "\u{1f600}"].map(|path| (path, HELLO)),
            ),
            "3656725b3c71d6065431b120b32cc8f05f482c68e7b90388ab5771aaf6418ab2",
        ),
    ] {
        assert_eq!(id.to_hex(), expected);
    }
}

#[test]
fn flat_v1_commits_have_the_ids_of_the_client() {
    let three = snapshot_3();
    let hello = snapshot([("hello.txt", HELLO)]);
    let first = CommitId::parse(&"f".repeat(64)).unwrap();
    let second = CommitId::parse(&"0".repeat(64)).unwrap();
    let merge_time = "2026-03-20T12:00:02+00:00";
    for (id, expected) in [
        (commit_4(), "e96da750e0754b0847804a43cf0073ed8518bd0c8a7a0937be0eb4a7d5bec9d3"),
        (
            commit(&[], &three, "first", "2026-03-20T12:00:00Z"),
            "ac2d6d9632dd29a4bb33f14d40efd2917327add2ebeec5ab829b90de85d48956",
        ),
        (
            commit(&[commit_4()], &three, "second", "2026-03-20T12:00:01.000001+00:00"),
            "4e7b35745addbffafcda18f04bfd274dad091b597f4ba34040111c186b94f8ec",
        ),
        (
            commit(&[first, second], &three, "merge", merge_time),
            "b360862bd6f40b71614a976db83e3a870c1acc6fdb90b59b1908aedf3e265349",
        ),
        (
            commit(&[second, first], &three, "merge", merge_time),
            "b360862bd6f40b71614a976db83e3a870c1acc6fdb90b59b1908aedf3e265349",
        ),
        (
            commit(&[], &hello, "", "2026-01-01T00:00:00+00:00"),
            "0d165db8c4216a13104dcf5e27489aedd1cd14b23f84d0e2cf732a0f2e3bf7ad",
        ),
        (
            commit(&[], &hello, "Añadir 🎵\nline2", "2026-01-01T00:00:00.000100+02:00"),
            "99844c7a08f622b96b6496c9d8682b150e7e5079298cddff2b59aa552006fb28",
        ),
    ] {
        assert_eq!(id.to_hex(), expected);
    }
}

#[test]
fn a_nul_that_would_make_two_commits_collide_is_refused() {
    let [a, b] = ["a", "b"].map(|digit| digit.repeat(64));
    let one_parent = [a.as_bytes(), b"\0", b.as_bytes(), b"\0", b"s\0m", b"\0", b"t"];
    let two_parents = [a.as_bytes(), b"\0", b.as_bytes(), b"\0", b"s", b"\0", b"m", b"\0", b"t"];
    let collision = "8d160f5984308a44b98e9b4e068cb4a852e241ea52b6a487ae20d8436643a388";
    assert_eq!(hex::encode(sha256(&one_parent)), collision);
    assert_eq!(hex::encode(sha256(&two_parents)), collision);

    let parent = CommitId::parse(&a).unwrap();
    let snapshot = SnapshotId::parse(&b).unwrap();
    assert_eq!(flat_v1::commit_id(&[parent], &snapshot, "s\0m", "t"), Err(FormulaError::Nul));
}

/// RFC 2104 for keys of at most one block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect() };
    sha256(&[&pad(0x5c), &sha256(&[&pad(0x36), message])])
}

#[test]
fn what_clients_derive_from_ids_keys_and_json_comes_out_the_same() {
    let key: Vec<u8> = (0..32).collect();
    assert_eq!(hex::encode(&sha256(&[&key])[..8]), "630dcd2966c43366");
    assert_eq!(
        hex::encode(hmac_sha256(&key, commit_4().to_hex().as_bytes())),
        "2aac446acda41d89eee43a8a7ea35d05236892527a3f99598cdb8485e02a4bd2"
    );
    let capabilities = serde_json::json!({
        "supported_commands": ["commit"],
        "merge_semantics": "three_way",
        "dimensions": [{"name": "geometry", "description": "Mesh"}],
        "artifact_types": [],
    });
    assert_eq!(
        hex::encode(sha256(&[&json::to_vec(&capabilities).unwrap()])),
        "de7e5ac264afb8f7c2eab6c0b5c07c9fc0700c56a6012b3444e15ecb06a51595"
    );
}

#[test]
fn random_flat_v1_history_has_the_ids_of_the_client() {
    #[derive(Deserialize)]
    struct Vector {
        manifest: BTreeMap<String, BlobId>,
        snapshot_id: SnapshotId,
        parents: Vec<CommitId>,
        message: String,
        committed_at: String,
        commit_id: CommitId,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/flat-v1-ids.json")).unwrap();
    assert_eq!(vectors.len(), 60);
    for vector in vectors {
        let entries = vector.manifest.iter().map(|(path, id)| (path.as_str(), id));
        let snapshot = flat_v1::snapshot_id(entries).unwrap();
        assert_eq!(snapshot, vector.snapshot_id);
        let id = commit(&vector.parents, &snapshot, &vector.message, &vector.committed_at);
        assert_eq!(id, vector.commit_id, "{:?}", vector.message);
    }
}

/// How many lines there were.
fn check_canonical_lines(lines: &str) -> usize {
    #[derive(Deserialize)]
    struct Vector {
        input: String,
        canonical: String,
    }
    let mut count = 0;
    for line in lines.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let value: Value = serde_json::from_str(&vector.input).unwrap();
        let mut written = Vec::new();
        json::write_value(&mut written, &value).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), vector.canonical);
        assert_eq!(json::to_vec(&value).unwrap(), vector.canonical.as_bytes());
        assert_eq!(json::parse_canonical(vector.canonical.as_bytes()).unwrap(), value);
        let already = vector.input == vector.canonical;
        assert_eq!(json::is_canonical(vector.input.as_bytes()), already, "{}", vector.input);
        count += 1;
    }
    count
}

#[test]
fn canonical_json_is_what_python_prints() {
    assert_eq!(check_canonical_lines(include_str!("../vectors/canonical-json.jsonl")), 240);
    assert_eq!(check_canonical_lines(include_str!("../vectors/canonical-json-own.jsonl")), 834);
}

#[test]
fn floats_are_what_python_prints() {
    let mut count = 0;
    for line in include_str!("../vectors/floats.txt").lines() {
        let (bits, repr) = line.split_once(' ').unwrap();
        let float = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(String::from_utf8(json::to_vec(&float).unwrap()).unwrap(), repr, "{bits}");
        let read: f64 = serde_json::from_str(repr).unwrap();
        assert_eq!(read.to_bits(), float.to_bits(), "{repr}");
        count += 1;
    }
    assert_eq!(count, 4428);
}

#[derive(Deserialize)]
struct TypedObject {
    kind: String,
    /// The payload of a blob.
    text: Option<String>,
    /// The size of a blob whose bytes follow a formula.
    pattern: Option<usize>,
    /// What the payload of a snapshot or commit is made from.
    record: Option<Value>,
    payload: Option<String>,
    sha256: String,
    blake3: String,
}

impl TypedObject {
    fn kind(&self) -> ObjectKind {
        [ObjectKind::Blob, ObjectKind::Snapshot, ObjectKind::Commit]
            .into_iter()
            .find(|kind| kind.as_str() == self.kind)
            .unwrap()
    }

    fn payload(&self) -> Vec<u8> {
        match (&self.text, self.pattern, &self.record) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(size), None) => (0..size).map(|at| ((at * 131 + (at >> 8)) & 0xff) as u8).collect(),
            (None, None, Some(record)) => json::to_vec(record).unwrap(),
            _ => panic!("a vector has one source"),
        }
    }
}

#[test]
fn typed_v2_ids_are_hashes_of_canonical_bytes() {
    let objects: Vec<TypedObject> = serde_json::from_str(include_str!("../vectors/typed-v2.json")).unwrap();
    let mut count = BTreeMap::new();
    for object in objects {
        let (kind, payload) = (object.kind(), object.payload());
        *count.entry(kind).or_insert(0) += 1;
        if let Some(expected) = &object.payload {
            assert_eq!(std::str::from_utf8(&payload).unwrap(), expected);
        }
        for (algorithm, expected) in
            [(HashAlgorithm::Sha256, object.sha256), (HashAlgorithm::Blake3, object.blake3)]
        {
            let expected = ObjectId::parse(&expected).unwrap();
            assert_eq!(expected.algorithm(), algorithm);
            assert_eq!(typed_v2::object_id(algorithm, kind, &payload), expected);
            let canonical = [&*typed_v2::header(kind, payload.len() as u64), &payload].concat();
            assert_eq!(digest(algorithm, &[&canonical]), *expected.digest());
            if kind == ObjectKind::Blob {
                assert_eq!(IdScheme::TypedV2.blob_id(algorithm, &payload).object_id(), expected);
                let mut hasher = BlobHasher::new(IdScheme::TypedV2, algorithm, payload.len() as u64);
                for piece in payload.chunks(10_007) {
                    hasher.update(piece).unwrap();
                }
                assert_eq!(hasher.finish().unwrap().object_id(), expected);
            }
        }
    }
    let expected = [(ObjectKind::Blob, 26), (ObjectKind::Snapshot, 7), (ObjectKind::Commit, 3)];
    assert_eq!(count, BTreeMap::from(expected));
}

#[test]
fn the_typed_id_of_the_empty_blob_is_the_one_the_client_publishes() {
    assert_eq!(
        typed_v2::blob_id(HashAlgorithm::Sha256, b"").to_string(),
        "sha256:473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"
    );
}

#[test]
fn the_empty_blob_of_typed_v1_has_the_id_that_the_client_publishes() {
    let published = "sha256:473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813";
    assert_eq!(typed_v1::blob_id(b"").to_string(), published);
    assert_eq!(IdScheme::TypedV1.blob_id(HashAlgorithm::Blake3, b"").to_string(), published);
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum TypedV1Object {
    Snapshot {
        manifest: BTreeMap<String, BlobId>,
        directories: Vec<String>,
        ids: Vec<SnapshotId>,
    },
    Commit {
        parents: Vec<CommitId>,
        snapshot: SnapshotId,
        message: String,
        committed_at: String,
        author: String,
        signer_public_key: String,
        ids: Vec<CommitId>,
    },
}

#[test]
fn each_form_of_typed_v1_has_its_vectors() {
    let objects: Vec<TypedV1Object> = serde_json::from_str(include_str!("../vectors/typed-v1.json")).unwrap();
    assert_eq!(objects.len(), 8);
    for object in &objects {
        match object {
            TypedV1Object::Snapshot { manifest, directories, ids } => {
                let entries: Vec<(&str, &BlobId)> =
                    manifest.iter().map(|(path, id)| (path.as_str(), id)).collect();
                let directories: Vec<&str> = directories.iter().map(String::as_str).collect();
                let fields = SnapshotFields { entries: &entries, directories: &directories };
                let computed: Vec<SnapshotId> =
                    SnapshotForm::all().map(|form| fields.id(form).unwrap()).collect();
                assert_eq!(&computed, ids);
                assert!(ids.iter().all(|id| fields.form_of(id).unwrap().is_some()));
            }
            TypedV1Object::Commit {
                parents,
                snapshot,
                message,
                committed_at,
                author,
                signer_public_key,
                ids,
            } => {
                let fields =
                    CommitFields { parents, snapshot, message, committed_at, author, signer_public_key };
                let computed = CommitForm::ALL.map(|form| fields.id(form).unwrap());
                assert_eq!(&computed[..], ids);
                assert!(ids.iter().all(|id| fields.form_of(id).unwrap().is_some()));
            }
        }
    }
}
