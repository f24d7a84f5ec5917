//! Records that are verified, and those that are refused.

use serde_json::{Map, Value, json};

use super::*;
use crate::id::{BlobId, CommitId, HashAlgorithm, SnapshotId};
use crate::path::RepoPath;
use crate::scheme::typed_v1::{CommitFields, CommitForm};
use crate::scheme::{IdScheme, flat_v1, typed_v1};

const TIME: &str = "2026-03-20T12:00:00+00:00";

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn snapshot(entries: &[(&str, &[u8])]) -> SnapshotRecord {
    let entries = entries
        .iter()
        .map(|(path, bytes)| (RepoPath::parse(path).unwrap(), flat_v1::blob_id(bytes)))
        .collect();
    SnapshotRecord { manifest: Manifest::new(entries).unwrap(), ..SnapshotRecord::default() }
}

/// A commit of the March 2026 client, with the id that its formula gives.
fn record() -> Map<String, Value> {
    let snapshot = Snapshot::verify(IdScheme::FlatV1, snapshot(&[("a", b"1")])).unwrap().id();
    let id = flat_v1::commit_id(&[], &snapshot, "first", TIME).unwrap();
    map(json!({
        "commit_id": id.to_hex(), "snapshot_id": snapshot.to_hex(), "message": "first", "committed_at": TIME,
        "parent_commit_id": null, "parent2_commit_id": null, "author": "ada", "branch": "main",
        "structured_delta": {"ops": [1, 2.5, {"x": null}]}, "a_field_of_tomorrow": ["kept"],
    }))
}

#[test]
fn a_commit_keeps_every_field_through_its_canonical_bytes() {
    let commit = Commit::verify(IdScheme::FlatV1, record()).unwrap();
    let bytes = commit.canonical();
    assert!(bytes.starts_with(format!("commit {}\0{{\"a_field_of_tomorrow\":", commit.size()).as_bytes()));
    let back = Commit::decode(IdScheme::FlatV1, commit.id(), &bytes).unwrap();
    assert_eq!(back.record(), &record());
    assert_eq!(
        (back.id(), back.parents(), back.snapshot()),
        (commit.id(), commit.parents(), commit.snapshot())
    );
}

#[test]
fn a_commit_whose_hashed_fields_were_altered_is_refused() {
    for (field, value) in [
        ("message", json!("other")),
        ("committed_at", json!("2026-03-20T12:00:00Z")),
        ("snapshot_id", json!("0".repeat(64))),
        ("parent_commit_id", json!("1".repeat(64))),
    ] {
        let mut altered = record();
        altered.insert(field.to_owned(), value);
        let refused = Commit::verify(IdScheme::FlatV1, altered);
        assert!(matches!(refused, Err(ObjectError::IdMismatch { .. })), "{field}: {refused:?}");
    }
}

#[test]
fn malformed_fields_of_a_commit_are_named() {
    for (field, value) in [
        ("commit_id", Value::Null),
        ("commit_id", json!("XYZ")),
        ("snapshot_id", json!(7)),
        ("message", Value::Null),
        ("committed_at", json!("")),
        ("committed_at", json!("2026\n")),
        ("parent_commit_id", json!([])),
        ("author", json!({})),
    ] {
        let mut altered = record();
        altered.insert(field.to_owned(), value.clone());
        let error = Commit::verify(IdScheme::FlatV1, altered).unwrap_err().to_string();
        assert!(error.contains(&format!("field '{field}'")), "{field} = {value}: {error}");
    }
    let mut without = record();
    without.remove("message");
    assert!(Commit::verify(IdScheme::FlatV1, without).is_err());
    let mut second_only = record();
    second_only.insert("parent2_commit_id".to_owned(), json!("1".repeat(64)));
    assert!(Commit::verify(IdScheme::FlatV1, second_only).is_err());
}

#[test]
fn nul_is_refused_wherever_it_hides() {
    for field in ["message", "author", "a_field_of_tomorrow"] {
        let mut altered = record();
        altered.insert(field.to_owned(), json!("a\0b"));
        let refused = Commit::verify(IdScheme::FlatV1, altered);
        assert!(matches!(refused, Err(ObjectError::Nul { .. } | ObjectError::Formula { .. })), "{field}");
    }
    let mut nested = record();
    nested.insert("metadata".to_owned(), json!({"a": [{"b\0": 1}]}));
    assert!(matches!(Commit::verify(IdScheme::FlatV1, nested), Err(ObjectError::Nul { .. })));
}

#[test]
fn the_id_of_a_typed_commit_is_the_hash_of_its_canonical_bytes() {
    let record = map(json!({
        "parents": [], "snapshot_id": format!("blake3:{}", "0".repeat(64)), "message": "m",
        "committed_at": TIME, "author": "ada",
    }));
    let commit = Commit::verify(IdScheme::TypedV2, record.clone()).unwrap();
    let digest = crate::hash::digest(HashAlgorithm::Blake3, &[&commit.canonical()]);
    assert_eq!(commit.id(), CommitId::new(HashAlgorithm::Blake3, digest));
    let mut claimed = record.clone();
    claimed.insert("commit_id".to_owned(), json!(commit.id().to_string()));
    assert_eq!(Commit::verify(IdScheme::TypedV2, claimed).unwrap().id(), commit.id());
    let mut other_author = record;
    other_author.insert("author".to_owned(), json!("eve"));
    assert_ne!(Commit::verify(IdScheme::TypedV2, other_author).unwrap().id(), commit.id());
}

#[test]
fn a_snapshot_keeps_every_field_in_the_order_of_the_keys() {
    let mut record = snapshot(&[("ü", b"1"), ("a/b", b"2")]);
    record.extra = map(json!({"created_at": TIME, "zeta": 1, "alpha": null}));
    let snapshot = Snapshot::verify(IdScheme::FlatV1, record).unwrap();
    let bytes = snapshot.canonical(IdScheme::FlatV1).unwrap();
    let (_, payload) = crate::canonical::decode(&bytes).unwrap();
    assert!(crate::canonical::json::is_canonical(payload));
    let text = std::str::from_utf8(payload).unwrap();
    assert!(text.starts_with("{\"alpha\":null,\"created_at\":"), "{text}");
    assert!(text.contains("\"\\u00fc\":\""), "{text}");
    let back = Snapshot::decode(snapshot.id(), &bytes).unwrap();
    assert_eq!(back.manifest(), snapshot.manifest());
    assert_eq!(back.record().extra, snapshot.record().extra);
}

#[test]
fn a_typed_snapshot_covers_directories_and_executables() {
    let plain = snapshot(&[("run.sh", b"#!")]);
    let mut marked = plain.clone();
    marked.executables = vec![RepoPath::parse("run.sh").unwrap()];
    marked.directories = vec![RepoPath::parse("empty").unwrap()];
    let ids: Vec<_> = [plain, marked.clone()]
        .into_iter()
        .map(|record| Snapshot::verify(IdScheme::TypedV2, record).unwrap().id())
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert!(Snapshot::verify(IdScheme::FlatV1, marked).is_err(), "flat-v1 has no place for them");
}

#[test]
fn a_snapshot_with_another_id_is_refused() {
    let mut record = snapshot(&[("a", b"1")]);
    record.id = Some(SnapshotId::parse(&"0".repeat(64)).unwrap());
    assert!(matches!(Snapshot::verify(IdScheme::FlatV1, record), Err(ObjectError::IdMismatch { .. })));
}

#[test]
fn a_manifest_that_no_file_system_holds_is_refused() {
    let blob = BlobId::new(HashAlgorithm::Sha256, [0; 32]);
    let manifest = |paths: &[&str]| {
        Manifest::new(paths.iter().map(|path| (RepoPath::parse(path).unwrap(), blob)).collect())
    };
    assert!(manifest(&["a", "a-b", "a.b", "ab/c", "b/c", "b/d"]).is_ok());
    assert!(matches!(manifest(&["a/b", "a"]), Err(ManifestError::FileAndDirectory { .. })));
    // What sorts between a file and what is below it does not hide them from each other.
    assert!(matches!(manifest(&["a", "a-b", "a.c", "a/b/c"]), Err(ManifestError::FileAndDirectory { .. })));
    assert!(matches!(
        manifest(&["x/a", "x/a!", "x/a!b", "x/a/c"]),
        Err(ManifestError::FileAndDirectory { .. })
    ));
    assert!(matches!(manifest(&["a", "b", "a"]), Err(ManifestError::Duplicate(_))));
}

#[test]
fn a_manifest_tells_folders_from_names_that_begin_like_them() {
    let blob = BlobId::parse(&"0".repeat(64)).unwrap();
    let paths = ["a", "b-c", "b.py", "b/d/e", "ba", "c"];
    let entries = paths.map(|path| (RepoPath::parse(path).unwrap(), blob)).to_vec();
    let manifest = Manifest::new(entries).unwrap();
    for (start, held) in
        [("b/", true), ("b/d/", true), ("a/", false), ("b/c/", false), ("d/", false), ("", true)]
    {
        assert_eq!(manifest.has_start(start), held, "{start}");
    }
}

#[test]
fn a_manifest_reads_from_json_in_any_order_and_checks_what_it_reads() {
    let id = "0".repeat(64);
    let read = |text: String| serde_json::from_str::<Manifest>(&text);
    let manifest = read(format!("{{\"b\":\"{id}\",\"a\":\"sha256:{id}\"}}")).unwrap();
    assert_eq!(manifest.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(read(format!("{{\"../b\":\"{id}\"}}")).is_err());
    assert!(read(format!("{{\"a\":\"{id}\",\"a\":\"{id}\"}}")).is_err());
    assert!(read("{\"a\":\"zz\"}".to_owned()).is_err());
}

/// A snapshot and a commit as clients with typed ids send them.
fn typed_v1_records() -> (SnapshotRecord, Map<String, Value>) {
    let manifest = Manifest::new(vec![(RepoPath::parse("a").unwrap(), typed_v1::blob_id(b"1"))]).unwrap();
    let record = SnapshotRecord {
        manifest,
        directories: vec![RepoPath::parse("empty").unwrap()],
        extra: map(json!({"created_at": TIME, "note": "n", "schema_version": 1})),
        ..SnapshotRecord::default()
    };
    let snapshot = Snapshot::verify(IdScheme::TypedV1, record).unwrap();
    let hashed = CommitFields {
        parents: &[],
        snapshot: &snapshot.id(),
        message: "first",
        committed_at: TIME,
        author: "ada",
        signer_public_key: "",
    };
    let commit = map(json!({
        "commit_id": hashed.id(CommitForm::OWN).unwrap(), "snapshot_id": snapshot.id(), "message": "first",
        "committed_at": TIME, "author": "ada", "branch": "main", "parent_commit_id": null,
        "signer_public_key": null, "a_field_of_tomorrow": ["kept"],
    }));
    (snapshot.record().clone(), commit)
}

#[test]
fn typed_v1_records_come_back_whole_from_their_canonical_bytes() {
    let (snapshot, commit) = typed_v1_records();
    let scheme = IdScheme::TypedV1;
    let snapshot = Snapshot::verify(scheme, snapshot).unwrap();
    let bytes = snapshot.canonical(scheme).unwrap();
    let back = Snapshot::decode(snapshot.id(), &bytes).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains("\"directories\":[\"empty\"],\"manifest\":{\"a\":\"sha256:"), "{text}");
    assert!(text.contains(&format!("\"snapshot_id\":\"{}\"", snapshot.id())), "{text}");
    assert_eq!(back.record().extra, snapshot.record().extra);
    assert_eq!(back.id_proof(scheme), IdProof::Verified);
    let commit = Commit::verify(scheme, commit).unwrap();
    let back = Commit::decode(scheme, commit.id(), &commit.canonical()).unwrap();
    assert_eq!(back.record(), commit.record());
    assert_eq!((commit.id_proof(), back.id_proof()), (IdProof::Verified, IdProof::Verified));
}

#[test]
fn an_id_of_no_known_form_is_taken_only_where_that_is_allowed_and_stays_marked() {
    let scheme = IdScheme::TypedV1;
    let (mut snapshot, mut commit) = typed_v1_records();
    commit.insert("author".to_owned(), json!("eve"));
    let refused = Commit::verify(scheme, commit.clone()).unwrap_err();
    assert!(matches!(refused, ObjectError::UnknownForm { .. }));
    assert!(refused.to_string().contains("accept_opaque_ids"), "{refused}");
    let taken = Commit::accept(scheme, commit.clone(), OpaqueIds::Accept).unwrap();
    assert_eq!(taken.id_proof(), IdProof::Opaque);
    let back = Commit::decode(scheme, taken.id(), &taken.canonical()).unwrap();
    assert_eq!(back.id_proof(), IdProof::Opaque);

    snapshot.directories.clear();
    let refused = Snapshot::verify(scheme, snapshot.clone());
    assert!(matches!(refused, Err(ObjectError::UnknownForm { .. })));
    let (taken, proof) = Snapshot::accept(scheme, snapshot, OpaqueIds::Accept).unwrap();
    assert_eq!((proof, taken.id_proof(scheme)), (IdProof::Opaque, IdProof::Opaque));

    // Of schemes that are wholly known there is nothing to take on anybody's word.
    let mut flat = record();
    flat.insert("message".to_owned(), json!("other"));
    let refused = Commit::accept(IdScheme::FlatV1, flat, OpaqueIds::Accept);
    assert!(matches!(refused, Err(ObjectError::IdMismatch { .. })));
    // Nor are ids of another hash function.
    commit.insert("commit_id".to_owned(), json!(format!("blake3:{}", "0".repeat(64))));
    let refused = Commit::accept(scheme, commit, OpaqueIds::Accept);
    assert!(matches!(refused, Err(ObjectError::Formula { .. })));
}
