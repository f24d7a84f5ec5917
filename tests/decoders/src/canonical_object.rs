//! Canonical bytes, canonical JSON, and the records that are kept in them.

use musehub_core::canonical::{self, json};
use musehub_core::object::{Commit, Record, Snapshot, SnapshotRecord};
use musehub_core::scheme::{BlobHasher, FormulaError, IdScheme};
use musehub_core::{BlobId, CommitId, HashAlgorithm, ObjectId, ObjectKind, SnapshotId};
use serde_json::Value;

use crate::records::{self, SCHEMES};

/// Reads bytes as an object, and as the payload of one.
///
/// # Panics
/// Where what is read is not written again as it was, or two ways to write it differ.
pub fn canonical_object(data: &[u8]) -> bool {
    let object = canonical::decode(data);
    let payload = match object {
        Ok((kind, payload)) => {
            assert_eq!(canonical::encode(kind, payload), data, "an object has one form");
            let header = format!("{} {}\0", kind.as_str(), payload.len());
            assert_eq!(data.strip_prefix(header.as_bytes()), Some(payload));
            for other in [ObjectKind::Blob, ObjectKind::Snapshot, ObjectKind::Commit] {
                assert_eq!(canonical::payload_of(other, data).is_ok(), other == kind);
            }
            payload
        }
        Err(_) => data,
    };
    blob(data);
    at_rest(payload);
    text(payload) || object.is_ok()
}

/// The id of a blob that comes in pieces is that of the whole, and no blob has the id of another one under another scheme.
fn blob(bytes: &[u8]) {
    let typed = crate::sha256(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes]);
    let expected =
        [(IdScheme::FlatV1, crate::sha256(&[bytes])), (IdScheme::TypedV1, typed), (IdScheme::TypedV2, typed)];
    for (scheme, digest) in expected {
        let algorithm = HashAlgorithm::Sha256;
        let mut hasher = BlobHasher::new(scheme, algorithm, bytes.len() as u64);
        for piece in bytes.chunks(crate::piece_size(bytes)) {
            hasher.update(piece).unwrap();
        }
        let id = BlobId::new(algorithm, digest);
        assert_eq!(scheme.blob_id(algorithm, bytes), id);
        match hasher.finish() {
            Ok(computed) => assert_eq!(computed, id),
            Err(error) => {
                assert_eq!((scheme, error), (IdScheme::FlatV1, FormulaError::Ambiguous));
                assert!(canonical::payload_of(ObjectKind::Blob, bytes).is_ok());
            }
        }
    }
}

/// Objects that the hub reads back: whatever rests there, they are records or an error.
fn at_rest(payload: &[u8]) {
    let id = ObjectId::new(HashAlgorithm::Sha256, [7; 32]);
    let commit = canonical::encode(ObjectKind::Commit, payload);
    for scheme in SCHEMES {
        if let Ok(read) = Commit::decode(scheme, CommitId::from(id), &commit) {
            assert_eq!(read.canonical(), commit);
            assert!(read.parents().len() <= 2);
        }
    }
    let snapshot = canonical::encode(ObjectKind::Snapshot, payload);
    if let Ok(read) = Snapshot::decode(SnapshotId::from(id), &snapshot) {
        assert_eq!(read.id().object_id(), id);
    }
}

/// Whether it is JSON.
fn text(payload: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(payload) else {
        assert!(!json::is_canonical(payload));
        return false;
    };
    let written = json::to_vec(&value).unwrap();
    let mut again = Vec::new();
    json::write_value(&mut again, &value).unwrap();
    assert_eq!(again, written, "there are two ways to print, and one text");
    assert!(written.is_ascii());
    assert_eq!(json::is_canonical(payload), written == payload);
    let back = json::parse_canonical(&written).unwrap();
    assert_eq!(back, value);
    if let Ok(record) = serde_json::from_slice::<Record>(payload) {
        assert_eq!(Value::Object(record.0.clone()), value, "a record is read without loss");
        SCHEMES.into_iter().for_each(|scheme| records::commit(scheme, &record.0));
    }
    if let Ok(record) = serde_json::from_slice::<SnapshotRecord>(payload) {
        SCHEMES.into_iter().for_each(|scheme| records::snapshot(scheme, &record));
    }
    true
}
