//! `flat-v1`: the ids of Muse clients of March 2026, SHA-256 over bare content and over texts joined by NUL.
//!
//! | object | hashed |
//! |---|---|
//! | blob | the bytes |
//! | snapshot | `path NUL blob id` of every entry, sorted by path, joined by NUL |
//! | commit | parents sorted and joined by NUL, snapshot id, message, time: these four joined by NUL |
//!
//! Ids enter as 64 digits without a prefix. A root commit's hash thus begins with NUL, and the empty snapshot has
//! the id of the empty blob. Nothing else of a commit is covered: neither author nor provenance.
//!
//! A NUL inside a text would make two different commits collide, so it is refused.

use super::FormulaError;
use crate::hash::{Hasher, digest};
use crate::id::{BlobId, CommitId, HashAlgorithm, ObjectId, SnapshotId};

const ALGORITHM: HashAlgorithm = HashAlgorithm::Sha256;
const NUL: &[u8] = b"\0";

/// The id of a file's bytes.
#[must_use]
pub fn blob_id(bytes: &[u8]) -> BlobId {
    BlobId::new(ALGORITHM, digest(ALGORITHM, &[bytes]))
}

/// The id of a manifest, whose entries must come in the order of their paths' bytes.
///
/// # Errors
/// [`FormulaError::Unsorted`] where a path is not greater than the one before it, [`FormulaError::Nul`] where one
/// holds a NUL, [`FormulaError::ForeignAlgorithm`] where a blob's id is not of SHA-256.
pub fn snapshot_id<'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a BlobId)>,
) -> Result<SnapshotId, FormulaError> {
    let mut hasher = Hasher::new(ALGORITHM);
    let mut previous: Option<&str> = None;
    for (path, blob) in entries {
        refuse_nul(path)?;
        if let Some(previous) = previous {
            if previous >= path {
                return Err(FormulaError::Unsorted);
            }
            hasher.update(NUL);
        }
        hasher.update(path.as_bytes());
        hasher.update(NUL);
        hasher.update(&digits(blob.object_id())?);
        previous = Some(path);
    }
    Ok(SnapshotId::new(ALGORITHM, hasher.finish()))
}

/// The id of a commit. The order of its parents does not matter; its time is the text that the client sent.
///
/// # Errors
/// [`FormulaError::Nul`] where the message or the time holds a NUL, [`FormulaError::ForeignAlgorithm`] where one of
/// the ids is not of SHA-256.
pub fn commit_id(
    parents: &[CommitId],
    snapshot: &SnapshotId,
    message: &str,
    committed_at: &str,
) -> Result<CommitId, FormulaError> {
    refuse_nul(message)?;
    refuse_nul(committed_at)?;
    // Digests sort as their digits do.
    let mut parents = parents.to_vec();
    parents.sort_unstable();

    let mut hasher = Hasher::new(ALGORITHM);
    for (n, parent) in parents.iter().enumerate() {
        if n > 0 {
            hasher.update(NUL);
        }
        hasher.update(&digits(parent.object_id())?);
    }
    hasher.update(NUL);
    hasher.update(&digits(snapshot.object_id())?);
    for text in [message, committed_at] {
        hasher.update(NUL);
        hasher.update(text.as_bytes());
    }
    Ok(CommitId::new(ALGORITHM, hasher.finish()))
}

/// Whether a text cannot enter an id; for a border that wants to name the field it refuses.
#[must_use]
pub fn contains_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

fn refuse_nul(text: &str) -> Result<(), FormulaError> {
    if contains_nul(text) { Err(FormulaError::Nul) } else { Ok(()) }
}

fn digits(id: ObjectId) -> Result<[u8; 64], FormulaError> {
    if id.algorithm() != ALGORITHM {
        return Err(FormulaError::ForeignAlgorithm);
    }
    let mut digits = [0; 64];
    hex::encode_to_slice(id.digest(), &mut digits).expect("32 bytes are 64 digits");
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-03-20T12:00:00+00:00";

    fn blob(algorithm: HashAlgorithm) -> BlobId {
        BlobId::new(algorithm, [1; 32])
    }

    #[test]
    fn a_manifest_out_of_order_has_no_id() {
        let id = blob(ALGORITHM);
        let of = |paths: &[&'static str]| snapshot_id(paths.iter().map(|path| (*path, &id)));
        assert!(of(&[]).is_ok());
        assert!(of(&["Z", "a", "a-b", "a/b", "ﬁ", "😀"]).is_ok());
        assert_eq!(of(&["b", "a"]), Err(FormulaError::Unsorted));
        assert_eq!(of(&["a", "a"]), Err(FormulaError::Unsorted));
        assert_eq!(of(&["a\0b"]), Err(FormulaError::Nul));
    }

    #[test]
    fn ids_of_another_hash_function_are_refused() {
        let foreign = blob(HashAlgorithm::Blake3);
        assert_eq!(snapshot_id([("a", &foreign)]), Err(FormulaError::ForeignAlgorithm));
        let [ours, theirs] = [ALGORITHM, HashAlgorithm::Blake3].map(|a| SnapshotId::new(a, [1; 32]));
        assert_eq!(commit_id(&[], &theirs, "m", TIME), Err(FormulaError::ForeignAlgorithm));
        let parent = CommitId::new(HashAlgorithm::Blake3, [1; 32]);
        assert_eq!(commit_id(&[parent], &ours, "m", TIME), Err(FormulaError::ForeignAlgorithm));
    }

    #[test]
    fn texts_with_nul_are_refused_and_all_others_count() {
        let snapshot = SnapshotId::new(ALGORITHM, [1; 32]);
        let of = |message, time| commit_id(&[], &snapshot, message, time);
        assert_eq!(of("a\0b", TIME), Err(FormulaError::Nul));
        assert_eq!(of("a", "\0"), Err(FormulaError::Nul));
        assert!(contains_nul("\0") && !contains_nul("0"));
        assert_ne!(of("a", TIME).unwrap(), of("a ", TIME).unwrap());
        assert_ne!(of("a", "2026-03-20T12:00:00Z").unwrap(), of("a", TIME).unwrap());
    }

    #[test]
    fn the_order_of_parents_does_not_matter_but_their_number_does() {
        let snapshot = SnapshotId::new(ALGORITHM, [1; 32]);
        let [a, b] = [2, 3].map(|n| CommitId::new(ALGORITHM, [n; 32]));
        let of = |parents: &[CommitId]| commit_id(parents, &snapshot, "m", TIME).unwrap();
        assert_eq!(of(&[a, b]), of(&[b, a]));
        assert_ne!(of(&[a]), of(&[a, a]));
        assert_ne!(of(&[]), of(&[a]));
    }
}
