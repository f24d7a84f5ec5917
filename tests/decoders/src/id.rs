//! Ids of objects, packs, jobs and repositories as text.

use musehub_core::mpack::MpackId;
use musehub_core::port::JobId;
use musehub_core::{BlobId, CommitId, HashAlgorithm, ObjectId, RepoId, SnapshotId};
use serde_json::Value;

/// Reads a text as each kind of id, and compares with what the documentation says of ids.
///
/// # Panics
/// Where they differ.
pub fn id(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    object_id(text);
    let is_job = text.len() == 64 && text.bytes().all(is_digit);
    assert_eq!(text.parse::<JobId>().is_ok(), is_job);
    repository_id(text);
    ObjectId::parse(text).is_ok() || RepoId::parse(text).is_ok()
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// An id as documented: 64 lower-case digits, perhaps behind the name of a hash function; bare ones are of SHA-256.
fn documented(text: &str) -> Option<(HashAlgorithm, &str)> {
    let named = [("sha256:", HashAlgorithm::Sha256), ("blake3:", HashAlgorithm::Blake3)];
    let found = named.iter().find_map(|(name, algorithm)| Some((*algorithm, text.strip_prefix(name)?)));
    let (algorithm, digits) = found.unwrap_or((HashAlgorithm::Sha256, text));
    (digits.len() == 64 && digits.bytes().all(is_digit)).then_some((algorithm, digits))
}

fn object_id(text: &str) {
    let read = ObjectId::parse(text);
    let json = Value::String(text.to_owned());
    let msgpack = rmp_serde::to_vec(text).unwrap();
    let Some((algorithm, digits)) = documented(text) else {
        assert!(read.is_err() && MpackId::parse(text).is_err());
        assert!(serde_json::from_value::<BlobId>(json.clone()).is_err());
        assert!(serde_json::from_value::<MpackId>(json).is_err());
        assert!(rmp_serde::from_slice::<CommitId>(&msgpack).is_err());
        return;
    };
    let read = read.unwrap();
    assert_eq!((read.algorithm(), &*read.to_hex()), (algorithm, digits));
    assert_eq!(hex::decode(digits).unwrap(), read.digest());
    assert_eq!(ObjectId::new(algorithm, *read.digest()), read);
    let written = read.to_string();
    assert_eq!(written, format!("{}:{digits}", algorithm.as_str()));
    assert_eq!(ObjectId::parse(&written), Ok(read));
    assert_eq!(BlobId::parse(text).unwrap().object_id(), read);
    assert_eq!(serde_json::from_value::<SnapshotId>(json.clone()).unwrap().object_id(), read);
    assert_eq!(rmp_serde::from_slice::<CommitId>(&msgpack).unwrap().object_id(), read);
    assert_eq!(serde_json::to_value(SnapshotId::from(read)).unwrap(), Value::String(written.clone()));
    // Packs have ids of SHA-256 alone.
    match MpackId::parse(text) {
        Ok(pack) => {
            assert_eq!(algorithm, HashAlgorithm::Sha256);
            assert_eq!((pack.to_string(), &*pack.to_hex()), (written, digits));
        }
        Err(_) => assert_ne!(algorithm, HashAlgorithm::Sha256),
    }
}

fn repository_id(text: &str) {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let well_formed = lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(is_digit);
    match RepoId::parse(text) {
        Ok(id) => assert!(well_formed && id.as_str() == text),
        Err(_) => assert!(!well_formed),
    }
}
