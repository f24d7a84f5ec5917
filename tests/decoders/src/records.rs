//! Records of commits and snapshots: whatever decoder they come from, they are verified or refused, and what is verified
//! comes back from its canonical bytes.

use musehub_core::canonical::{self, json};
use musehub_core::object::{
    Commit, IdProof, MAX_COMMIT_BYTES, ObjectError, OpaqueIds, Snapshot, SnapshotRecord,
};
use musehub_core::scheme::IdScheme;
use musehub_core::scheme::typed_v1::{CommitFields, CommitForm};
use musehub_core::{CommitId, HashAlgorithm, ObjectId, ObjectKind, SnapshotId};
use serde_json::{Map, Value};

/// Every scheme of ids.
pub(crate) const SCHEMES: [IdScheme; 3] = [IdScheme::FlatV1, IdScheme::TypedV1, IdScheme::TypedV2];

/// Checks a record of a commit under a scheme; where that computes another id than the record claims, once more with that one.
pub(crate) fn commit(scheme: IdScheme, record: &Map<String, Value>) {
    match Commit::verify(scheme, record.clone()) {
        Ok(commit) => verified_commit(scheme, record, &commit),
        Err(ObjectError::IdMismatch { computed, .. }) => {
            assert_ne!(scheme, IdScheme::TypedV1, "a form that is not known is no mismatch");
            let mut record = record.clone();
            record.insert("commit_id".to_owned(), computed.clone().into());
            let commit = Commit::verify(scheme, record.clone()).unwrap();
            assert_eq!(commit.id().to_string(), computed);
            verified_commit(scheme, &record, &commit);
        }
        Err(ObjectError::UnknownForm { .. }) => {
            assert_eq!(scheme, IdScheme::TypedV1);
            let commit = Commit::accept(scheme, record.clone(), OpaqueIds::Accept).unwrap();
            assert_eq!(commit.id_proof(), IdProof::Opaque);
            comes_back(scheme, &commit);
            let mut record = record.clone();
            record.insert("commit_id".to_owned(), own_id(&commit).to_string().into());
            verified_commit(scheme, &record, &Commit::verify(scheme, record.clone()).unwrap());
        }
        Err(_) => {}
    }
}

/// The id that the hub itself would give a commit of `typed-v1`.
fn own_id(commit: &Commit) -> CommitId {
    let hashed = CommitFields {
        parents: commit.parents(),
        snapshot: &commit.snapshot(),
        message: commit.text("message"),
        committed_at: commit.text("committed_at"),
        author: commit.text("author"),
        signer_public_key: commit.text("signer_public_key"),
    };
    hashed.id(CommitForm::OWN).unwrap()
}

fn verified_commit(scheme: IdScheme, record: &Map<String, Value>, commit: &Commit) {
    assert_eq!(commit.id_proof(), IdProof::Verified);
    assert!(commit.parents().len() <= 2);
    match scheme {
        IdScheme::FlatV1 => {
            assert_eq!(commit.record(), record, "a record is kept as it came");
            assert_eq!(commit.id(), flat_commit_id(commit));
        }
        IdScheme::TypedV1 => assert_eq!(commit.record(), record),
        IdScheme::TypedV2 => {
            assert!(!commit.record().contains_key("commit_id"));
            assert_eq!(commit.id().object_id(), hash_of(commit.id().object_id(), &commit.canonical()));
        }
    }
    comes_back(scheme, commit);
}

/// The formula of `docs/WIRE.md`, written a second time.
fn flat_commit_id(commit: &Commit) -> CommitId {
    let mut parents: Vec<String> = commit.parents().iter().map(CommitId::to_hex).collect();
    parents.sort_unstable();
    let texts = [
        parents.join("\0"),
        commit.snapshot().to_hex(),
        commit.text("message").to_owned(),
        commit.text("committed_at").to_owned(),
    ];
    CommitId::new(HashAlgorithm::Sha256, crate::sha256(&[texts.join("\0").as_bytes()]))
}

fn hash_of(id: ObjectId, bytes: &[u8]) -> ObjectId {
    let digest = match id.algorithm() {
        HashAlgorithm::Sha256 => crate::sha256(&[bytes]),
        HashAlgorithm::Blake3 => *blake3::hash(bytes).as_bytes(),
    };
    ObjectId::new(id.algorithm(), digest)
}

fn comes_back(scheme: IdScheme, commit: &Commit) {
    let bytes = commit.canonical();
    let (kind, payload) = canonical::decode(&bytes).unwrap();
    assert_eq!((kind, payload.len() as u64), (ObjectKind::Commit, commit.size()));
    assert!(json::is_canonical(payload) && commit.size() <= MAX_COMMIT_BYTES);
    let back = Commit::decode(scheme, commit.id(), &bytes).unwrap();
    assert_eq!(back.record(), commit.record());
    assert_eq!(
        (back.id(), back.snapshot(), back.id_proof()),
        (commit.id(), commit.snapshot(), commit.id_proof())
    );
    assert_eq!(back.parents(), commit.parents());
    assert_eq!(back.canonical(), bytes);
}

/// Checks a record of a snapshot under a scheme, as [`commit`] does.
pub(crate) fn snapshot(scheme: IdScheme, record: &SnapshotRecord) {
    match Snapshot::verify(scheme, record.clone()) {
        Ok(snapshot) => verified_snapshot(scheme, record, &snapshot),
        Err(ObjectError::IdMismatch { computed, .. }) => {
            let id = SnapshotId::parse(&computed).unwrap();
            let record = SnapshotRecord { id: Some(id), ..record.clone() };
            let snapshot = Snapshot::verify(scheme, record.clone()).unwrap();
            assert_eq!(snapshot.id(), id);
            verified_snapshot(scheme, &record, &snapshot);
        }
        Err(ObjectError::UnknownForm { .. }) => {
            assert_eq!(scheme, IdScheme::TypedV1);
            let (taken, proof) = Snapshot::accept(scheme, record.clone(), OpaqueIds::Accept).unwrap();
            assert_eq!((proof, taken.id_proof(scheme)), (IdProof::Opaque, IdProof::Opaque));
            returns(scheme, &taken);
            // The id that the hub itself would give it, where it can say the directories.
            let unnamed = SnapshotRecord { id: None, ..record.clone() };
            if let Ok(own) = Snapshot::verify(scheme, unnamed) {
                let record = SnapshotRecord { id: Some(own.id()), ..record.clone() };
                verified_snapshot(scheme, &record, &Snapshot::verify(scheme, record.clone()).unwrap());
            }
        }
        Err(_) => {}
    }
}

fn verified_snapshot(scheme: IdScheme, record: &SnapshotRecord, snapshot: &Snapshot) {
    assert_eq!(snapshot.manifest(), &record.manifest);
    assert!(record.id.is_none_or(|claimed| claimed == snapshot.id()));
    assert_eq!(snapshot.id_proof(scheme), IdProof::Verified);
    match scheme {
        IdScheme::FlatV1 => assert_eq!(snapshot.id(), flat_snapshot_id(snapshot)),
        IdScheme::TypedV1 => {}
        IdScheme::TypedV2 => {
            let bytes = snapshot.canonical(scheme).unwrap();
            assert_eq!(snapshot.id().object_id(), hash_of(snapshot.id().object_id(), &bytes));
        }
    }
    returns(scheme, snapshot);
}

fn flat_snapshot_id(snapshot: &Snapshot) -> SnapshotId {
    let entries = snapshot.manifest().iter();
    let pairs: Vec<String> = entries.map(|(path, blob)| format!("{path}\0{}", blob.to_hex())).collect();
    SnapshotId::new(HashAlgorithm::Sha256, crate::sha256(&[pairs.join("\0").as_bytes()]))
}

fn returns(scheme: IdScheme, snapshot: &Snapshot) {
    // A value of another field may be nested deeper than canonical JSON goes.
    let bytes = match snapshot.canonical(scheme) {
        Ok(bytes) => bytes,
        Err(ObjectError::Json { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let payload = canonical::payload_of(ObjectKind::Snapshot, &bytes).unwrap();
    assert!(json::is_canonical(payload));
    let back = Snapshot::decode(snapshot.id(), &bytes).unwrap();
    let (before, after) = (snapshot.record(), back.record());
    assert_eq!(after.manifest, before.manifest);
    assert_eq!((&after.directories, &after.executables), (&before.directories, &before.executables));
    assert_eq!(after.extra, before.extra);
    assert_eq!(back.canonical(scheme).unwrap(), bytes);
}
