//! `typed-v2`: an id is the hash of an object's canonical bytes, `<kind> <size>\0<payload>`.
//!
//! The size is the payload's, in ASCII decimal. A blob's payload is the file; those of a snapshot and of a commit are
//! [canonical JSON](crate::canonical::json) that holds no id of its own. So the id covers every field.

pub use crate::canonical::header;
use crate::hash::digest;
use crate::id::{BlobId, HashAlgorithm, ObjectId, ObjectKind};

/// The id of an object by its payload.
#[must_use]
pub fn object_id(algorithm: HashAlgorithm, kind: ObjectKind, payload: &[u8]) -> ObjectId {
    let header = header(kind, payload.len() as u64);
    ObjectId::new(algorithm, digest(algorithm, &[&header, payload]))
}

/// The id of a file's bytes.
#[must_use]
pub fn blob_id(algorithm: HashAlgorithm, bytes: &[u8]) -> BlobId {
    object_id(algorithm, ObjectKind::Blob, bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_kind_size_and_nul() {
        assert_eq!(&*header(ObjectKind::Blob, 0), b"blob 0\0");
        assert_eq!(&*header(ObjectKind::Commit, 120), b"commit 120\0");
        assert_eq!(&*header(ObjectKind::Snapshot, u64::MAX), b"snapshot 18446744073709551615\0");
    }

    #[test]
    fn the_kind_and_the_algorithm_tell_equal_payloads_apart() {
        let of = |algorithm, kind| object_id(algorithm, kind, b"{}");
        let snapshot = of(HashAlgorithm::Sha256, ObjectKind::Snapshot);
        assert_ne!(snapshot, of(HashAlgorithm::Sha256, ObjectKind::Commit));
        assert_ne!(snapshot.digest(), of(HashAlgorithm::Blake3, ObjectKind::Snapshot).digest());
    }
}
